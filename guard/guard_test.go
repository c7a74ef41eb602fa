package guard_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
	"avalo.app/gantry/guard"
)

// gantry stands in for a Gantry: one policy of five, and the states of
// idempotent operations. fails replaces its answers.
type gantry struct {
	mu     sync.Mutex
	fails  func(*http.Request) (*http.Response, error)
	checks []api.CheckRequest
	ops    map[string]*operation
	ended  []api.IdempotencyCompleteRequest
}

type operation struct {
	fingerprint, state string
	answer             json.RawMessage
}

func (f *gantry) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if f.fails != nil {
		if res, err := f.fails(r); res != nil || err != nil {
			return res, err
		}
	}
	switch r.URL.Path {
	case "/v1/ratelimit/check":
		return f.check(r), nil
	case "/v1/idempotency/begin":
		return f.begin(r), nil
	case "/v1/idempotency/complete":
		return f.complete(r), nil
	}
	return answer(404, problem(api.CodeNotFound, nil)), nil
}

func (f *gantry) check(r *http.Request) *http.Response {
	var c api.CheckRequest
	_ = json.NewDecoder(r.Body).Decode(&c)
	f.checks = append(f.checks, c)
	used := int64(len(f.checks))
	var res *http.Response
	if used <= 5 {
		res = answer(200, api.CheckResult{Allowed: true, Limit: 5, Remaining: 5 - used, Policy: c.Action, Scope: "user", Mode: api.ModeEnforced})
	} else {
		p := problem(api.CodeRateLimited, api.RateLimitedDetails{Limit: 5, Actual: 6, RetryAfter: 42, Policy: c.Action, Scope: "user",
			Mode: api.ModeEnforced, WindowSeconds: 60, PolicyName: "login.user"})
		p.RetryAfterSeconds, p.RequestID = 42, "req-1"
		res = answer(429, p)
	}
	res.Header.Set("RateLimit-Policy", `"login.user";q=5;w=60`)
	res.Header.Set("RateLimit", `"login.user";r=`+strconv.FormatInt(max(0, 5-used), 10)+`;t=42`)
	return res
}

func (f *gantry) begin(r *http.Request) *http.Response {
	var b api.IdempotencyBeginRequest
	_ = json.NewDecoder(r.Body).Decode(&b)
	if f.ops == nil {
		f.ops = map[string]*operation{}
	}
	op := f.ops[b.Key]
	switch {
	case op == nil:
		f.ops[b.Key] = &operation{fingerprint: b.Fingerprint, state: api.IdempotencyInProgress}
		return answer(200, api.IdempotencyBegin{State: api.IdempotencyNew, Token: "7"})
	case op.fingerprint != b.Fingerprint:
		return answer(422, problem(api.CodeIdempotencyMismatch, nil))
	}
	return answer(200, api.IdempotencyBegin{State: op.state, Answer: op.answer})
}

func (f *gantry) complete(r *http.Request) *http.Response {
	var c api.IdempotencyCompleteRequest
	_ = json.NewDecoder(r.Body).Decode(&c)
	f.ended = append(f.ended, c)
	switch {
	case f.ops[c.Key] == nil || c.Token != "7":
		return answer(409, problem(api.CodeConflict, nil))
	case len(c.Answer) > 64<<10:
		return answer(400, problem(api.CodeInvalidArgument, nil))
	case c.Release:
		delete(f.ops, c.Key)
	default:
		f.ops[c.Key].state, f.ops[c.Key].answer = api.IdempotencyReplay, c.Answer
	}
	return answer(204, nil)
}

// become puts every operation in a state, with an answer.
func (f *gantry) become(state, answer string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, op := range f.ops {
		op.state, op.answer = state, json.RawMessage(answer)
	}
}

func (f *gantry) fail(how func(*http.Request) (*http.Response, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails = how
}

func problem(code api.Code, details any) api.Problem {
	info, _ := api.Lookup(code)
	return api.Problem{Code: code, Status: info.HTTPStatus, Retry: info.Retry, Details: details}
}

func answer(status int, v any) *http.Response {
	b, _ := json.Marshal(v)
	if v == nil {
		b = nil
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(b))}
}

func away(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset") }

func badKey(*http.Request) (*http.Response, error) {
	return answer(401, problem(api.CodeUnauthenticated, nil)), nil
}

// errorLog is an error hook that remembers.
type errorLog struct {
	mu   sync.Mutex
	errs []error
}

func (l *errorLog) hook(_ *http.Request, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, err)
}

func (l *errorLog) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.errs)
}

func newGuard(t *testing.T, f http.RoundTripper, opts ...client.Option) (*guard.Guard, *errorLog) {
	t.Helper()
	c, err := client.New("http://gantry.test", append(opts, client.WithHTTPClient(&http.Client{Transport: f}))...)
	if err != nil {
		t.Fatal(err)
	}
	log := &errorLog{}
	return guard.New(c, guard.WithErrorHook(log.hook)), log
}

// serve sends one request; pairs are its headers.
func serve(h http.Handler, method, target, body string, pairs ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i+1 < len(pairs); i += 2 {
		r.Header.Add(pairs[i], pairs[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// problemIn reads a problem answer.
func problemIn[D any](t *testing.T, w *httptest.ResponseRecorder) (p api.Problem, details D) {
	t.Helper()
	if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
		t.Fatalf("Content-Type %q, want a problem; %d %s", ct, w.Code, w.Body)
	}
	p.Details = &details
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if p.Status != w.Code {
		t.Errorf("problem status %d in an answer %d", p.Status, w.Code)
	}
	return p, details
}
