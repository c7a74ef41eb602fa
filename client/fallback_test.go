package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

// gantry answers with res while it is not nil, and is away else.
type gantry struct {
	sent int
	res  func() *http.Response
}

func (g *gantry) serve(*http.Request) (*http.Response, error) {
	g.sent++
	if g.res == nil {
		return nil, errors.New("reset")
	}
	return g.res(), nil
}

var login = api.CheckRequest{Action: "LOGIN", User: "alice"}

func TestRefusalIsAVerdict(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	d := api.RateLimitedDetails{Limit: 5, Actual: 6, ResetAt: at, RetryAfter: 9, Policy: "LOGIN", Scope: "user", Mode: api.ModeEnforced, WindowSeconds: 60, PolicyName: "login"}
	c := newClient(t, func(*http.Request) (*http.Response, error) {
		r := problem(api.CodeRateLimited, d)
		r.Header.Add("RateLimit-Policy", `"login";q=5;w=60`)
		r.Header.Add("RateLimit", `"login";r=0;t=9`)
		return r, nil
	})
	v, err := c.Decide(t.Context(), login)
	if err != nil {
		t.Fatal(err)
	}
	want := api.CheckResult{Limit: 5, ResetAt: at, RetryAfter: 9, Policy: "LOGIN", Scope: "user", Mode: api.ModeEnforced}
	if diff := cmp.Diff(want, v.CheckResult); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
	if v.Problem == nil || v.Problem.Code != api.CodeRateLimited {
		t.Fatalf("Problem = %+v", v.Problem)
	}
	if diff := cmp.Diff(any(d), v.Problem.Details); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
	if v.RateLimit != `"login";r=0;t=9` || v.RateLimitPolicy != `"login";q=5;w=60` {
		t.Errorf("fields %q, %q", v.RateLimit, v.RateLimitPolicy)
	}
}

// TestFallback: while Gantry is away a subject passes as often as the limit
// last seen, per window.
func TestFallback(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gantry{res: func() *http.Response { return allowed("LOGIN", "login", 2, 60) }}
		c := newClient(t, g.serve)
		check := func(r api.CheckRequest) client.Verdict {
			t.Helper()
			v, err := c.Decide(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		if v := check(login); v.Mode != api.ModeEnforced {
			t.Fatalf("with Gantry: %+v", v)
		}
		g.res = nil
		start := time.Now().UTC()
		bob := api.CheckRequest{Action: "LOGIN", User: "bob"}
		for i, want := range []api.CheckResult{
			{Allowed: true, Remaining: 1}, {Allowed: true, Remaining: 0}, {Allowed: false, Remaining: 0, RetryAfter: 60}, {Allowed: false, Remaining: 0, RetryAfter: 60},
		} {
			want.Limit, want.ResetAt, want.Policy, want.Scope, want.Mode = 2, start.Add(time.Minute), "LOGIN", "user", api.ModeDegraded
			got := check(login)
			if diff := cmp.Diff(want, got.CheckResult); diff != "" {
				t.Errorf("check %d away (-want +got):\n%s", i, diff)
			}
			if (got.Problem != nil) == want.Allowed || got.RateLimit != "" {
				t.Errorf("check %d: problem %+v, field %q", i, got.Problem, got.RateLimit)
			}
		}
		if v := check(bob); !v.Allowed {
			t.Error("another subject was refused")
		}
		if v := check(api.CheckRequest{Action: "NEVER_SEEN", User: "alice"}); !v.Allowed || v.Mode != api.ModeDegraded {
			t.Errorf("an action never seen: %+v", v)
		}
		if v := check(api.CheckRequest{Action: "LOGIN", User: "carol", Cost: 3}); v.Allowed {
			t.Error("a cost beyond the limit passed")
		}
		if v, err := c.Peek(t.Context(), bob); err != nil || !v.Allowed || v.Remaining != 1 {
			t.Errorf("Peek = %+v, %v", v, err)
		}
		if vs, err := c.CheckBatch(t.Context(), []api.CheckRequest{bob, login}); err != nil || len(vs) != 2 || !vs[0].Allowed || vs[1].Allowed {
			t.Errorf("CheckBatch = %+v, %v", vs, err)
		}
		time.Sleep(time.Minute)
		if v := check(login); !v.Allowed {
			t.Error("refused in the next window")
		}
	})
}

