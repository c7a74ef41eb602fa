package guard

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"unicode/utf8"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

// Subject is who a request is counted for. A rule of the policy applies when
// all its dimensions are given; give at least one.
type Subject struct {
	User   string // the host's id of the user, after authentication
	IP     string // the client's address, see RemoteIP
	Device string // the client's device id
}

// Limit charges each request to the action's policy before the handler runs.
// The answer carries RateLimit and RateLimit-Policy when Gantry sent them. A
// refusal is 429 with Retry-After and Gantry's RATE_LIMITED problem.
//
// While Gantry is away the client decides locally. Any other error is a
// mistake in the configuration, such as a wrong key or an action that does
// not exist: it goes to the error hook and the request passes, since a typing
// error must not close the host. For an action that fails closed (see
// client.Client.FailsClosed) nothing passes without a verdict, whatever the
// reason: the answer is 503 SERVICE_DEGRADED with Retry-After. A request that
// was cancelled during the check does not pass.
//
// What a caller may choose cannot cause such an error: an id that Gantry
// would not take is counted by its hash, and an address that is none is left
// out.
func (g *Guard) Limit(action string, subject func(*http.Request) Subject) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v, err := g.c.Decide(r.Context(), checkOf(action, subject(r)))
			switch {
			case err != nil && r.Context().Err() != nil:
				// Whoever hangs up during the check must not pass without it.
				degraded(w, r, "the request ended before its limit was checked")
				return
			case err != nil && (g.c.FailsClosed(action) || errors.Is(err, client.ErrUnavailable)):
				g.hook(r, err)
				degraded(w, r, "the limit of this action could not be checked; repeat the request after Retry-After")
				return
			case err != nil:
				g.hook(r, err)
				next.ServeHTTP(w, r)
				return
			}
			if v.RateLimit != "" {
				w.Header().Set("RateLimit", v.RateLimit)
			}
			if v.RateLimitPolicy != "" {
				w.Header().Set("RateLimit-Policy", v.RateLimitPolicy)
			}
			if !v.Allowed {
				refuse(w, r, v)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// refuse answers 429 as Gantry does, in the caller's language.
func refuse(w http.ResponseWriter, r *http.Request, v client.Verdict) {
	p := problemOf(r, api.CodeRateLimited, "")
	d := api.RateLimitedDetails{Limit: v.Limit, Actual: v.Limit - v.Remaining + 1, Remaining: v.Remaining, ResetAt: v.ResetAt,
		Policy: v.Policy, Scope: v.Scope, Mode: v.Mode}
	if v.Problem != nil {
		p.RequestID = v.Problem.RequestID // Gantry's
		if known, ok := v.Problem.Details.(api.RateLimitedDetails); ok {
			d = known
		}
	}
	d.RetryAfter = max(1, v.RetryAfter)
	if d.PolicyName == "" {
		d.PolicyName = v.Policy
	}
	p.Type, p.ViolatedPolicies, p.RetryAfterSeconds, p.Details = api.TypeQuotaExceeded, []string{d.PolicyName}, d.RetryAfter, d
	writeProblem(w, p)
}

func checkOf(action string, s Subject) api.CheckRequest {
	c := api.CheckRequest{Action: action, User: plain(s.User), Device: plain(s.Device)}
	if a, err := netip.ParseAddr(s.IP); err == nil {
		c.IP = a.Unmap().WithZone("").String()
	}
	return c
}

const maxID = 256 // bytes of a user or device id that Gantry takes

// plain is an id as it is, or its hash when Gantry would refuse it: a caller
// who could make the check fail would pass it.
func plain(id string) string {
	if len(id) <= maxID && utf8.ValidString(id) && strings.IndexByte(id, 0) < 0 {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256:" + hex.EncodeToString(sum[:])
}
