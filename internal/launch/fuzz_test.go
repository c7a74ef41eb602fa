package launch_test

import (
	"testing"
	"unicode/utf8"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
)

// FuzzParseCountry: what is a country is one of the two letters that it is
// known by, and is itself.
func FuzzParseCountry(f *testing.F) {
	for _, s := range []string{"PL", "uk", "POL", "EU", "ıT", "eſ", "\xffA", "XK", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := launch.ParseCountry(s)
		if ok != (len(c) == 2) {
			t.Fatalf("%q is %q, %v", s, c, ok)
		}
		if again, same := launch.ParseCountry(c); ok && (!same || again != c) {
			t.Fatalf("%q is %q, which is %q", s, c, again)
		}
	})
}

// FuzzApplication: an application is refused as INVALID_ARGUMENT, or its
// applicant is the same under its normal forms, and can be stored.
func FuzzApplication(f *testing.F) {
	f.Add("PL", "abcde-23456", "u1", "Ada@Example.com", "203.0.113.1", "d")
	f.Add("UK", "－", "\u202e", "J\u030c@x.y", "fe80::1%eth0", "")
	f.Add("eu", "", "\x00", "a@b@c", "::ffff:1.2.3.4", "\xff")
	h := launch.NewHasher([]byte("k"))
	f.Fuzz(func(t *testing.T, country, code, user, email, ip, device string) {
		a := launch.Application{Country: country, InviteCode: code, UserID: user, Email: email, IP: ip, Device: device}
		if err := a.Validate(); err != nil {
			if fault.CodeOf(err) != fault.InvalidArgument {
				t.Fatal(err)
			}
			return
		}
		p := h.Applicant(a)
		if !utf8.ValidString(p.UserID) || len(p.UserID) > launch.MaxUserID || (email == "") != (p.EmailHash == "") || (ip == "") != (p.Network == "") {
			t.Fatalf("%+v of %+v", p, a)
		}
		a.Email, a.InviteCode = launch.NormalEmail(email), launch.NormalCode(code)
		if again := h.Applicant(a); again.EmailHash != p.EmailHash || again.InviteHash != p.InviteHash {
			t.Fatalf("the normal form of %q, %q is another one", email, code)
		}
		if err := a.Validate(); err != nil && len(a.InviteCode) <= 64 {
			t.Fatalf("the normal form is refused: %v", err)
		}
	})
}
