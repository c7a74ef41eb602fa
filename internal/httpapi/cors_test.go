package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/httpapi"
)

// TestCORS: a callable's answer, good or bad, may be read by a configured
// origin and by no other; nothing else of the surface may be.
func TestCORS(t *testing.T) {
	const ours, star = "https://app.example.com", "*"
	for _, c := range []struct {
		name, allowed, origin, want string
	}{
		{"ours", ours, ours, ours}, {"foreign", ours, "https://evil.example", ""}, {"null", ours, "null", ""},
		{"prefix", ours, ours + ".evil.example", ""}, {"scheme", ours, "http://app.example.com", ""}, {"none sent", ours, "", ""},
		{"none configured", "", ours, ""}, {"any", star, "https://evil.example", "*"}, {"any, none sent", star, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, func(d *httpapi.Deps) { d.CORSOrigins = func() []string { return strings.Fields(c.allowed) } })
			const good = `{"data":{"action":"MESSAGE_SEND","userId":"a"}}`
			for _, r := range []struct{ method, path, body, auth string }{
				{"POST", "/callable/checkRateLimit", good, "Bearer " + f.key}, {"POST", "/callable/checkRateLimit", `{}`, "Bearer " + f.key},
				{"POST", "/callable/pack100_healthCheck", `{"data":null}`, ""}, {"GET", "/callable/pack100_healthCheck", "", ""},
				{"POST", "/callable/checkRateLimit", good, "Bearer gk_bad"}, {"OPTIONS", "/callable/checkRateLimit", "", ""},
				{"POST", "/callable/noSuch", good, ""}, {"GET", "/callable/checkRateLimit", "", ""},
			} {
				w := f.do(r.method, r.path, r.body, "Origin", c.origin, "Authorization", r.auth)
				if got := w.Header().Get("Access-Control-Allow-Origin"); got != c.want {
					t.Errorf("%s %s %q %.12q: allowed origin %q, want %q", r.method, r.path, r.body, r.auth, got, c.want)
				}
				if got := w.Header().Values("Vary"); len(got) != 1 || got[0] != "Origin" {
					t.Errorf("%s %s: Vary %q", r.method, r.path, got)
				}
				if w.Header().Get("Access-Control-Allow-Credentials") != "" {
					t.Error("credentials are allowed")
				}
			}
			if got := f.do("GET", "/v1/keys", "", "Origin", c.origin).Header().Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("an admin route is open to %q", got)
			}
		})
	}
}

// TestPreflight: a browser learns what it may send, from an allowed origin
// only.
func TestPreflight(t *testing.T) {
	f := newFixture(t, func(d *httpapi.Deps) { d.CORSOrigins = func() []string { return []string{"https://app.example.com"} } })
	pick := func(h http.Header) map[string]string {
		got := map[string]string{}
		for k := range h {
			if strings.HasPrefix(k, "Access-Control-Allow") || k == "Access-Control-Max-Age" {
				got[k] = h.Get(k)
			}
		}
		return got
	}
	ask := func(origin string) map[string]string {
		w := f.do("OPTIONS", "/callable/checkRateLimit", "", "Origin", origin, "Authorization", "", "Access-Control-Request-Method", "POST",
			"Access-Control-Request-Headers", "authorization,content-type")
		if w.Code != http.StatusNoContent || w.Body.Len() > 0 {
			t.Errorf("%d %q", w.Code, w.Body)
		}
		return pick(w.Header())
	}
	want := map[string]string{"Access-Control-Allow-Origin": "https://app.example.com", "Access-Control-Allow-Methods": "POST, GET", "Access-Control-Max-Age": "3600",
		"Access-Control-Allow-Headers": "authorization, content-type, firebase-instance-id-token, x-firebase-appcheck, x-request-id"}
	if d := cmp.Diff(want, ask("https://app.example.com")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{}, ask("https://evil.example")); d != "" {
		t.Error(d)
	}
}
