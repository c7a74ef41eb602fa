package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"avalo.app/gantry/api"
)

const (
	maxBody     = 1 << 20 // bytes of an answer that are read
	maxAttempts = 3
)

// Error is an error answer of Gantry's.
type Error struct {
	// Problem is the answer. Its Details are json.RawMessage, or nil.
	Problem api.Problem
}

// Error returns the code and what is wrong.
func (e *Error) Error() string {
	text := e.Problem.Detail
	if text == "" {
		text = e.Problem.Message
	}
	return fmt.Sprintf("gantry: %s: %s", e.Problem.Code, text)
}

// Unwrap is ErrUnavailable for what is Gantry's trouble, not the caller's.
func (e *Error) Unwrap() error {
	if e.Problem.Status >= 500 {
		return ErrUnavailable
	}
	return nil
}

// call is one request.
type call struct {
	method, path string
	query        url.Values
	body, out    any
	timeout      time.Duration
	once         bool // must not be sent again once it may have arrived
	key          string
}

// do sends a call, and repeats it as its error's strategy says, while that
// is safe and the context has the time.
func (c *Client) do(ctx context.Context, k call) (http.Header, error) {
	if k.timeout == 0 {
		k.timeout = c.patience
	}
	if k.method != http.MethodGet && !k.once {
		k.key = rand.Text() // one key for all attempts: at most one effect
	}
	for attempt := 1; ; attempt++ {
		h, err := c.attempt(ctx, k)
		if err == nil || attempt == maxAttempts || ctx.Err() != nil {
			return h, err
		}
		wait, ok := c.repeat(k, err, attempt)
		if deadline, has := ctx.Deadline(); !ok || has && c.now().Add(wait).After(deadline) {
			return h, err
		}
		if !c.sleep(wait, ctx.Done()) {
			return h, err
		}
	}
}

// repeat says whether and when to send k again after err.
func (c *Client) repeat(k call, err error, attempt int) (time.Duration, bool) {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" { // it never arrived
		return time.Duration(attempt) * 20 * time.Millisecond, true
	}
	if k.once {
		return 0, false
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Problem.Wait(attempt)
	}
	return time.Duration(attempt) * 100 * time.Millisecond, errors.Is(err, ErrUnavailable)
}

// attempt sends a call once.
func (c *Client) attempt(ctx context.Context, k call) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	req, err := c.request(ctx, k)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return res.Header, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if len(body) > maxBody {
		return res.Header, fmt.Errorf("%w: its answer is larger than %d bytes", ErrUnavailable, maxBody)
	}
	if res.StatusCode >= 300 {
		return res.Header, problemOf(res, body)
	}
	if k.out == nil || res.StatusCode == http.StatusNoContent {
		return res.Header, nil
	}
	if err := json.Unmarshal(body, k.out); err != nil {
		return res.Header, fmt.Errorf("%w: its answer is not what was expected; is %s a Gantry? %w", ErrUnavailable, c.base.Host, err)
	}
	return res.Header, nil
}

func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	var body io.Reader
	if k.body != nil {
		b, err := json.Marshal(k.body)
		if err != nil {
			return nil, fmt.Errorf("client: %w", err)
		}
		body = bytes.NewReader(b)
	}
	u := *c.base
	u.Path, u.RawQuery = strings.TrimRight(u.Path, "/")+k.path, k.query.Encode()
	req, err := http.NewRequestWithContext(ctx, k.method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	if k.key != "" {
		req.Header.Set("Idempotency-Key", k.key)
	}
	return req, nil
}

// problemOf reads an error answer; one that is no problem document is not
// Gantry's.
func problemOf(res *http.Response, body []byte) error {
	var p struct {
		api.Problem
		Details json.RawMessage `json:"details"`
	}
	if err := json.Unmarshal(body, &p); err != nil || p.Code == "" {
		return fmt.Errorf("%w: it answered HTTP %d without a problem document", ErrUnavailable, res.StatusCode)
	}
	if len(p.Details) > 0 {
		p.Problem.Details = p.Details
	}
	return &Error{Problem: p.Problem}
}
