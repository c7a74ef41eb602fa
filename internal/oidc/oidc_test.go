package oidc_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/oidc"
)

// refused wants the code and that nothing of the token is in the error.
func refused(t *testing.T, i *issuer, token string, want fault.Code) error {
	t.Helper()
	c, err := i.verify(t.Context(), token)
	if err == nil || fault.CodeOf(err) != want {
		t.Fatalf("got %+v, %v; want %s", c, err, want)
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part) {
			t.Errorf("the error repeats the token: %v", err)
		}
	}
	return err
}

func accepted(t *testing.T, i *issuer, token string) {
	t.Helper()
	c, err := i.verify(t.Context(), token)
	if err != nil || c.Subject != "u1" || c.Raw["role"] != "adm" {
		t.Fatalf("got %+v, %v", c, err)
	}
}

func TestAlgorithms(t *testing.T) {
	for _, s := range []signer{rs(t, "r", 2048), ec(t, "e"), ed(t, "d"), ed(t, "")} {
		t.Run(string(s.alg)+s.kid, func(t *testing.T) {
			i := newIssuer(t, nil, ec(t, "other").public(t), s.public(t))
			accepted(t, i, s.sign(t, i.claims(nil)))
		})
	}
}

func TestClaims(t *testing.T) {
	s := ed(t, "k")
	i := newIssuer(t, nil, s.public(t))
	in := func(d time.Duration) any { return start.Add(d).Unix() }
	for _, tt := range []struct {
		name    string
		changes map[string]any
		want    string // in the refusal; empty: accepted
	}{
		{"good", nil, ""},
		{"one of the audiences", map[string]any{"aud": []string{"x", "app"}}, ""},
		{"last second", map[string]any{"exp": in(0)}, ""},
		{"expired", map[string]any{"exp": in(-time.Second)}, "expired"},
		{"without an end", map[string]any{"exp": nil}, "expired"},
		{"wrong audience", map[string]any{"aud": "other"}, "audience"},
		{"part of the audience", map[string]any{"aud": "ap"}, "audience"},
		{"no audience", map[string]any{"aud": nil}, "audience"},
		{"wrong issuer", map[string]any{"iss": "https://evil.example"}, "issue"},
		{"issuer with a slash", map[string]any{"iss": i.URL + "/"}, "issue"},
		{"made within the skew", map[string]any{"iat": in(5 * time.Minute), "nbf": in(5 * time.Minute)}, ""},
		{"made in the future", map[string]any{"iat": in(5*time.Minute + time.Second)}, "iat"},
		{"not yet in force", map[string]any{"nbf": in(5*time.Minute + time.Second)}, "nbf"},
		{"times are text", map[string]any{"exp": "tomorrow"}, "claims"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tok := s.sign(t, i.claims(tt.changes))
			if tt.want == "" {
				accepted(t, i, tok)
			} else if err := refused(t, i, tok, fault.Unauthenticated); !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the log does not tell why: %v", err)
			}
		})
	}
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// TestForgeries: what attackers make of a public key and a good token.
func TestForgeries(t *testing.T) {
	r, e := rs(t, "r", 2048), ec(t, "e")
	i := newIssuer(t, nil, r.public(t), e.public(t))
	good := r.sign(t, i.claims(nil))
	accepted(t, i, good)
	parts := strings.Split(good, ".")
	claims, err := json.Marshal(i.claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	payload := b64(string(claims))
	der, err := x509.MarshalPKIXPublicKey(r.public(t).Key)
	if err != nil {
		t.Fatal(err)
	}
	hmac := func(secret []byte) string { return signer{jose.HS256, "r", secret}.sign(t, i.claims(nil)) }
	strange := ed(t, "r")
	for name, tok := range map[string]string{
		"alg none":                b64(`{"alg":"none","kid":"r"}`) + "." + payload + ".",
		"alg none, signed":        b64(`{"alg":"none","kid":"r"}`) + "." + payload + "." + parts[2],
		"alg None":                b64(`{"alg":"None"}`) + "." + payload + ".",
		"no alg":                  b64(`{"kid":"r"}`) + "." + payload + "." + parts[2],
		"HMAC by the public PEM":  hmac(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"HMAC by the public DER":  hmac(der),
		"HMAC by the modulus":     hmac(r.key.(*rsa.PrivateKey).N.Bytes()),
		"RS512, not on the list":  signer{jose.RS512, "r", r.key}.sign(t, i.claims(nil)),
		"PS256, not on the list":  signer{jose.PS256, "r", r.key}.sign(t, i.claims(nil)),
		"payload changed":         parts[0] + "." + b64(strings.Replace(string(claims), `"u1"`, `"u2"`, 1)) + "." + parts[2],
		"header changed":          b64(`{"alg":"RS256","kid":"r","x":1}`) + "." + parts[1] + "." + parts[2],
		"signature changed":       parts[0] + "." + parts[1] + "." + flip(parts[2]),
		"signature cut":           parts[0] + "." + parts[1] + "." + parts[2][:20],
		"another key, known kid":  strange.sign(t, i.claims(nil)),
		"the key in the header":   embedded(t, strange, i.claims(nil)),
		"unknown critical header": b64(`{"alg":"RS256","kid":"r","crit":["exp"],"exp":1}`) + "." + parts[1] + "." + parts[2],
		"JSON serialisation":      fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2]),
		"no token":                "...",
		"empty":                   "",
	} {
		t.Run(name, func(t *testing.T) { refused(t, i, tok, fault.Unauthenticated) })
	}
	if n := i.fetches.Load(); n > 2 {
		t.Errorf("%d fetches", n)
	}
}

