package app_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"avalo.app/gantry/internal/app"
	"avalo.app/gantry/internal/config"
)

// handler is the program's surface without a listener.
func handler(t testing.TB) (http.Handler, string) {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir, cfg.Server.Listen = t.TempDir(), "127.0.0.1:0"
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Stop(t.Context()) })
	return a.Handler(), a.BootstrapKey()
}

// FuzzBodies: no body on any route that takes one is answered with 5xx, and
// none of ours panics.
func FuzzBodies(f *testing.F) {
	for _, s := range []string{
		`{"action":"LOGIN","user":"alice"}`, `{"data":{"userId":"a","action":"LOGIN"}}`, `{"checks":[{"action":"LOGIN","user":"a"}]}`,
		`{"window":"1m","rules":[{"scope":"user","limit":1}]}`, `{"key":"k","fingerprint":"f"}`, `{"key":"k","token":"1","answer":{}}`,
		`{"dimension":"user","subject":"a","exempt":true,"expiresAt":"2027-01-01T00:00:00Z","reason":"abc"}`, `null`, `[]`, `{"data":null}`, "\xff\x00",
		`{"mode":"CLOSED_BETA","reason":"fuzzing the bodies"}`, `{"countries":["PL"],"groups":["EU"],"dailyCap":5,"countryCaps":{"PL":1}}`,
		`{"timeZone":"Europe/Warsaw","blockedCountries":["KP"],"reservationTTL":"15m","hookTTL":"24h"}`, `{"for":"1ms","reason":"fuzzing the bodies"}`,
		`{"country":"PL","inviteCode":"AAAAA-AAAAA","userId":"u","email":"a@b.c","ip":"::1","device":"d","ttlSeconds":60}`, `{"count":2,"maxUses":3,"email":"a@b.c"}`,
		`{"entries":[{"kind":"domain","value":"b.c"}]}`, `{"data":{"countryCode":"PL","inviteCode":"x","userId":"u"}}`, `{"data":{"jwt":"a.b.c"}}`, `{"data":{"limit":5}}`,
		`{"context":{"targetingKey":"a","country":"PL"}}`,
	} {
		for route := range uint8(33) {
			f.Add(route, s)
		}
	}
	h, key := handler(f)
	routes := []string{"POST /v1/ratelimit/check", "POST /v1/ratelimit/peek", "POST /v1/ratelimit/batch", "POST /v1/ratelimit/refund",
		"PUT /v1/ratelimit/policies/FUZZ", "POST /v1/ratelimit/overrides", "POST /v1/idempotency/begin", "POST /v1/idempotency/complete",
		"POST /v1/keys", "POST /callable/checkRateLimit", "POST /callable/checkGlobalRateLimit", "POST /callable/pack100_healthCheck",
		"PUT /v1/launch/mode", "POST /v1/launch/overrides", "PUT /v1/launch/phases/SOFT_LAUNCH?reason=fuzzing+the+bodies", "PUT /v1/launch/settings?reason=fuzzing+the+bodies",
		"PUT /v1/maintenance", "POST /v1/signups", "POST /v1/signups/eligibility", "POST /v1/invites", "POST /v1/invites/claim", "POST /v1/allowlist",
		"POST /v1/waitlist", "POST /v1/waitlist/invite", "POST /hooks/kratos/registration", "POST /hooks/kratos/registered", "POST /hooks/firebase/before-create",
		"POST /callable/checkSignupEligibility", "POST /callable/pack100_admin_setLaunchMode", "POST /callable/pack100_admin_getLaunchModeHistory", "POST /callable/pack100_getLaunchMode",
		"POST /ofrep/v1/evaluate/flags", "POST /ofrep/v1/evaluate/flags/region_open"}
	f.Fuzz(func(t *testing.T, route uint8, body string) {
		method, path, _ := strings.Cut(routes[int(route)%len(routes)], " ")
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 && !strings.Contains(w.Body.String(), "SYSTEM_MAINTENANCE") {
			t.Fatalf("%s %s %q: %d %s", method, path, body, w.Code, w.Body)
		}
	})
}
