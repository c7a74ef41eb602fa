package ratelimittest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/ratelimit"
)

func peek(t *testing.T, h *harness) {
	for _, p := range rules() {
		name := p.Algorithm.String()
		d := h.demand(name, p, 1)
		before := h.now
		if ok, out := h.peek(t, d); !ok || out[0].Remaining != 99 {
			t.Fatalf("%s: peek at a newcomer: %+v", name, out)
		}
		h.now += hour / 2
		ok, seen := h.peek(t, d)
		took, out := h.take(t, d)
		if diff := cmp.Diff(out, seen); ok != took || diff != "" {
			t.Fatalf("%s: peek differs from the take after it (-take +peek):\n%s", name, diff)
		}
		for range 200 {
			h.peek(t, d, d)
		}
		wantPasses(t, name+" after 401 peeks", h.passes(t, d), 99)
		ok, seen = h.peek(t, d)
		took, out = h.take(t, d)
		if diff := cmp.Diff(out, seen); ok || took || diff != "" {
			t.Fatalf("%s: peek differs from the refusal after it (-take +peek):\n%s", name, diff)
		}
		h.now = before
	}
	p := rules()[0]
	p.BlockAfter, p.BlockFor = 1, hour
	full := h.demand("struck", p, 100)
	h.take(t, full)
	for range 3 {
		if _, out := h.peek(t, full); out[0].Blocked {
			t.Fatal("a peek was a strike")
		}
	}
}

func peekAhead(t *testing.T, h *harness) {
	for _, p := range rules() {
		d := h.demand(p.Algorithm.String(), p, 1)
		wantPasses(t, p.Algorithm.String(), h.passes(t, d), 100)
		if ok, out := call(t, h.Peek, h.now+5*hour, []ratelimit.Demand{d, h.demand("new", p, 1)}); !ok {
			t.Fatalf("%s: five windows ahead: %+v", p.Algorithm, out)
		}
		if ok, out := h.take(t, d); ok {
			t.Fatalf("%s: a peek ahead let one more pass: %+v", p.Algorithm, out)
		}
	}
}

func refund(t *testing.T, h *harness) {
	for _, p := range rules() {
		name := p.Algorithm.String()
		one, ten := h.demand(name, p, 1), h.demand(name, p, 10)
		h.passes(t, one)
		h.refund(t, ten)
		wantPasses(t, name+" after a refund of 10", h.passes(t, one), 10)
		for range 15 {
			h.refund(t, ten)
		}
		wantPasses(t, name+" after a refund of more than it took", h.passes(t, one), 100)
	}
	p := rules()[0]
	h.now += hour
	h.refund(t, h.demand(p.Algorithm.String(), p, 100))
	if ok, _ := h.take(t, h.demand(p.Algorithm.String(), p, 1)); ok {
		t.Fatal("a refund changed the window before")
	}
}

func (h *harness) refund(t *testing.T, demands ...ratelimit.Demand) {
	t.Helper()
	if err := h.Refund(t.Context(), h.now, demands); err != nil {
		t.Fatalf("refund failed: %v", err)
	}
}

func refundUnknown(t *testing.T, h *harness) {
	for _, p := range rules() {
		d := h.demand(p.Algorithm.String(), p, 1)
		h.refund(t, d, d)
		h.now += hour / 2
		if ok, out := h.take(t, d); !ok || p.Algorithm != ratelimit.GCRA && out[0].ResetAt != h.now+hour {
			t.Fatalf("%s: the window began with a refund: %+v", p.Algorithm, out)
		}
		wantPasses(t, p.Algorithm.String(), h.passes(t, d), 99)
	}
}

