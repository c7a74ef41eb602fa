package client_test

import (
	"context"
	"testing"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

// TestHealthCalls checks the calls of health; see TestCalls.
func TestHealthCalls(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	code, share := 3, 0.5
	testCalls(t, []callTest{
		{name: "HealthReport", want: "GET /v1/health", answer: `{"status":"DOWN","components":[{"component":"db","status":"DOWN","critical":true}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.HealthReport(ctx, false) },
			result: api.HealthReport{Status: "DOWN", Components: []api.HealthComponent{{Component: "db", Status: "DOWN", Critical: true}}}},
		{name: "HealthReport fresh", want: "GET /v1/health?fresh=true", answer: `{"status":"HEALTHY","fresh":true}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.HealthReport(ctx, true) },
			result: api.HealthReport{Status: "HEALTHY", Fresh: true}},
		{name: "Uptime", want: "GET /v1/health/uptime?days=7", answer: `{"days":[{"component":"db","day":"2026-11-24","uptime":0.5,"up":1,"down":1}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Uptime(ctx, 7) },
			result: []api.UptimeDay{{Component: "db", Day: "2026-11-24", Uptime: &share, Up: 1, Down: 1}}},
		{name: "HealthWindows", want: "GET /v1/health/maintenance", answer: `{"maintenance":[{"id":"w1"}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.HealthWindows(ctx) },
			result: []api.HealthWindow{{ID: "w1"}}},
		{name: "BeginHealthWindow", want: "POST /v1/health/maintenance", body: `{"components":["db"],"until":"2026-11-24T10:00:00Z","reason":"upgrade of the database"}`, answer: `{"id":"w1"}`, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.BeginHealthWindow(ctx, api.HealthWindowRequest{Components: []string{"db"}, Until: &until, Reason: "upgrade of the database"})
			}, result: api.HealthWindow{ID: "w1"}},
		{name: "EndHealthWindow", want: "DELETE /v1/health/maintenance/w1?reason=it+is+done", answer: `{"id":"w1"}`, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.EndHealthWindow(ctx, "w1", "it is done")
			},
			result: api.HealthWindow{ID: "w1"}},
		{name: "Diagnostics", want: "GET /v1/diagnostics", answer: `{"counts":{"kyc":{"pending":null}},"store":"up"}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Diagnostics(ctx) },
			result: api.Diagnostics{Counts: map[string]map[string]*int64{"kyc": {"pending": nil}}, Store: "up"}},
		{name: "RateLimitStatus", want: "GET /v1/ratelimit/status", answer: `{"recentViolations24h":7}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.RateLimitStatus(ctx) },
			result: api.RateLimitStatus{RecentViolations24h: 7}},
		{name: "Heartbeat", want: "POST /v1/heartbeats/nightly", body: `{"kind":"fail","runId":"r1","exitCode":3,"durationMs":1500}`, answer: `{"jobName":"nightly","status":"FAILURE"}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.Heartbeat(ctx, "nightly", api.Heartbeat{Kind: api.HeartbeatFail, RunID: "r1", ExitCode: &code, DurationMS: 1500})
			}, result: api.Job{Name: "nightly", Status: "FAILURE"}},
		{name: "Heartbeat without a run id", want: "POST /v1/heartbeats/nightly", body: `{"kind":"success"}`, answer: `{"jobName":"nightly"}`, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.Heartbeat(ctx, "nightly", api.Heartbeat{Kind: api.HeartbeatSuccess})
			}, result: api.Job{Name: "nightly"}},
		{name: "Jobs", want: "GET /v1/heartbeats", answer: `{"jobs":[{"jobName":"nightly"}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Jobs(ctx) },
			result: []api.Job{{Name: "nightly"}}},
		{name: "Freshness", want: "GET /v1/freshness", answer: `{"sources":[{"name":"index","freshness":"STALE"}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Freshness(ctx) },
			result: []api.FreshnessSource{{Name: "index", Freshness: "STALE"}}},
		{name: "Signals", want: "POST /v1/signals", body: `{"signals":[{"type":"errors","object":"api","count":2}]}`, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return nil, c.Signals(ctx, api.Signal{Type: "errors", Object: "api", Count: 2})
			}},
	})
}
