package client

import (
	"context"
	"net/http"

	"avalo.app/gantry/api"
)

// IdempotencyBegin claims a key for an operation of the host's: see
// api.IdempotencyBegin for what to do with each state. Keys are shared by
// all who use the same credential: put the user into them. Another
// fingerprint than the first one's is IDEMPOTENCY_MISMATCH. Role app.
//
// It is never sent twice once it may have arrived: its own claim would come
// back as in_progress.
func (c *Client) IdempotencyBegin(ctx context.Context, r api.IdempotencyBeginRequest) (api.IdempotencyBegin, error) {
	var out api.IdempotencyBegin
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/idempotency/begin", body: r, out: &out})
	return out, err
}

// IdempotencyComplete stores the operation's answer for replay, or releases
// the key if the effect did not happen. CONFLICT means that the token is not
// the newest: somebody else has the operation now. Role app.
func (c *Client) IdempotencyComplete(ctx context.Context, r api.IdempotencyCompleteRequest) error {
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/idempotency/complete", body: r, repeats: safe})
	return err
}

// Health is the public word.
type Health = api.PublicHealth

// Health asks for the public word on the app and on Gantry itself. DOWN is an
// answer, not an error. It needs no key.
func (c *Client) Health(ctx context.Context) (Health, error) {
	var out Health
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/healthz", out: &out, repeats: safe, accept: http.StatusServiceUnavailable})
	return out, err
}
