package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/oidc"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// signer is a private key with its algorithm and id.
type signer struct {
	alg jose.SignatureAlgorithm
	kid string
	key any
}

func (s signer) public(t testing.TB) jose.JSONWebKey {
	t.Helper()
	p, ok := s.key.(crypto.Signer)
	if !ok {
		t.Fatalf("%T has no public key", s.key)
	}
	return jose.JSONWebKey{Key: p.Public(), KeyID: s.kid, Algorithm: string(s.alg), Use: "sig"}
}

// sign makes a token of claims.
func (s signer) sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	o := (&jose.SignerOptions{}).WithType("JWT")
	if s.kid != "" {
		o = o.WithHeader("kid", s.kid)
	}
	j, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: s.key}, o)
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

func ec(t testing.TB, kid string) signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{jose.ES256, kid, k}
}

func ed(t testing.TB, kid string) signer {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{jose.EdDSA, kid, k}
}

func rs(t testing.TB, kid string, bits int) signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return signer{jose.RS256, kid, k}
}

// issuer is an identity provider whose keys and faults the test sets, with a
// clock that it moves.
type issuer struct {
	*httptest.Server
	verify  access.VerifyFunc
	fetches atomic.Int64 // of keys

	mu      sync.Mutex
	now     time.Time
	keys    []any            // the JWK set
	handler http.HandlerFunc // in place of the keys, if set
	jwksURI string           // that the discovery document names
}

func newIssuer(t *testing.T, change func(*oidc.Config), keys ...any) *issuer {
	t.Helper()
	i := &issuer{now: start, keys: keys}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /keys", i.serveKeys)
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.jwksURI})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	i.jwksURI = i.URL + "/keys"
	cfg := oidc.Config{Issuer: i.URL, Audience: "app", JWKSURL: i.URL + "/keys", Now: i.clock}
	if change != nil {
		change(&cfg)
	}
	i.verify = oidc.New(cfg)
	return i
}

func (i *issuer) serveKeys(w http.ResponseWriter, r *http.Request) {
	i.fetches.Add(1)
	i.mu.Lock()
	handler, keys := i.handler, i.keys
	i.mu.Unlock()
	if handler != nil {
		handler(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
}

func (i *issuer) set(fn func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	fn()
}

func (i *issuer) clock() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now
}

func (i *issuer) pass(d time.Duration) { i.set(func() { i.now = i.now.Add(d) }) }

// claims are those of a good token, with changes; nil removes one.
func (i *issuer) claims(changes map[string]any) map[string]any {
	now := i.clock()
	c := map[string]any{"iss": i.URL, "aud": "app", "sub": "u1", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "role": "adm"}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// answer is a transport that has one answer.
type answer []byte

// RoundTrip implements http.RoundTripper.
func (a answer) RoundTrip(*http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	_, _ = w.Write(a)
	return w.Result(), nil
}
