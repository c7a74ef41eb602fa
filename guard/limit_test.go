package guard_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
	"avalo.app/gantry/guard"
)

func alice(*http.Request) guard.Subject { return guard.Subject{User: "alice"} }

// counter is a handler that counts its runs.
type counter struct{ runs int }

func (c *counter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	c.runs++
	w.WriteHeader(http.StatusNoContent)
}

func TestLimit(t *testing.T) {
	t.Parallel()
	f, next := &gantry{}, &counter{}
	g, log := newGuard(t, f)
	h := g.Limit("LOGIN", func(*http.Request) guard.Subject {
		return guard.Subject{User: "alice", IP: "::ffff:192.0.2.1", Device: "d1"}
	})(next)
	w := serve(h, "POST", "/login", "")
	got := []string{w.Header().Get("RateLimit"), w.Header().Get("RateLimit-Policy"), w.Header().Get("Retry-After")}
	if d := cmp.Diff([]string{`"login.user";r=4;t=42`, `"login.user";q=5;w=60`, ""}, got); d != "" || w.Code != 204 {
		t.Errorf("allowed: %d, headers (-want +got):\n%s", w.Code, d)
	}
	if d := cmp.Diff([]api.CheckRequest{{Action: "LOGIN", User: "alice", IP: "192.0.2.1", Device: "d1"}}, f.checks); d != "" {
		t.Errorf("checks (-want +got):\n%s", d)
	}
	for range 4 {
		serve(h, "POST", "/login", "")
	}
	w = serve(h, "POST", "/login?x=1", "", "Accept-Language", "pl, en;q=0.5")
	p, details := problemIn[api.RateLimitedDetails](t, w)
	p.Details = nil
	want := api.Problem{Type: "https://iana.org/assignments/http-problem-types#quota-exceeded", Title: "Too many requests", Status: 429,
		Instance: "/login", Code: api.CodeRateLimited, Message: api.Message(api.CodeRateLimited, "pl"), Retryable: true,
		RetryAfterSeconds: 42, Retry: api.RetryAfter, RequestID: "req-1", ViolatedPolicies: []string{"login.user"}}
	if d := cmp.Diff(want, p); d != "" {
		t.Errorf("refusal (-want +got):\n%s", d)
	}
	if d := cmp.Diff(api.RateLimitedDetails{Limit: 5, Actual: 6, RetryAfter: 42, Policy: "LOGIN", Scope: "user", Mode: api.ModeEnforced,
		WindowSeconds: 60, PolicyName: "login.user"}, details); d != "" {
		t.Errorf("details (-want +got):\n%s", d)
	}
	got = []string{w.Header().Get("RateLimit"), w.Header().Get("Retry-After"), w.Header().Get("Content-Language"), w.Header().Get("Cache-Control")}
	if d := cmp.Diff([]string{`"login.user";r=0;t=42`, "42", "pl", "no-store"}, got); d != "" {
		t.Errorf("headers of the refusal (-want +got):\n%s", d)
	}
	if next.runs != 5 || log.len() != 0 {
		t.Errorf("%d runs and errors %v, want 5 and none", next.runs, log.errs)
	}
}

func TestLimitWithoutVerdict(t *testing.T) {
	t.Parallel()
	authLimited := func(*http.Request) (*http.Response, error) {
		return answer(429, problem(api.CodeRateLimited, api.RateLimitedDetails{Policy: "AUTH_FAILURE"})), nil
	}
	tests := []struct {
		name  string
		fails func(*http.Request) (*http.Response, error)
		opts  []client.Option
		code  int
		hooks int
	}{
		{"away, open", away, nil, 204, 0},
		{"away, closed", away, []client.Option{client.WithFailClosed("LOGIN")}, 503, 1},
		{"away, another closed", away, []client.Option{client.WithFailClosed("PAYOUT")}, 204, 0},
		{"away, no fallback", away, []client.Option{client.WithoutFallback()}, 503, 1},
		{"wrong key", badKey, nil, 204, 1},
		{"wrong key, closed", badKey, []client.Option{client.WithFailClosed("LOGIN")}, 503, 1},
		{"wrong key, another closed", badKey, []client.Option{client.WithFailClosed("PAYOUT")}, 204, 1},
		{"wrong key, no fallback", badKey, []client.Option{client.WithoutFallback()}, 503, 1},
		{"many wrong keys", authLimited, nil, 204, 1},
		{"many wrong keys, closed", authLimited, []client.Option{client.WithFailClosed("LOGIN")}, 503, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, log := newGuard(t, &gantry{fails: tt.fails}, tt.opts...)
			w := serve(g.Limit("LOGIN", alice)(&counter{}), "POST", "/login", "")
			if w.Code != tt.code || log.len() != tt.hooks {
				t.Errorf("%d with errors %v, want %d with %d", w.Code, log.errs, tt.code, tt.hooks)
			}
			if w.Code != http.StatusServiceUnavailable {
				return
			}
			if p, _ := problemIn[any](t, w); p.Code != api.CodeServiceDegraded || w.Header().Get("Retry-After") != "30" {
				t.Errorf("%s with Retry-After %q, want SERVICE_DEGRADED with 30", p.Code, w.Header().Get("Retry-After"))
			}
		})
	}
}

