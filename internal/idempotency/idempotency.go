// Package idempotency makes a repeated request have one effect.
//
// It serves two callers with one table and two sets of rules. Gantry's own
// mutating endpoints claim a key for a request ([Service.Claim]); the claim
// commits in the same transaction as the request's effect, so that a crash
// between effect and answer never repeats the effect. The host begins and
// completes operations whose effects are elsewhere ([Service.Begin]); when
// it dies in between, the operation is in doubt until somebody looks.
package idempotency

import (
	"context"
	"time"
	"unicode"
	"unicode/utf8"

	"avalo.app/gantry/internal/fault"
)

// The bounds of what is kept.
const (
	MaxKey         = 255      // bytes of a key, printable ASCII
	MaxScope       = 512      // bytes of a scope
	MaxFingerprint = 256      // bytes of an operation's fingerprint
	MaxBody        = 1 << 20  // bytes of a request's stored body; see Finish
	MaxAnswer      = 64 << 10 // bytes of an operation's answer, as compact JSON
)

// Kind separates the keys of requests from those of operations.
type Kind string

// The kinds of a key.
const (
	KindRequest   Kind = "request"
	KindOperation Kind = "operation"
)

// State is where a key's one effect stands.
type State string

// The states of a key. A key without a row is StateFree.
const (
	StateFree       State = "free"        // the effect is known not to have happened
	StateInProgress State = "in_progress" // claimed; the effect may happen under the lease
	StateCommitted  State = "committed"   // the effect happened; the answer is not known
	StateDone       State = "done"        // the answer is stored
)

// ID names one key.
type ID struct {
	Kind  Kind
	Scope string
	Key   string
}

// Record is what the store keeps of one key.
type Record struct {
	State       State
	Token       int64 // the newest claim's; it rises with every claim of the key
	Fingerprint []byte
	InSQL       bool
	LeaseUntil  time.Time
	ExpiresAt   time.Time // zero: never
	Answer      Stored
}

// Stored is a stored answer. An operation uses only Body.
type Stored struct {
	Status int
	Header map[string]string
	Body   []byte
}

// Store keeps the records.
//
// Beside the method, a store that also carries the effects of requests owes
// them the fence: a write transaction whose context carries a claim (see
// [With]) sets the claim's request from StateInProgress or StateCommitted to
// StateCommitted in the same commit, only if the record still has the
// claim's token, and otherwise rolls back and returns CONFLICT.
type Store interface {
	// UpdateIdempotency reads the record of id, lets decide change it, and
	// writes it back if decide returns true. A key without a row is given as
	// a record in StateFree with token 0.
	//
	// Atomic: nobody else reads for update, changes, fences or removes the
	// record between the read and the write. Durable when it returns nil. An
	// error of decide is returned, unchanged in its chain, and nothing is
	// written. decide may run several times, on fresh records, since the
	// store retries when the engine asks for it; it must have no effect
	// outside its record and variables that a later run overwrites.
	//
	// Any other error says nothing about whether the record was written. The
	// rules allow for that: the same call may be repeated with the same
	// token.
	UpdateIdempotency(ctx context.Context, id ID, decide func(*Record) (bool, error)) error
}

// Options sets up a Service.
type Options struct {
	TTL   time.Duration    // how long an answer is remembered; 0 means 24 h
	Lease time.Duration    // how long a request may stay unanswered; 0 means 60 s
	Now   func() time.Time // nil means time.Now
}

// Service holds the rules. It is safe for concurrent use.
type Service struct {
	store Store
	ttl   time.Duration
	lease time.Duration
	now   func() time.Time
}

// New returns a Service over the store.
func New(s Store, o Options) *Service {
	if o.TTL == 0 {
		o.TTL = 24 * time.Hour
	}
	if o.Lease == 0 {
		o.Lease = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Service{store: s, ttl: o.TTL, lease: o.Lease, now: o.Now}
}

// settleTimeout bounds a write that must not depend on whether the caller
// is still there.
const settleTimeout = 5 * time.Second

// settle runs a write that ends a claim: it goes on when the request was
// cancelled, and carries no claim itself.
func (s *Service) settle(ctx context.Context, id ID, decide func(*Record) (bool, error)) error {
	ctx, cancel := context.WithTimeout(Without(context.WithoutCancel(ctx)), settleTimeout)
	defer cancel()
	return s.store.UpdateIdempotency(ctx, id, decide)
}

// free reports whether a claim may begin the key afresh.
func (r *Record) free(now time.Time) bool {
	return r.State == StateFree || !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(now)
}

// claim makes r the record of a new claim. The token rises even over a row
// that was removed in between, as long as the clock did not go back by more
// than the time that rows are kept.
func (r *Record) claim(now time.Time, lease time.Duration) {
	r.Token = max(r.Token+1, now.UnixMicro())
	r.State, r.LeaseUntil = StateInProgress, now.Add(lease).UTC().Truncate(time.Microsecond)
	r.Answer = Stored{}
}

// release makes r free. The row stays for a while, to keep the token.
func (r *Record) release(expires time.Time) {
	*r = Record{State: StateFree, Token: r.Token, ExpiresAt: expires}
}

func checkID(op string, id ID) error {
	if n := len(id.Key); n == 0 || n > MaxKey {
		return fault.Invalid(op, fault.Field{Field: "key", Problem: "length", Limit: MaxKey, Actual: n},
			"an idempotency key has 1 to %d characters; a UUID is a good one", MaxKey)
	}
	for i := range len(id.Key) {
		if c := id.Key[i]; c < 0x20 || c > 0x7e {
			return fault.Invalid(op, fault.Field{Field: "key", Problem: "not printable ASCII"},
				"an idempotency key is printable ASCII; a UUID is a good one")
		}
	}
	if n := len(id.Scope); n == 0 || n > MaxScope {
		return fault.Invalid(op, fault.Field{Field: "scope", Problem: "length", Limit: MaxScope, Actual: n},
			"the scope has 1 to %d bytes; name the operation, such as payout", MaxScope)
	}
	for _, c := range id.Scope {
		if c == utf8.RuneError || unicode.IsControl(c) {
			return fault.Invalid(op, fault.Field{Field: "scope", Problem: "not printable UTF-8"},
				"the scope is UTF-8 without control characters")
		}
	}
	return nil
}

func mismatch(op string) error {
	return fault.New(fault.IdempotencyMismatch, op,
		"this idempotency key was used with another request; use a new key for a new request, or repeat the first one unchanged")
}
