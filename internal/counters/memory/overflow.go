package memory

import (
	"sync"
	"sync/atomic"

	"avalo.app/gantry/internal/ratelimit"
)

// overflow holds the counters that new keys share while the table is full of
// live ones: one for each set of numbers, so at most as many as rules exist.
// They are not part of a snapshot.
type overflow struct {
	hits     atomic.Int64
	mu       sync.Mutex // taken after every shard's
	counters map[overflowKey]ratelimit.State
}

type overflowKey struct {
	algorithm            ratelimit.Algorithm
	window, limit, burst int64
}

func overflowKeyOf(p *ratelimit.Params) overflowKey {
	return overflowKey{p.Algorithm, p.Window, p.Limit, p.Burst}
}

// state returns the counter shared under p. The caller holds mu.
func (o *overflow) state(p *ratelimit.Params) ratelimit.State {
	if o.counters == nil {
		o.counters = make(map[overflowKey]ratelimit.State)
	}
	return o.counters[overflowKeyOf(p)]
}

func (o *overflow) sweep(now int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for k, s := range o.counters {
		if s.Idle(k.limit, now) {
			delete(o.counters, k)
		}
	}
}
