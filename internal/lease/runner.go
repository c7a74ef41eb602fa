package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// errLost is the cause with which work is cancelled.
var errLost = errors.New("the lease was lost")

// releaseTimeout bounds the release at shutdown.
const releaseTimeout = 5 * time.Second

// Runner runs background work under leases. Its fields must not change
// while Run runs.
type Runner struct {
	Store  Store
	Holder string // this node, for people
	Log    *slog.Logger
	// Report is told how each turn went, one after another: nil, also when
	// another node has the lease, or why the lease could not be asked for or
	// fn failed. A lease that is lost meanwhile is no failure.
	Report func(error)
}

// Run calls fn at once and then every so often, on whichever one node holds
// the lease, until ctx ends; it returns ctx's error. A holder keeps the
// lease between calls; when it dies, another node takes over within 4/3 ttl
// and calls fn at once. So fn must be safe to repeat, and to stop in the
// middle of.
//
// fn's context ends when the lease is lost, or could not be renewed in time.
// A fn that does not notice is held off by the fence of its Held, which it
// passes to every write. An error of fn is reported, and fn is called again
// at its time.
func (r *Runner) Run(ctx context.Context, name string, ttl, every time.Duration, fn func(ctx context.Context, h Held) error) error {
	for ctx.Err() == nil {
		until := time.Now().Add(ttl) // measured from before the call: never later than the store's
		once, cancel := context.WithTimeout(ctx, ttl)
		h, ok, err := r.Store.AcquireLease(once, name, r.Holder, ttl)
		cancel()
		switch {
		case ok && err == nil:
			r.hold(ctx, h, ttl, until, every, fn)
		case err == nil:
			r.Report(nil)
		case ctx.Err() == nil:
			r.Report(fmt.Errorf("acquire the lease: %w", err))
		}
		wait(ctx, ttl/3)
	}
	return ctx.Err()
}

// hold calls fn until ctx ends or the lease is lost.
func (r *Runner) hold(ctx context.Context, h Held, ttl time.Duration, until time.Time, every time.Duration, fn func(context.Context, Held) error) {
	held, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		cancel(r.renew(held, h, ttl, until))
	}()
	for {
		err := fn(held, h)
		// A node that was paused may learn of its loss by a refused write before it
		// does by a renewal: then nothing failed, the fence held.
		if err != nil && held.Err() == nil && r.lost(held, h, ttl) {
			cancel(errLost)
		}
		if held.Err() == nil {
			r.Report(err)
		}
		if !wait(held, every) {
			break
		}
	}
	<-renewed
	if err := context.Cause(held); ctx.Err() == nil {
		r.Log.Warn("background work stopped here", "work", h.Name, "token", h.Token, "error", err)
		return
	}
	last, done := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer done()
	if err := r.Store.ReleaseLease(last, h); err != nil {
		r.Log.Warn("cannot release a lease; it ends by itself", "lease", h.Name, "ttl", ttl, "error", err)
	}
}

// renew renews at every third of the ttl until ctx ends or the lease is
// lost, and returns why. A failure is tried again while the lease lasts.
func (r *Runner) renew(ctx context.Context, h Held, ttl time.Duration, until time.Time) error {
	for wait(ctx, min(ttl/3, time.Until(until))) {
		next := time.Now().Add(ttl)
		once, cancel := context.WithDeadline(ctx, until)
		ok, err := r.Store.RenewLease(once, h, ttl)
		cancel()
		switch {
		case err == nil && ok:
			until = next
		case err == nil:
			return errLost
		case !time.Now().Before(until):
			return errors.Join(errLost, err)
		}
	}
	return ctx.Err()
}

// lost asks whether the lease is another's by now. While the store does not
// say, it is not.
func (r *Runner) lost(ctx context.Context, h Held, ttl time.Duration) bool {
	once, cancel := context.WithTimeout(ctx, ttl/3)
	defer cancel()
	ok, err := r.Store.RenewLease(once, h, ttl)
	return err == nil && !ok
}

// wait reports whether d passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
