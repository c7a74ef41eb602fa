package launch

import (
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"avalo.app/gantry/internal/fault"
)

// Application is a signup as a caller states it.
type Application struct {
	Country    string
	InviteCode string
	UserID     string
	Email      string
	IP         string // the client's, not the host's
	Device     string
	// TTL is how long the reservation holds its slot; 0: as Settings say.
	TTL time.Duration
	// Hook says that a provider's hook asks: its confirmation comes late.
	Hook bool
	// Source names the way it came: "api", "supabase"…
	Source string
	// Event identifies one signup over the retries of a hook; "" if it has
	// no such id. The same event never takes a second slot.
	Event string
}

// Applicant is an Application as the rules read it: normalised, and what
// identifies a person only as a keyed hash, but for the user id.
type Applicant struct {
	Country    string // ISO 3166-1 alpha-2; "" if it is none
	IPCountry  string // of the address; "" if unknown
	UserID     string
	EmailHash  string
	InviteHash string // "" without a code
	Network    string // hash of the /24 or /64
	Device     string // hash
	AllowKeys  []string
	TTL        time.Duration
	Hook       bool
	Source     string
	Event      string
}

// Bounds of what a caller sends, in bytes.
const (
	MaxUserID = 128
	MaxEmail  = 254 // RFC 5321, 4.5.3.1.3
	maxCode   = 64
	maxDevice = 256
	maxEvent  = 128
)

// validate refuses what cannot be an application. A country is judged by the
// rules, which have a code for it, and so is a wrong invite code.
func (a Application) validate() error {
	const op = "launch.Application"
	for _, f := range [...]struct {
		name, value string
		limit       int
	}{{"userId", a.UserID, MaxUserID}, {"email", a.Email, MaxEmail}, {"inviteCode", a.InviteCode, maxCode}, {"device", a.Device, maxDevice}, {"event", a.Event, maxEvent}, {"country", a.Country, 64}} {
		if err := plain(op, f.name, f.value, f.limit); err != nil {
			return err
		}
	}
	if a.Email != "" {
		if _, err := CheckEmail(op, "email", a.Email); err != nil {
			return err
		}
	}
	if a.IP != "" {
		if _, err := netip.ParseAddr(a.IP); err != nil {
			return fault.Invalid(op, fault.Field{Field: "ip", Problem: "not an address"}, "ip must be the client's IPv4 or IPv6 address")
		}
	}
	if a.TTL != 0 {
		return checkTTL(op, "ttl", a.TTL)
	}
	return nil
}

// plain bounds a value that is stored or hashed. The value itself is not
// repeated: it may identify a person.
func plain(op, field, s string, limit int) error {
	if len(s) > limit {
		return fault.Invalid(op, fault.Field{Field: field, Problem: "too long", Limit: limit, Actual: len(s)}, "%s must have at most %d bytes", field, limit)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return fault.Invalid(op, fault.Field{Field: field, Problem: "not printable"}, "%s must be text without control characters", field)
	}
	return nil
}

// CheckEmail returns the normal form of an address, or why it is none. Only
// the shape is judged: whether it exists is for a mail to find out.
func CheckEmail(op, field, s string) (string, error) {
	if err := plain(op, field, s, MaxEmail); err != nil {
		return "", err
	}
	e := NormalEmail(s)
	local, domain, ok := cutLast(e, "@")
	if !ok || local == "" || domain == "" || len(e) > MaxEmail || strings.ContainsFunc(e, unicode.IsSpace) {
		return "", fault.Invalid(op, fault.Field{Field: field, Problem: "not an e-mail address"}, "%s must be an e-mail address such as ada@example.com", field)
	}
	return e, nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// applicant normalises a valid application. ipCountry may be nil.
func (h *Hasher) applicant(a Application, ipCountry func(ip string) string) Applicant {
	code, _ := ParseCountry(strings.TrimSpace(a.Country))
	email := NormalEmail(a.Email)
	out := Applicant{Country: code, UserID: a.UserID, EmailHash: h.email(email), Network: h.network(a.IP), Device: h.of("device", a.Device),
		TTL: a.TTL, Hook: a.Hook, Source: a.Source, Event: a.Event}
	if normalCode(a.InviteCode) != "" {
		out.InviteHash = h.code(a.InviteCode)
	}
	if a.IP != "" && ipCountry != nil {
		out.IPCountry = ipCountry(a.IP)
	}
	if a.UserID != "" {
		out.AllowKeys = append(out.AllowKeys, allowKey(ListUser, a.UserID))
	}
	if email != "" {
		_, domain, _ := cutLast(email, "@")
		out.AllowKeys = append(out.AllowKeys, allowKey(ListEmail, email), allowKey(ListDomain, domain))
	}
	return out
}
