package health

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxMessage = 300  // characters of a message
	maxDetails = 4096 // bytes of details as JSON
	// reapGrace is how long a probe whose context ended has to return before it
	// counts as one that ignores it.
	reapGrace = 200 * time.Millisecond
)

// runner runs the prober of one component, once at a time.
type runner struct {
	c      Component
	prober Prober
	now    func() time.Time
	starts *atomic.Int64
	mu     sync.Mutex
	flight *flight // nil: none
}

// flight is one call of a prober.
type flight struct {
	began   time.Time // by the timers' clock
	limit   time.Duration
	done    chan struct{} // closed when it has returned
	obs     Observation   // set before done
	aborted bool          // cancelled before its time: it says nothing
	givenUp bool          // under runner.mu: measure has said so
}

// begin starts a probe with a time limit, unless one is under way; that one
// it returns then. The flight ends when the prober returns, not before.
func (r *runner) begin(ctx context.Context, limit time.Duration) (f *flight, started bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight != nil {
		return r.flight, false
	}
	f = &flight{began: time.Now(), limit: limit, done: make(chan struct{})}
	r.flight = f
	r.starts.Add(1)
	go r.fly(ctx, f)
	return f, true
}

func (r *runner) fly(ctx context.Context, f *flight) {
	at := r.now()
	once, cancel := context.WithTimeout(ctx, f.limit)
	reading, err := r.probe(once)
	late := once.Err() != nil
	cancel()
	f.obs = observe(at, time.Since(f.began), reading, err)
	if late {
		f.aborted = ctx.Err() != nil || f.limit < r.c.Timeout
		f.obs = r.timedOut(at, f)
	}
	r.mu.Lock()
	r.flight = nil
	r.mu.Unlock()
	close(f.done)
}

// probe makes a fault of the prober one of its component.
func (r *runner) probe(ctx context.Context) (reading Reading, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the probe panicked: %v", p)
		}
	}()
	return r.prober.Probe(ctx)
}

func (r *runner) timedOut(at time.Time, f *flight) Observation {
	return Observation{At: at, Took: time.Since(f.began), Outcome: TimedOut, Message: string(TimedOut)}
}

// measure makes one measurement; ok is false if ctx ended meanwhile, and it
// says nothing. It returns soon after the component's timeout even if the
// prober does not; stuck is true then. A prober that has not returned is not
// called again: it timed out once more, and stuck is false for it then.
func (r *runner) measure(ctx context.Context) (o Observation, ok, stuck bool) {
	at := r.now()
	f, _ := r.begin(ctx, r.c.Timeout)
	wait := time.Until(f.began.Add(f.limit)) + reapGrace
	t := time.NewTimer(max(wait, 0))
	defer t.Stop()
	select {
	case <-f.done:
		return f.obs, !f.aborted, false
	case <-ctx.Done(): // the flight ends by itself
		return Observation{}, false, false
	case <-t.C:
	}
	select { // it may have returned at the same moment
	case <-f.done:
		return f.obs, !f.aborted, false
	default:
	}
	// A fresh report may have cut it short: it still has the component's time.
	late := time.Since(f.began) >= r.c.Timeout
	return r.timedOut(at, f), late, late && r.giveUp(f)
}

// giveUp reports whether the flight is given up on for the first time.
func (r *runner) giveUp(f *flight) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := !f.givenUp
	f.givenUp = true
	return first
}

// observe makes an observation that fits the store.
func observe(at time.Time, took time.Duration, reading Reading, err error) Observation {
	o := Observation{At: at, Took: took, Outcome: Answered, Degraded: reading.Degraded, Message: short(reading.Message), Details: reading.Details}
	if err != nil {
		return Observation{At: at, Took: took, Outcome: Failed, Message: short(err.Error())}
	}
	if b, err := json.Marshal(o.Details); err != nil || len(b) > maxDetails {
		o.Details = map[string]any{"detailsDropped": "they are no JSON of 4,096 bytes at most"}
	}
	return o
}

// short is a text that both stores take and a person reads.
func short(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
	if r := []rune(s); len(r) > maxMessage {
		return string(r[:maxMessage-1]) + "…"
	}
	return s
}
