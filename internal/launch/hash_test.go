package launch_test

import (
	"strings"
	"testing"
	"time"

	"avalo.app/gantry/internal/launch"
)

func TestNormalEmail(t *testing.T) {
	for _, tt := range []struct{ a, b string }{
		{" Ada@Example.COM\t", "ada@example.com"}, {"ADA@EXAMPLE.COM", "ada@example.com"},
		{"ｍｉｘ@example.com", "mix@example.com"},             // full width
		{"e\u0301@example.com", "\u00e9@example.com"},      // composed or not
		{"J\u030c@example.com", "\u01f0@example.com"},      // composes in lower case only
		{"\u212aelvin@example.com", "kelvin@example.com"},  // the Kelvin sign
		{"STRASSE@example.com", "strasse@example.com"},     // ß stays another letter
		{"\u00a0ada@example.com\u3000", "ada@example.com"}, // spaces of all kinds
		{"ada@ＥＸＡＭＰＬＥ．com", "ada@example.com"},
	} {
		if launch.NormalEmail(tt.a) != launch.NormalEmail(tt.b) {
			t.Errorf("%q is %q, and %q is %q", tt.a, launch.NormalEmail(tt.a), tt.b, launch.NormalEmail(tt.b))
		}
	}
	for _, tt := range []struct{ a, b string }{{"ada@example.com", "ada+x@example.com"}, {"a.da@example.com", "ada@example.com"}, {"straße@x.y", "strasse@x.y"}} {
		if launch.NormalEmail(tt.a) == launch.NormalEmail(tt.b) {
			t.Errorf("%q equals %q", tt.a, tt.b)
		}
	}
}

func TestInviteCodes(t *testing.T) {
	if strings.ContainsAny(launch.Alphabet, "0O1IL") || len(launch.Alphabet) != 31 {
		t.Errorf("alphabet %s", launch.Alphabet)
	}
	seen, count := map[string]bool{}, map[rune]int{}
	const n = 10_000
	for range n {
		c := launch.NewCode()
		if len(c) != 11 || c[5] != '-' || seen[c] {
			t.Fatalf("code %q", c)
		}
		seen[c] = true
		for _, r := range strings.ReplaceAll(c, "-", "") {
			count[r]++
		}
	}
	// 100,000 letters of 31: 3,226 each; six standard deviations are 335.
	for _, r := range launch.Alphabet {
		if c := count[r]; c < 3226-335 || c > 3226+335 {
			t.Errorf("%c stands %d times", r, c)
		}
		delete(count, r)
	}
	if len(count) > 0 {
		t.Errorf("letters outside the alphabet: %v", count)
	}
	h := launch.NewHasher([]byte("k"))
	for _, typed := range []string{"abcde-23456", " ABCDE 23456 ", "ABCDE23456", "A-B-C-D-E-2-3-4-5-6", "ａｂｃｄｅ－２３４５６", "abcde\u00a023456", "\tabcde-23456\r\n"} {
		if h.Code(typed) != h.Code("ABCDE-23456") {
			t.Errorf("%q is %q", typed, launch.NormalCode(typed))
		}
	}
	if h.Code("ABCDE-23457") == h.Code("ABCDE-23456") || h.Code(" - ") != "" || launch.NewHasher([]byte("l")).Code("A") == h.Code("A") {
		t.Error("codes are mixed up")
	}
}

func TestNetwork(t *testing.T) {
	h := launch.NewHasher([]byte("k"))
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"203.0.113.1", "203.0.113.255", true}, {"203.0.113.1", "203.0.114.1", false}, {"203.0.113.1", "::ffff:203.0.113.9", true},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true}, {"2001:db8:1:2::1", "2001:db8:1:3::1", false}, {"fe80::1%eth0", "fe80::2%eth1", true},
	} {
		if same := h.Network(tt.a) == h.Network(tt.b); same != tt.same || h.Network(tt.a) == "" {
			t.Errorf("%s and %s: %v", tt.a, tt.b, same)
		}
	}
	for _, none := range []string{"", "localhost", "1.2.3", "1.2.3.4/24"} {
		if h.Network(none) != "" {
			t.Errorf("%q has a network", none)
		}
	}
}