// TestLimitLocalRefusal: what was learned holds while Gantry is away.
func TestLimitLocalRefusal(t *testing.T) {
	t.Parallel()
	f := &gantry{}
	g, _ := newGuard(t, f)
	h := g.Limit("LOGIN", alice)(&counter{})
	serve(h, "POST", "/login", "")
	f.fail(away)
	var w *httptest.ResponseRecorder
	for range 6 {
		w = serve(h, "POST", "/login", "")
	}
	p, d := problemIn[api.RateLimitedDetails](t, w)
	if w.Code != 429 || d.Mode != api.ModeDegraded || d.Limit != 5 || p.RetryAfterSeconds < 1 || w.Header().Get("RateLimit") != "" {
		t.Errorf("%d %+v %+v, want a degraded refusal of 5", w.Code, p, d)
	}
	if diff := cmp.Diff([]string{"login.user"}, p.ViolatedPolicies); diff != "" {
		t.Errorf("violated policies (-want +got):\n%s", diff)
	}
}

// TestLimitCancelled: a caller who hangs up during the check is not served.
func TestLimitCancelled(t *testing.T) {
	t.Parallel()
	next := &counter{}
	ctx, cancel := context.WithCancel(t.Context())
	g, log := newGuard(t, &gantry{fails: func(r *http.Request) (*http.Response, error) {
		cancel()
		return nil, context.Canceled
	}})
	r := httptest.NewRequestWithContext(ctx, "POST", "/login", nil)
	g.Limit("LOGIN", alice)(next).ServeHTTP(httptest.NewRecorder(), r)
	if next.runs != 0 || log.len() != 0 {
		t.Errorf("%d runs and errors %v, want none", next.runs, log.errs)
	}
}

// TestLimitSubjects: no value that a caller chooses makes the check fail,
// since what fails passes.
func TestLimitSubjects(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   guard.Subject
		want api.CheckRequest
	}{
		{"plain", guard.Subject{User: "zoë", IP: "2001:db8::1%eth0", Device: strings.Repeat("d", 256)},
			api.CheckRequest{User: "zoë", IP: "2001:db8::1", Device: strings.Repeat("d", 256)}},
		{"long", guard.Subject{Device: strings.Repeat("d", 257)},
			api.CheckRequest{Device: "sha256:"}},
		{"not text", guard.Subject{User: "a\xff", Device: "a\x00"},
			api.CheckRequest{User: "sha256:", Device: "sha256:"}},
		{"no address", guard.Subject{User: "a", IP: "unknown"}, api.CheckRequest{User: "a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := &gantry{}
			g, _ := newGuard(t, f)
			serve(g.Limit("LOGIN", func(*http.Request) guard.Subject { return tt.in })(&counter{}), "POST", "/", "")
			got := f.checks[0]
			for _, v := range []struct{ want, got string }{{tt.want.User, got.User}, {tt.want.IP, got.IP}, {tt.want.Device, got.Device}} {
				hashed := strings.HasPrefix(v.want, "sha256:")
				if !hashed && v.got != v.want || hashed && (!strings.HasPrefix(v.got, "sha256:") || len(v.got) != 71) {
					t.Errorf("sent %q, want %q", v.got, v.want)
				}
			}
		})
	}
}
