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
// everyone's of the last 24 hours, 100 rows (at most 1000).
type ViolationQuery struct {
	User, IP, Device, Action string
	Since                    time.Time // inclusive
	Until                    time.Time // exclusive
	Limit                    int       // rows
}

// OffenderQuery selects offenders. Zero fields are as in ViolationQuery.
type OffenderQuery struct {
	Dimension string    // user, ip or device; empty: all
	Since     time.Time // inclusive
	Until     time.Time // exclusive
	Limit     int       // rows
}

// params builds a query of pairs whose value is set.
func params(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// Violations returns refusals, newest first. Role moderator.
func (c *Client) Violations(ctx context.Context, q ViolationQuery) ([]api.Violation, error) {
	var out struct {
		Violations []api.Violation `json:"violations"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/ratelimit/violations", out: &out, repeats: safe,
		query: params("user", q.User, "ip", q.IP, "device", q.Device, "action", q.Action,
			"since", moment(q.Since), "until", moment(q.Until), "limit", number(q.Limit))})
	return out.Violations, err
}

// Offenders returns the subjects refused most often. Role moderator.
func (c *Client) Offenders(ctx context.Context, q OffenderQuery) ([]api.Offender, error) {
	var out struct {
		Offenders []api.Offender `json:"offenders"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/ratelimit/offenders", out: &out, repeats: safe,
		query: params("dimension", q.Dimension, "since", moment(q.Since), "until", moment(q.Until), "limit", number(q.Limit))})
	return out.Offenders, err
}

func policyPath(action string) string { return "/v1/ratelimit/policies/" + url.PathEscape(action) }

// Policies returns the policies in force. Role moderator.
func (c *Client) Policies(ctx context.Context) ([]api.Policy, error) {
	var out struct {
		Policies []api.Policy `json:"policies"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/ratelimit/policies", out: &out, repeats: safe})
	return out.Policies, err
}

// PutPolicy puts a policy in force, whatever was before; counts are kept.
// The reason is for the audit log. Role admin.
func (c *Client) PutPolicy(ctx context.Context, action string, spec api.PolicySpec, reason string) (api.Policy, error) {
	return c.putPolicy(ctx, action, spec, params("reason", reason))
}

// ReplacePolicy puts p in force if nobody changed the policy since p was
// read; else the error is CONFLICT, and nothing is changed. Role admin.
func (c *Client) ReplacePolicy(ctx context.Context, p api.Policy, reason string) (api.Policy, error) {
	return c.putPolicy(ctx, p.Action, p.PolicySpec, params("reason", reason, "ifVersion", strconv.FormatInt(p.Version, 10)))
}

func (c *Client) putPolicy(ctx context.Context, action string, spec api.PolicySpec, query url.Values) (api.Policy, error) {
	var out api.Policy
	_, err := c.do(ctx, call{method: http.MethodPut, path: policyPath(action), query: query, body: spec, out: &out, repeats: keyed})
	return out, err
}

// ResetPolicy returns to the configured policy; counts are kept. Role admin.
func (c *Client) ResetPolicy(ctx context.Context, action, reason string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: policyPath(action), query: params("reason", reason), repeats: keyed})
	return err
}

// Overrides returns the overrides in force. Role moderator.
func (c *Client) Overrides(ctx context.Context) ([]api.Override, error) {
	var out struct {
		Overrides []api.Override `json:"overrides"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/ratelimit/overrides", out: &out, repeats: safe})
	return out.Overrides, err
}

// SetOverride scales, exempts or blocks one subject until a date. Role admin.
func (c *Client) SetOverride(ctx context.Context, spec api.OverrideSpec) (api.Override, error) {
	var out api.Override
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/ratelimit/overrides", body: spec, out: &out, repeats: keyed})
	return out, err
}

// RemoveOverride ends an override. Role admin.
func (c *Client) RemoveOverride(ctx context.Context, id, reason string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/ratelimit/overrides/" + url.PathEscape(id), query: params("reason", reason), repeats: keyed})
	return err
}

// Keys returns the API keys, without secrets. Role admin.
func (c *Client) Keys(ctx context.Context) ([]api.Key, error) {
	var out struct {
		Keys []api.Key `json:"keys"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/keys", out: &out, repeats: safe})
	return out.Keys, err
}

// CreateKey makes an API key. Its Secret is empty if the first answer was
// lost on the way and a repetition brought the stored one, which has none:
// revoke that key and create another. Role admin.
func (c *Client) CreateKey(ctx context.Context, r api.CreateKeyRequest) (api.CreatedKey, error) {
	var out api.CreatedKey
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/keys", body: r, out: &out, repeats: keyed})
	return out, err
}

// RevokeKey ends an API key. Role admin.
func (c *Client) RevokeKey(ctx context.Context, id, reason string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/keys/" + url.PathEscape(id), query: params("reason", reason), repeats: keyed})
	return err
}
