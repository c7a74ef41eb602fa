package ratelimit

import "fmt"

// maxLevel bounds gcra's bucket, in unit·µs: twice it, or it and a time, still
// fit in an int64.
const maxLevel = 1 << 62

// usable reports whether the formulas are defined for p at all.
func (p *Params) usable() bool {
	return p.Window >= 1 && p.Limit >= 1 && p.Algorithm >= SlidingWindow && p.Algorithm <= GCRA
}

// MaxCost is the greatest cost that can ever pass: the limit, and of gcra
// also no more than the bucket.
func (p *Params) MaxCost() int64 {
	limit := min(p.Limit, MaxLimit)
	if p.Algorithm != GCRA {
		return limit
	}
	_, burst := p.bounds()
	return min(limit, burst)
}

// MaxBurst is the greatest burst that the algorithm counts exactly in p's
// window; of gcra it also bounds a limit that stands alone.
func (p *Params) MaxBurst() int64 {
	switch {
	case p.Algorithm == SlidingWindow:
		return 0
	case p.Algorithm == GCRA && p.Window > 0:
		return min(MaxLimit, maxLevel/p.Window)
	}
	return MaxLimit
}

// bounds returns limit and burst as the formulas use them: a missing burst is
// the limit. Overrides may scale a valid rule past the bounds of Validate;
// what lies beyond is cut off, so that nothing overflows.
func (p *Params) bounds() (limit, burst int64) {
	limit, burst = min(p.Limit, MaxLimit), min(p.Burst, MaxLimit)
	if burst <= 0 {
		burst = limit
	}
	switch p.Algorithm {
	case WindowCredit:
		burst = max(burst, limit)
	case GCRA:
		if mulSat(burst, p.Window) > maxLevel {
			burst = p.MaxBurst()
		}
	}
	return limit, burst
}

// Validate reports the first number that the formulas are not exact for, or
// that means nothing to the algorithm.
func (p *Params) Validate() error {
	longest := MaxWindow.Microseconds()
	switch {
	case p.Algorithm < SlidingWindow || p.Algorithm > GCRA:
		return fmt.Errorf("there is no algorithm %d", p.Algorithm)
	case p.Window < 1 || p.Window > longest:
		return fmt.Errorf("a window of %d µs is not between 1 and %d", p.Window, longest)
	case p.Limit < 1 || p.Limit > MaxLimit:
		return fmt.Errorf("a limit of %d is not between 1 and %d", p.Limit, MaxLimit)
	case p.Burst < 0 || p.Burst > p.MaxBurst():
		return fmt.Errorf("%s in a window of %d µs allows a burst of at most %d; it is %d", p.Algorithm, p.Window, p.MaxBurst(), p.Burst)
	case p.Algorithm == WindowCredit && p.Burst != 0 && p.Burst < p.Limit:
		return fmt.Errorf("a burst of %d is below the limit of %d; window_credit never passes less than the limit", p.Burst, p.Limit)
	case p.Algorithm == GCRA && p.Burst == 0 && p.Limit > p.MaxBurst():
		return fmt.Errorf("gcra counts at most %d units in a window of %d µs; the limit is %d: lower it, or choose sliding_window", p.MaxBurst(), p.Window, p.Limit)
	case p.BlockAfter < 0 || p.BlockFor < 0 || (p.BlockAfter > 0) != (p.BlockFor > 0):
		return fmt.Errorf("a penalty needs both refusals and a time; it has %d and %d µs", p.BlockAfter, p.BlockFor)
	case p.BlockFor > longest:
		return fmt.Errorf("a block of %d µs is longer than %d", p.BlockFor, longest)
	}
	return nil
}
