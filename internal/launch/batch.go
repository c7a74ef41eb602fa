package launch

import (
	"context"
	"time"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/signal"
)

// maxBatch bounds the steps of one transaction.
const maxBatch = 128

// gatherFor bounds how long a transaction waits for the callers of the one
// before to come back. A commit takes about as long for many steps as for one,
// and who has just been answered is likely to ask again: to confirm, say.
const gatherFor = 2 * time.Millisecond

// pending is a step that waits for its transaction.
type pending struct {
	op   Op
	ctx  context.Context // of its caller, also for the idempotency claim that it carries
	solo bool            // must not share a transaction
	done chan Outcome    // one, buffered
}

type soloKey struct{}

// Solo marks a context whose step must have its transaction alone, since it
// carries an idempotency claim.
func Solo(ctx context.Context) context.Context { return context.WithValue(ctx, soloKey{}, true) }

// step performs one step in the next transaction. When the caller has gone
// before its reservation was made, the reservation is withdrawn.
func (s *Signups) step(ctx context.Context, op Op) (Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*s.o.Timeout)
	defer cancel()
	solo, _ := ctx.Value(soloKey{}).(bool)
	p := &pending{op: op, ctx: ctx, solo: solo, done: make(chan Outcome, 1)}
	s.enqueue(p)
	select {
	case out := <-p.done:
		return out, degraded(out.Err)
	case <-ctx.Done():
		s.idle.Go(func() { s.abandon(p) })
		return Outcome{}, fault.Wrap(fault.ServiceDegraded, opDecide, ctx.Err())
	}
}

// abandon waits for the step of a caller that has gone, and gives back what
// nobody knows of. The store was slow, or else the caller would have waited:
// it is tried a few times, and what fails until then expires by itself.
func (s *Signups) abandon(p *pending) {
	out := <-p.done
	if p.op.Kind != OpReserve || out.Err != nil || out.Existing {
		return
	}
	for wait := time.Second; wait <= 16*time.Second; wait *= 2 {
		w := &pending{op: Op{Kind: OpWithdraw, ID: out.Reservation.ID}, ctx: context.Background(), done: make(chan Outcome, 1)}
		s.enqueue(w)
		if err := (<-w.done).Err; err == nil || fault.CodeOf(err) == fault.Conflict || fault.CodeOf(err) == fault.NotFound {
			return
		}
		select {
		case <-s.closed:
			return
		case <-time.After(wait):
		}
	}
}

func (s *Signups) enqueue(p *pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, p)
	if s.enough != nil && len(s.queue) >= s.wanted {
		close(s.enough)
		s.enough = nil
	}
	if !s.running {
		s.running = true
		s.idle.Go(s.run)
	}
}

// Wait returns when no step is under way, and none waits to be tried again.
func (s *Signups) Wait() { s.idle.Wait() }

// Close gives up what waits to be tried again, and returns when no step is
// under way. It is called once, after the last request.
func (s *Signups) Close() {
	close(s.closed)
	s.Wait()
}

// run performs batches until no step waits.
func (s *Signups) run() {
	for last := 0; ; {
		s.gather(last)
		batch := s.next()
		if len(batch) == 0 {
			return
		}
		s.commit(batch)
		last = len(batch)
	}
}

// gather waits until as many steps wait as callers were there while the last
// transaction ran, but not long, and not for a caller that was alone.
func (s *Signups) gather(last int) {
	s.mu.Lock()
	s.wanted = min(last+len(s.queue), maxBatch)
	if last < 2 || len(s.queue) >= s.wanted || len(s.queue) > 0 && s.queue[0].solo {
		s.mu.Unlock()
		return
	}
	enough := make(chan struct{})
	s.enough = enough
	s.mu.Unlock()
	late := time.NewTimer(gatherFor)
	defer late.Stop()
	select {
	case <-enough:
	case <-late.C:
		s.mu.Lock()
		s.enough = nil
		s.mu.Unlock()
	}
}

// next takes the steps of the next transaction: as many as wait, but a solo
// one alone.
func (s *Signups) next() []*pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.queue) && n < maxBatch && (n == 0 || !s.queue[n].solo && !s.queue[0].solo) {
		n++
	}
	batch := s.queue[:n:n]
	if s.queue = s.queue[n:]; n == 0 {
		s.queue, s.running = nil, false
	}
	return batch
}

// commit performs one transaction. Who has gone before it began is left out.
func (s *Signups) commit(batch []*pending) {
	var ops []Op
	var waiting []*pending
	for _, p := range batch {
		if err := p.ctx.Err(); err != nil {
			p.done <- Outcome{Err: fault.Wrap(fault.ServiceDegraded, opDecide, err)}
			continue
		}
		ops, waiting = append(ops, p.op), append(waiting, p)
	}
	if len(ops) == 0 {
		return
	}
	ctx := context.Background()
	if waiting[0].solo {
		ctx = context.WithoutCancel(waiting[0].ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	outs, err := s.o.Store.ApplySignups(ctx, ops)
	for i, p := range waiting {
		if err != nil {
			p.done <- Outcome{Err: err}
			continue
		}
		if r := outs[i].Reservation; outs[i].Backed || outs[i].Err != nil && r.State == Unbacked {
			s.o.Signals(signal.Fact{Rule: "signup_unbacked", Object: r.ID, Failing: !outs[i].Backed, Value: r.Day})
		}
		p.done <- outs[i]
	}
}
