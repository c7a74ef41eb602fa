package idempotency

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"time"

	"avalo.app/gantry/internal/fault"
)

// The bounds of an operation's lease.
const (
	MinLease     = time.Second
	MaxLease     = time.Hour
	DefaultLease = time.Minute
)

// BeginRequest asks for the right to run one of the host's operations.
type BeginRequest struct {
	Scope string
	Key   string
	// Fingerprint says what the operation does, such as a hash of its
	// parameters; empty if the host does not compare.
	Fingerprint string
	// Lease is how long the operation may take; 0 means DefaultLease.
	Lease time.Duration
}

// The states that Begin answers, and what the host does then.
const (
	BegunNew        = "new"         // run the effect, then Complete
	BegunReplay     = "replay"      // it is done: Answer
	BegunInProgress = "in_progress" // somebody holds it until LeaseExpiresAt; ask again then
	BegunInDoubt    = "in_doubt"    // find out whether the effect happened, then Complete or Release
)

// Begun is the answer of Service.Begin.
type Begun struct {
	State string
	// Token is the right to Complete or Release, with new and in_doubt. It is
	// a decimal number that rises with every holder of the key, so that the
	// host's own stores can fence with it too.
	Token          string
	Answer         json.RawMessage // with replay
	LeaseExpiresAt time.Time       // with new, in_doubt and in_progress
}

// Begin asks for an operation. Of any number of calls at once, one is
// answered new.
//
// When a lease ends without Complete, the operation is in doubt, and stays
// so for ever: it never becomes new by itself. The next Begin is then
// answered in_doubt with a new token, which fences the holder before, and
// with a lease to find out in which others see in_progress.
//
// Its errors: INVALID_ARGUMENT, and IDEMPOTENCY_MISMATCH for another
// fingerprint than the first one's.
func (s *Service) Begin(ctx context.Context, q BeginRequest) (Begun, error) {
	const op = "idempotency.Begin"
	id := ID{KindOperation, q.Scope, q.Key}
	if err := checkID(op, id); err != nil {
		return Begun{}, err
	}
	if n := len(q.Fingerprint); n > MaxFingerprint {
		return Begun{}, fault.Invalid(op, fault.Field{Field: "fingerprint", Problem: "length", Limit: MaxFingerprint, Actual: n},
			"the fingerprint has at most %d bytes; send a hash of what the operation does", MaxFingerprint)
	}
	if q.Lease == 0 {
		q.Lease = DefaultLease
	}
	if q.Lease < MinLease || q.Lease > MaxLease {
		return Begun{}, fault.Invalid(op, fault.Field{Field: "lease", Limit: MaxLease.String(), Actual: q.Lease.String()},
			"the lease is between %v and %v; take the time that the operation needs at most", MinLease, MaxLease)
	}
	var b Begun
	err := s.store.UpdateIdempotency(ctx, id, func(r *Record) (save bool, err error) {
		b, save, err = r.begin(op, q, s.now())
		return save, err
	})
	if err != nil {
		if b.State == BegunNew {
			// It may have been written; the host never heard of it, so the key
			// need not go into doubt.
			_ = s.settle(ctx, id, func(r *Record) (bool, error) {
				mine := r.State == StateInProgress && b.Token == formatToken(r.Token)
				if mine {
					r.release(s.now().Add(s.ttl))
				}
				return mine, nil
			})
		}
		return Begun{}, err
	}
	return b, nil
}

func (r *Record) begin(op string, q BeginRequest, now time.Time) (Begun, bool, error) {
	state := BegunNew
	if !r.free(now) {
		switch {
		case string(r.Fingerprint) != q.Fingerprint:
			return Begun{}, false, mismatch(op)
		case r.State == StateDone:
			return Begun{State: BegunReplay, Answer: r.Answer.Body}, false, nil
		case now.Before(r.LeaseUntil):
			return Begun{State: BegunInProgress, LeaseExpiresAt: r.LeaseUntil}, false, nil
		}
		state = BegunInDoubt
	}
	r.claim(now, q.Lease)
	r.Fingerprint, r.ExpiresAt = []byte(q.Fingerprint), time.Time{}
	return Begun{State: state, Token: formatToken(r.Token), LeaseExpiresAt: r.LeaseUntil}, true, nil
}

