package stripe_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"avalo.app/gantry/internal/probe/probetest"
	"avalo.app/gantry/internal/probe/stripe"
)

// serve answers as Stripe does. interop holds the same against stripe-mock.
func serve(t *testing.T, status int, body string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/balance", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Authorization") != "Bearer "+probetest.Secret {
			w.WriteHeader(http.StatusTeapot)
		} else {
			w.WriteHeader(status)
		}
		_, _ = fmt.Fprint(w, body)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

const balance = `{"object":"balance","livemode":true,"available":[{"amount":1,"currency":"` + probetest.Secret + `"}]}`

func TestConformance(t *testing.T) {
	line := probetest.NewLine(t, "tcp", serve(t, 200, balance).Listener.Addr().String())
	p, err := stripe.New(stripe.Config{Key: probetest.Secret, BaseURL: "http://" + line.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	probetest.Run(t, probetest.Kind{Prober: p, Dependency: line})
}

func TestRefusals(t *testing.T) {
	refusal := `{"error":{"type":"invalid_request_error","code":"` + probetest.Secret + `","message":"Invalid API Key provided: ` + probetest.Secret + `"}}`
	for _, tt := range []struct {
		status     int
		body, want string
	}{
		{401, refusal, "does not know the key (401)"},
		{403, refusal, "the key may not (403)"},
		{429, refusal, "limits this account's requests (429)"},
		{400, refusal, "refuses with 400"},
		{503, refusal, "fails with 503"},
		{502, "<html>" + probetest.Secret, "not one that is understood"},
		{200, `{"object":"` + probetest.Secret + `"}`, "is no balance"},
		{200, probetest.Secret, "not one that is understood"},
	} {
		p, err := stripe.New(stripe.Config{Key: probetest.Secret, BaseURL: serve(t, tt.status, tt.body).URL})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = p.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), probetest.Secret) {
			t.Errorf("%d: %v, want %s", tt.status, err, tt.want)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, cfg := range []stripe.Config{
		{}, {Key: "pk_" + probetest.Secret}, {Key: probetest.Secret + "\n"}, {Key: probetest.Secret, BaseURL: "api"}, {Key: probetest.Secret, BaseURL: "https://u:" + probetest.Secret + "@h"},
	} {
		if _, err := stripe.New(cfg); err == nil || strings.Contains(err.Error(), probetest.Secret) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
