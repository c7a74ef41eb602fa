package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"avalo.app/gantry/api"
)

// Verdict is the answer to a check, with the header fields to pass on.
type Verdict struct {
	api.CheckResult
	// RateLimit and RateLimitPolicy are the IETF fields; empty when the
	// verdict was decided locally.
	RateLimit       string
	RateLimitPolicy string
}

// Check decides one request and charges it. A refusal is a verdict, not an
// error. A check is never sent twice once it may have been counted.
//
// While Gantry is away the verdict is local, with mode "degraded": each
// subject passes at most the limit last seen for the action per window, and
// an action not seen before passes. Use WithoutFallback or WithFailClosed
// for ErrUnavailable instead. An error that is the caller's, such as a wrong
// key, is returned as *Error and never opens.
func (c *Client) Check(ctx context.Context, r api.CheckRequest) (api.CheckResult, error) {
	v, err := c.Decide(ctx, r)
	return v.CheckResult, err
}

// Decide is Check with the header fields.
func (c *Client) Decide(ctx context.Context, r api.CheckRequest) (Verdict, error) {
	if !c.breaker.allow() {
		return c.local(r, ErrUnavailable)
	}
	var v Verdict
	h, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/ratelimit/check", body: r, out: &v.CheckResult, timeout: c.timeout, once: true})
	var e *Error
	if errors.As(err, &e) && e.Problem.Code == api.CodeRateLimited {
		v.CheckResult, err = refusal(e), nil
	}
	away := errors.Is(err, ErrUnavailable) && ctx.Err() == nil
	c.breaker.done(!away)
	switch {
	case away:
		return c.local(r, err)
	case err != nil:
		return Verdict{}, err
	}
	v.RateLimit, v.RateLimitPolicy = h.Get("RateLimit"), h.Get("RateLimit-Policy")
	if c.fallback != nil {
		c.fallback.learn(v)
	}
	return v, nil
}

// refusal is the verdict in a RATE_LIMITED answer.
func refusal(e *Error) api.CheckResult {
	var d api.RateLimitedDetails
	if raw, ok := e.Problem.Details.(json.RawMessage); ok {
		_ = json.Unmarshal(raw, &d) // what is missing stays zero: it is refused all the same
	}
	return api.CheckResult{Limit: d.Limit, Remaining: d.Remaining, ResetAt: d.ResetAt, RetryAfter: max(1, e.Problem.RetryAfterSeconds),
		Policy: d.Policy, Scope: d.Scope, Mode: d.Mode}
}

func (c *Client) local(r api.CheckRequest, cause error) (Verdict, error) {
	if c.fallback == nil || c.failsClosed(r.Action) {
		return Verdict{}, cause
	}
	return Verdict{CheckResult: c.fallback.check(r, c.now())}, nil
}

// Peek answers as Check would, and changes nothing. It has no fallback.
func (c *Client) Peek(ctx context.Context, r api.CheckRequest) (api.CheckResult, error) {
	var v api.CheckResult
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/ratelimit/peek", body: r, out: &v, timeout: c.timeout, once: true})
	return v, err
}

// CheckBatch decides up to 100 requests, each on its own, in order. It has no
// fallback and is never sent twice once it may have been counted.
func (c *Client) CheckBatch(ctx context.Context, rs []api.CheckRequest) ([]api.CheckResult, error) {
	var out api.BatchResult
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/ratelimit/batch", body: api.BatchRequest{Checks: rs}, out: &out, timeout: c.timeout, once: true})
	return out.Results, err
}

// Refund gives back what a check charged, as far as its window still holds
// it.
func (c *Client) Refund(ctx context.Context, r api.RefundRequest) error {
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/ratelimit/refund", body: r, timeout: c.timeout, once: true})
	return err
}

// subjectKey names a subject under an action; lengths keep parts apart.
func subjectKey(r api.CheckRequest) string {
	var b strings.Builder
	for _, part := range [...]string{r.Action, r.User, r.IP, r.Device} {
		b.WriteString(part)
		b.WriteByte(0)
	}
	return b.String()
}
