package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"avalo.app/gantry/api"
)

// Verdict is the answer to a check, with what to pass on to the user.
type Verdict struct {
	api.CheckResult

	// RateLimit and RateLimitPolicy are the values of the IETF header
	// fields; empty when the verdict is local.
	RateLimit       string
	RateLimitPolicy string
	// Problem is a refusal as an answer, its Details an
	// api.RateLimitedDetails; nil when the check passed. Its message is in
	// English: api.Message has the others.
	Problem *api.Problem
}

// Check decides one request and charges it if it passes. A refusal is a
// verdict, not an error. A check is never sent twice once it may have been
// counted.
//
// While Gantry is away the verdict is local, with mode api.ModeDegraded:
// the rules of the policy last seen for the action hold in this process, in
// fixed windows that begin empty, and an action not decided before passes.
// WithoutFallback and WithFailClosed
// make it ErrUnavailable instead. An error of the caller's, such as a wrong
// key, is returned as *Error, and is never a reason to pass.
func (c *Client) Check(ctx context.Context, r api.CheckRequest) (api.CheckResult, error) {
	v, err := c.Decide(ctx, r)
	return v.CheckResult, err
}

// Decide is Check with the header fields and the problem of a refusal.
func (c *Client) Decide(ctx context.Context, r api.CheckRequest) (Verdict, error) {
	var v Verdict
	h, err := c.ask(ctx, call{method: http.MethodPost, path: "/v1/ratelimit/check", body: r, out: &v.CheckResult})
	if refused, ok := refusal(err, r.Action); ok {
		v, err = refused, nil
	}
	switch {
	case err == nil:
		return c.known(r, v, h)
	case c.local(err, r.Action):
		return c.decideLocally(r), nil
	}
	return Verdict{}, err
}

// known completes a verdict of Gantry's and learns from it.
func (c *Client) known(r api.CheckRequest, v Verdict, h http.Header) (Verdict, error) {
	if err := foreign(v.CheckResult); err != nil {
		return Verdict{}, err
	}
	v.RateLimit, v.RateLimitPolicy = strings.Join(h.Values("RateLimit"), ", "), strings.Join(h.Values("RateLimit-Policy"), ", ")
	if c.fallback != nil {
		c.fallback.learn(r.Action, v)
	}
	return v, nil
}

// foreign is the error of JSON that is no verdict, which else would refuse
// everyone.
func foreign(v api.CheckResult) error {
	if v.Policy == "" || v.Mode == "" {
		return errors.New("client: the answer is not a verdict of Gantry's: check the base URL")
	}
	return nil
}

// ask sends one of the calls that have little time, through the breaker.
func (c *Client) ask(ctx context.Context, k call) (http.Header, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("client: %s %s: %w", k.method, k.path, err)
	}
	epoch, ok := c.breaker.allow(time.Now())
	if !ok {
		return nil, fmt.Errorf("%w: it failed %d times in a row and is left alone for a moment", ErrUnavailable, tripAfter)
	}
	how := dropped // also if a transport panics
	defer func() { c.breaker.done(epoch, how, time.Now()) }()
	k.timeout = c.timeout
	h, err := c.do(ctx, k)
	switch {
	case errors.Is(err, ErrUnavailable):
		how = failed
	case !errors.Is(err, context.Canceled):
		how = answered
	}
	return h, err
}

// local reports whether to decide locally after err.
func (c *Client) local(err error, actions ...string) bool {
	return c.fallback != nil && errors.Is(err, ErrUnavailable) && !slices.ContainsFunc(actions, c.FailsClosed)
}

// refusal is the verdict in an answer RATE_LIMITED. One about another policy
// is not about the user: Gantry limits those who come with wrong keys, too.
func refusal(err error, action string) (Verdict, bool) {
	var e *Error
	if !errors.As(err, &e) || e.Problem.Code != api.CodeRateLimited {
		return Verdict{}, false
	}
	var d api.RateLimitedDetails
	if e.Details(&d) != nil || d.Policy != action {
		return Verdict{}, false
	}
	p := e.Problem
	p.Details = d
	return Verdict{Problem: &p, CheckResult: api.CheckResult{Limit: d.Limit, Remaining: d.Remaining, ResetAt: d.ResetAt,
		RetryAfter: max(1, d.RetryAfter), Policy: d.Policy, Scope: d.Scope, Mode: d.Mode}}, true
}

// decideLocally is a verdict without Gantry.
func (c *Client) decideLocally(r api.CheckRequest) Verdict {
	v, q := c.fallback.decide(r, true, time.Now())
	if v.Allowed {
		return Verdict{CheckResult: v}
	}
	info, _ := api.Lookup(api.CodeRateLimited)
	return Verdict{CheckResult: v, Problem: &api.Problem{
		Type: api.TypeQuotaExceeded, Title: info.Title, Status: info.HTTPStatus,
		Code: info.Code, Message: api.Message(info.Code, "en"), Retryable: info.Retryable, RetryAfterSeconds: v.RetryAfter, Retry: info.Retry,
		ViolatedPolicies: []string{q.name},
		Details: api.RateLimitedDetails{Limit: v.Limit, Actual: v.Limit - v.Remaining + max(r.Cost, 1), Remaining: v.Remaining, ResetAt: v.ResetAt,
			RetryAfter: v.RetryAfter, Policy: v.Policy, Scope: v.Scope, Mode: v.Mode, WindowSeconds: int64(q.window / time.Second), PolicyName: q.name},
	}}
}

// Peek answers as Check would, and charges nothing. While Gantry is away it
// is decided locally, too.
func (c *Client) Peek(ctx context.Context, r api.CheckRequest) (api.CheckResult, error) {
	var v api.CheckResult
	_, err := c.ask(ctx, call{method: http.MethodPost, path: "/v1/ratelimit/peek", body: r, out: &v, repeats: safe})
	if err != nil && c.local(err, r.Action) {
		v, _ = c.fallback.decide(r, false, time.Now())
		return v, nil
	}
	if err == nil {
		err = foreign(v)
	}
	return v, err
}

// CheckBatch decides up to 100 requests, each on its own, in order. It is
// never sent twice once it may have been counted. While Gantry is away each
// is decided locally, unless WithFailClosed names one of the actions: then
// all of it is ErrUnavailable.
func (c *Client) CheckBatch(ctx context.Context, rs []api.CheckRequest) ([]api.CheckResult, error) {
	var out api.BatchResult
	_, err := c.ask(ctx, call{method: http.MethodPost, path: "/v1/ratelimit/batch", body: api.BatchRequest{Checks: rs}, out: &out})
	actions := make([]string, len(rs))
	for i, r := range rs {
		actions[i] = r.Action
	}
	switch {
	case err != nil && c.local(err, actions...):
		out.Results = nil
		for _, r := range rs {
			v, _ := c.fallback.decide(r, true, time.Now())
			out.Results = append(out.Results, v)
		}
		return out.Results, nil
	case err != nil:
		return nil, err
	case len(out.Results) != len(rs):
		return nil, fmt.Errorf("client: the answer has %d verdicts for %d checks: check the base URL", len(out.Results), len(rs))
	}
	for _, v := range out.Results {
		if err := foreign(v); err != nil {
			return nil, err
		}
	}
	return out.Results, nil
}

// Refund gives back what a check charged, as far as its window still holds
// it. It is never sent twice once it may have arrived, and has no fallback.
func (c *Client) Refund(ctx context.Context, r api.RefundRequest) error {
	_, err := c.ask(ctx, call{method: http.MethodPost, path: "/v1/ratelimit/refund", body: r})
	return err
}
