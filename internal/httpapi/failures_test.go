package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/ratelimit"
)

// TestAuthFailuresCounted: whoever is refused without a look at the token is
// counted too.
func TestAuthFailuresCounted(t *testing.T) {
	f := newFixture(t, nil)
	for f.do("GET", "/v1/keys", "", "Authorization", "Bearer a.b.c").Code != http.StatusTooManyRequests {
	}
	problemOf(t, f.do("GET", "/v1/keys", "", "Authorization", "Bearer a.b.c"), 429, api.CodeRateLimited)
	const want = `gantry_auth_failures_total{reason="limited"} `
	if got := f.do("GET", "/metrics", "").Body.String(); !strings.Contains(got, want) {
		t.Errorf("no series %s", want)
	}
}

// TestCallerWentAway: a caller that hangs up is no failure of ours.
func TestCallerWentAway(t *testing.T) {
	f := newFixture(t, nil)
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	r := httptest.NewRequestWithContext(ctx, "GET", "/v1/ratelimit/overrides", nil)
	r.Header.Set("Authorization", "Bearer "+f.key)
	f.handler.ServeHTTP(httptest.NewRecorder(), r)
	f.counters.OnTake = func(ctx context.Context, _ int64, _ []ratelimit.Demand, _ []ratelimit.Outcome) (bool, error) {
		return false, ctx.Err()
	}
	r = httptest.NewRequestWithContext(ctx, "POST", "/v1/ratelimit/check", strings.NewReader(`{"action":"CLOSED","user":"a"}`))
	r.Header.Set("Authorization", "Bearer "+f.key)
	f.handler.ServeHTTP(httptest.NewRecorder(), r)
	if line := f.log.line("level=ERROR"); line != "" {
		t.Errorf("logged as an error of ours: %s", line)
	}
	f.counters.OnTake = func(context.Context, int64, []ratelimit.Demand, []ratelimit.Outcome) (bool, error) {
		return false, errors.New("no answer")
	}
	problemOf(t, f.do("POST", "/v1/ratelimit/check", `{"action":"CLOSED","user":"a"}`), 503, api.CodeServiceDegraded)
	if f.log.line("level=ERROR", "request failed") == "" {
		t.Error("a failure of ours is not logged as one")
	}
}
