package guard_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/api"
)

func user(r *http.Request) string { return r.Header.Get("X-User") }

// payout is a financial endpoint; it answers with what it read.
type payout struct {
	mu     sync.Mutex
	runs   int
	status int
	size   int
}

func (p *payout) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.runs++
	p.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Location", "/payouts/1")
	w.WriteHeader(p.status)
	_, _ = w.Write(append(body, strings.Repeat(" ", p.size)...))
}

func pay(h http.Handler, body, who, key string) *httptest.ResponseRecorder {
	return serve(h, "POST", "/payouts", body, "X-User", who, "Idempotency-Key", key)
}

func TestIdempotentReplay(t *testing.T) {
	t.Parallel()
	f, p := &gantry{}, &payout{status: 201}
	g, log := newGuard(t, f)
	h := g.Idempotent(user)(p)
	first := pay(h, `{"eur":5}`, "alice", "k1")
	second := pay(h, `{"eur":5}`, "alice", "k1")
	if first.Code != 201 || first.Body.String() != `{"eur":5}` || first.Header().Get("Idempotency-Replayed") != "" {
		t.Errorf("first answer: %d %s %v", first.Code, first.Body, first.Header())
	}
	want := first.Header().Clone()
	want.Set("Idempotency-Replayed", "true")
	if d := cmp.Diff(want, second.Header()); d != "" || second.Code != 201 || second.Body.String() != first.Body.String() {
		t.Errorf("replay: %d %s, headers (-want +got):\n%s", second.Code, second.Body, d)
	}
	if p.runs != 1 || log.len() != 0 {
		t.Errorf("%d runs, errors %v", p.runs, log.errs)
	}
	for _, other := range []struct{ who, method, path, key string }{
		{"bob", "POST", "/payouts", "k1"}, {"alice", "PUT", "/payouts", "k1"}, {"alice", "POST", "/refunds", "k1"}, {"alice", "POST", "/payouts", "k2"},
	} {
		if w := serve(h, other.method, other.path, `{"eur":5}`, "X-User", other.who, "Idempotency-Key", other.key); w.Header().Get("Idempotency-Replayed") != "" {
			t.Errorf("%+v was answered with another's answer", other)
		}
	}
	if p.runs != 5 {
		t.Errorf("%d runs, want 5", p.runs)
	}
	for key := range f.ops {
		if len(key) != 64 || strings.Contains(key, "alice") {
			t.Errorf("the key %q is not a hash", key)
		}
	}
}

func TestIdempotentRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		body    string
		headers []string
		status  int
		code    api.Code
	}{
		{"no key", "", []string{"X-User", "alice"}, 400, api.CodeInvalidArgument},
		{"two keys", "", []string{"X-User", "alice", "Idempotency-Key", "a", "Idempotency-Key", "b"}, 400, api.CodeInvalidArgument},
		{"long key", "", []string{"X-User", "alice", "Idempotency-Key", strings.Repeat("k", 256)}, 400, api.CodeInvalidArgument},
		{"odd key", "", []string{"X-User", "alice", "Idempotency-Key", "ключ"}, 400, api.CodeInvalidArgument},
		{"no principal", "", []string{"Idempotency-Key", "k"}, 401, api.CodeUnauthenticated},
		{"large body", strings.Repeat("x", 1<<20+1), []string{"X-User", "alice", "Idempotency-Key", "k"}, 413, api.CodeInvalidArgument},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, p := &gantry{}, &payout{status: 201}
			g, _ := newGuard(t, f)
			w := serve(g.Idempotent(user)(p), "POST", "/payouts", tt.body, tt.headers...)
			if pr, _ := problemIn[any](t, w); w.Code != tt.status || pr.Code != tt.code || p.runs != 0 || len(f.ops) != 0 {
				t.Errorf("%d %s, %d runs, %d claims; want %d %s and none", w.Code, pr.Code, p.runs, len(f.ops), tt.status, tt.code)
			}
		})
	}
}

