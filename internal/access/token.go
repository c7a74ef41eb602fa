package access

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"avalo.app/gantry/internal/fault"
)

// Claims are what a verified token says.
type Claims struct {
	Subject string
	Raw     map[string]any // every claim, as encoding/json decodes it
}

// VerifyFunc verifies a token's signature, issuer, audience and times. It
// fails with UNAUTHENTICATED when the token is not good and with
// SERVICE_DEGRADED when this cannot be told. It must bound its own time and
// must not repeat the token in an error.
type VerifyFunc func(ctx context.Context, token string) (Claims, error)

// Issuer is one source of tokens that are believed.
type Issuer struct {
	Issuer string // the exact "iss"
	Verify VerifyFunc
	// RoleClaim names the claim that holds the role, a string or a list of
	// them. Dots step into objects; a claim with the whole name goes first,
	// since names may be URLs.
	RoleClaim string
	Roles     map[string]Role // role by the claim's value; the highest counts
	Default   Role            // of a token whose claim maps to none; empty: denied
}

// SetIssuers replaces the issuers, for requests that begin after it. Several
// may share one "iss", with an audience each; the first that verifies counts.
func (s *Service) SetIssuers(issuers []Issuer) {
	issuers = slices.Clone(issuers)
	s.issuers.Store(&issuers)
}

const (
	maxToken   = 16 << 10
	maxSubject = 255 // OpenID Connect Core 1.0, section 2, "sub"
)

func (s *Service) authenticateToken(ctx context.Context, token string) (Principal, error) {
	iss, ok := issuerOf(token)
	if !ok {
		return Principal{}, notValid()
	}
	var failed error
	for _, i := range *s.issuers.Load() {
		if i.Issuer != iss {
			continue
		}
		c, err := i.Verify(ctx, token)
		if err == nil {
			return i.principal(c)
		}
		// What cannot be told outweighs a refusal by another audience.
		if failed == nil || fault.CodeOf(failed) == fault.Unauthenticated {
			failed = err
		}
	}
	if failed == nil {
		failed = fault.New(fault.Unauthenticated, "access.Authenticate", "the token's issuer is not one that this installation trusts; see access.issuers")
	}
	return Principal{}, failed
}

// issuerOf reads the "iss" of a token that is not verified yet, to choose
// who verifies it. Nothing else is read from it.
func issuerOf(token string) (string, bool) {
	if len(token) > maxToken || strings.Count(token, ".") != 2 {
		return "", false
	}
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	if header == "" || signature == "" { // an unsigned token goes no further
		return "", false
	}
	// DecodeString skips line ends, even when it is strict.
	if strings.ContainsAny(token, "\r\n") {
		return "", false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(payload)
	if err != nil {
		return "", false
	}
	var c struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(b, &c); err != nil || c.Issuer == "" {
		return "", false
	}
	return c.Issuer, true
}

func (i *Issuer) principal(c Claims) (Principal, error) {
	if c.Subject == "" || len(c.Subject) > maxSubject || strings.ContainsFunc(c.Subject, unicode.IsControl) {
		return Principal{}, fault.New(fault.Unauthenticated, "access.Authenticate", "the token has no usable subject")
	}
	role := i.role(c.Raw)
	if role == "" {
		return Principal{}, &fault.Error{Code: fault.PermissionDenied, Op: "access.Authenticate",
			Msg:    "the token is good but gives no role here; ask an admin to map one of its claims",
			Detail: fault.Field{Field: "role", Problem: "none"}}
	}
	return Principal{ID: "oidc:" + i.Issuer + "|" + c.Subject, Role: role, Owner: c.Subject}, nil
}

// role is the highest role that the claim maps to.
func (i *Issuer) role(claims map[string]any) Role {
	best := Role("")
	take := func(v any) {
		if name, ok := v.(string); ok && rank(i.Roles[name]) > rank(best) {
			best = i.Roles[name]
		}
	}
	switch v := find(claims, i.RoleClaim).(type) {
	case string:
		take(v)
	case []any:
		for _, x := range v {
			take(x)
		}
	}
	if best == "" {
		return i.Default
	}
	return best
}

func rank(r Role) int { return slices.Index([]Role{App, Moderator, Admin}, r) }

// find looks a claim up by its whole name, then by every way to step into an
// object at a dot.
func find(claims map[string]any, path string) any {
	if v, ok := claims[path]; ok {
		return v
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		if sub, ok := claims[path[:i]].(map[string]any); ok {
			if v := find(sub, path[i+1:]); v != nil {
				return v
			}
		}
	}
	return nil
}

// Distinct reports whether a and b are surely two people, as an approval by
// two requires: their owners are known and differ by more than case, spacing
// and Unicode form. The same subject at two issuers is taken for one person.
func Distinct(a, b Principal) bool {
	x, y := fold(a.Owner), fold(b.Owner)
	return x != "" && y != "" && !strings.EqualFold(x, y)
}

func fold(owner string) string { return strings.Join(strings.Fields(norm.NFKC.String(owner)), " ") }
