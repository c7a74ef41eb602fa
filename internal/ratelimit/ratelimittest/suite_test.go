package ratelimittest_test

import (
	"testing"

	"avalo.app/gantry/internal/ratelimit"
	"avalo.app/gantry/internal/ratelimit/ratelimittest"
)

// The memory driver is the suite's own test as well: see counters/memory.
func TestFakePassesOn(t *testing.T) {
	f := &ratelimittest.Fake{Next: ratelimittest.NewReference()}
	p := ratelimit.Params{Algorithm: ratelimit.SlidingWindow, Window: 1000, Limit: 1}
	ds, out := []ratelimit.Demand{{Params: p, Cost: 1}}, make([]ratelimit.Outcome, 1)
	for i, want := range []bool{true, false} {
		if ok, err := f.Take(t.Context(), 1, ds, out); err != nil || ok != want {
			t.Fatalf("take %d: %v, %v", i, ok, err)
		}
	}
	if err := f.Refund(t.Context(), 1, ds); err != nil {
		t.Fatal(err)
	}
	if ok, err := f.Peek(t.Context(), 1, ds, out); err != nil || !ok {
		t.Fatalf("peek after the refund: %v, %v", ok, err)
	}
}