// Complete stores the operation's answer for replay until the TTL. The lease
// may be over, as long as nobody else began since. It may be repeated: the
// same token and answer succeed again.
//
// Its errors: INVALID_ARGUMENT, NOT_FOUND for a key that was never begun or
// is forgotten, CONFLICT for a token that is not the newest, an operation
// that was released, or one completed with another answer.
func (s *Service) Complete(ctx context.Context, scope, key, token string, answer json.RawMessage) error {
	const op = "idempotency.Complete"
	id, n, err := checkHolder(op, scope, key, token)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	if json.Compact(&body, answer) != nil {
		return fault.Invalid(op, fault.Field{Field: "answer", Problem: "not JSON"}, "the answer is one JSON value; send null if there is none to keep")
	}
	if body.Len() > MaxAnswer {
		return fault.Invalid(op, fault.Field{Field: "answer", Problem: "length", Limit: MaxAnswer, Actual: body.Len()},
			"the answer has at most %d bytes; keep it elsewhere and store a reference", MaxAnswer)
	}
	return s.store.UpdateIdempotency(ctx, id, func(r *Record) (bool, error) {
		now := s.now()
		if err := r.heldBy(op, n, now); err != nil {
			return false, err
		}
		switch {
		case r.State == StateFree:
			return false, fault.New(fault.Conflict, op, "this operation was released with this token; begin it again")
		case r.State == StateDone && bytes.Equal(r.Answer.Body, body.Bytes()):
			return false, nil
		case r.State == StateDone:
			return false, fault.New(fault.Conflict, op, "this operation was completed with another answer, which stays; begin it to read that answer")
		}
		r.State, r.Answer, r.ExpiresAt = StateDone, Stored{Body: body.Bytes()}, now.Add(s.ttl)
		return true, nil
	})
}

// Release says that the effect did not happen and will not: the next Begin
// is answered new, whatever its fingerprint. It may be repeated.
//
// Its errors: INVALID_ARGUMENT, NOT_FOUND for a key that was never begun or
// is forgotten, CONFLICT for a token that is not the newest or an operation
// that was completed.
func (s *Service) Release(ctx context.Context, scope, key, token string) error {
	const op = "idempotency.Release"
	id, n, err := checkHolder(op, scope, key, token)
	if err != nil {
		return err
	}
	return s.store.UpdateIdempotency(ctx, id, func(r *Record) (bool, error) {
		now := s.now()
		if err := r.heldBy(op, n, now); err != nil {
			return false, err
		}
		switch r.State {
		case StateFree:
			return false, nil
		case StateDone:
			return false, fault.New(fault.Conflict, op, "this operation was completed, so its effect happened, and cannot be released; undo it by another operation")
		}
		r.release(now.Add(s.ttl))
		return true, nil
	})
}

// heldBy refuses any token but the newest.
func (r *Record) heldBy(op string, token int64, now time.Time) error {
	switch {
	case r.Token == 0, r.State == StateDone && r.free(now):
		return fault.New(fault.NotFound, op, "there is no operation with this key: it was never begun, or its answer was forgotten")
	case r.Token != token:
		return fault.New(fault.Conflict, op, "this token is not the newest: the lease ended and another process took the operation over; begin it again to see where it stands")
	}
	return nil
}

func checkHolder(op, scope, key, token string) (ID, int64, error) {
	id := ID{KindOperation, scope, key}
	if err := checkID(op, id); err != nil {
		return id, 0, err
	}
	n, err := strconv.ParseInt(token, 10, 64)
	if err != nil || n <= 0 || token != formatToken(n) {
		return id, 0, fault.Invalid(op, fault.Field{Field: "token", Problem: "not a token"}, "send the token of the answer to begin, unchanged")
	}
	return id, n, nil
}

func formatToken(n int64) string { return strconv.FormatInt(n, 10) }
