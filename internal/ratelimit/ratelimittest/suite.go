// Package ratelimittest is what every ratelimit.Counters must pass, and a fake
// for what a store does when it fails.
//
// A driver joins with one test that calls Run. The suite never sleeps: time is
// passed in. A driver whose store expires data by its own clock must keep a
// counter for three of its windows (gcra: until its bucket has drained).
package ratelimittest

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/ratelimit"
)

// start is when tests begin: some time in 2027, in Unix µs.
const start = 1_800_000_000_123_456

var (
	second = time.Second.Microseconds()
	hour   = time.Hour.Microseconds()
)

// Run checks that the counters made by open do what ratelimit.Counters
// promises. open is called once per test, and may return the same store again:
// every test uses keys of its own.
func Run(t *testing.T, open func(*testing.T) ratelimit.Counters) {
	tests := []struct {
		name string
		run  func(*testing.T, *harness)
	}{
		{"exactly the limit under 64 goroutines", exactLimit},
		{"several demands are all charged or none", allOrNothing},
		{"several demands from many goroutines", allOrNothingConcurrently},
		{"one counter twice in a call", duplicates},
		{"more demands than usual", manyDemands},
		{"peek changes nothing", peek},
		{"a peek ahead changes nothing before then", peekAhead},
		{"refund gives back what the window holds", refund},
		{"an unknown key has nothing to refund", refundUnknown},
		{"penalty blocks, tells when it ends, and ends", penalty},
		{"penalty strikes only who refused", penaltyOfRefuser},
		{"live change of limit keeps the count", changeLimit},
		{"live change of window or algorithm carries the count", changeRule},
		{"a clock that goes back passes nothing extra", clockBack},
		{"a random schedule, step by step against the pure functions", schedule},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var secret [16]byte
			if _, err := rand.Read(secret[:]); err != nil {
				t.Fatal(err)
			}
			tt.run(t, &harness{Counters: open(t), hasher: ratelimit.NewHasher(secret), now: start})
		})
	}
}

// harness calls counters and fails the test on an error.
type harness struct {
	ratelimit.Counters
	hasher *ratelimit.Hasher
	now    int64
}

func (h *harness) key(name string) ratelimit.Key {
	return h.hasher.Key("TEST", ratelimit.User, ratelimit.Subject{User: name})
}

func (h *harness) demand(name string, p ratelimit.Params, cost int64) ratelimit.Demand {
	return ratelimit.Demand{Key: h.key(name), Params: p, Cost: cost}
}

func (h *harness) take(t *testing.T, demands ...ratelimit.Demand) (bool, []ratelimit.Outcome) {
	t.Helper()
	return call(t, h.Take, h.now, demands)
}

func (h *harness) peek(t *testing.T, demands ...ratelimit.Demand) (bool, []ratelimit.Outcome) {
	t.Helper()
	return call(t, h.Peek, h.now, demands)
}

type callFunc func(context.Context, int64, []ratelimit.Demand, []ratelimit.Outcome) (bool, error)

func call(t *testing.T, f callFunc, now int64, demands []ratelimit.Demand) (bool, []ratelimit.Outcome) {
	t.Helper()
	out := make([]ratelimit.Outcome, len(demands))
	allowed, err := f(t.Context(), now, demands, out)
	if err != nil {
		t.Fatalf("counters failed: %v", err)
	}
	return allowed, out
}

// passes takes d until it is refused and returns how often it passed.
func (h *harness) passes(t *testing.T, d ratelimit.Demand) (n int) {
	t.Helper()
	for {
		if ok, _ := h.take(t, d); !ok {
			return n
		}
		if n++; n > 10_000 {
			t.Fatal("no limit after 10,000 demands")
		}
	}
}

func wantPasses(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %d passed, want %d", what, got, want)
	}
}

// rules has one rule of each algorithm: 100 an hour.
func rules() []ratelimit.Params {
	return []ratelimit.Params{
		{Algorithm: ratelimit.SlidingWindow, Window: hour, Limit: 100},
		{Algorithm: ratelimit.WindowCredit, Window: hour, Limit: 100, Burst: 120},
		{Algorithm: ratelimit.GCRA, Window: hour, Limit: 100},
	}
}

func exactLimit(t *testing.T, h *harness) {
	const workers, each = 64, 5
	for _, p := range rules() {
		d := h.demand(p.Algorithm.String(), p, 1)
		passed := inParallel(t, workers, func(int) int {
			n := 0
			for range each {
				if ok, err := h.Take(t.Context(), h.now, []ratelimit.Demand{d}, make([]ratelimit.Outcome, 1)); err != nil {
					t.Error(err)
				} else if ok {
					n++
				}
			}
			return n
		})
		wantPasses(t, p.Algorithm.String(), passed, 100)
	}
}

