package ratelimit

import "math"

// Never is the RetryAt of a demand that no waiting helps: its cost lies
// outside 1..Params.MaxCost, or its Params are not valid.
const Never = math.MaxInt64

// NoPrev is the Prev of a counter in its first window.
const NoPrev = -1

// State is what one counter holds. It is a value: the functions below return
// the next one, and the driver stores it. The zero State is a newcomer's.
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

// Decide answers a demand of cost units at now, and returns the state to store.
// Of a refused demand that is s as it stands at now: it holds the same counts,
// in the window that holds now. Of a demand that passes alone but not with its
// companions nothing is stored.
//
// A clock that goes back (now before Start) finds the newest window, at its
// beginning, and so never passes more than the limit.
func (s State) Decide(p Params, now, cost int64) (State, Outcome) {
	if !p.usable() || cost < 1 || cost > p.MaxCost() {
		return s, Outcome{RetryAt: Never, ResetAt: Never}
	}
	limit, burst := p.bounds()
	at := s.adopt(p, now).advance(p, now)
	var retry int64
	switch p.Algorithm {
	case SlidingWindow:
		retry = at.retrySliding(limit, now, cost)
	case WindowCredit:
		retry = at.retryCredit(limit, burst, cost)
	default:
		retry = at.retryBucket(limit, burst, cost)
	}
	if retry != 0 {
		remaining, _ := at.room(limit, burst, now)
		return at, Outcome{Remaining: remaining, RetryAt: retry, ResetAt: retry}
	}
	if p.Algorithm == GCRA {
		cost *= p.Window
	}
	at.Cur += cost
	o := Outcome{Allowed: true}
	o.Remaining, o.ResetAt = at.room(limit, burst, now)
	return at, o
}

// Status returns the units left at now and when the counter's window ends
// (gcra: when its bucket is empty), with nothing charged. It is what an
// Outcome says of a demand that passed alone but not with its companions.
func (s State) Status(p Params, now int64) (remaining, resetAt int64) {
	if !p.usable() {
		return 0, Never
	}
	limit, burst := p.bounds()
	return s.adopt(p, now).advance(p, now).room(limit, burst, now)
}

// Refund takes cost units off the current window, as far as it holds them.
// Units that have moved into the window before are not given back.
func (s State) Refund(p Params, now, cost int64) State {
	if s.Algorithm == 0 || !p.usable() || cost < 1 {
		return s
	}
	s = s.adopt(p, now).advance(p, now)
	cost = min(cost, MaxLimit)
	if s.Algorithm == GCRA {
		cost = int64(min(mulSat(cost, s.Window), maxLevel))
	}
	s.Cur -= min(s.Cur, cost)
	return s
}

// adopt carries a state over a live change of rule. Another limit or burst
// keeps the counts; another window or algorithm carries min(cur, limit) into a
// window that starts now. It never resets. (Were a refused demand's state not
// stored, that window would start anew with every refusal, and RetryAt would
// never come.)
func (s State) adopt(p Params, now int64) State {
	if s.Algorithm == 0 || s.Algorithm == p.Algorithm && s.Window == p.Window {
		return s
	}
	return s.carry(p, now)
}

func (s State) carry(p Params, now int64) State {
	limit, burst := p.bounds()
	old := p
	old.Algorithm, old.Window = s.Algorithm, s.Window
	s = s.advance(old, now)
	units := s.Cur
	if s.Algorithm == GCRA {
		units = ceilDiv(s.Cur, s.Window)
	}
	next := State{Algorithm: p.Algorithm, Window: p.Window, Start: now, Cur: min(units, limit), Prev: NoPrev}
	if p.Algorithm == GCRA {
		next.Cur = min(next.Cur, burst) * p.Window
		next.Prev = 0
	}
	return next
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
func (s State) advance(p Params, now int64) State {
	if s.Algorithm == 0 {
		s = State{Algorithm: p.Algorithm, Window: p.Window, Start: now, Prev: NoPrev}
		if p.Algorithm == GCRA {
			s.Prev = 0
		}
		return s
	}
	if s.Algorithm == GCRA {
		s.Cur = drained(s.Cur, min(p.Limit, MaxLimit), now-s.Start)
		s.Start = max(s.Start, now)
		return s
	}
	if now-s.Start < s.Window {
		return s
	}
	switch (now - s.Start) / s.Window {
	case 1:
		s.Start, s.Prev, s.Cur = s.Start+s.Window, s.Cur, 0
	case 2:
		s.Start, s.Prev, s.Cur = s.Start+2*s.Window, 0, 0
	default: // so long ago that it counts as a newcomer
		s.Start, s.Prev, s.Cur = now, NoPrev, 0
	}
	return s
}

// room returns Outcome's Remaining and ResetAt for an advanced state.
func (s State) room(limit, burst, now int64) (remaining, resetAt int64) {
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
