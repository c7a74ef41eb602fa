package client

import (
	"context"
	"net/http"
	"net/url"

	"avalo.app/gantry/api"
)

// HealthReport says how every component is, by the last measurements; with
// fresh, each is measured for it, in under 2 s. Role moderator.
func (c *Client) HealthReport(ctx context.Context, fresh bool) (api.HealthReport, error) {
	var out api.HealthReport
	k := call{method: http.MethodGet, path: "/v1/health", out: &out, repeats: safe}
	if fresh {
		k.query = params("fresh", "true")
	}
	_, err := c.do(ctx, k)
	return out, err
}

// Uptime returns the uptime of the last days, 1 to 90, by component and day;
// a day without a measurement is absent. 0 is the server's, 90. Role
// moderator.
func (c *Client) Uptime(ctx context.Context, days int) ([]api.UptimeDay, error) {
	var out struct {
		Days []api.UptimeDay `json:"days"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/health/uptime", out: &out, repeats: safe, query: params("days", number(days))})
	return out.Days, err
}

// HealthWindows returns the maintenance windows that are on or to come. Role
// moderator.
func (c *Client) HealthWindows(ctx context.Context) ([]api.HealthWindow, error) {
	var out struct {
		Maintenance []api.HealthWindow `json:"maintenance"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/health/maintenance", out: &out, repeats: safe})
	return out.Maintenance, err
}

// BeginHealthWindow begins a time in which components alert nobody. Role
// admin.
func (c *Client) BeginHealthWindow(ctx context.Context, r api.HealthWindowRequest) (api.HealthWindow, error) {
	var out api.HealthWindow
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/health/maintenance", body: r, out: &out, repeats: keyed})
	return out, err
}

// EndHealthWindow ends a window before its time; what is still DOWN then
// alerts. Role admin.
func (c *Client) EndHealthWindow(ctx context.Context, id, reason string) (api.HealthWindow, error) {
	var out api.HealthWindow
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/health/maintenance/" + url.PathEscape(id), query: params("reason", reason), out: &out, repeats: keyed})
	return out, err
}

// Diagnostics returns the declared counts and the state of the node that
// answers. Role admin.
func (c *Client) Diagnostics(ctx context.Context) (api.Diagnostics, error) {
	var out api.Diagnostics
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/diagnostics", out: &out, repeats: safe})
	return out, err
}

// RateLimitStatus counts what was refused in 24 hours. Role moderator.
func (c *Client) RateLimitStatus(ctx context.Context) (api.RateLimitStatus, error) {
	var out api.RateLimitStatus
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/ratelimit/status", out: &out, repeats: safe})
	return out, err
}

// Heartbeat reports the start or the end of a background job's run, and
// returns the job as it is then. Give every run a RunID of its own: it joins
// start and end, and a repetition changes nothing. Role app.
func (c *Client) Heartbeat(ctx context.Context, job string, b api.Heartbeat) (api.Job, error) {
	var out api.Job
	k := call{method: http.MethodPost, path: "/v1/heartbeats/" + url.PathEscape(job), body: b, out: &out, repeats: keyed}
	if b.RunID != "" {
		k.repeats = safe
	}
	_, err := c.do(ctx, k)
	return out, err
}

// Jobs returns the background jobs as they are now. Role moderator.
func (c *Client) Jobs(ctx context.Context) ([]api.Job, error) {
	var out struct {
		Jobs []api.Job `json:"jobs"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/heartbeats", out: &out, repeats: safe})
	return out.Jobs, err
}

// Freshness returns what must not be old. Role moderator.
func (c *Client) Freshness(ctx context.Context) ([]api.FreshnessSource, error) {
	var out struct {
		Sources []api.FreshnessSource `json:"sources"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/freshness", out: &out, repeats: safe})
	return out.Sources, err
}

// Signals tells what Gantry cannot see itself, counted since the last report:
// all of it, or with an error none that is known of. Sum counts up and report
// every ten seconds or so; 100 are the most at once. Role app.
func (c *Client) Signals(ctx context.Context, counts ...api.Signal) error {
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/signals", body: api.SignalsRequest{Signals: counts}, repeats: keyed})
	return err
}
