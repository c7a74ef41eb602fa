package ratelimit_test

import (
	"testing"

	"pgregory.net/rapid"

	"avalo.app/gantry/internal/ratelimit"
)

var algorithms = []ratelimit.Algorithm{ratelimit.SlidingWindow, ratelimit.WindowCredit, ratelimit.GCRA}

// eachAlgorithm runs a property under random rules of each algorithm.
func eachAlgorithm(t *testing.T, property func(*rapid.T, ratelimit.Params)) {
	for _, alg := range algorithms {
		t.Run(alg.String(), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(r *rapid.T) { property(r, drawRule(r, alg)) })
		})
	}
}

// drawRule draws small rules, whose windows and limits do not divide each
// other, and sometimes the largest.
func drawRule(r *rapid.T, alg ratelimit.Algorithm) ratelimit.Params {
	p := ratelimit.Params{Algorithm: alg}
	switch rapid.IntRange(0, 9).Draw(r, "size") {
	case 0:
		p.Window = rapid.Int64Range(1, 5).Draw(r, "window")
		p.Limit = rapid.Int64Range(1, 50).Draw(r, "limit")
	case 1:
		p.Window = rapid.Int64Range(hour, 366*24*hour).Draw(r, "window")
		p.Limit = rapid.Int64Range(1, 100_000).Draw(r, "limit")
	default:
		p.Window = rapid.Int64Range(1, 1000).Draw(r, "window")
		p.Limit = rapid.Int64Range(1, 12).Draw(r, "limit")
	}
	switch alg {
	case ratelimit.WindowCredit:
		p.Burst = rapid.Int64Range(p.Limit, 3*p.Limit).Draw(r, "burst")
	case ratelimit.GCRA:
		p.Burst = rapid.Int64Range(0, 2*p.Limit).Draw(r, "burst")
	}
	if err := p.Validate(); err != nil {
		r.Fatalf("drew a rule that is not valid: %v", err)
	}
	return p
}

// drawStep draws how far the clock goes on: often to the edges of windows.
func drawStep(r *rapid.T, p ratelimit.Params) int64 {
	switch rapid.IntRange(0, 7).Draw(r, "kind of step") {
	case 0:
		return 0
	case 1:
		return max(0, p.Window+rapid.Int64Range(-1, 1).Draw(r, "step"))
	case 2:
		return rapid.Int64Range(0, 4*p.Window).Draw(r, "step")
	}
	return rapid.Int64Range(0, 1+p.Window/max(1, p.Limit)).Draw(r, "step")
}

func drawCost(r *rapid.T, p ratelimit.Params) int64 {
	if rapid.IntRange(0, 3).Draw(r, "large") == 0 {
		return rapid.Int64Range(1, p.MaxCost()).Draw(r, "cost")
	}
	return rapid.Int64Range(1, max(1, p.MaxCost()/4)).Draw(r, "cost")
}

// Every answer is the model's, whatever the clock does.
func TestPropertyModel(t *testing.T) {
	eachAlgorithm(t, func(r *rapid.T, p ratelimit.Params) {
		var s ratelimit.State
		m := newModel(p)
		now := t0
		for range rapid.IntRange(1, 40).Draw(r, "steps") {
			now += drawStep(r, p)
			if rapid.IntRange(0, 19).Draw(r, "back") == 0 {
				now -= rapid.Int64Range(1, 3*p.Window).Draw(r, "by")
			}
			cost := drawCost(r, p)
			peeked := s
			if got, want := peeked.Decide(&p, now, cost).Allowed, m.peek(now, cost); got != want {
				r.Fatalf("cost %d at t0+%d: allowed %v, the model says %v (state %+v)", cost, now-t0, got, want, s)
			}
			m.take(now, cost)
			o := s.Decide(&p, now, cost)
			if want := m.remaining(now); o.Remaining != want {
				r.Fatalf("cost %d at t0+%d: %d remain, the model says %d (state %+v)", cost, now-t0, o.Remaining, want, s)
			}
		}
	})
}