func penalty(t *testing.T, h *harness) {
	p := ratelimit.Params{Algorithm: ratelimit.WindowCredit, Window: 60 * second, Limit: 2, BlockAfter: 3, BlockFor: 900 * second}
	d := h.demand("user", p, 1)
	begin := h.now
	wantPasses(t, "before", h.passes(t, d), 2) // the third was the first strike
	h.now += second
	if ok, out := h.take(t, d); ok || out[0].Blocked || out[0].RetryAt != begin+60*second {
		t.Fatalf("second strike: %+v", out)
	}
	h.now += second
	until := h.now + 900*second
	if ok, out := h.take(t, d); ok || out[0].Blocked || out[0].RetryAt != until {
		t.Fatalf("the third strike must tell of the block: %+v", out)
	}
	h.refund(t, d, d) // never lifts a penalty
	for _, at := range []int64{h.now, h.now + 300*second, until - 1} {
		h.now = at
		want := ratelimit.Outcome{Blocked: true, RetryAt: until, ResetAt: until}
		if ok, out := h.take(t, d); ok || out[0] != want {
			t.Fatalf("blocked %d µs before the end: %+v", until-at, out)
		}
	}
	h.now = until
	wantPasses(t, "after the block", h.passes(t, d), 2)
	h.now += 60*second - 1
	if _, out := h.take(t, d); out[0].Blocked || out[0].RetryAt > until+60*second {
		t.Fatalf("second strike after the block: %+v", out)
	}
	h.now += 60 * second // the strikes are older than one window
	h.passes(t, d)
	if _, out := h.take(t, d); out[0].Blocked || out[0].RetryAt > h.now+60*second {
		t.Fatalf("strikes of an earlier window still count: %+v", out)
	}
}

func penaltyOfRefuser(t *testing.T, h *harness) {
	p := ratelimit.Params{Algorithm: ratelimit.SlidingWindow, Window: 60 * second, Limit: 2, BlockAfter: 2, BlockFor: 900 * second}
	q := p
	q.Limit = 100
	full, free := h.demand("full", p, 1), h.demand("free", q, 1)
	h.take(t, full, free)
	h.take(t, full, free)
	for range 5 {
		h.take(t, free, full)
	}
	if _, out := h.take(t, free, full); out[0].Blocked || !out[0].Allowed || !out[1].Blocked {
		t.Fatalf("only the counter that refused is blocked: %+v", out)
	}
	wantPasses(t, "the other one", h.passes(t, free), 98)
}

func changeLimit(t *testing.T, h *harness) {
	for _, p := range rules() {
		name := p.Algorithm.String()
		d := h.demand(name, p, 1)
		h.take(t, h.demand(name, p, 60))
		more, less := d, d
		more.Params.Limit, more.Params.Burst = 150, 0
		less.Params.Limit, less.Params.Burst = 50, 0
		if ok, out := h.take(t, less); ok || out[0].Remaining != 0 {
			t.Fatalf("%s: 60 counted, limit lowered to 50: %+v", name, out)
		}
		wantPasses(t, name+" raised to 150", h.passes(t, more), 90)
		wantPasses(t, name+" back at 100", h.passes(t, d), 0)
	}
}

func changeRule(t *testing.T, h *harness) {
	for _, from := range rules() {
		for _, to := range rules() {
			to.Window = hour / 2
			name := from.Algorithm.String() + " to " + to.Algorithm.String()
			h.now = start
			h.take(t, h.demand(name, from, 30))
			to.Limit, to.Burst = 20, 0
			one := h.demand(name, to, 1)
			_, first := h.take(t, one)
			if first[0].Allowed {
				t.Fatalf("%s: 30 counted, limit 20 now: %+v", name, first)
			}
			h.now += second
			if _, again := h.take(t, one); again[0].RetryAt != first[0].RetryAt {
				t.Fatalf("%s: the moment of passing moved by %d µs", name, again[0].RetryAt-first[0].RetryAt)
			}
			h.now = first[0].RetryAt - 1
			wantPasses(t, name+" just before the moment", h.passes(t, one), 0)
			h.now++
			wantPasses(t, name+" at the moment", min(1, h.passes(t, one)), 1)
		}
	}
}

func clockBack(t *testing.T, h *harness) {
	for _, p := range rules() {
		name := p.Algorithm.String()
		d := h.demand(name, p, 1)
		h.now = start
		wantPasses(t, name, h.passes(t, d), 100)
		for _, back := range []int64{1, second, hour, 100 * 24 * hour} {
			h.now = start - back
			wantPasses(t, name+" after the clock went back", h.passes(t, d), 0)
		}
		h.now = start
		if _, out := h.take(t, d); out[0].RetryAt <= start {
			t.Fatalf("%s: full, and RetryAt is %d µs ago", name, start-out[0].RetryAt)
		}
	}
}
