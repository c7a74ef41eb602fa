package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

// transport answers requests without a network, so that a synctest bubble
// can hold the client's clock.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func newClient(t *testing.T, rt transport, opts ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New("http://gantry.test", append([]client.Option{client.WithHTTPClient(&http.Client{Transport: rt})}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func respond(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func problem(code api.Code, details any) *http.Response {
	info, _ := api.Lookup(code)
	b, _ := json.Marshal(api.Problem{Status: info.HTTPStatus, Code: code, Detail: "what to do", Retry: info.Retry, Retryable: info.Retryable,
		RetryAfterSeconds: info.RetryAfterSeconds, Details: details})
	return respond(info.HTTPStatus, string(b), "Content-Type", "application/problem+json")
}

var errDial = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

func allowed(action, name string, limit int64, window int) *http.Response {
	b, _ := json.Marshal(api.CheckResult{Allowed: true, Limit: limit, Policy: action, Scope: "user", Mode: api.ModeEnforced})
	return respond(200, string(b), "RateLimit-Policy", `"`+name+`";q=`+strconv.FormatInt(limit, 10)+`;w=`+strconv.Itoa(window),
		"RateLimit", `"`+name+`";r=1;t=1`)
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "gantry", "localhost:8640", "ftp://host", "http://", "http://u:p@host", "http://host?x=1", "http://host/#a", "http://ho st"} {
		if _, err := client.New(bad); err == nil || strings.Contains(err.Error(), "u:p") {
			t.Errorf("New(%q) = %v, want an error that does not repeat it", bad, err)
		}
	}
	if _, err := client.New("https://host/base/", client.WithKey("gk_a\n")); err == nil || strings.Contains(err.Error(), "gk_a") {
		t.Errorf("a key with a line break: %v", err)
	}
	if _, err := client.New("https://host", client.WithTimeout(-1)); err == nil {
		t.Error("a negative timeout was taken")
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 4<<20+1)
	tests := []struct {
		name    string
		res     func() (*http.Response, error)
		away    bool
		code    api.Code // of an *Error
		mention string
	}{
		{"problem", func() (*http.Response, error) { return problem(api.CodeUnauthenticated, nil), nil }, false, api.CodeUnauthenticated, "what to do"},
		{"problem 503", func() (*http.Response, error) { return problem(api.CodeServiceDegraded, nil), nil }, true, api.CodeServiceDegraded, ""},
		{"limited by wrong keys", func() (*http.Response, error) {
			return problem(api.CodeRateLimited, api.RateLimitedDetails{Policy: "AUTH_FAILURE"}), nil
		}, false, api.CodeRateLimited, ""},
		{"proxy 502", func() (*http.Response, error) { return respond(502, "<html>"), nil }, true, "", "HTTP 502"},
		{"proxy 429", func() (*http.Response, error) { return respond(429, "slow down"), nil }, true, "", "HTTP 429"},
		{"wrong address", func() (*http.Response, error) { return respond(404, "not here"), nil }, false, "", "base URL"},
		{"redirect", func() (*http.Response, error) {
			return respond(307, "", "Location", "http://elsewhere.test/"), nil
		}, false, "", "HTTP 307"},
		{"html", func() (*http.Response, error) { return respond(200, "<html>"), nil }, false, "", "base URL"},
		{"other json", func() (*http.Response, error) { return respond(200, "{}"), nil }, false, "", "base URL"},
		{"too large", func() (*http.Response, error) { return respond(200, big), nil }, false, "", "larger"},
		{"network", func() (*http.Response, error) { return nil, errors.New("reset") }, true, "", "reset"},
		{"cut off", func() (*http.Response, error) {
			r := respond(200, "")
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), iotestErr{}))
			return r, nil
		}, true, "", "cut"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sent := 0
			c := newClient(t, func(*http.Request) (*http.Response, error) { sent++; return tt.res() }, client.WithoutFallback())
			_, err := c.Check(t.Context(), api.CheckRequest{Action: "LOGIN", User: "alice"})
			if err == nil || errors.Is(err, client.ErrUnavailable) != tt.away || !strings.Contains(err.Error(), tt.mention) {
				t.Errorf("Check = %v, want away %t and to read of %q", err, tt.away, tt.mention)
			}
			var e *client.Error
			if errors.As(err, &e); e != nil && e.Problem.Code != tt.code || e == nil && tt.code != "" {
				t.Errorf("Check = %v, want code %q", err, tt.code)
			}
			if sent != 1 {
				t.Errorf("the check was sent %d times", sent)
			}
		})
	}
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, errors.New("cut") }

// TestErrorNamesNobody: a query names users, and errors are logged.
func TestErrorNamesNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(*http.Request) (*http.Response, error) { return nil, errors.New("reset") }, client.WithKey("gk_secret"))
		_, err := c.Violations(t.Context(), client.ViolationQuery{User: "alice"})
		if err == nil || strings.Contains(err.Error(), "alice") || strings.Contains(err.Error(), "gk_") {
			t.Errorf("Violations = %v, want an error without the user and the key", err)
		}
	})
}

