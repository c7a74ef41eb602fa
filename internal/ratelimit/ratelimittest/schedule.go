package ratelimittest

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/ratelimit"
)

// Reference is ratelimit.Counters written for reading: the pure functions over
// a map, one lock for all. It never forgets.
type Reference struct {
	mu      sync.Mutex
	states  map[ratelimit.Key]ratelimit.State
	strikes map[ratelimit.Key]ratelimit.Strikes
}

var _ ratelimit.Counters = (*Reference)(nil)

// NewReference returns empty counters.
func NewReference() *Reference {
	return &Reference{states: map[ratelimit.Key]ratelimit.State{}, strikes: map[ratelimit.Key]ratelimit.Strikes{}}
}

// Take implements ratelimit.Counters.
func (r *Reference) Take(_ context.Context, now int64, demands []ratelimit.Demand, out []ratelimit.Outcome) (bool, error) {
	return r.decide(now, demands, out, true), nil
}

// Peek implements ratelimit.Counters.
func (r *Reference) Peek(_ context.Context, now int64, demands []ratelimit.Demand, out []ratelimit.Outcome) (bool, error) {
	return r.decide(now, demands, out, false), nil
}

// decide works on copies of what the demands touch. Demands must be of
// different counters; ratelimittest checks the same one twice elsewhere.
func (r *Reference) decide(now int64, demands []ratelimit.Demand, out []ratelimit.Outcome, store bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := make([]ratelimit.State, len(demands))
	refused := make([]bool, len(demands)) // by the count
	allowed := true
	for i, d := range demands {
		next[i] = r.states[d.Key]
		out[i] = next[i].Decide(&d.Params, now, d.Cost)
		refused[i] = !out[i].Allowed
		struck := r.strikes[d.Key]
		out[i] = struck.Judge(&d.Params, now, out[i])
		if store {
			r.strikes[d.Key] = struck
		}
		allowed = allowed && out[i].Allowed
	}
	for i, d := range demands {
		if !allowed && out[i].Allowed {
			out[i].Remaining, out[i].ResetAt = r.states[d.Key].Status(&d.Params, now)
		}
	}
	for i, d := range demands {
		if store && (allowed || refused[i]) {
			r.states[d.Key] = next[i]
		}
	}
	return allowed
}

// Refund implements ratelimit.Counters.
func (r *Reference) Refund(_ context.Context, now int64, demands []ratelimit.Demand) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range demands {
		s := r.states[d.Key]
		s.Refund(&d.Params, now, d.Cost)
		r.states[d.Key] = s
	}
	return nil
}

// schedule runs random calls, with live changes and clock steps, on the driver
// and on the reference, and wants the same answers.
func schedule(t *testing.T, h *harness) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	ref := NewReference()
	for step := range 3000 {
		h.now += advance(rng)
		ds := randomDemands(rng, h)
		var diff string
		switch rng.IntN(10) {
		case 0:
			h.refund(t, ds...)
			_ = ref.Refund(t.Context(), h.now, ds)
		case 1:
			_, got := h.peek(t, ds...)
			_, want := call(t, ref.Peek, h.now, ds)
			diff = cmp.Diff(want, got)
		default:
			gotOK, got := h.take(t, ds...)
			wantOK, want := call(t, ref.Take, h.now, ds)
			diff = cmp.Diff(wantOK, gotOK) + cmp.Diff(want, got)
		}
		if diff != "" {
			t.Fatalf("seed %d, step %d, at start+%d µs, demands %+v (-reference +driver):\n%s", seed, step, h.now-start, ds, diff)
		}
	}
}

// advance is a step of the clock: mostly forward within a window, sometimes
// over several, sometimes back.
func advance(rng *rand.Rand) int64 {
	switch rng.IntN(40) {
	case 0:
		return rng.Int64N(4 * hour)
	case 1:
		return -rng.Int64N(second)
	case 2:
		return 0
	}
	return rng.Int64N(8 * second)
}

func randomDemands(rng *rand.Rand, h *harness) []ratelimit.Demand {
	names := []string{"a", "b", "c", "d"}
	rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var ds []ratelimit.Demand
	for _, name := range names[:1+rng.IntN(3)] {
		p := rules()[slices.Index([]string{"a", "b", "c", "d"}, name)%3]
		p.Window, p.Limit, p.Burst = 60*second, 10, 0
		if p.Algorithm == ratelimit.WindowCredit {
			p.Burst = 15
		}
		switch rng.IntN(60) {
		case 0:
			p.Limit = 1 + rng.Int64N(20)
			p.Burst = 0
		case 1:
			p.Window = 1 + rng.Int64N(120*second)
		case 2:
			p.Algorithm, p.Burst = ratelimit.SlidingWindow+ratelimit.Algorithm(rng.IntN(3)), 0
		}
		if name == "a" || name == "d" {
			p.BlockAfter, p.BlockFor = 4, 20*second
		}
		ds = append(ds, h.demand(name, p, 1+rng.Int64N(min(4, p.MaxCost()))))
	}
	return ds
}
