// Package client is the Go client of Gantry: bounded in time, repeated only
// where that is safe. When Gantry is away limits are open and signups closed.
//
//	c, err := client.New("http://127.0.0.1:8640", client.WithKey(os.Getenv("GANTRY_KEY")))
//	v, err := c.Check(ctx, api.CheckRequest{Action: "LOGIN", User: "alice", IP: ip})
//	if err == nil && !v.Allowed { … answer 429, Retry-After: v.RetryAfter }
//
// Errors are of three kinds. ErrUnavailable: Gantry did not answer, or not
// sensibly. *Error: Gantry answered with a problem; what it says is in
// Problem (a 5xx is both). Anything else: the client is set up wrongly, or
// the context ended.
package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ErrUnavailable is what every failure to reach Gantry wraps: a network
// error, a timeout, a 5xx answer, or an open circuit.
var ErrUnavailable = errors.New("gantry is not available")

// Client talks to one Gantry. It is safe for concurrent use and needs no
// closing.
type Client struct {
	base     *url.URL
	key      string
	http     *http.Client
	timeout  time.Duration // of one attempt of a limit call
	patience time.Duration // of one attempt of anything else
	closed   []string      // actions that fail closed
	fallback *fallback     // nil: none
	breaker  breaker
}

// Option changes a Client.
type Option func(*Client)

// WithKey sends an API key or token with every request.
func WithKey(key string) Option { return func(c *Client) { c.key = key } }

// WithHTTPClient uses another transport, or a client with instruments. Its
// redirect policy is replaced: no redirect is followed, so a key is never
// sent to another host.
func WithHTTPClient(h *http.Client) Option {
	return func(c *Client) {
		if h != nil {
			own := *h
			c.http = &own
		}
	}
}

// WithTimeout bounds each attempt of every method. The defaults are 250 ms
// for Check, Peek, CheckBatch and Refund, and 10 s for the rest.
func WithTimeout(d time.Duration) Option {
	return func(c *Client) { c.timeout, c.patience = d, d }
}

// WithoutFallback returns ErrUnavailable when Gantry is away, instead of
// deciding locally.
func WithoutFallback() Option { return func(c *Client) { c.fallback = nil } }

// WithFailClosed returns ErrUnavailable for these actions when Gantry is
// away, instead of deciding locally.
func WithFailClosed(actions ...string) Option {
	return func(c *Client) { c.closed = append(c.closed, actions...) }
}

// New returns a client of the Gantry at baseURL, such as
// "http://127.0.0.1:8640". It sends nothing yet.
func New(baseURL string, opts ...Option) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		// Not quoted: a mistaken address may hold a password.
		return nil, errors.New("client: the base URL is not the address of a Gantry: it must look like http://host:port, without user, query and fragment")
	}
	c := &Client{base: u, http: &http.Client{Transport: transport()}, timeout: 250 * time.Millisecond, patience: 10 * time.Second,
		fallback: newFallback()}
	for _, o := range opts {
		o(c)
	}
	if strings.ContainsFunc(c.key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("client: the key has a space or a control character in it: was a line break copied with it?")
	}
	if c.timeout <= 0 {
		return nil, fmt.Errorf("client: a timeout of %v leaves no time for an answer: it must be above 0", c.timeout)
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// transport keeps enough idle connections for a busy host.
func transport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // the program has put its own in place
		return http.DefaultTransport
	}
	t = t.Clone()
	t.MaxIdleConnsPerHost = 64
	return t
}

// FailsClosed reports whether nothing of the action is decided locally: by
// WithFailClosed or WithoutFallback. A host that asked for that should not
// let a request pass on any other error either.
func (c *Client) FailsClosed(action string) bool {
	return c.fallback == nil || slices.Contains(c.closed, action)
}