// TestFallbackIPv6 counts an IPv6 address by its /64, as Gantry does.
func TestFallbackIPv6(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gantry{res: func() *http.Response { return allowed("LOGIN", "login.ip", 1, 60) }}
		c := newClient(t, g.serve)
		var got []bool
		for _, ip := range []string{"192.0.2.9", "2001:db8::1", "2001:db8::2%eth0", "2001:db8:0:1::1", "192.0.2.1", "::ffff:192.0.2.1", "not an address"} {
			v, err := c.Check(t.Context(), api.CheckRequest{Action: "LOGIN", IP: ip})
			if err != nil {
				t.Fatal(err)
			}
			g.res, got = nil, append(got, v.Allowed)
		}
		if diff := cmp.Diff([]bool{true, true, false, true, true, false, true}, got); diff != "" {
			t.Errorf("allowed (-want +got):\n%s", diff)
		}
	})
}

// TestLearns: the policy's own numbers count, not those of one subject, and
// a policy that refuses nobody is not limited here.
func TestLearns(t *testing.T) {
	t.Parallel()
	const policy = `"login.user";q=50;w=300, "login.ip";q=30;w=300`
	tests := []struct {
		name   string
		v      api.CheckResult
		policy string
		limit  int64 // learned; 0: none
	}{
		{"the rule that applies", api.CheckResult{Limit: 30, Mode: api.ModeEnforced}, policy, 50},
		{"not the override", api.CheckResult{Limit: 500, Mode: api.ModeEnforced}, policy, 50},
		{"an exempt subject's policy", api.CheckResult{Limit: 50, Mode: api.ModeExempt}, policy, 50},
		{"without a policy", api.CheckResult{Limit: 7, Mode: api.ModeEnforced}, "", 0},
		{"shadow", api.CheckResult{Limit: 30, Mode: api.ModeShadow}, policy, 0},
		{"unlimited", api.CheckResult{Limit: 30, Mode: api.ModeUnlimited}, policy, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tt.v.Policy, tt.v.Allowed = "LOGIN", true
				b, _ := json.Marshal(tt.v)
				g := &gantry{res: func() *http.Response { return respond(200, string(b), "RateLimit-Policy", tt.policy) }}
				c := newClient(t, g.serve)
				if _, err := c.Check(t.Context(), login); err != nil {
					t.Fatal(err)
				}
				g.res = nil
				if v, err := c.Check(t.Context(), login); err != nil || v.Limit != tt.limit || !v.Allowed {
					t.Errorf("Check = %+v, %v, want limit %d", v, err, tt.limit)
				}
			})
		})
	}
}

// TestLocalRefusal: a local refusal says as much as Gantry's.
func TestLocalRefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gantry{res: func() *http.Response { return allowed("LOGIN", "login", 2, 60) }}
		c := newClient(t, g.serve)
		if _, err := c.Check(t.Context(), login); err != nil {
			t.Fatal(err)
		}
		g.res = nil
		if v, err := c.Check(t.Context(), login); err != nil || !v.Allowed {
			t.Fatalf("Check = %+v, %v", v, err)
		}
		at := time.Now().UTC().Add(time.Minute)
		v, err := c.Decide(t.Context(), api.CheckRequest{Action: "LOGIN", User: "alice", Cost: 2})
		if err != nil {
			t.Fatal(err)
		}
		want := &api.Problem{Type: api.TypeQuotaExceeded, Title: "Too many requests", Status: 429, Code: api.CodeRateLimited,
			Message: api.Message(api.CodeRateLimited, "en"), Retryable: true, RetryAfterSeconds: 60, Retry: api.RetryAfter, ViolatedPolicies: []string{"login"},
			Details: api.RateLimitedDetails{Limit: 2, Actual: 3, Remaining: 1, ResetAt: at, RetryAfter: 60, Policy: "LOGIN", Scope: "user",
				Mode: api.ModeDegraded, WindowSeconds: 60, PolicyName: "login"}}
		if diff := cmp.Diff(want, v.Problem); diff != "" {
			t.Errorf("problem (-want +got):\n%s", diff)
		}
	})
}

