package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"avalo.app/gantry/internal/probe/oidc"
	"avalo.app/gantry/internal/probe/probetest"
)

// issuer is an identity provider; what it says can be changed.
type issuer struct {
	*httptest.Server
	doc  atomic.Value // map[string]any, the discovery document
	keys atomic.Value // []any
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := new(issuer)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /t/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(i.doc.Load())
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": i.keys.Load(), "note": probetest.Secret})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.keys.Store([]any{jose.JSONWebKey{Key: ec.Public(), KeyID: probetest.Secret}, map[string]any{"kty": probetest.Secret}})
	return i
}

func TestConformance(t *testing.T) {
	i := newIssuer(t)
	line := probetest.NewLine(t, "tcp", i.Listener.Addr().String())
	at := "http://" + line.Addr()
	i.doc.Store(map[string]any{"issuer": at + "/t", "jwks_uri": at + "/keys?" + probetest.Secret})
	p, err := oidc.New(oidc.Config{Issuer: at + "/t"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Probe(t.Context())
	if err != nil || r.Details["keys"] != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	probetest.Run(t, probetest.Kind{Prober: p, Dependency: line})
}

func TestDocuments(t *testing.T) {
	i := newIssuer(t)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak := []any{
		jose.JSONWebKey{Key: small.Public()},
		jose.JSONWebKey{Key: []byte(probetest.Secret)}, // a shared one
	}
	good := map[string]any{"issuer": i.URL + "/t", "jwks_uri": i.URL + "/keys"}
	with := func(name, value string) map[string]any {
		out := map[string]any{"issuer": good["issuer"], "jwks_uri": good["jwks_uri"]}
		out[name] = value
		return out
	}
	for _, tt := range []struct {
		name string
		doc  any
		keys []any
		want string
	}{
		{"another issuer", with("issuer", i.URL+"/t/"+probetest.Secret), nil, "of another issuer"},
		{"no keys named", with("jwks_uri", ""), nil, "names no jwks_uri"},
		{"keys at no URL", with("jwks_uri", "://"+probetest.Secret), nil, "names no jwks_uri"},
		{"keys inside the network", with("jwks_uri", "https://10.0.0.1/"+probetest.Secret), nil, "inside the network"},
		{"keys at another port, without TLS", with("jwks_uri", "http://127.0.0.1:1/"+probetest.Secret), nil, "not one that the configuration names"},
		{"keys that are not there", with("jwks_uri", i.URL+"/"+probetest.Secret), nil, "answers 404"},
		{"no document", []any{probetest.Secret}, nil, "is not the JSON"},
		{"weak keys", good, weak, "none of the 2 keys"},
		{"no key", good, []any{}, "none of the 0 keys"},
	} {
		i.doc = atomic.Value{}
		i.doc.Store(tt.doc)
		if tt.keys != nil {
			i.keys.Store(tt.keys)
		}
		p, err := oidc.New(oidc.Config{Issuer: i.URL + "/t"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Probe(t.Context())
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), probetest.Secret) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, raw := range []string{"", "accounts.example.com", "https://u:" + probetest.Secret + "@h", "https://h?x=" + probetest.Secret, "ldap://" + probetest.Secret} {
		if _, err := oidc.New(oidc.Config{Issuer: raw}); err == nil || strings.Contains(err.Error(), probetest.Secret) {
			t.Errorf("%q: %v", raw, err)
		}
	}
}
