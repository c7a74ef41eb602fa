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
)

const (
	maxBody     = 4 << 20 // bytes of an answer that are read: a thousand rows of any list fit
	maxAttempts = 3
	maxWait     = 10 * time.Second // between attempts, when the context sets no deadline
)

// repeats says when a call may be sent again.
type repeats uint8

const (
	once       repeats = iota // not once it may have arrived: each arrival counts
	safe                      // always: a repetition changes nothing
	keyed                     // always: under one Idempotency-Key it takes effect once
	unanswered                // while no answer came: an answer is about the user, who waits for it
)

// call is one request.
type call struct {
	method, path string // path is escaped
	query        url.Values
	body, out    any
	repeats      repeats
	timeout      time.Duration // of an attempt; 0: the client's patience
	accept       int           // a status of 300 or more that is an answer, too
	key          string        // Idempotency-Key
	file         *file         // the body instead; nil: none
}

// do sends a call, and repeats it as its error's strategy says, while that
// is safe and there is time for the wait.
func (c *Client) do(ctx context.Context, k call) (http.Header, error) {
	if k.timeout == 0 {
		k.timeout = c.patience
	}
	if k.repeats == keyed {
		k.key = rand.Text()
	}
	for attempt := 1; ; attempt++ {
		h, err := c.attempt(ctx, k)
		if err == nil || attempt == maxAttempts {
			return h, err
		}
		wait, ok := k.wait(err, attempt)
		if !ok || !pause(ctx, wait) {
			return h, err
		}
	}
}

// wait says whether to send k again after err, and when.
func (k call) wait(err error, attempt int) (time.Duration, bool) {
	if k.file != nil {
		if begun, _ := k.file.state(); begun {
			return 0, false // what was read is gone
		}
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" && !dial.Timeout() { // it never arrived
		return time.Duration(attempt) * 20 * time.Millisecond, true
	}
	if k.repeats == once {
		return 0, false
	}
	var e *Error
	if errors.As(err, &e) {
		if k.repeats == unanswered {
			return 0, false
		}
		return e.Problem.Wait(attempt)
	}
	return time.Duration(attempt) * 100 * time.Millisecond, errors.Is(err, ErrUnavailable)
}

// pause waits for d; false at once when d is beyond the context's deadline,
// and when the context ends.
func pause(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	if ok && time.Until(deadline) <= d || !ok && d > maxWait {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt sends a call once.
func (c *Client) attempt(ctx context.Context, k call) (http.Header, error) {
	limited, cancel := k.limit(ctx)
	defer cancel()
	req, err := c.request(limited, k)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, k.away(ctx, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return res.Header, k.away(ctx, err)
	case len(body) > maxBody:
		return res.Header, fmt.Errorf("client: %s %s: the answer is larger than %d bytes: ask for less", k.method, k.path, maxBody)
	case res.StatusCode >= 300 && res.StatusCode != k.accept:
		return res.Header, problemOf(k, res, body)
	case k.out == nil || res.StatusCode == http.StatusNoContent:
		return res.Header, nil
	}
	if err := json.Unmarshal(body, k.out); err != nil {
		if res.StatusCode >= 300 {
			return res.Header, problemOf(k, res, body)
		}
		return res.Header, fmt.Errorf("client: %s %s: the answer is not Gantry's (%w): check the base URL", k.method, k.path, err)
	}
	return res.Header, nil
}

// limit bounds an attempt: by its timeout, or while a file is sent by how
// long nothing moves.
func (k call) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if k.file == nil {
		return context.WithTimeout(ctx, k.timeout)
	}
	limited, cancel := context.WithCancel(ctx)
	stop := k.file.watch(k.timeout, cancel)
	return limited, func() { stop(); cancel() }
}

// away is the error of a request without an answer. The caller's own
// cancellation is not Gantry's failure, nor is a file that cannot be read.
func (k call) away(ctx context.Context, err error) error {
	if k.file != nil {
		if _, failed := k.file.state(); failed != nil && ctx.Err() == nil {
			return failed
		}
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("client: %s %s: %w", k.method, k.path, ctx.Err())
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // its text has the query, which names users
	}
	return fmt.Errorf("%w: %s %s: %w", ErrUnavailable, k.method, k.path, err)
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
	if k.file != nil {
		body = k.file
	}
	path, err := url.PathUnescape(k.path)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	u := *c.base
	u.RawPath = strings.TrimRight(c.base.EscapedPath(), "/") + k.path
	u.Path = strings.TrimRight(c.base.Path, "/") + path
	u.RawQuery = k.query.Encode()
	req, err := http.NewRequestWithContext(ctx, k.method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if k.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if k.file != nil {
		req.Header.Set("Content-Type", k.file.mime)
		req.ContentLength = k.file.size
		if k.file.size <= 0 {
			req.ContentLength = -1
		}
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	if k.key != "" {
		req.Header.Set("Idempotency-Key", k.key)
	}
	return req, nil
}