// TestFallbackIsBounded: the millionth subject takes no more memory.
func TestFallbackIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gantry{res: func() *http.Response { return allowed("LOGIN", "login", 1, 60) }}
		c := newClient(t, g.serve)
		if _, err := c.Check(t.Context(), login); err != nil {
			t.Fatal(err)
		}
		g.res = nil
		_, most := c.Counts()
		for i := range most + 1000 {
			v, err := c.Check(t.Context(), api.CheckRequest{Action: "LOGIN", User: strconv.Itoa(i)})
			if err != nil || !v.Allowed {
				t.Fatalf("subject %d: %+v, %v", i, v, err)
			}
		}
		if n, _ := c.Counts(); n != most {
			t.Errorf("%d counts, want %d", n, most)
		}
		refused, err := c.Check(t.Context(), api.CheckRequest{Action: "LOGIN", User: strconv.Itoa(most + 999)})
		if err != nil || refused.Allowed {
			t.Errorf("a newcomer is not counted: %+v, %v", refused, err)
		}
	})
}

func TestFailClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, (&gantry{}).serve, client.WithFailClosed("PAYOUT_REQUEST", "LOGIN"))
		if _, err := c.Check(t.Context(), login); !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("Check = %v", err)
		}
		if _, err := c.Peek(t.Context(), login); !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("Peek = %v", err)
		}
		other := api.CheckRequest{Action: "REPORT_SUBMIT", User: "alice"}
		if _, err := c.CheckBatch(t.Context(), []api.CheckRequest{other, login}); !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("CheckBatch = %v", err)
		}
		if v, err := c.Check(t.Context(), other); err != nil || !v.Allowed {
			t.Errorf("Check of another action = %+v, %v", v, err)
		}
		none := newClient(t, (&gantry{}).serve, client.WithoutFallback())
		if !c.FailsClosed("LOGIN") || c.FailsClosed("REPORT_SUBMIT") || !none.FailsClosed("REPORT_SUBMIT") {
			t.Error("FailsClosed does not say what the options said")
		}
		if vs, err := none.CheckBatch(t.Context(), nil); !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("CheckBatch of nothing = %v, %v", vs, err)
		}
	})
}

// TestSlowGantry: a check takes at most its timeout, and the caller's
// deadline is no reason to refuse.
func TestSlowGantry(t *testing.T) {
	t.Parallel()
	hang := func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }
	for _, tt := range []struct{ deadline, took time.Duration }{{time.Minute, 250 * time.Millisecond}, {100 * time.Millisecond, 100 * time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
			defer cancel()
			start := time.Now()
			v, err := newClient(t, hang).Check(ctx, login)
			if err != nil || !v.Allowed || v.Mode != api.ModeDegraded {
				t.Errorf("Check = %+v, %v", v, err)
			}
			if took := time.Since(start); took != tt.took {
				t.Errorf("took %v, want %v", took, tt.took)
			}
		})
	}
}

// TestCancelled: whose request is gone is neither let in nor held against
// Gantry.
func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := newClient(t, func(r *http.Request) (*http.Response, error) {
		cancel()
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	for range 10 {
		if v, err := c.Check(ctx, login); !errors.Is(err, context.Canceled) || errors.Is(err, client.ErrUnavailable) || v.Allowed {
			t.Fatalf("Check = %+v, %v", v, err)
		}
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(r *http.Request) (*http.Response, error) {
		if r.ContentLength%2 == 0 {
			return nil, errors.New("reset")
		}
		return allowed("LOGIN", "login", 5, 60), nil
	})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if _, err := c.Check(t.Context(), api.CheckRequest{Action: "LOGIN", User: strconv.Itoa(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