// TestIdempotentStates: the handler runs for a new claim only.
func TestIdempotentStates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		state, answer string
		status        int
		code          api.Code
		problem       string
	}{
		{"in progress", api.IdempotencyInProgress, "", 409, api.CodeConflict, "in_progress"},
		{"in doubt", api.IdempotencyInDoubt, "", 409, api.CodeConflict, "in_doubt"},
		{"completed by hand", api.IdempotencyReplay, `{"done":true}`, 409, api.CodeConflict, "answer_not_kept"},
		{"no answer", api.IdempotencyReplay, `null`, 409, api.CodeConflict, "answer_not_kept"},
		{"status out of range", api.IdempotencyReplay, `{"status":7}`, 409, api.CodeConflict, "answer_not_kept"},
		{"state of a later Gantry", "elsewhere", "", 503, api.CodeServiceDegraded, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, p := &gantry{}, &payout{status: 201}
			g, _ := newGuard(t, f)
			h := g.Idempotent(user)(p)
			pay(h, "", "alice", "k")
			f.become(tt.state, tt.answer)
			w := pay(h, "", "alice", "k")
			pr, d := problemIn[api.InvalidDetails](t, w)
			if w.Code != tt.status || pr.Code != tt.code || d.Problem != tt.problem || p.runs != 1 {
				t.Errorf("%d %s %q, %d runs; want %d %s %q and 1", w.Code, pr.Code, d.Problem, p.runs, tt.status, tt.code, tt.problem)
			}
		})
	}
}

func TestIdempotentMismatch(t *testing.T) {
	t.Parallel()
	p := &payout{status: 201}
	g, _ := newGuard(t, &gantry{})
	h := g.Idempotent(user)(p)
	pay(h, `{"eur":5}`, "alice", "k")
	for _, w := range []*httptest.ResponseRecorder{
		pay(h, `{"eur":500}`, "alice", "k"),
		serve(h, "POST", "/payouts?to=mallory", `{"eur":5}`, "X-User", "alice", "Idempotency-Key", "k"),
	} {
		if pr, _ := problemIn[any](t, w); w.Code != 422 || pr.Code != api.CodeIdempotencyMismatch {
			t.Errorf("%d %s, want 422", w.Code, w.Body)
		}
	}
	if p.runs != 1 {
		t.Errorf("%d runs, want 1", p.runs)
	}
}

// TestIdempotentNeverUnclaimed: an effect needs its claim, whatever the
// reason that there is none.
func TestIdempotentNeverUnclaimed(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]func(*http.Request) (*http.Response, error){"away": away, "wrong key": badKey} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &payout{status: 201}
			g, log := newGuard(t, &gantry{fails: fails})
			w := pay(g.Idempotent(user)(p), "", "alice", "k")
			if pr, _ := problemIn[any](t, w); w.Code != 503 || pr.Code != api.CodeServiceDegraded || w.Header().Get("Retry-After") != "30" {
				t.Errorf("%d %s, want 503 with Retry-After 30", w.Code, w.Body)
			}
			if p.runs != 0 || log.len() != 1 {
				t.Errorf("%d runs, errors %v; want none and one", p.runs, log.errs)
			}
		})
	}
}

// TestIdempotentKeeps: what becomes of the claim, by how the handler ended.
func TestIdempotentKeeps(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		p      *payout
		second int // status of a repetition
		runs   int
	}{
		{"done", &payout{status: 201}, 201, 1},
		{"refused", &payout{status: 402}, 402, 1},
		{"a little too large", &payout{status: 200, size: 47<<10 + 1}, 409, 1},
		{"large", &payout{status: 200, size: 47 << 10}, 200, 1},
		{"too large", &payout{status: 200, size: 1 << 20}, 409, 1},
		{"limited", &payout{status: 429}, 429, 2},
		{"failed", &payout{status: 500}, 409, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, log := newGuard(t, &gantry{})
			h := g.Idempotent(user)(tt.p)
			first := pay(h, "", "alice", "k")
			if first.Code != tt.p.status || first.Body.Len() != tt.p.size {
				t.Errorf("first answer: %d with %d bytes", first.Code, first.Body.Len())
			}
			if w := pay(h, "", "alice", "k"); w.Code != tt.second || tt.p.runs != tt.runs || log.len() != 0 {
				t.Errorf("repetition: %d after %d runs, errors %v; want %d after %d", w.Code, tt.p.runs, log.errs, tt.second, tt.runs)
			}
		})
	}
}

// TestIdempotentPanic: a panic passes, and its effect is in doubt.
func TestIdempotentPanic(t *testing.T) {
	t.Parallel()
	f := &gantry{}
	g, _ := newGuard(t, f)
	h := g.Idempotent(user)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	func() {
		defer func() {
			if got := recover(); got != http.ErrAbortHandler {
				t.Errorf("recovered %v", got)
			}
		}()
		pay(h, "", "alice", "k")
	}()
	if len(f.ops) != 1 || len(f.ended) != 0 {
		t.Errorf("%d claims, ended %v; want one, not ended", len(f.ops), f.ended)
	}
}

