package api

import (
	"math/rand/v2"
	"time"
)

// MaxBackoff bounds the wait of a backoff, unless the answer itself asks for
// more.
const MaxBackoff = 5 * time.Minute

const (
	firstBackoff = 30 * time.Second // when the answer brings none
	maxJitter    = time.Second      // spreads clients that were refused until the same moment
	maxAfter     = 100 * 366 * 24 * time.Hour
)

// Wait returns how long to wait before attempt (1 is the first repetition)
// of a request that failed with p; ok is false when repeating cannot help,
// and when p is nil, since then nothing failed. See Retry.Wait.
func (p *Problem) Wait(attempt int) (wait time.Duration, ok bool) {
	if p == nil {
		return 0, false
	}
	return p.Retry.Wait(attempt, p.RetryAfterSeconds, nil)
}

// Wait returns how long to wait before attempt (1 is the first repetition)
// of a request whose answer brought this strategy and retryAfterSeconds; ok
// is false when repeating cannot help. It never waits less than the answer
// asks for.
//
// RetryAfter: retryAfterSeconds plus up to a second of jitter. RetryBackoff:
// retryAfterSeconds (30 if there is none) plus full jitter, that is, anything
// up to a spread that starts at the same length and doubles with each
// attempt, up to MaxBackoff in all.
//
// jitter returns a number in [0, max); nil is math/rand. It is there for
// tests and for hosts with a source of their own.
func (r Retry) Wait(attempt int, retryAfterSeconds int64, jitter func(max int64) int64) (wait time.Duration, ok bool) {
	if jitter == nil {
		jitter = rand.Int64N
	}
	after := time.Duration(min(max(retryAfterSeconds, 0), int64(maxAfter/time.Second))) * time.Second
	spread := maxJitter
	switch r {
	case RetryAfter:
	case RetryBackoff:
		if after == 0 {
			after = firstBackoff
		}
		room := max(MaxBackoff-after, maxJitter)
		spread = min(after, room)
		for ; attempt > 1 && spread < room; attempt-- {
			spread = min(2*spread, room)
		}
	default:
		return 0, false
	}
	return after + time.Duration(jitter(int64(spread))), true
}
