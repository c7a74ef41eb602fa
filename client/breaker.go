package client

import (
	"sync"
	"time"
)

// The circuit: after so many failures in a row nothing is sent for a while,
// doubling; then one probe at a time.
const (
	tripAfter = 5
	firstRest = time.Second
	maxRest   = 30 * time.Second
)

type breaker struct {
	now func() time.Time

	mu       sync.Mutex
	failures int
	rest     time.Duration
	until    time.Time // nothing is sent before
	probing  bool
}

func newBreaker(now func() time.Time) *breaker { return &breaker{now: now} }

// allow reports whether a request may be sent; done must follow.
func (b *breaker) allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < tripAfter {
		return true
	}
	if b.probing || b.now().Before(b.until) {
		return false
	}
	b.probing = true
	return true
}

// done reports how a request that was allowed went.
func (b *breaker) done(ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	if ok {
		b.failures, b.rest = 0, 0
		return
	}
	b.failures++
	if b.failures >= tripAfter {
		b.rest = min(max(2*b.rest, firstRest), maxRest)
		b.until = b.now().Add(b.rest)
	}
}
