package probe

import (
	"context"
	"sync/atomic"
	"time"
)

// grace is how long a call that was given up has to end.
const grace = 100 * time.Millisecond

// Blocking runs calls that a context may fail to end: a system call on a file
// system that hangs ends when the kernel says so. Its zero value is ready.
type Blocking struct {
	stuck atomic.Int64 // calls that were given up and still run
}

// Do runs fn and returns its error, or that of ctx when that ends first. fn
// then goes on alone; as long as it does, Do starts no other, so that a
// dependency that hangs for days holds one goroutine for each measurement that
// was under way when it began, and no more. What fn writes may be read only
// if Do returned fn's error.
func (b *Blocking) Do(ctx context.Context, fn func(context.Context) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if n := b.stuck.Load(); n > 0 {
		return Failf("%d earlier measurement(s) still hang in the operating system", n)
	}
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select { // most calls end with their context, a moment later
	case err := <-done:
		return err
	case <-time.After(grace):
	}
	b.stuck.Add(1)
	go func() {
		<-done
		b.stuck.Add(-1)
	}()
	return ctx.Err()
}