// TestIdempotentCompleteFails: the caller has its answer, the hook the
// error, and a repetition runs nothing.
func TestIdempotentCompleteFails(t *testing.T) {
	t.Parallel()
	f := &gantry{fails: func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/complete") {
			return badKey(r)
		}
		return nil, nil
	}}
	g, log := newGuard(t, f)
	p := &payout{status: 201}
	h := g.Idempotent(user)(p)
	if w := pay(h, "", "alice", "k"); w.Code != 201 || log.len() != 1 {
		t.Errorf("%d, errors %v; want 201 and one", w.Code, log.errs)
	}
	if w := pay(h, "", "alice", "k"); w.Code != 409 || p.runs != 1 {
		t.Errorf("repetition: %d after %d runs, want 409 after 1", w.Code, p.runs)
	}
}

// TestIdempotentCallerLeaves: who leaves before the handler runs leaves the
// key free; who leaves while it runs finds the answer later.
func TestIdempotentCallerLeaves(t *testing.T) {
	t.Parallel()
	f, p := &gantry{}, &payout{status: 201}
	g, _ := newGuard(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	leaves := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { cancel(); p.ServeHTTP(w, r) })
	request := func() *http.Request {
		r := httptest.NewRequestWithContext(ctx, "POST", "/payouts", nil)
		r.Header.Set("X-User", "alice")
		r.Header.Set("Idempotency-Key", "k")
		return r
	}
	g.Idempotent(user)(leaves).ServeHTTP(httptest.NewRecorder(), request())
	if w := pay(g.Idempotent(user)(p), "", "alice", "k"); w.Header().Get("Idempotency-Replayed") != "true" || p.runs != 1 {
		t.Errorf("after leaving during the run: %d %v, %d runs", w.Code, w.Header(), p.runs)
	}
	f.ops = nil
	g.Idempotent(user)(p).ServeHTTP(httptest.NewRecorder(), request())
	if len(f.ops) != 0 || p.runs != 1 {
		t.Errorf("after leaving before the run: %d claims, %d runs; want none and no other", len(f.ops), p.runs)
	}
}

// TestIdempotentConcurrent: of many at once, one runs.
func TestIdempotentConcurrent(t *testing.T) {
	t.Parallel()
	p := &payout{status: 201}
	g, _ := newGuard(t, &gantry{})
	h := g.Idempotent(user)(p)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if w := pay(h, "", "alice", "k"); w.Code != 201 && w.Code != 409 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	wg.Wait()
	if p.runs != 1 {
		t.Errorf("%d runs, want 1", p.runs)
	}
}

// TestIdempotentSafeMethods: they have no effect to repeat.
func TestIdempotentSafeMethods(t *testing.T) {
	t.Parallel()
	next := &counter{}
	g, _ := newGuard(t, &gantry{fails: away})
	for _, m := range []string{"GET", "HEAD", "OPTIONS"} {
		serve(g.Idempotent(user)(next), m, "/payouts", "")
	}
	if next.runs != 3 {
		t.Errorf("%d runs, want 3", next.runs)
	}
}

// TestIdempotentStream: early hints and flushing work, hijacking does not, over a real
// connection.
func TestIdempotentStream(t *testing.T) {
	t.Parallel()
	g, _ := newGuard(t, &gantry{})
	h := g.Idempotent(user)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints) // not the answer's status
		rc := http.NewResponseController(w)
		if _, _, err := rc.Hijack(); err == nil {
			t.Error("an answer that cannot be kept was hijacked")
		}
		_, _ = io.WriteString(w, "a")
		if err := rc.Flush(); err != nil {
			t.Error(err)
		}
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "b")
	}))
	srv := httptest.NewServer(h)
	defer srv.Close()
	for _, replayed := range []string{"", "true"} {
		r, _ := http.NewRequestWithContext(t.Context(), "POST", srv.URL, nil)
		r.Header.Set("X-User", "alice")
		r.Header.Set("Idempotency-Key", "k")
		res, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 200 || string(body) != "ab" || res.Header.Get("Idempotency-Replayed") != replayed {
			t.Errorf("%d %q %v, want 200, ab, replayed %q", res.StatusCode, body, res.Header, replayed)
		}
	}
}
