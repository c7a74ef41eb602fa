// Package lease runs background work on one node at a time.
//
// A lease is a row in the store with a token that rises at every
// acquisition. Every write under a lease locks that row and checks the
// token, so that a holder that was paused and wakes after a takeover can
// change nothing, whatever it believes.
package lease

import (
	"context"
	"time"
)

// Held is a lease that was acquired. It may have been lost since.
type Held struct {
	Name  string
	Token int64 // rises at every acquisition of the name
}

// Store keeps the leases. Each method is one atomic, durable write. Times
// are the store's clock on the calling node: nodes whose clocks differ by
// more than the ttl take leases from each other, and the tokens still fence.
//
// An error says nothing about whether the write happened. An acquisition
// that did leaves a lease that nobody holds until its ttl ends; Renew and
// Release may be repeated.
type Store interface {
	// AcquireLease takes the lease for ttl if nobody holds it, not even the
	// same holder; ok is false if somebody does. Of any number of calls at
	// once, one succeeds. holder is for people who look into the table.
	AcquireLease(ctx context.Context, name, holder string, ttl time.Duration) (h Held, ok bool, err error)
	// RenewLease makes the lease end ttl from now; ok is false, and nothing
	// changed, if it ended or was lost.
	RenewLease(ctx context.Context, h Held, ttl time.Duration) (ok bool, err error)
	// ReleaseLease lets the next one acquire at once. It does nothing to a
	// lease that was lost.
	ReleaseLease(ctx context.Context, h Held) error
}
