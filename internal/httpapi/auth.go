package httpapi

import (
	"net/http"
	"strings"

	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/ratelimit"
)

// authorize finds who asks and whether the route's permission holds for it.
// A public route looks at no credential: clients may send one that is meant
// for somebody else. A failed or denied attempt is counted and limited per
// address; a good key is never refused for a neighbour's failures.
func (s *Server) authorize(route Route, r *http.Request) (access.Principal, error) {
	if access.May(access.Public, route.Permission) {
		return access.Principal{ID: "public", Role: access.Public}, nil
	}
	cred := credential(r)
	if cred == "" {
		return access.Principal{}, s.authFailed(r, "none", fault.New(fault.Unauthenticated, "httpapi.authorize",
			"this route needs a credential: send Authorization: Bearer <key>"))
	}
	if !access.IsKey(cred) {
		if err := s.tooManyFailures(r); err != nil {
			return access.Principal{}, err
		}
	}
	p, err := s.d.Access.Authenticate(r.Context(), cred)
	if err != nil {
		switch fault.CodeOf(err) {
		case fault.Unauthenticated:
			return p, s.authFailed(r, "invalid", err)
		case fault.PermissionDenied:
			return p, s.authFailed(r, "denied", err)
		}
		return p, err
	}
	if !access.May(p.Role, route.Permission) {
		return p, s.authFailed(r, "denied", &fault.Error{Code: fault.PermissionDenied, Op: "httpapi.authorize",
			Msg: "the role " + string(p.Role) + " may not do this", Detail: deniedDetail(route.Permission, p.Role)})
	}
	return p, nil
}

func deniedDetail(p access.Permission, have access.Role) fault.Field {
	f := fault.Field{Field: "role", Actual: string(have)}
	for _, r := range access.Roles(p) {
		f.Allowed = append(f.Allowed, string(r))
	}
	return f
}

// credential reads the key or token. X-Gantry-Key is for proxies that pass
// the client's own Authorization on.
func credential(r *http.Request) string {
	for _, h := range [...]string{"X-Gantry-Key", "X-Api-Key"} {
		if v := r.Header[h]; len(v) > 0 && v[0] != "" {
			return v[0]
		}
	}
	const scheme = "bearer "
	v := r.Header.Get("Authorization")
	if len(v) > len(scheme) && strings.EqualFold(v[:len(scheme)], scheme) {
		return strings.TrimSpace(v[len(scheme):])
	}
	return ""
}

// authFailed counts one failure and returns cause, or RATE_LIMITED once the
// address has failed too often.
func (s *Server) authFailed(r *http.Request, reason string, cause error) error {
	s.metrics.authFailures.WithLabelValues(reason).Inc()
	v, err := s.d.Limits.Check(r.Context(), s.failureRequest(r))
	if err == nil && !v.Allowed {
		return Limited(v, 1)
	}
	return cause
}

// tooManyFailures refuses before the cost of verifying a token's signature.
func (s *Server) tooManyFailures(r *http.Request) error {
	v, err := s.d.Limits.Peek(r.Context(), s.failureRequest(r))
	if err == nil && !v.Allowed {
		s.metrics.authFailures.WithLabelValues("limited").Inc()
		return Limited(v, 1)
	}
	return nil
}

func (s *Server) failureRequest(r *http.Request) ratelimit.Request {
	return ratelimit.Request{Action: ratelimit.AuthFailure, Subject: ratelimit.Subject{IP: s.d.Proxies().ClientIP(r)}}
}

// Limited is the RATE_LIMITED error of a refusal.
func Limited(v ratelimit.Verdict, cost int64) error {
	return &fault.Error{Code: fault.RateLimited, Op: "httpapi", Detail: rateLimitedDetails(v, cost)}
}