// history is a random schedule's state, and what it charged.
func history(r *rapid.T, p ratelimit.Params) (s ratelimit.State, charged []charge, now int64) {
	now = t0
	for range rapid.IntRange(0, 40).Draw(r, "steps") {
		now += drawStep(r, p)
		cost := drawCost(r, p)
		if s.Decide(&p, now, cost).Allowed {
			charged = append(charged, charge{now, cost})
		}
	}
	return s, charged, now
}

// No rolling window passes more than system.md says.
func TestPropertyRollingWindow(t *testing.T) {
	eachAlgorithm(t, func(r *rapid.T, p ratelimit.Params) {
		_, charged, _ := history(r, p)
		burst := p.Burst
		if burst == 0 {
			burst = p.Limit
		}
		bound := burst + p.Limit
		if p.Algorithm == ratelimit.SlidingWindow {
			bound = 2*p.Limit - 1
		}
		for i, first := range charged {
			sum := int64(0)
			for _, c := range charged[i:] {
				if c.at < first.at+p.Window {
					sum += c.cost
				}
			}
			if sum > bound {
				r.Fatalf("%d units within a window from t0+%d; at most %d", sum, first.at-t0, bound)
			}
		}
	})
}

// No aligned window of a sliding_window rule passes more than the limit. The
// state tells where it is aligned.
func TestPropertyAlignedWindow(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := drawRule(r, ratelimit.SlidingWindow)
		var s ratelimit.State
		sums := map[int64]int64{}
		now := t0
		for range rapid.IntRange(1, 60).Draw(r, "steps") {
			now += drawStep(r, p)
			cost := drawCost(r, p)
			if s.Decide(&p, now, cost).Allowed {
				if sums[s.Start] += cost; sums[s.Start] > p.Limit {
					r.Fatalf("%d units in the window from t0+%d", sums[s.Start], s.Start-t0)
				}
			}
		}
	})
}

// RetryAt is exact: refused before it, passed from it on, without traffic, and
// whether or not the refusals before it are stored.
func TestPropertyRetryExact(t *testing.T) {
	eachAlgorithm(t, func(r *rapid.T, p ratelimit.Params) {
		s, _, now := history(r, p)
		s, refusal := fill(s, p, now, drawCost(r, p))
		if refusal.RetryAt <= now || refusal.RetryAt == ratelimit.Never || refusal.ResetAt != refusal.RetryAt {
			r.Fatalf("a refusal at t0+%d has the moments %+v", now-t0, refusal)
		}
		cost := refusedCost(s, p, now)
		retry := decide(s, p, now, cost).RetryAt
		stored := s
		for at := now; at < retry; at += 1 + rapid.Int64Range(0, (retry-at)/2).Draw(r, "wait") {
			if o := decide(s, p, at, cost); o.Allowed || o.RetryAt != retry {
				r.Fatalf("%d µs before the moment: %+v", retry-at, o)
			}
			if o := stored.Decide(&p, at, cost); o.Allowed || o.RetryAt != retry {
				r.Fatalf("%d µs before the moment, refusals stored: %+v", retry-at, o)
			}
		}
		if o := decide(s, p, retry-1, cost); o.Allowed || o.RetryAt != retry {
			r.Fatalf("1 µs before the moment: %+v", o)
		}
		for _, late := range []int64{0, 1, rapid.Int64Range(0, 3*p.Window).Draw(r, "late"), 2 * p.Window, 10 * p.Window} {
			if o := decide(s, p, retry+late, cost); !o.Allowed {
				r.Fatalf("%d µs after the moment: %+v", late, o)
			}
		}
		if o := decide(stored, p, retry, cost); !o.Allowed {
			r.Fatalf("at the moment, refusals stored: %+v", o)
		}
	})
}

// decide leaves s as it is.
func decide(s ratelimit.State, p ratelimit.Params, now, cost int64) ratelimit.Outcome {
	return s.Decide(&p, now, cost)
}

// fill takes cost until it is refused.
func fill(s ratelimit.State, p ratelimit.Params, now, cost int64) (ratelimit.State, ratelimit.Outcome) {
	for {
		if o := s.Decide(&p, now, cost); !o.Allowed {
			return s, o
		}
	}
}

