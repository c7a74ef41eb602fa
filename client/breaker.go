package client

import (
	"sync"
	"time"
)

// The circuit: after tripAfter failures in a row nothing is sent for a rest,
// then one probe; each probe that fails doubles the rest.
const (
	tripAfter = 5
	firstRest = time.Second
	maxRest   = 30 * time.Second
)

// outcome is how a request went.
type outcome uint8

const (
	dropped  outcome = iota // the caller gave up: it says nothing about Gantry
	answered                // Gantry answered, whatever it said
	failed
)

// breaker is closed when zero.
type breaker struct {
	mu       sync.Mutex
	open     bool
	probing  bool
	failures int // in a row, while closed
	rest     time.Duration
	until    time.Time // open: nothing is sent before
	// epoch counts openings and closings. What was sent in an earlier one
	// is no news: a hundred requests that fail together are one failure.
	epoch int
}

// allow reports whether a request may be sent; done must follow with the
// epoch.
func (b *breaker) allow(now time.Time) (epoch int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		if b.probing || now.Before(b.until) {
			return 0, false
		}
		b.probing = true
	}
	return b.epoch, true
}

// done reports how a request that was allowed went.
func (b *breaker) done(epoch int, o outcome, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if epoch != b.epoch {
		return
	}
	b.probing = false
	switch o {
	case answered:
		if b.open {
			b.epoch++
		}
		b.open, b.failures, b.rest = false, 0, 0
	case failed:
		b.failures++
		if b.open || b.failures >= tripAfter {
			b.epoch++
			b.open = true
			b.rest = min(max(2*b.rest, firstRest), maxRest)
			b.until = now.Add(b.rest)
		}
	}
}
