package ratelimit_test

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"avalo.app/gantry/internal/ratelimit"
)

func testHasher() *ratelimit.Hasher {
	return ratelimit.NewHasher([16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
}

// No two of these may share a counter.
func TestHasherKeysDiffer(t *testing.T) {
	const all = ratelimit.User | ratelimit.IP | ratelimit.Device
	type input struct {
		action string
		scope  ratelimit.Scope
		sub    ratelimit.Subject
	}
	long := strings.Repeat("x", 300)
	inputs := []input{
		{"A", ratelimit.User, ratelimit.Subject{User: "b"}},
		{"B", ratelimit.User, ratelimit.Subject{User: "b"}},
		{"Ab", ratelimit.User, ratelimit.Subject{}},
		{"A", ratelimit.IP, ratelimit.Subject{IP: "b"}},
		{"A", ratelimit.Device, ratelimit.Subject{Device: "b"}},
		{"A", all, ratelimit.Subject{User: "b:c", IP: "d"}},
		{"A", all, ratelimit.Subject{User: "b", IP: "c:d"}},
		{"A", all, ratelimit.Subject{User: "b", IP: "c", Device: "d"}},
		{"A", all, ratelimit.Subject{User: "b", IP: "cd"}},
		{"A", all, ratelimit.Subject{User: "bcd"}},
		{"A", all, ratelimit.Subject{IP: "bcd"}},
		{"A", all, ratelimit.Subject{Device: "bcd"}},
		{"A", all, ratelimit.Subject{User: "\x01b"}},
		{"A", ratelimit.User | ratelimit.IP, ratelimit.Subject{User: "b", IP: "c"}},
		{"A", ratelimit.User | ratelimit.Device, ratelimit.Subject{User: "b", Device: "c"}},
		{"A", ratelimit.User, ratelimit.Subject{User: long}},
		{"A", ratelimit.User, ratelimit.Subject{User: long + "x"}},
		{"A", ratelimit.User, ratelimit.Subject{User: long[:127]}},
		{"A", ratelimit.User, ratelimit.Subject{User: long[:128]}},
		{"A", ratelimit.User, ratelimit.Subject{User: long[:129]}},
		{"A", ratelimit.User, ratelimit.Subject{User: strings.Repeat("x", 5000)}},
	}
	h := testHasher()
	seen := map[ratelimit.Key]input{}
	for _, in := range inputs {
		k := h.Key(in.action, in.scope, in.sub)
		if other, ok := seen[k]; ok {
			t.Errorf("%+v and %+v share a key", other, in)
		}
		seen[k] = in
		if k != h.Key(in.action, in.scope, in.sub) {
			t.Errorf("%+v has two keys", in)
		}
		if k == ratelimit.NewHasher([16]byte{1}).Key(in.action, in.scope, in.sub) {
			t.Errorf("%+v has the same key under another secret", in)
		}
	}
	a := ratelimit.Subject{User: "b", IP: "c"}
	b := ratelimit.Subject{User: "b", IP: "d", Device: "e"}
	if h.Key("A", ratelimit.User, a) != h.Key("A", ratelimit.User, b) {
		t.Error("a dimension outside the scope changed the key")
	}
}

// Stored counters and pseudonyms live on: these values must never change.
func TestHasherIsStable(t *testing.T) {
	h := testHasher()
	key := h.Key("MESSAGE_SEND", ratelimit.User|ratelimit.IP, ratelimit.Subject{User: "u1", IP: "203.0.113.7"})
	print := h.Fingerprint()
	for _, c := range []struct{ name, got, want string }{
		{"key", hex.EncodeToString(key[:]), "341240b849e9d11172f7591929b85255"},
		{"pseudonym", h.Pseudonym(ratelimit.IP, "203.0.113.7"), "e85ac22a8cbbd11a2af43f240d254b48"},
		{"fingerprint", hex.EncodeToString(print[:]), "152ed8801e71b0369036fdf752c9822e"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %s, was %s", c.name, c.got, c.want)
		}
	}
}

func TestPseudonym(t *testing.T) {
	h := testHasher()
	if h.Pseudonym(ratelimit.IP, "2001:db8::1") != h.Pseudonym(ratelimit.IP, "2001:DB8:0:0:ffff::2") {
		t.Error("two addresses that count together have two pseudonyms")
	}
	if h.Pseudonym(ratelimit.IP, "x") == h.Pseudonym(ratelimit.Device, "x") {
		t.Error("an address and a device share a pseudonym")
	}
}

func TestNormalizeIP(t *testing.T) {
	tests := []struct{ in, want string }{
		{"203.0.113.7", "203.0.113.7"},
		{"::ffff:203.0.113.7", "203.0.113.7"},
		{"::ffff:cb00:7107", "203.0.113.7"},
		{"::ffff:203.0.113.7%eth0", "203.0.113.7"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
		{"2001:0DB8:0001:0002::", "2001:db8:1:2::"},
		{"2001:db8:1:2::", "2001:db8:1:2::"},
		{"fe80::1%eth0", "fe80::"},
		{"::1", "::"},
		{"::203.0.113.7", "::"},
		{"0.0.0.0", "0.0.0.0"},
	}
	for _, tt := range tests {
		if got, ok := ratelimit.NormalizeIP(tt.in); !ok || got != tt.want {
			t.Errorf("NormalizeIP(%q) = %q, %v; want %q", tt.in, got, ok, tt.want)
		}
	}
	for _, in := range []string{"", "%", "host", "1.2.3", "1.2.3.04", "1.2.3.4:80", "1.2.3.4%eth0", "[::1]", "::1%", "::1/64", " ::1", "1.2.3.4, 5.6.7.8", "%eth0"} {
		if got, ok := ratelimit.NormalizeIP(in); ok || got != "" {
			t.Errorf("NormalizeIP(%q) = %q, want it refused", in, got)
		}
	}
}

func TestHashAllocations(t *testing.T) {
	h := testHasher()
	short := ratelimit.Subject{User: "5f0c4b9e-8a43-4a51-b8c0-6e6d1a1f4c11", IP: "203.0.113.7", Device: "d"}
	long := ratelimit.Subject{User: strings.Repeat("u", ratelimit.MaxSubject), IP: "2001:db8:1111:2222::", Device: strings.Repeat("d", ratelimit.MaxSubject)}
	const all = ratelimit.User | ratelimit.IP | ratelimit.Device
	if n := testing.AllocsPerRun(1000, func() {
		h.Key("MESSAGE_SEND", all, short)
		h.Key("MESSAGE_SEND", all, long)
		ratelimit.NormalizeIP(short.IP)
		ratelimit.NormalizeIP(long.IP)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzNormalizeIP(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "::ffff:1.2.3.4", "fe80::1%eth0", "2001:db8::1", "::1%", "a%b%c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ip, ok := ratelimit.NormalizeIP(s)
		if !ok {
			return
		}
		if again, ok := ratelimit.NormalizeIP(ip); !ok || again != ip {
			t.Fatalf("%q becomes %q becomes %q", s, ip, again)
		}
		a, err := netip.ParseAddr(ip)
		if err != nil || a.Is4In6() || a.Zone() != "" || a.Is6() && netip.PrefixFrom(a, 64).Masked().Addr() != a {
			t.Fatalf("%q becomes %q", s, ip)
		}
	})
}

func BenchmarkKey(b *testing.B) {
	h := testHasher()
	b.ReportAllocs()
	for b.Loop() {
		h.Key("MESSAGE_SEND", ratelimit.User, ratelimit.Subject{User: "5f0c4b9e-8a43-4a51-b8c0-6e6d1a1f4c11"})
	}
}
