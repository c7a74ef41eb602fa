package ratelimit

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"

	"github.com/dchest/siphash"
)

// Hasher turns names into counter keys and pseudonyms: SipHash-2-4 with 128
// bits of output under a secret key. Without the key nobody can find two
// subjects that share a counter, or the address behind a stored hash.
type Hasher struct{ k0, k1 uint64 }

// NewHasher returns a hasher for a secret of 128 random bits. All nodes that
// share counters need the same one.
func NewHasher(secret [16]byte) *Hasher {
	return &Hasher{binary.LittleEndian.Uint64(secret[:8]), binary.LittleEndian.Uint64(secret[8:])}
}

// Each use of the hasher begins with a byte of its own, so that no key is
// ever also a pseudonym or the fingerprint.
const (
	domainKey byte = iota + 1
	domainPseudonym
	domainFingerprint
)

// keyBuffer holds the hash input of usual names on the stack; longBuffer that
// of the longest ones a Service lets through (MaxSubject each); what is longer
// still goes to the heap. overhead is the most that lengths add to such names.
const (
	keyBuffer  = 128
	longBuffer = 1024
	overhead   = 2 + 4*2
)

// Key returns the counter key of (action, scope, the scope's values of sub).
// Every text is preceded by its length, so no two inputs hash the same bytes
// whatever separators they hold. sub.IP must be what NormalizeIP returned.
func (h *Hasher) Key(action string, scope Scope, sub Subject) Key {
	size := overhead + len(action) + len(sub.User) + len(sub.IP) + len(sub.Device)
	if size > keyBuffer {
		return h.longKey(action, scope, sub)
	}
	var buf [keyBuffer]byte
	return h.sum(appendKey(buf[:0], action, scope, sub))
}

func (h *Hasher) longKey(action string, scope Scope, sub Subject) Key {
	var buf [longBuffer]byte
	return h.sum(appendKey(buf[:0], action, scope, sub))
}

func appendKey(b []byte, action string, scope Scope, sub Subject) []byte {
	b = append(b, domainKey, byte(scope))
	b = appendText(b, action)
	if scope&User != 0 {
		b = appendText(b, sub.User)
	}
	if scope&IP != 0 {
		b = appendText(b, sub.IP)
	}
	if scope&Device != 0 {
		b = appendText(b, sub.Device)
	}
	return b
}

// Pseudonym returns 32 hexadecimal digits that stand for an address or a
// device where it is stored. An address is hashed as it is counted.
func (h *Hasher) Pseudonym(dimension Scope, value string) string {
	if dimension == IP {
		if ip, ok := NormalizeIP(value); ok {
			value = ip
		}
	}
	b := make([]byte, 0, keyBuffer)
	b = appendText(append(b, domainPseudonym, byte(dimension)), value)
	k := h.sum(b)
	return hex.EncodeToString(k[:])
}

// Fingerprint identifies the secret without telling anything of it. Stored
// counters carry it, because under another secret they are noise.
func (h *Hasher) Fingerprint() [16]byte { return h.sum([]byte{domainFingerprint}) }

func (h *Hasher) sum(b []byte) (k Key) {
	lo, hi := siphash.Hash128(h.k0, h.k1, b)
	binary.LittleEndian.PutUint64(k[:8], lo)
	binary.LittleEndian.PutUint64(k[8:], hi)
	return k
}

func appendText(b []byte, s string) []byte {
	if len(s) < 0x80 { // as AppendUvarint does, but inlined
		return append(append(b, byte(len(s))), s...)
	}
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// ipv6Bits is the prefix that counts as one address: what one customer
// usually holds.
const ipv6Bits = 64

// NormalizeIP returns the text under which an address is counted: IPv4 as it
// is, also when it comes mapped into IPv6; IPv6 without its zone and with all
// but the first 64 bits cleared. ok is false for anything else. It is
// idempotent, and allocates nothing for text already in that form.
func NormalizeIP(s string) (ip string, ok bool) {
	text, zone, zoned := strings.Cut(s, "%") // here, because netip keeps zones for ever
	a, err := netip.ParseAddr(text)
	if err != nil || zoned && (zone == "" || a.Is4()) {
		return "", false
	}
	if a.Is4() {
		return s, true // netip takes IPv4 in its one canonical form only
	}
	if a = a.Unmap(); a.Is6() {
		p, _ := a.Prefix(ipv6Bits) // fails for a shorter address only
		a = p.Addr()
	}
	var buf [netipMax]byte
	b := a.AppendTo(buf[:0])
	if string(b) == s {
		return s, true
	}
	return string(b), true
}

// netipMax is the longest text of an address without a zone.
const netipMax = len("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
