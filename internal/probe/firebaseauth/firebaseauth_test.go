package firebaseauth_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"avalo.app/gantry/internal/probe/firebaseauth"
	"avalo.app/gantry/internal/probe/probetest"
)

// serve answers as Google's endpoints do.
func serve(t *testing.T, token http.HandlerFunc) *httptest.Server {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: probetest.Secret, Use: "sig"}}})
	})
	mux.HandleFunc("POST /token", token)
	mux.HandleFunc("POST /securetoken.googleapis.com/v1/token", token)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func refuse(status int, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"error":{"code":%d,"message":%q,"status":%q}}`, status, message, probetest.Secret)
	}
}

// google knows the key and no refresh token.
func google(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.FormValue("grant_type") != "refresh_token":
		refuse(400, "INVALID_GRANT_TYPE")(w, r)
	case r.Header.Get("X-Goog-Api-Key") != probetest.Secret && r.Header.Get("X-Goog-Api-Key") != "emulator":
		refuse(400, "API key not valid. "+probetest.Secret)(w, r)
	default:
		refuse(400, "INVALID_REFRESH_TOKEN")(w, r)
	}
}

func TestConformance(t *testing.T) {
	line := probetest.NewLine(t, "tcp", serve(t, google).Listener.Addr().String())
	at := "http://" + probetest.Secret + "@" + line.Addr()
	p, err := firebaseauth.New(firebaseauth.Config{KeysURL: at + "/keys", TokenURL: at + "/token", APIKey: probetest.Secret})
	if err != nil {
		t.Fatal(err)
	}
	probetest.Run(t, probetest.Kind{Prober: p, Dependency: line})
}

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		name     string
		key      string
		token    http.HandlerFunc
		degraded bool
		want     string
	}{
		{"a key that is good", probetest.Secret, google, false, ""},
		{"one that is not", "other", google, false, "answers 400; check the API key"},
		{"none, which is refused", "", refuse(403, "unregistered callers"), false, ""},
		{"one that is restricted", "other", refuse(403, "blocked"), false, "answers 403; check the API key"},
		{"a limit", "", refuse(429, "slow down"), true, ""},
		{"a failure", "", refuse(503, "down"), false, "answers 503"},
		{"JSON of something else", "", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"detail":%q}`, probetest.Secret)
		}, false, "400 with an answer that is not"},
		{"a page", "", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, probetest.Secret) }, false, "200 with an answer that is not"},
	} {
		s := serve(t, tt.token)
		p, err := firebaseauth.New(firebaseauth.Config{KeysURL: s.URL + "/keys", TokenURL: s.URL + "/token", APIKey: tt.key})
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.Probe(t.Context())
		switch {
		case tt.want == "" && (err != nil || r.Degraded != tt.degraded):
			t.Errorf("%s: %+v, %v", tt.name, r, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), probetest.Secret)):
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestEmulator(t *testing.T) {
	s := serve(t, google)
	p, err := firebaseauth.New(firebaseauth.Config{Emulator: s.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := p.Probe(t.Context()); err != nil || r.Degraded {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestConfig(t *testing.T) {
	for _, cfg := range []firebaseauth.Config{
		{KeysURL: "keys/" + probetest.Secret}, {TokenURL: "ftp://" + probetest.Secret}, {APIKey: probetest.Secret + "\n"}, {Emulator: "http://" + probetest.Secret},
	} {
		if _, err := firebaseauth.New(cfg); err == nil || strings.Contains(err.Error(), probetest.Secret) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	if _, err := firebaseauth.New(firebaseauth.Config{}); err != nil {
		t.Error(err)
	}
}
