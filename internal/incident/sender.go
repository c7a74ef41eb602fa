package incident

import (
	"context"
	"sync"
	"time"

	"avalo.app/gantry/internal/signal"
)

// Bounds of sending.
const (
	DefaultTimeout = 10 * time.Second // of one attempt
	claimMargin    = 20 * time.Second // between the end of an attempt and of its claim
	longestPause   = 10 * time.Second // of a receiver that fails without saying how long
	failsOften     = 3                // attempts at one message after which its receiver counts as failing
	lookEvery      = 500 * time.Millisecond
	sweepEvery     = time.Minute
)

// LongestClaim is more than any claim lasts: what waits longer is not on its
// way, but was not accepted.
const LongestClaim = time.Minute

// Sender takes messages from the outbox and gives them to receivers until
// they accept, in order for each incident and receiver, each receiver for
// itself: one that hangs delays no other. Its fields do not change while Run
// runs.
//
// What a receiver refuses for good is closed as failed and reported as
// receiver_failing; the messages behind it are tried all the same. A resolve
// is never given up: one that was refused is tried again every hour, since
// whoever was paged must learn of the end, also when we do not know that they
// were. Only messages to a receiver that the configuration no longer names
// are closed.
type Sender struct {
	Store     Store
	Stats     func(ctx context.Context) (map[string]Stats, error)
	Receivers map[string]Receiver
	Signals   signal.Sink
	Timeout   time.Duration    // of one attempt; 0: DefaultTimeout
	Now       func() time.Time // the store's clock; nil means time.Now
}

// Run sends under the fence until ctx ends, and returns its error, or the
// first of the store. Call it again: what was claimed and not finished is
// sent again, with the same key.
func (s *Sender) Run(ctx context.Context, f Fence) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for name := range s.Receivers {
		all.Go(func() {
			for {
				wait, err := s.Next(ctx, f, name)
				if err != nil {
					cancel(err)
				}
				if !sleep(ctx, wait) {
					return
				}
			}
		})
	}
	all.Go(func() {
		for {
			if err := s.CloseUnknown(ctx, f); err != nil {
				cancel(err)
			}
			if !sleep(ctx, sweepEvery) {
				return
			}
		}
	})
	all.Wait()
	return context.Cause(ctx)
}

// Next sends the receiver's next message that is due, if there is one, and
// returns how long to wait before the next call.
func (s *Sender) Next(ctx context.Context, f Fence, receiver string) (wait time.Duration, err error) {
	d, ok, err := s.Store.ClaimDelivery(ctx, f, receiver, s.timeout()+claimMargin)
	if err != nil {
		return lookEvery, err
	}
	if !ok {
		return lookEvery, nil
	}
	if s.now().Add(s.timeout()).After(d.NextAt) {
		// This node was paused since the claim: by the time that it would have
		// sent, another may send the same. It will be claimed again.
		return 0, nil
	}
	answer, err := s.attempt(ctx, d)
	if ctx.Err() != nil {
		return 0, ctx.Err() // stopped, or the lease was lost: it says nothing of the receiver
	}
	r, wait := s.judge(d, answer, err)
	return wait, s.Store.FinishDelivery(ctx, f, d, r)
}

func (s *Sender) attempt(ctx context.Context, d Delivery) (Answer, error) {
	once, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	return s.Receivers[d.Receiver].Deliver(once, d.Message)
}

// judge returns what becomes of a delivery after an attempt, and how long its
// receiver is left alone.
func (s *Sender) judge(d Delivery, a Answer, err error) (r Result, pause time.Duration) {
	if err == nil {
		s.Signals(signal.Fact{Rule: ReceiverFailing, Object: d.Receiver, Value: "it accepts messages"})
		return Result{State: Delivered, Answer: Clean(a.Text)}, 0
	}
	e := asDeliveryError(err)
	r = Result{State: Pending, Answer: Clean(e.Error())}
	if e.Permanent || d.Attempts >= failsOften {
		s.Signals(signal.Fact{Rule: ReceiverFailing, Object: d.Receiver, Failing: true, Value: e.Text})
	}
	switch {
	case !e.Permanent:
		wait := backoff(d.Attempts, e.RetryAfter)
		r.NextAt = s.now().Add(wait)
		return r, max(min(e.RetryAfter, longestWait), min(wait, longestPause))
	case d.Action == Resolve:
		// It holds nothing back: when the incident reopened meanwhile, the page is
		// what counts, by the same key, and another resolve will follow it.
		r.NextAt, r.Refused = s.now().Add(refusedWait), true
	default:
		r.State = Failed
	}
	return r, 0
}

// CloseUnknown closes the messages to receivers that are not configured.
func (s *Sender) CloseUnknown(ctx context.Context, f Fence) error {
	stats, err := s.Stats(ctx)
	if err != nil {
		return err
	}
	for name, st := range stats {
		if _, ok := s.Receivers[name]; ok || st.Pending == 0 {
			continue
		}
		for {
			d, ok, err := s.Store.ClaimDelivery(ctx, f, name, time.Second)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if err := s.Store.FinishDelivery(ctx, f, d, Result{State: Failed, Answer: "the configuration no longer names this receiver"}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Sender) timeout() time.Duration {
	if s.Timeout == 0 {
		return DefaultTimeout
	}
	return s.Timeout
}

func (s *Sender) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// sleep reports whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