// TestAlgorithmsOfKeysThatNameNone: what may sign is our list, also when the
// issuer's keys leave the algorithm open.
func TestAlgorithmsOfKeysThatNameNone(t *testing.T) {
	r := rs(t, "r", 2048)
	open := r.public(t)
	open.Algorithm = ""
	i := newIssuer(t, nil, open)
	accepted(t, i, r.sign(t, i.claims(nil)))
	for _, alg := range []jose.SignatureAlgorithm{jose.RS384, jose.RS512, jose.PS256} {
		refused(t, i, signer{alg, "r", r.key}.sign(t, i.claims(nil)), fault.Unauthenticated)
	}
}

// TestWeakKey: a modulus that can be factored signs for nobody, although its
// signature is right.
func TestWeakKey(t *testing.T) {
	weak := rs(t, "weak", 1024)
	i := newIssuer(t, nil, weak.public(t), ed(t, "k").public(t))
	claims, err := json.Marshal(i.claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	signed := b64(`{"alg":"RS256","kid":"weak"}`) + "." + b64(string(claims))
	digest := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(nil, weak.key.(*rsa.PrivateKey), crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	refused(t, i, signed+"."+b64(string(sig)), fault.Unauthenticated)
}

func flip(sig string) string {
	b, err := base64.RawURLEncoding.DecodeString(sig)
	if err != nil {
		panic(err)
	}
	b[0] ^= 1
	return base64.RawURLEncoding.EncodeToString(b)
}

func embedded(t *testing.T, s signer, claims map[string]any) string {
	t.Helper()
	j, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: s.key}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := j.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func FuzzVerify(f *testing.F) {
	s := ed(f, "k")
	keys, err := json.Marshal(map[string]any{"keys": []any{s.public(f)}})
	if err != nil {
		f.Fatal(err)
	}
	verify := oidc.New(oidc.Config{Issuer: "https://id.example", Audience: "app", JWKSURL: "https://id.example/keys",
		Now: func() time.Time { return start }, Client: &http.Client{Transport: answer(keys)}})
	claims := map[string]any{"iss": "https://id.example", "aud": "app", "sub": "u1", "exp": start.Add(time.Hour).Unix()}
	good := s.sign(f, claims)
	f.Add(good)
	f.Add(good[:len(good)-4])
	f.Add(b64(`{"alg":"none"}`) + "." + strings.Split(good, ".")[1] + ".")
	f.Fuzz(func(t *testing.T, tok string) {
		c, err := verify(t.Context(), tok)
		// Base64 has spellings of the same bytes; what they say must be what
		// was signed.
		if err == nil && (c.Subject != "u1" || len(tok) > 2*len(good)) {
			t.Fatalf("believed %q: %+v", tok, c)
		}
		if err != nil && fault.CodeOf(err) != fault.Unauthenticated {
			t.Fatal(err)
		}
	})
}
