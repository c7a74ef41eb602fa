package ratelimit

import "math"

// Never is the RetryAt of a demand that no waiting helps: its cost lies
// outside 1..Params.MaxCost, or its Params are not valid.
const Never = math.MaxInt64

// NoPrev is the Prev of a counter in its first window.
const NoPrev = -1

// State is what one counter holds: a value, which the methods below move on
// and a driver stores. The zero State is a newcomer's.
//
// system.md writes a window's state as (s, k, cur, prev). The formulas use s
// and k only as s + kW, so Start holds that sum, and ⌊(t−s)/W⌋ − k equals
// ⌊(t−Start)/W⌋.
type State struct {
	Algorithm Algorithm // what counted it; 0: a newcomer
	Window    int64     // microseconds; the window it was counted in
	Start     int64     // Unix µs: start of the window; gcra: when Cur held
	Cur       int64     // units in the window; gcra: bucket level in unit·µs
	Prev      int64     // units in the window before, or NoPrev; gcra: unused
}

// Decide answers a demand of cost units at now, and makes s the state to store.
// After a refusal that is the same counts in the window that holds now. Of a
// demand that passes alone but not with its companions nothing is stored.
//
// A clock that goes back (now before Start) finds the newest window, at its
// beginning, and so never passes more than the limit.
func (s *State) Decide(p *Params, now, cost int64) Outcome {
	if !p.usable() || cost < 1 || cost > p.MaxCost() {
		return Outcome{RetryAt: Never, ResetAt: Never}
	}
	limit, burst := p.bounds()
	s.reach(p, now)
	var retry int64
	switch p.Algorithm {
	case SlidingWindow:
		retry = s.retrySliding(limit, now, cost)
	case WindowCredit:
		retry = s.retryCredit(limit, burst, cost)
	default:
		retry = s.retryBucket(limit, burst, cost)
	}
	if retry != 0 {
		remaining, _ := s.room(limit, burst, now)
		return Outcome{Remaining: remaining, RetryAt: retry, ResetAt: retry}
	}
	if p.Algorithm == GCRA {
		cost *= p.Window
	}
	s.Cur += cost
	remaining, resetAt := s.room(limit, burst, now)
	return Outcome{Allowed: true, Remaining: remaining, ResetAt: resetAt}
}

// Status returns the units left at now and when the counter's window ends
// (gcra: when its bucket is empty), with nothing charged. It is what an
// Outcome says of a demand that passed alone but not with its companions.
func (s State) Status(p *Params, now int64) (remaining, resetAt int64) {
	if !p.usable() {
		return 0, Never
	}
	limit, burst := p.bounds()
	s.reach(p, now)
	return s.room(limit, burst, now)
}

// Refund takes cost units off the current window, as far as it holds them.
// Units that have moved into the window before are not given back.
func (s *State) Refund(p *Params, now, cost int64) {
	if s.Algorithm == 0 || !p.usable() || cost < 1 {
		return
	}
	s.reach(p, now)
	cost = min(cost, MaxLimit)
	if s.Algorithm == GCRA {
		cost = int64(min(mulSat(cost, s.Window), maxLevel))
	}
	s.Cur -= min(s.Cur, cost)
}

// reach makes s, an old state, the one that p counts in at now.
func (s *State) reach(p *Params, now int64) {
	switch {
	case s.Algorithm == 0:
		s.begin(p, now)
	case s.Algorithm == p.Algorithm && s.Window == p.Window:
		s.advance(p.Limit, now)
	default:
		s.carry(p, now)
	}
}

// begin makes s a newcomer's.
func (s *State) begin(p *Params, now int64) {
	*s = State{Algorithm: p.Algorithm, Window: p.Window, Start: now, Prev: NoPrev}
	if s.Algorithm == GCRA {
		s.Prev = 0
	}
}

// carry takes a state over a live change of rule. Another limit or burst keeps
// the counts; another window or algorithm carries min(cur, limit) into a
// window that starts now. It never resets. (Were a refused demand's state not
// stored, that window would start anew with every refusal, and RetryAt would
// never come.)
func (s *State) carry(p *Params, now int64) {
	s.advance(p.Limit, now)
	units := s.Cur
	if s.Algorithm == GCRA {
		units = ceilDiv(s.Cur, s.Window)
	}
	limit, burst := p.bounds()
	s.begin(p, now)
	s.Cur = min(units, limit)
	if s.Algorithm == GCRA {
		s.Cur = min(s.Cur, burst) * s.Window
	}
}

// Idle reports whether the state at now answers like a newcomer's, so that a
// driver may forget it. limit is the rule's; only gcra needs it.
func (s State) Idle(limit, now int64) bool {
	switch {
	case s.Algorithm == 0:
		return true
	case s.Algorithm == GCRA:
		return drained(s.Cur, min(limit, MaxLimit), now-s.Start) == 0
	}
	return now-s.Start >= 3*s.Window
}

// advance moves a state into the window (or the moment) that holds now.
func (s *State) advance(limit, now int64) {
	since := now - s.Start
	if s.Algorithm == GCRA {
		s.Cur = drained(s.Cur, min(limit, MaxLimit), since)
		s.Start = max(s.Start, now)
		return
	}
	if since < s.Window {
		return
	}
	switch since / s.Window {
	case 1:
		s.Start, s.Prev, s.Cur = s.Start+s.Window, s.Cur, 0
	case 2:
		s.Start, s.Prev, s.Cur = s.Start+2*s.Window, 0, 0
	default: // so long ago that it counts as a newcomer
		s.Start, s.Prev, s.Cur = now, NoPrev, 0
	}
}

// room returns Outcome's Remaining and ResetAt for an advanced state.
func (s *State) room(limit, burst, now int64) (remaining, resetAt int64) {
	switch s.Algorithm {
	case GCRA:
		free := int64(mulSat(burst, s.Window)) - s.Cur
		return max(0, free) / s.Window, s.Start + ceilDiv(s.Cur, limit)
	case WindowCredit:
		remaining = s.allowance(limit, burst) - s.Cur
	default:
		remaining = limit - s.Cur - s.weighted(now)
	}
	return max(0, remaining), s.Start + s.Window
}
