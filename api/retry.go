package api

import (
	"math/rand/v2"
	"time"
)

// MaxBackoff bounds the wait of a backoff.
const MaxBackoff = 5 * time.Minute

// maxJitter spreads clients that were refused until the same moment.
const maxJitter = time.Second

// Wait returns how long to wait before attempt (1 is the first repetition)
// of a request that failed with p; ok is false when repeating cannot help.
//
//	for attempt := 1; ; attempt++ {
//		p := try()
//		wait, ok := p.Wait(attempt)
//		if p == nil || !ok { … }
//		time.Sleep(wait)
//	}
//
// After: RetryAfterSeconds plus up to a second of jitter. Backoff: doubled
// from RetryAfterSeconds at each attempt up to MaxBackoff, with full jitter
// above half of it.
func (p *Problem) Wait(attempt int) (wait time.Duration, ok bool) {
	return p.wait(attempt, rand.Int64N)
}

// wait takes its randomness from n, which returns a number in [0, max).
func (p *Problem) wait(attempt int, n func(max int64) int64) (time.Duration, bool) {
	base := time.Duration(p.RetryAfterSeconds) * time.Second
	switch p.Retry {
	case RetryAfter:
		return base + time.Duration(n(int64(maxJitter))), true
	case RetryBackoff:
		if base <= 0 {
			base = 30 * time.Second
		}
		d := base
		for i := 1; i < attempt && d < MaxBackoff; i++ {
			d *= 2
		}
		d = min(d, max(MaxBackoff, base))
		return d/2 + time.Duration(n(int64(d/2)+1)), true
	}
	return 0, false
}
