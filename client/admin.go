package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"avalo.app/gantry/api"
)

// ViolationQuery selects violations. Zero fields take the server's defaults:
// everything of the last 24 hours, 100 rows.
type ViolationQuery struct {
	User, IP, Device, Action string
	Since, Until             time.Time
	Limit                    int
}

// OffenderQuery selects offenders.
type OffenderQuery struct {
	Dimension    string // user, ip, device; empty: all
	Since, Until time.Time
	Limit        int
}

// query builds a query string of what is set.
func query(limit int, since, until time.Time, pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	for name, t := range map[string]time.Time{"since": since, "until": until} {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	return q
}

// Violations returns refusals, newest first. Role moderator.
func (c *Client) Violations(ctx context.Context, v ViolationQuery) ([]api.Violation, error) {
	var out struct{ Violations []api.Violation }
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/ratelimit/violations", out: &out,
		query: query(v.Limit, v.Since, v.Until, "user", v.User, "ip", v.IP, "device", v.Device, "action", v.Action)})
	return out.Violations, err
}

// Offenders returns the subjects refused most often. Role moderator.
func (c *Client) Offenders(ctx context.Context, o OffenderQuery) ([]api.Offender, error) {
	var out struct{ Offenders []api.Offender }
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/ratelimit/offenders", out: &out,
		query: query(o.Limit, o.Since, o.Until, "dimension", o.Dimension)})
	return out.Offenders, err
}

// Policies returns the policies in force. Role moderator.
func (c *Client) Policies(ctx context.Context) ([]api.Policy, error) {
	var out struct{ Policies []api.Policy }
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/ratelimit/policies", out: &out})
	return out.Policies, err
}

// PutPolicy puts a policy in force. Role admin.
func (c *Client) PutPolicy(ctx context.Context, action string, spec api.PolicySpec, reason string) (api.Policy, error) {
	var out api.Policy
	_, err := c.do(ctx, call{method: http.MethodPut, path: "/v1/ratelimit/policies/" + url.PathEscape(action), body: spec, out: &out,
		query: query(0, time.Time{}, time.Time{}, "reason", reason)})
	return out, err
}

// ResetPolicy returns to the configured policy. Role admin.
func (c *Client) ResetPolicy(ctx context.Context, action, reason string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/ratelimit/policies/" + url.PathEscape(action),
		query: query(0, time.Time{}, time.Time{}, "reason", reason)})
	return err
}

// SetOverride scales, exempts or blocks one subject. Role admin.
func (c *Client) SetOverride(ctx context.Context, spec api.OverrideSpec) (api.Override, error) {
	var out api.Override
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/ratelimit/overrides", body: spec, out: &out})
	return out, err
}

// RemoveOverride ends an override. Role admin.
func (c *Client) RemoveOverride(ctx context.Context, id, reason string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/ratelimit/overrides/" + url.PathEscape(id),
		query: query(0, time.Time{}, time.Time{}, "reason", reason)})
	return err
}

// IdempotencyBegin claims a key for an operation of the host's. Role app. It
// is never repeated by itself once it may have arrived: a lost "new" would
// come back as in_progress.
func (c *Client) IdempotencyBegin(ctx context.Context, r api.IdempotencyBeginRequest) (api.IdempotencyBegin, error) {
	var out api.IdempotencyBegin
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/idempotency/begin", body: r, out: &out, once: true})
	return out, err
}

// IdempotencyComplete stores the operation's answer, or releases the key.
// Role app.
func (c *Client) IdempotencyComplete(ctx context.Context, r api.IdempotencyCompleteRequest) error {
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/idempotency/complete", body: r})
	return err
}