// TestApplicant: nothing that identifies a person is left in clear but the
// user id, and equal texts of two kinds have two hashes.
func TestApplicant(t *testing.T) {
	h := launch.NewHasher([]byte("k"))
	p := h.Located(launch.Application{Country: " uk ", UserID: "same", Email: "Same@x.y", InviteCode: "same", Device: "same", IP: "203.0.113.7", Source: "api", Event: "e", TTL: time.Minute}, "DE")
	if p.Country != "GB" || p.IPCountry != "DE" || p.UserID != "same" || p.Source != "api" || p.Event != "e" || p.TTL != time.Minute ||
		strings.Join(p.AllowKeys, " ") != "user:same email:same@x.y domain:x.y" {
		t.Errorf("%+v", p)
	}
	hashes := map[string]bool{}
	for _, s := range []string{p.EmailHash, p.InviteHash, p.Network, p.Device, h.Code("x"), h.Applicant(launch.Application{Device: "SAME"}).Device} {
		if len(s) != 32 || hashes[s] {
			t.Errorf("hash %q", s)
		}
		hashes[s] = true
	}
	if p := h.Located(launch.Application{Country: "PL"}, "PL"); p.IPCountry != "" || p.EmailHash != "" || p.InviteHash != "" || p.Device != "" || len(p.AllowKeys) != 0 {
		t.Errorf("of nothing: %+v", p)
	}
}

func TestApplicationValidate(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, tt := range []struct {
		in      launch.Application
		problem string
	}{
		{in: launch.Application{}}, {in: launch.Application{Country: "Narnia"}}, // the rules have a code for it
		{in: launch.Application{UserID: long(128), Email: long(249) + "@x.yz", InviteCode: long(64), Device: long(256), Event: long(128), IP: "::1", TTL: launch.MinTTL}},
		{launch.Application{UserID: long(129)}, "userId: too long"}, {launch.Application{UserID: "a\x00"}, "userId: not printable"}, {launch.Application{UserID: "\xff"}, "userId: not printable"},
		{launch.Application{Email: long(250) + "@x.yz"}, "email: too long"}, {launch.Application{Email: "x"}, "email: not an e-mail address"},
		{launch.Application{Email: "@x.y"}, "email: not an e-mail address"}, {launch.Application{Email: "x@"}, "email: not an e-mail address"}, {launch.Application{Email: "a b@x.y"}, "email: not an e-mail address"},
		{launch.Application{Email: "a\n@x.y"}, "email: not printable"},
		{launch.Application{Email: strings.Repeat("\ufdfa", 80) + "@x.y"}, "email: not an e-mail address"}, // its normal form is too long
		{launch.Application{InviteCode: long(65)}, "inviteCode: too long"}, {launch.Application{Device: long(257)}, "device: too long"}, {launch.Application{Event: long(129)}, "event: too long"},
		{launch.Application{Country: long(65)}, "country: too long"}, {launch.Application{Country: "P\x00"}, "country: not printable"},
		{launch.Application{IP: "localhost"}, "ip: not an address"}, {launch.Application{TTL: launch.MinTTL - 1}, "ttl: out of range"}, {launch.Application{TTL: launch.MaxTTL + 1}, "ttl: out of range"}, {launch.Application{TTL: -1}, "ttl: out of range"},
	} {
		err := tt.in.Validate()
		if field(t, err) != tt.problem {
			t.Errorf("%+v: %v, want %q", tt.in, err, tt.problem)
		}
		if err != nil && tt.in.UserID+tt.in.Email != "" && strings.Contains(err.Error(), "xxx") {
			t.Errorf("the value is repeated: %v", err)
		}
	}
}
