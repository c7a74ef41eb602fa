package idempotency

import (
	"bytes"
	"context"
	"time"

	"avalo.app/gantry/internal/fault"
)

// Request is a request that carries an Idempotency-Key.
type Request struct {
	Scope       string // the principal and the route
	Key         string
	Fingerprint [32]byte // a hash of what the request asks for
	// InSQL says that the effect is in the store, all in transactions whose
	// context carries the claim. Only then is it known, after a crash, that
	// an unfenced effect did not happen.
	InSQL bool
}

// Claim is the right to run one request's effect.
type Claim struct {
	Scope string
	Key   string
	Token int64
}

func (c Claim) id() ID { return ID{KindRequest, c.Scope, c.Key} }

// Outcome says what to do with a request.
type Outcome string

// The outcomes of Service.Claim.
const (
	Run    Outcome = "run"    // run it, with Decision.Claim in its context
	Replay Outcome = "replay" // send Decision.Answer
)

// Decision is the answer of Service.Claim.
type Decision struct {
	State  Outcome
	Claim  Claim  // if Run
	Answer Stored // if Replay
}

// Unsettled is the Detail of the CONFLICT for a request that was seen before
// and has no stored answer.
type Unsettled struct {
	// State is "in_progress" while the first request may still answer.
	State string `json:"state,omitempty"`
	// Effect is "committed" or "in doubt"; empty while it is open.
	Effect string `json:"effect,omitempty"`
}

// The values of Unsettled.
const (
	InProgress      = "in_progress"
	EffectCommitted = "committed"
	EffectInDoubt   = "in doubt"
)

type claimKey struct{}

// With returns a context whose writes commit together with the claim, or
// not at all. Work that a request starts but does not answer for must not
// use it.
func With(ctx context.Context, c Claim) context.Context {
	return context.WithValue(ctx, claimKey{}, c)
}

// From returns the claim that With put in.
func From(ctx context.Context) (Claim, bool) {
	c, ok := ctx.Value(claimKey{}).(Claim)
	return c, ok
}

// Without returns a context whose writes are no effects of the request.
func Without(ctx context.Context) context.Context {
	return context.WithValue(ctx, claimKey{}, nil)
}

// abandonTimeout bounds giving up a claim that may have been written.
const abandonTimeout = 3 * time.Second

// Claim decides whether a request runs (Run) or its stored answer is sent
// again (Replay). Of any number of equal requests at once, one is Run.
//
// Its errors: INVALID_ARGUMENT for a bad key, IDEMPOTENCY_MISMATCH for a key
// that another request used, CONFLICT with an [Unsettled] when there is
// nothing to replay yet, or ever. A request whose effect did not commit is
// taken over when its lease ends, if it was InSQL; one that was not is in
// doubt until the key is forgotten, and one whose effect committed is never
// run again.
func (s *Service) Claim(ctx context.Context, q Request) (Decision, error) {
	const op = "idempotency.Claim"
	id := ID{KindRequest, q.Scope, q.Key}
	if err := checkID(op, id); err != nil {
		return Decision{}, err
	}
	var d Decision
	err := s.store.UpdateIdempotency(Without(ctx), id, func(r *Record) (bool, error) {
		d = Decision{}
		now := s.now()
		if !r.free(now) {
			replay, err := r.seenBefore(op, q, now)
			if err != nil {
				return false, err
			}
			if replay {
				d = Decision{State: Replay, Answer: r.Answer}
				return false, nil
			}
		}
		r.claim(now, s.lease)
		r.Fingerprint, r.InSQL, r.ExpiresAt = q.Fingerprint[:], q.InSQL, now.Add(s.ttl)
		d = Decision{State: Run, Claim: Claim{q.Scope, q.Key, r.Token}}
		return true, nil
	})
	if err != nil {
		if d.State == Run {
			// It may have been written; nobody will run it, so a repeat need
			// not wait for the lease. That the caller's time is over, which may be
			// why, does not end the attempt.
			fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTimeout)
			_ = s.Abandon(fresh, d.Claim)
			cancel()
		}
		return Decision{}, err
	}
	return d, nil
}

// seenBefore decides about a key that is not free: replay, take over (false
// and no error), or an error.
func (r *Record) seenBefore(op string, q Request, now time.Time) (replay bool, err error) {
	leased := now.Before(r.LeaseUntil)
	switch {
	case !bytes.Equal(r.Fingerprint, q.Fingerprint[:]):
		return false, mismatch(op)
	case r.State == StateDone:
		return true, nil
	case r.State == StateCommitted && leased:
		return false, unsettled(op, Unsettled{InProgress, EffectCommitted},
			"the first request with this key took effect and is about to answer; repeat it in a moment for the answer")
	case r.State == StateCommitted:
		return false, unsettled(op, Unsettled{"", EffectCommitted},
			"the first request with this key took effect, but its answer was not kept; read the resource to see the result, and do not repeat the request under a new key")
	case leased:
		return false, unsettled(op, Unsettled{InProgress, ""},
			"the first request with this key is still in progress; repeat it in a moment for its answer")
	case r.InSQL:
		return false, nil
	}
	return false, unsettled(op, Unsettled{"", EffectInDoubt},
		"the first request with this key never answered, and whether it took effect is not known; read the resource before trying again under a new key")
}

func unsettled(op string, u Unsettled, msg string) error {
	return &fault.Error{Code: fault.Conflict, Op: op, Msg: msg, Detail: u}
}

// Finish stores the answer of a claimed request, for replay until the TTL.
// It goes on when ctx is cancelled: the effect happened, whether or not the
// client waits. It may be repeated; the first answer stays. CONFLICT means
// that the claim was taken over or forgotten, and nothing was stored.
//
// A body over MaxBody is not stored: a repeat then gets CONFLICT with effect
// committed. So does a repeat of a request that ends by Abandon after its
// effect committed; that is the way for an answer with a secret.
func (s *Service) Finish(ctx context.Context, c Claim, a Stored) error {
	return s.settle(ctx, c.id(), func(r *Record) (bool, error) {
		now := s.now()
		if r.Token != c.Token || r.free(now) {
			return false, Lost("idempotency.Finish")
		}
		if r.State == StateDone {
			return false, nil
		}
		r.ExpiresAt = now.Add(s.ttl)
		if len(a.Body) > MaxBody {
			r.State, r.LeaseUntil = StateCommitted, now
			return true, nil
		}
		r.State, r.Answer = StateDone, a
		return true, nil
	})
}

// Abandon ends a claim without an answer. If its effect did not commit, the
// key is free for a repeat; if it did, repeats get CONFLICT with effect
// committed. For a request that was not InSQL, the caller vouches that the
// effect did not happen. A claim that was finished or taken over stays as
// it is. It goes on when ctx is cancelled, and may be repeated.
func (s *Service) Abandon(ctx context.Context, c Claim) error {
	return s.settle(ctx, c.id(), func(r *Record) (bool, error) {
		now := s.now()
		switch {
		case r.Token != c.Token:
			return false, nil
		case r.State == StateInProgress:
			r.release(now.Add(s.ttl))
			return true, nil
		case r.State == StateCommitted && now.Before(r.LeaseUntil):
			r.LeaseUntil = now
			return true, nil
		}
		return false, nil
	})
}

// Lost is the error with which a store refuses to commit an effect whose
// claim was taken over.
func Lost(op string) error {
	return unsettled(op, Unsettled{State: InProgress},
		"this request took too long, and a repeat with the same idempotency key took its place; nothing was changed, repeat it for the other one's answer")
}
