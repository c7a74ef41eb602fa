// Package client is the Go client of Gantry: bounded in time, safe to repeat,
// and open when Gantry is away.
//
//	c, err := client.New("http://127.0.0.1:8640", client.WithKey(os.Getenv("GANTRY_KEY")))
//	v, err := c.Check(ctx, api.CheckRequest{Action: "LOGIN", User: "alice", IP: ip})
//	if err == nil && !v.Allowed { … answer 429, Retry-After: v.RetryAfter }
package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// ErrUnavailable is what every failure to reach Gantry wraps: a network
// error, a timeout, a 5xx answer, or an open circuit.
var ErrUnavailable = errors.New("gantry is not available")

// Client talks to one Gantry. It is safe for concurrent use.
type Client struct {
	base     *url.URL
	key      string
	http     *http.Client
	timeout  time.Duration // of one attempt of a check
	patience time.Duration // of one attempt of anything else
	closed   []string      // actions that fail closed
	fallback *fallback     // nil: none
	breaker  *breaker
	now      func() time.Time
	sleep    func(d time.Duration, done <-chan struct{}) bool
}

// Option changes a Client.
type Option func(*Client)

// WithKey sends an API key or token.
func WithKey(key string) Option { return func(c *Client) { c.key = key } }

// WithHTTPClient uses another transport. Its redirect policy is replaced: a
// key is never sent to another host.
func WithHTTPClient(h *http.Client) Option {
	return func(c *Client) { own := *h; c.http = &own }
}

// WithTimeout bounds each attempt. The default is 250 ms for checks and 10 s
// for the rest.
func WithTimeout(d time.Duration) Option {
	return func(c *Client) { c.timeout, c.patience = d, d }
}

// WithoutFallback makes Check fail with ErrUnavailable when Gantry is away,
// instead of deciding locally.
func WithoutFallback() Option { return func(c *Client) { c.fallback = nil } }

// WithFailClosed makes Check fail with ErrUnavailable for these actions when
// Gantry is away.
func WithFailClosed(actions ...string) Option {
	return func(c *Client) { c.closed = append(c.closed, actions...) }
}

// New returns a client of the Gantry at baseURL, such as
// "http://127.0.0.1:8640".
func New(baseURL string, opts ...Option) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil {
		return nil, fmt.Errorf("client: %q is not the address of a Gantry: it must look like http://host:port", baseURL)
	}
	c := &Client{base: u, http: &http.Client{Transport: transport()}, timeout: 250 * time.Millisecond, patience: 10 * time.Second,
		fallback: newFallback(), now: time.Now, sleep: sleep}
	for _, o := range opts {
		o(c)
	}
	c.breaker = newBreaker(func() time.Time { return c.now() })
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// transport keeps enough idle connections for a busy host.
func transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 64
	return t
}

func (c *Client) failsClosed(action string) bool { return slices.Contains(c.closed, action) }

// sleep waits for d; false when done closed first.
func sleep(d time.Duration, done <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-done:
		return false
	}
}
