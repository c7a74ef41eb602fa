package probe

import "context"

// Turn lets one measurement at a time use what is there once, such as a
// canary. Make one by NewTurn.
type Turn chan struct{}

// NewTurn returns a turn that is free.
func NewTurn() Turn { return make(Turn, 1) }

// Take waits for the turn, or for the end of ctx. The function that it
// returns gives the turn back.
func (t Turn) Take(ctx context.Context) (done func(), err error) {
	select {
	case t <- struct{}{}:
		return func() { <-t }, nil
	case <-ctx.Done():
		return nil, Fail(ctx, "wait for the measurement before", ctx.Err())
	}
}
