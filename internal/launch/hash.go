package launch

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Hasher hides what identifies a person, and codes, behind keyed hashes.
type Hasher struct{ key []byte }

// NewHasher returns a hasher under the key. Every node needs the same one.
func NewHasher(key []byte) *Hasher { return &Hasher{key: key} }

// of hashes a value of one kind: equal values of two kinds differ.
func (h *Hasher) of(kind, value string) string {
	if value == "" {
		return ""
	}
	m := hmac.New(sha256.New, h.key)
	m.Write([]byte(kind + "\x00" + value))
	return hex.EncodeToString(m.Sum(nil)[:16])
}

// email hashes a normalised address.
func (h *Hasher) email(normal string) string { return h.of("email", normal) }

// code hashes an invite code as it was typed.
func (h *Hasher) code(typed string) string { return h.of("invite", normalCode(typed)) }

// network hashes the /24 or /64 of an address; "" for what is no address.
func (h *Hasher) network(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return h.of("network", p.String())
}

// NormalEmail is the form under which an e-mail address is compared: NFKC,
// lower case, without surrounding space. NFKC again, since a letter may
// compose with its accents in lower case only.
func NormalEmail(s string) string {
	return norm.NFKC.String(strings.ToLower(norm.NFKC.String(strings.TrimSpace(s))))
}

// normalCode is an invite code without what people add when they copy it.
func normalCode(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' || r == '\t' || r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, strings.ToUpper(norm.NFKC.String(s)))
}
