package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/store/storetest"
)

// TestHostileIDs: what an engine cannot hold, or nobody has as an id, is the
// caller's mistake in every path and filter, on both engines.
func TestHostileIDs(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		s := start(t, func(c *config.Config) {
			secret, _, err := audit.GenerateKey(c.Audit.Origin)
			if err != nil {
				t.Fatal(err)
			}
			c.Store.URL, c.Secrets.HashKey, c.Audit.Key = config.NewSecret(url), config.NewSecret(strings.Repeat("k", 40)), config.NewSecret(secret)
		})
		for id, holds := range map[string]bool{"%00": false, "a%00b": false, "%FF": false, "a%C3": false, "%ED%A0%80": false, "%1B": true, "%0D%0A": true, "%7F": true} {
			for _, route := range []string{
				"DELETE /v1/invites/%s", "DELETE /v1/allowlist/%s", "DELETE /v1/waitlist/%s", "POST /v1/launch/overrides/%s/approve",
				"POST /v1/signups/%s/confirm", "DELETE /v1/signups/%s", "DELETE /v1/keys/%s",
				"GET /v1/invites?batch=%s", "GET /v1/allowlist?after=%s", "GET /v1/waitlist?country=%s",
				"GET /v1/signups?day=%s", "GET /v1/signups?userId=%s", "GET /v1/signups?state=%s", "GET /v1/signups/counts?day=%s",
				"PUT /v1/launch/phases/%s?reason=A+reason+of+length {}",
			} {
				method, rest, _ := strings.Cut(fmt.Sprintf(route, id), " ")
				path, body, _ := strings.Cut(rest, " ")
				status, answer := s.do(t, method, path, s.creds["admin"], body)
				empty := holds && method == "GET" && status == http.StatusOK // what the engines do hold, nothing has
				if status != http.StatusBadRequest && status != http.StatusNotFound && !empty {
					t.Errorf("%s %s: %d %s", method, path, status, answer)
				}
			}
		}
		for _, c := range []struct{ method, path, body string }{
			{"PUT", "/v1/launch/mode", `{"mode":"CLOSED_BETA","reason":"opening the beta","override":"a\u0000"}`},
			{"PUT", "/v1/launch/mode", `{"mode":"SOFT_LAUNCH","reason":"opening the beta","override":"\ud800\u0000"}`},
			{"POST", "/v1/launch/overrides", `{"mode":"SOFT_LAUNCH","reason":"opening\u0000the beta"}`},
			{"POST", "/v1/signups", `{"country":"PL","userId":"a\u0000"}`},
			{"POST", "/v1/waitlist", `{"country":"PL","email":"a\u0000@example.com"}`},
			{"POST", "/v1/invites", `{"note":"\u0000"}`},
			{"POST", "/v1/allowlist", `{"entries":[{"kind":"user","value":"\u0000"}]}`},
		} {
			if status, answer := s.do(t, c.method, c.path, s.creds["admin"], c.body); status != http.StatusBadRequest && status != http.StatusNotFound {
				t.Errorf("%s %s: %d %s", c.path, c.body, status, answer)
			}
		}
	})
}
