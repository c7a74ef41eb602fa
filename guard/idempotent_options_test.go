package guard_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/guard"
)

// TestIdempotentOptionalKey: a request without a key runs unclaimed; one
// with a bad key is refused all the same.
func TestIdempotentOptionalKey(t *testing.T) {
	t.Parallel()
	f, p := &gantry{}, &payout{status: 201}
	g, _ := newGuard(t, f)
	h := g.Idempotent(user, guard.WithOptionalKey())(p)
	for range 2 {
		if w := serve(h, "POST", "/payouts", "", "X-User", "alice"); w.Code != 201 {
			t.Errorf("without a key: %d %s", w.Code, w.Body)
		}
	}
	if p.runs != 2 || len(f.ops) != 0 {
		t.Errorf("%d runs, %d claims; want 2 and none", p.runs, len(f.ops))
	}
	if w := pay(h, "", "alice", ""); w.Code != 400 || p.runs != 2 {
		t.Errorf("with an empty key: %d after %d runs, want 400", w.Code, p.runs)
	}
	pay(h, "", "alice", "k")
	if w := pay(h, "", "alice", "k"); w.Header().Get("Idempotency-Replayed") != "true" || p.runs != 3 {
		t.Errorf("with a key: %v after %d runs", w.Header(), p.runs)
	}
}

// TestIdempotentLease: Gantry counts it in whole seconds.
func TestIdempotentLease(t *testing.T) {
	t.Parallel()
	for lease, want := range map[time.Duration]string{0: "", time.Millisecond: `"leaseSeconds":1`, 10 * time.Minute: `"leaseSeconds":600`} {
		var begin string
		g, _ := newGuard(t, &gantry{fails: func(r *http.Request) (*http.Response, error) {
			b, _ := io.ReadAll(r.Body)
			begin = string(b)
			return nil, errors.New("reset")
		}})
		pay(g.Idempotent(user, guard.WithLease(lease))(&payout{status: 201}), "", "alice", "k")
		if !strings.Contains(begin, want) || want == "" && strings.Contains(begin, "lease") {
			t.Errorf("a lease of %v was sent as %s, want %s", lease, begin, want)
		}
	}
}

// TestIdempotentInDoubt: the hook gets what ends the doubt.
func TestIdempotentInDoubt(t *testing.T) {
	t.Parallel()
	f := &gantry{fails: func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/begin") {
			return answer(200, api.IdempotencyBegin{State: api.IdempotencyInDoubt, Token: "8"}), nil
		}
		return nil, nil
	}}
	g, log := newGuard(t, f)
	p := &payout{status: 201}
	if w := pay(g.Idempotent(user)(p), "", "alice", "k"); w.Code != 409 || p.runs != 0 {
		t.Errorf("%d after %d runs, want 409 and none", w.Code, p.runs)
	}
	var doubt *guard.InDoubt
	if log.len() != 1 || !errors.As(log.errs[0], &doubt) || doubt.Token != "8" || len(doubt.Key) != 64 {
		t.Errorf("the hook got %v", log.errs)
	}
}
