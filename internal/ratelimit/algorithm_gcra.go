package ratelimit

import (
	"math"
	"math/bits"
)

// gcra is kept in its exact token-bucket form. The level's unit is unit·µs:
// one unit is Window of them, and limit of them drain in a microsecond, so
// that nothing is ever rounded. Params.bounds keeps burst·Window within maxLevel.

// drained returns the level after elapsed microseconds; a clock that went
// back drains nothing.
func drained(level, limit, elapsed int64) int64 {
	if elapsed <= 0 {
		return level
	}
	out := mulSat(limit, elapsed)
	if out >= uint64(level) {
		return 0
	}
	return level - int64(out)
}

// retryBucket: the demand passes once the level has fallen to burst − cost.
func (s *State) retryBucket(limit, burst, cost int64) int64 {
	need := uint64(s.Cur) + mulSat(cost, s.Window)
	size := mulSat(burst, s.Window)
	if need <= size {
		return 0
	}
	wait := (need - size + uint64(limit) - 1) / uint64(limit)
	return s.Start + int64(wait)
}

// mulSat returns a·b for a, b ≥ 0, or the greatest uint64 if it overflows.
func mulSat(a, b int64) uint64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi != 0 {
		return math.MaxUint64
	}
	return lo
}

// ceilDiv returns ⌈a/b⌉ for a ≥ 0, b ≥ 1.
func ceilDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 {
		q++
	}
	return q
}