// inParallel runs f in n goroutines at once and adds up what they return.
func inParallel(t *testing.T, n int, f func(worker int) int) int {
	t.Helper()
	var sum atomic.Int64
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for w := range n {
		wg.Go(func() {
			<-begin
			sum.Add(int64(f(w)))
		})
	}
	close(begin)
	wg.Wait()
	return int(sum.Load())
}

func allOrNothing(t *testing.T, h *harness) {
	wide := ratelimit.Params{Algorithm: ratelimit.SlidingWindow, Window: hour, Limit: 10}
	narrow := ratelimit.Params{Algorithm: ratelimit.SlidingWindow, Window: hour, Limit: 2}
	user, ip, device := h.demand("user", wide, 1), h.demand("ip", narrow, 1), h.demand("device", rules()[1], 1)
	for range 2 {
		if ok, out := h.take(t, user, ip, device); !ok {
			t.Fatalf("refused early: %+v", out)
		}
	}
	ok, out := h.take(t, user, ip, device)
	if ok {
		t.Fatal("passed above the limit of one demand")
	}
	want := []ratelimit.Outcome{
		{Allowed: true, Remaining: 8, ResetAt: h.now + hour},
		{Allowed: false, Remaining: 0, RetryAt: h.now + 3*hour/2, ResetAt: h.now + 3*hour/2},
		{Allowed: true, Remaining: 98, ResetAt: h.now + hour},
	}
	if d := cmp.Diff(want, out); d != "" {
		t.Fatalf("outcomes of a refused call (-want +got):\n%s", d)
	}
	wantPasses(t, "user after a refused call", h.passes(t, user), 8)
	wantPasses(t, "device after a refused call", h.passes(t, device), 98)
	if ok, _ := h.take(t, h.demand("new", wide, 1), ip); ok {
		t.Fatal("a new key carried its full companion")
	}
	h.now += hour / 2
	if _, out := h.take(t, h.demand("new", wide, 1)); out[0].ResetAt != h.now+hour {
		t.Fatalf("a refused companion started the new key's window: it ends at start+%d", out[0].ResetAt-start)
	}
}

func allOrNothingConcurrently(t *testing.T, h *harness) {
	p := ratelimit.Params{Algorithm: ratelimit.SlidingWindow, Window: hour, Limit: 60}
	half := ratelimit.Params{Algorithm: ratelimit.SlidingWindow, Window: hour, Limit: 30}
	ds := []ratelimit.Demand{h.demand("a", p, 1), h.demand("b", half, 1), h.demand("c", p, 1)}
	passed := inParallel(t, 16, func(w int) int {
		mine := []ratelimit.Demand{ds[w%3], ds[(w+1)%3], ds[(w+2)%3]}
		n := 0
		for range 10 {
			if ok, err := h.Take(t.Context(), h.now, mine, make([]ratelimit.Outcome, 3)); err != nil {
				t.Error(err)
			} else if ok {
				n++
			}
		}
		return n
	})
	wantPasses(t, "together", passed, 30)
	wantPasses(t, "what is left of a", h.passes(t, ds[0]), 30)
	wantPasses(t, "what is left of c", h.passes(t, ds[2]), 30)
}

func duplicates(t *testing.T, h *harness) {
	for _, p := range rules() {
		d := h.demand(p.Algorithm.String(), p, 40)
		if ok, out := h.take(t, d, d); !ok || out[1].Remaining != 20 {
			t.Fatalf("%s: 40 + 40 of 100: %+v", p.Algorithm, out)
		}
		ten := h.demand(p.Algorithm.String(), p, 15)
		ok, out := h.take(t, ten, ten)
		if ok || !out[0].Allowed || out[1].Allowed || out[0].Remaining != 20 {
			t.Fatalf("%s: 15 + 15 of 20: %+v", p.Algorithm, out)
		}
		one := h.demand(p.Algorithm.String(), p, 1)
		wantPasses(t, p.Algorithm.String()+" after a refused pair", h.passes(t, one), 20)
	}
	p := rules()[0]
	p.Limit, p.BlockAfter, p.BlockFor = 2, 2, 5*hour
	d := h.demand("struck twice", p, 2)
	h.take(t, d)
	if _, out := h.take(t, d, d); out[1].RetryAt != h.now+5*hour {
		t.Fatalf("two refusals in one call are two strikes: %+v", out)
	}
	if _, out := h.peek(t, d); !out[0].Blocked {
		t.Fatalf("the block of two strikes in one call was not kept: %+v", out)
	}
}

func manyDemands(t *testing.T, h *harness) {
	p := ratelimit.Params{Algorithm: ratelimit.SlidingWindow, Window: hour, Limit: 2}
	var ds []ratelimit.Demand
	for i := range 40 {
		ds = append(ds, h.demand(fmt.Sprint(i), p, 1))
	}
	for i, want := range []bool{true, true, false} {
		if ok, _ := h.take(t, ds...); ok != want {
			t.Fatalf("call %d: allowed %v, want %v", i, ok, want)
		}
	}
	if ok, _ := h.take(t); !ok {
		t.Fatal("no demands at all are refused")
	}
}