// TestRedirectKeepsKey: the key goes to no other host.
func TestRedirectKeepsKey(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer other.Close()
	srv := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	own := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
	c, err := client.New(srv.URL, client.WithKey("gk_test"), client.WithHTTPClient(own), client.WithTimeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Policies(t.Context()); err == nil || errors.Is(err, client.ErrUnavailable) {
		t.Errorf("Policies = %v, want an error about the address", err)
	}
	if reached.Load() {
		t.Error("the redirect was followed")
	}
}

func TestRepeats(t *testing.T) {
	t.Parallel()
	lost := func(*http.Request) (*http.Response, error) { return nil, errors.New("reset") }
	degraded := func(*http.Request) (*http.Response, error) { return problem(api.CodeServiceDegraded, nil), nil }
	refused := func(*http.Request) (*http.Response, error) { return nil, errDial }
	get := func(ctx context.Context, c *client.Client) error { _, err := c.Policies(ctx); return err }
	put := func(ctx context.Context, c *client.Client) error {
		return c.RevokeKey(ctx, "k1", "why")
	}
	check := func(ctx context.Context, c *client.Client) error {
		_, err := c.Check(ctx, api.CheckRequest{Action: "LOGIN", User: "alice"})
		return err
	}
	begin := func(ctx context.Context, c *client.Client) error {
		_, err := c.IdempotencyBegin(ctx, api.IdempotencyBeginRequest{Key: "k"})
		return err
	}
	peek := func(ctx context.Context, c *client.Client) error {
		_, err := c.Peek(ctx, api.CheckRequest{Action: "LOGIN", User: "alice"})
		return err
	}
	conflict := func(*http.Request) (*http.Response, error) { return problem(api.CodeConflict, nil), nil }
	tests := []struct {
		name     string
		fails    transport
		call     func(context.Context, *client.Client) error
		deadline time.Duration // of the context; 0: none
		sent     int
		min, max time.Duration // that it takes
	}{
		{"lost GET", lost, get, 0, 3, 300 * time.Millisecond, 300 * time.Millisecond},
		{"lost mutation", lost, put, 0, 3, 300 * time.Millisecond, 300 * time.Millisecond},
		{"lost peek", lost, peek, 0, 3, 300 * time.Millisecond, 300 * time.Millisecond},
		{"lost check", lost, check, 0, 1, 0, 0},
		{"lost begin", lost, begin, 0, 1, 0, 0},
		{"unconnected check", refused, check, 0, 3, 60 * time.Millisecond, 60 * time.Millisecond},
		{"unconnected begin", refused, begin, 0, 3, 60 * time.Millisecond, 60 * time.Millisecond},
		{"conflict", conflict, put, 0, 1, 0, 0},
		{"degraded with time", degraded, get, 10 * time.Minute, 3, 60 * time.Second, 150 * time.Second},
		{"degraded without time", degraded, get, 10 * time.Second, 1, 0, 0},
		{"degraded without deadline", degraded, get, 0, 1, 0, 0},
		{"short deadline", lost, get, 150 * time.Millisecond, 2, 100 * time.Millisecond, 100 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var keys []string
				c := newClient(t, func(r *http.Request) (*http.Response, error) {
					keys = append(keys, r.Header.Get("Idempotency-Key"))
					return tt.fails(r)
				}, client.WithoutFallback())
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				start := time.Now()
				if err := tt.call(ctx, c); err == nil {
					t.Fatal("no error")
				}
				if took := time.Since(start); took < tt.min || took > tt.max {
					t.Errorf("took %v, want %v to %v", took, tt.min, tt.max)
				}
				if len(keys) != tt.sent {
					t.Errorf("sent %d times, want %d", len(keys), tt.sent)
				}
				for _, k := range keys {
					if k != keys[0] {
						t.Errorf("Idempotency-Keys %q differ between attempts", keys)
					}
				}
			})
		})
	}
}

// TestRepeatSucceeds: the body is whole on the second attempt, too.
func TestRepeatSucceeds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var bodies [][]byte
		c := newClient(t, func(r *http.Request) (*http.Response, error) {
			b, _ := io.ReadAll(r.Body)
			if bodies = append(bodies, b); len(bodies) == 1 {
				return nil, errors.New("reset")
			}
			return respond(201, `{"id":"k1"}`), nil
		})
		k, err := c.CreateKey(t.Context(), api.CreateKeyRequest{Role: "app", Label: "web"})
		if err != nil || k.ID != "k1" || len(bodies) != 2 || !bytes.Equal(bodies[0], bodies[1]) {
			t.Errorf("CreateKey = %+v, %v; bodies %s", k, err, bodies)
		}
	})
}

func TestHealthDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(*http.Request) (*http.Response, error) {
			return respond(503, `{"status":"fail","health":"DOWN","version":"1"}`), nil
		})
		if h, err := c.Health(t.Context()); err != nil || h.Health != "DOWN" {
			t.Errorf("Health = %+v, %v", h, err)
		}
		c = newClient(t, func(*http.Request) (*http.Response, error) { return respond(503, "<html>"), nil })
		if _, err := c.Health(t.Context()); !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("Health of a proxy = %v, want ErrUnavailable", err)
		}
	})
}
