package access_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/fault"
)

const issuerURL = "https://id.example.com"

// token is a JWT by form; nobody here checks its signature.
func token(t testing.TB, claims map[string]any) string {
	t.Helper()
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return "aGVhZGVy." + base64.RawURLEncoding.EncodeToString(b) + ".c2ln"
}

// believe is a VerifyFunc that takes every token for verified.
func believe(_ context.Context, token string) (access.Claims, error) {
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		return access.Claims{}, err
	}
	var c access.Claims
	if err := json.Unmarshal(b, &c.Raw); err != nil {
		return c, err
	}
	c.Subject, _ = c.Raw["sub"].(string)
	return c, nil
}

func refuse(code fault.Code) access.VerifyFunc {
	return func(context.Context, string) (access.Claims, error) {
		return access.Claims{}, fault.New(code, "test", "refused")
	}
}

func TestTokenRoles(t *testing.T) {
	roles := map[string]access.Role{"adm": access.Admin, "sup": access.Moderator, "srv": access.App}
	for _, tt := range []struct {
		name, claim string
		value       string // JSON of further claims
		fallback    access.Role
		want        access.Role // empty: denied
	}{
		{"string", "role", `{"role":"sup"}`, "", access.Moderator},
		{"list, highest counts", "role", `{"role":["srv","adm","sup"]}`, "", access.Admin},
		{"list with strangers", "role", `{"role":["x",1,null,{"a":1},"srv"]}`, "", access.App},
		{"nested", "realm_access.roles", `{"realm_access":{"roles":["adm"]}}`, "", access.Admin},
		{"a URL for a name", "https://a.example/roles", `{"https://a.example/roles":["sup"]}`, "", access.Moderator},
		{"in an object with a dot", "a.b.role", `{"a.b":{"role":"srv"},"a":{"b":1}}`, "", access.App},
		{"the whole name goes first", "a.b", `{"a.b":"srv","a":{"b":"adm"}}`, "", access.App},
		{"mapped wins over the default, also when lower", "role", `{"role":"srv"}`, access.Admin, access.App},
		{"default", "role", `{"role":"x"}`, access.App, access.App},
		{"no claim, default", "role", `{}`, access.Moderator, access.Moderator},
		{"no claim named", "", `{"role":"adm"}`, "", ""},
		{"unmapped", "role", `{"role":"x"}`, "", ""},
		{"the role's own name is no mapping", "role", `{"role":"admin"}`, "", ""},
		{"another type", "role", `{"role":{"adm":true}}`, "", ""},
		{"steps into no object", "a.b", `{"a":"adm"}`, "", ""},
		{"case counts", "role", `{"role":"ADM"}`, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.SetIssuers([]access.Issuer{{Issuer: issuerURL, Verify: believe, RoleClaim: tt.claim, Roles: roles, Default: tt.fallback}})
			claims := map[string]any{"iss": issuerURL, "sub": "u|1"}
			if err := json.Unmarshal([]byte(tt.value), &claims); err != nil {
				t.Fatal(err)
			}
			if tt.want == "" {
				b.want(t, token(t, claims), fault.PermissionDenied)
				return
			}
			p, err := b.Authenticate(t.Context(), token(t, claims))
			if want := (access.Principal{ID: "oidc:" + issuerURL + "|u|1", Role: tt.want, Owner: "u|1"}); err != nil || p != want {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
}

func TestTokenDispatch(t *testing.T) {
	other := "https://other.example.com"
	good := access.Issuer{Issuer: issuerURL, Verify: believe, Default: access.App}
	of := func(iss string, v access.VerifyFunc) access.Issuer {
		return access.Issuer{Issuer: iss, Verify: v, Default: access.Admin}
	}
	for _, tt := range []struct {
		name    string
		issuers []access.Issuer
		want    fault.Code // empty: believed
	}{
		{"no issuers", nil, fault.Unauthenticated},
		{"another issuer", []access.Issuer{of(other, believe)}, fault.Unauthenticated},
		{"a longer issuer", []access.Issuer{of(issuerURL+"/", believe)}, fault.Unauthenticated},
		{"the right one of two", []access.Issuer{of(other, refuse(fault.Internal)), good}, ""},
		{"refused", []access.Issuer{of(issuerURL, refuse(fault.Unauthenticated))}, fault.Unauthenticated},
		{"keys cannot be had", []access.Issuer{of(issuerURL, refuse(fault.ServiceDegraded))}, fault.ServiceDegraded},
		{"the second audience", []access.Issuer{of(issuerURL, refuse(fault.Unauthenticated)), good}, ""},
		{"cannot tell outweighs refused", []access.Issuer{of(issuerURL, refuse(fault.Unauthenticated)), of(issuerURL, refuse(fault.ServiceDegraded))}, fault.ServiceDegraded},
		{"and in the other order", []access.Issuer{of(issuerURL, refuse(fault.ServiceDegraded)), of(issuerURL, refuse(fault.Unauthenticated))}, fault.ServiceDegraded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.SetIssuers(tt.issuers)
			tok := token(t, map[string]any{"iss": issuerURL, "sub": "u1"})
			if tt.want != "" {
				b.want(t, tok, tt.want)
			} else if p, err := b.Authenticate(t.Context(), tok); err != nil || p.Role != access.App {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
}

func TestTokenForm(t *testing.T) {
	b := newBench(t)
	asked := 0
	b.SetIssuers([]access.Issuer{{Issuer: issuerURL, Default: access.App, Verify: func(ctx context.Context, s string) (access.Claims, error) {
		asked++
		return believe(ctx, s)
	}}})
	good := token(t, map[string]any{"iss": issuerURL, "sub": "u1"})
	parts := strings.Split(good, ".")
	for name, tok := range map[string]string{
		"unsigned":       parts[0] + "." + parts[1] + ".",
		"no header":      "." + parts[1] + "." + parts[2],
		"two parts":      parts[0] + "." + parts[1],
		"four parts":     good + ".x",
		"padding":        parts[0] + "." + parts[1] + "=." + parts[2],
		"line end":       parts[0] + "." + parts[1][:4] + "\n" + parts[1][4:] + "." + parts[2],
		"no JSON":        "a." + base64.RawURLEncoding.EncodeToString([]byte("iss")) + ".b",
		"two values":     "a." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+issuerURL+`"}{}`)) + ".b",
		"iss is a list":  token(t, map[string]any{"iss": []string{issuerURL}}),
		"no iss":         token(t, map[string]any{"sub": "u1"}),
		"too long":       token(t, map[string]any{"iss": issuerURL, "sub": "u1", "x": strings.Repeat("a", 16<<10)}),
		"any other text": "correct horse battery staple",
	} {
		t.Run(name, func(t *testing.T) { b.want(t, tok, fault.Unauthenticated) })
	}
	if asked != 0 {
		t.Errorf("%d of them reached the issuer", asked)
	}
	for name, sub := range map[string]any{"none": nil, "empty": "", "long": strings.Repeat("a", 256), "control": "a\nb", "number": 7} {
		t.Run("subject "+name, func(t *testing.T) {
			b.want(t, token(t, map[string]any{"iss": issuerURL, "sub": sub}), fault.Unauthenticated)
		})
	}
}

// TestSetIssuersCopies: a caller's slice is its own again.
func TestSetIssuersCopies(t *testing.T) {
	b := newBench(t)
	list := []access.Issuer{{Issuer: issuerURL, Verify: believe, Default: access.App}}
	b.SetIssuers(list)
	list[0].Default = access.Admin
	if p, err := b.Authenticate(t.Context(), token(t, map[string]any{"iss": issuerURL, "sub": "u1"})); err != nil || p.Role != access.App {
		t.Errorf("%+v %v", p, err)
	}
}

func TestDistinct(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"ana", "ben", true}, {"ana", "ana", false}, {"ana", "Ana", false}, {"ana", " ana ", false},
		{"Ana  B", "ana b", false}, {"é", "e\u0301", false}, {"ａna", "ana", false}, {"", "ana", false}, {"", "", false}, {" ", "ana", false},
	} {
		a, b := access.Principal{ID: "key:a", Owner: tt.a}, access.Principal{ID: "key:b", Owner: tt.b}
		if access.Distinct(a, b) != tt.want || access.Distinct(b, a) != tt.want {
			t.Errorf("%q, %q: want %v", tt.a, tt.b, tt.want)
		}
	}
}

// FuzzIssuerOf: what is dispatched is a compact JWT, whole and bounded, whose
// payload any JSON decoder reads the same issuer from.
func FuzzIssuerOf(f *testing.F) {
	f.Add(token(f, map[string]any{"iss": issuerURL, "sub": "u1"}))
	f.Add("a.e30.b")
	f.Add("..")
	f.Add("a.eyJpc3MiOiJ4In0=.b")
	f.Add("{}.eyJpc3MiOiJ4In0.b")
	f.Fuzz(func(t *testing.T, tok string) {
		iss, ok := access.IssuerOf(tok)
		if !ok {
			if iss != "" {
				t.Errorf("a refused token has issuer %q", iss)
			}
			return
		}
		parts := strings.Split(tok, ".")
		if len(tok) > 16<<10 || len(parts) != 3 || parts[0] == "" || parts[2] == "" || iss == "" {
			t.Fatalf("dispatched %q to %q", tok, iss)
		}
		b, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil || base64.RawURLEncoding.EncodeToString(b) != parts[1] {
			t.Fatalf("not canonical: %q (%v)", parts[1], err)
		}
		var c struct {
			Iss string `json:"iss"`
		}
		if err := json.Unmarshal(b, &c); err != nil || c.Iss != iss {
			t.Fatalf("read %q, decoder reads %q (%v)", iss, c.Iss, err)
		}
	})
}

// FuzzAuthenticate: no credential that was not made is believed, and no
// error repeats one.
func FuzzAuthenticate(f *testing.F) {
	s := access.New(access.Options{Store: &fakeStore{}})
	if err := s.Refresh(f.Context()); err != nil {
		f.Fatal(err)
	}
	_, made, err := s.Create(f.Context(), access.KeySpec{Role: access.Admin, Label: "x", Owner: "x"}, "cli")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(made[:14] + strings.Repeat("a", 43))
	f.Add("gk__")
	f.Add(token(f, map[string]any{"iss": issuerURL, "sub": "u1"}))
	f.Fuzz(func(t *testing.T, cred string) {
		p, err := s.Authenticate(t.Context(), cred)
		if err == nil && cred != made || p.Role != "" && err != nil {
			t.Fatalf("%q: %+v %v", cred, p, err)
		}
		if err != nil && fault.CodeOf(err) != fault.Unauthenticated {
			t.Fatalf("%q: %v", cred, err)
		}
		if err != nil && len(cred) > 40 && strings.Contains(err.Error(), cred) {
			t.Errorf("the error repeats %q", cred)
		}
	})
}
