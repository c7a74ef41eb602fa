package ratelimit

import "math/bits"

// The functions here take an advanced state; a retry of 0 means that the
// demand passes now.

// allowance is A of window_credit: what the current window may pass. Units
// that the window before left unused raise it from limit up to burst. A
// newcomer has earned nothing.
func (s *State) allowance(limit, burst int64) int64 {
	if s.Prev == NoPrev {
		return limit
	}
	return min(burst, limit+max(0, limit-s.Prev))
}

// retryCredit: the next window passes any cost, because A ≥ limit ≥ cost.
func (s *State) retryCredit(limit, burst, cost int64) int64 {
	if s.Cur+cost <= s.allowance(limit, burst) {
		return 0
	}
	return s.Start + s.Window
}

// weighted is ⌈prev(W−e)/W⌉: the units of the window before that still count.
func (s *State) weighted(now int64) int64 {
	if s.Prev <= 0 {
		return 0
	}
	left := s.Window - max(0, now-s.Start)
	if left <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(s.Prev), uint64(left))
	q, rem := bits.Div64(hi, lo, uint64(s.Window)) // left ≤ W, so q ≤ prev
	if rem != 0 {
		q++
	}
	return int64(q)
}

// retrySliding: the demand passes iff prev(W−e) + (cur+c)W ≤ LW, which is
// weighted + cur + c ≤ L. With r = L−cur−c ≥ 0 it passes in this window once
// prev(W−e) ≤ rW; otherwise cur becomes prev first, and L−c takes r's place:
// cur is greater, so the wait in the next window is never below 0.
func (s *State) retrySliding(limit, now, cost int64) int64 {
	if s.weighted(now)+s.Cur+cost <= limit {
		return 0
	}
	if r := limit - s.Cur - cost; r >= 0 {
		return s.Start + s.Window - mulDiv(r, s.Window, s.Prev)
	}
	return s.Start + 2*s.Window - mulDiv(limit-cost, s.Window, s.Cur)
}

// mulDiv returns ⌊a·b/c⌋ for a < c, so that the quotient is below b.
func mulDiv(a, b, c int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	q, _ := bits.Div64(hi, lo, uint64(c))
	return int64(q)
}