// refusedCost is the least cost that is refused at now, or MaxCost.
func refusedCost(s ratelimit.State, p ratelimit.Params, now int64) int64 {
	remaining, _ := s.Status(&p, now)
	return min(remaining+1, p.MaxCost())
}

// Remaining never lies: so many units pass at the same moment, and no more.
func TestPropertyRemaining(t *testing.T) {
	eachAlgorithm(t, func(r *rapid.T, p ratelimit.Params) {
		s, _, now := history(r, p)
		now += rapid.Int64Range(-p.Window, p.Window).Draw(r, "later")
		cost := drawCost(r, p)
		o := s.Decide(&p, now, cost)
		if status, _ := s.Status(&p, now); status != o.Remaining {
			r.Fatalf("%d remain, Status says %d", o.Remaining, status)
		}
		left := o.Remaining
		for big := p.MaxCost(); left > 1000; left -= big { // as large a piece as passes
			big = min(big, left-1)
			if o := s.Decide(&p, now, big); !o.Allowed || o.Remaining != left-big {
				r.Fatalf("%d of %d: %+v", big, left, o)
			}
		}
		for ; left > 0; left-- {
			if o := s.Decide(&p, now, 1); !o.Allowed || o.Remaining != left-1 {
				r.Fatalf("one of %d: %+v", left, o)
			}
		}
		if o := s.Decide(&p, now, 1); o.Allowed {
			r.Fatalf("nothing remained, and one more passed")
		}
	})
}

// A refund undoes a charge of the same window.
func TestPropertyRefund(t *testing.T) {
	eachAlgorithm(t, func(r *rapid.T, p ratelimit.Params) {
		s, _, now := history(r, p)
		before, _ := s.Status(&p, now)
		cost := drawCost(r, p)
		if !s.Decide(&p, now, cost).Allowed {
			return
		}
		s.Refund(&p, now, cost)
		if after, _ := s.Status(&p, now); after != before {
			r.Fatalf("%d remained before, %d after take and refund of %d", before, after, cost)
		}
		s.Refund(&p, now, 3*p.Limit)
		if s.Cur < 0 {
			r.Fatalf("a refund left %d", s.Cur)
		}
	})
}

// A live change never resets: what was counted in the current window still
// counts, up to the new limit.
func TestPropertyLiveChange(t *testing.T) {
	eachAlgorithm(t, func(r *rapid.T, p ratelimit.Params) {
		s, _, now := history(r, p)
		q := drawRule(r, rapid.SampledFrom(algorithms).Draw(r, "to"))
		// What the window holds, seen from outside: what a refund gives back.
		full, _ := s.Status(&p, now)
		empty := s
		empty.Refund(&p, now, ratelimit.MaxLimit)
		room, _ := empty.Status(&p, now)
		held := room - full
		size := q.Limit
		if q.Algorithm == ratelimit.GCRA && q.Burst > 0 {
			size = q.Burst
		}
		if q.Algorithm == p.Algorithm && q.Window == p.Window {
			return
		}
		if remaining, _ := s.Status(&q, now); remaining > max(0, size-min(held, q.Limit)) {
			r.Fatalf("%+v to %+v: %d held, yet %d remain", p, q, held, remaining)
		}
	})
}

// What a driver forgets as idle answers like a newcomer, and is forgotten in
// time.
func TestPropertyIdle(t *testing.T) {
	eachAlgorithm(t, func(r *rapid.T, p ratelimit.Params) {
		s, _, now := history(r, p)
		now += rapid.Int64Range(0, 4*p.Window).Draw(r, "later")
		cost := drawCost(r, p)
		if s.Idle(p.Limit, now) {
			if got, want := decide(s, p, now, cost), decide(ratelimit.State{}, p, now, cost); got != want {
				r.Fatalf("idle, and answers %+v; a newcomer %+v", got, want)
			}
		}
		if !s.Idle(p.Limit, now+3*p.Window+3*p.Window*max(1, p.Burst/p.Limit)) {
			r.Fatalf("never forgotten: %+v", s)
		}
	})
}
