package ratelimit

import "context"

// Key identifies one counter: a keyed 128-bit hash of (action, scope, the
// scope's values), see Hasher.
type Key [16]byte

// Params are the numbers of one rule in the units of the algorithms.
type Params struct {
	Algorithm Algorithm
	Window    int64 // microseconds, ≥ 1
	Limit     int64 // units, ≥ 1
	Burst     int64 // units; 0: none
	// BlockAfter refusals within one window block the key for BlockFor
	// microseconds. 0: no penalty.
	BlockAfter int32
	BlockFor   int64
}

// Demand asks Cost units of one counter.
type Demand struct {
	Key    Key
	Params Params
	Cost   int64 // 1 ≤ Cost ≤ Limit, checked by the caller
}

// Outcome is what one counter answers to one demand. Times are Unix
// microseconds.
type Outcome struct {
	Allowed   bool  // this counter alone would pass the demand
	Remaining int64 // units left after the decision (what was taken is off)
	RetryAt   int64 // refused: the first moment the same demand passes; else 0
	ResetAt   int64 // refused: RetryAt; else when the counter's window ends
	Blocked   bool  // refused by a penalty, not by the count
}

// Counters is a store of counter states. Implementations are safe for
// concurrent use, and run the package's algorithms on one consistent state:
// no interleaving of calls ever passes more than an algorithm allows.
type Counters interface {
	// Take decides demands together at time now: if every one passes, all are
	// charged and allowed is true; else none is charged. out[i] answers
	// demands[i]; len(out) == len(demands). A refusal counts toward the
	// penalty of the counters that refused, and of no other. An error means
	// that nothing was decided and, as far as the driver can tell, nothing
	// charged; the caller must not retry.
	Take(ctx context.Context, now int64, demands []Demand, out []Outcome) (allowed bool, err error)

	// Peek answers as Take would, and changes nothing: now may lie ahead, and
	// what expires until then still holds for everybody else.
	Peek(ctx context.Context, now int64, demands []Demand, out []Outcome) (allowed bool, err error)

	// Refund gives each demand's cost back to its counter, as far as its
	// current window still holds it. It never lifts a penalty.
	Refund(ctx context.Context, now int64, demands []Demand) error
}
