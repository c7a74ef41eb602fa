package idempotency_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/idempotency"
)

const lease, day = time.Minute, 24 * time.Hour

var (
	answer     = idempotency.Stored{Status: 201, Header: map[string]string{"Location": "/x"}, Body: []byte(`{"id":1}`)}
	inProgress = idempotency.Unsettled{State: idempotency.InProgress}
	answering  = idempotency.Unsettled{State: idempotency.InProgress, Effect: idempotency.EffectCommitted}
	committed  = idempotency.Unsettled{Effect: idempotency.EffectCommitted}
	inDoubt    = idempotency.Unsettled{Effect: idempotency.EffectInDoubt}
)

func (r *rig) replayed(t *testing.T, q idempotency.Request) {
	t.Helper()
	d, err := r.Claim(t.Context(), q)
	if diff := cmp.Diff(idempotency.Decision{State: idempotency.Replay, Answer: answer}, d); err != nil || diff != "" {
		t.Fatalf("claim: %v; (-want +got)\n%s", err, diff)
	}
}

func TestAnswerIsReplayedForTheTTL(t *testing.T) {
	r := newRig()
	c := r.claim(t, request())
	r.refused(t, request(), inProgress)
	must(t, "effect", r.mem.Effect(idempotency.With(t.Context(), c)))
	must(t, "second effect", r.mem.Effect(idempotency.With(t.Context(), c)))
	r.refused(t, request(), answering)
	must(t, "finish", r.Finish(t.Context(), c, answer))
	r.now = r.now.Add(day - 1)
	r.replayed(t, request())
	other := request()
	other.Fingerprint[0]++
	_, err := r.Claim(t.Context(), other)
	wantCode(t, "another body", err, fault.IdempotencyMismatch)
	other.Key = "another"
	r.claim(t, other)
	other.Scope = "key:2 createOverride"
	r.claim(t, other)
	r.now = start.Add(day)
	other = request()
	other.Fingerprint[0]++
	if again := r.claim(t, other); again.Token <= c.Token {
		t.Errorf("token %d after %d", again.Token, c.Token)
	}
	wantCode(t, "an old finish", r.Finish(t.Context(), c, answer), fault.Conflict)
	wantCode(t, "an old effect", r.mem.Effect(idempotency.With(t.Context(), c)), fault.Conflict)
}

// The process dies at each point of a request; what does a repeat get?
func TestCrash(t *testing.T) {
	for _, tt := range []struct {
		name           string
		inSQL, effect  bool
		within, after  *idempotency.Unsettled // nil: it runs again
		afterForgotten *idempotency.Unsettled
	}{
		{"before the effect, in SQL", true, false, &inProgress, nil, nil},
		{"after the effect, in SQL", true, true, &answering, &committed, nil},
		{"somewhere, not in SQL", false, false, &inProgress, &inDoubt, nil},
		{"after a write, not in SQL", false, true, &answering, &committed, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig()
			q := request()
			q.InSQL = tt.inSQL
			c := r.claim(t, q)
			if tt.effect {
				must(t, "effect", r.mem.Effect(idempotency.With(t.Context(), c)))
			}
			check := func(at time.Duration, want *idempotency.Unsettled) {
				t.Helper()
				r.now = start.Add(at)
				if want != nil {
					r.refused(t, q, *want)
					return
				}
				next := r.claim(t, q)
				wantCode(t, "the old effect", r.mem.Effect(idempotency.With(t.Context(), c)), fault.Conflict)
				wantCode(t, "the old finish", r.Finish(t.Context(), c, answer), fault.Conflict)
				must(t, "the old abandon", r.Abandon(t.Context(), c))
				must(t, "the new effect", r.mem.Effect(idempotency.With(t.Context(), next)))
			}
			check(lease-1, tt.within)
			check(lease, tt.after)
			if tt.after != nil {
				check(day-1, tt.after)
				check(day, tt.afterForgotten)
			}
		})
	}
}

func TestAbandon(t *testing.T) {
	r := newRig()
	c := r.claim(t, request())
	for range 2 {
		must(t, "abandon", r.Abandon(t.Context(), c))
	}
	wantCode(t, "effect after abandon", r.mem.Effect(idempotency.With(t.Context(), c)), fault.Conflict)
	next := r.claim(t, request()) // at the same instant
	if next.Token <= c.Token {
		t.Fatalf("token %d after %d", next.Token, c.Token)
	}
	must(t, "effect", r.mem.Effect(idempotency.With(t.Context(), next)))
	must(t, "abandon", r.Abandon(t.Context(), next))
	r.refused(t, request(), committed)
	must(t, "finish", r.Finish(t.Context(), next, answer))
	must(t, "abandon of a finished", r.Abandon(t.Context(), next))
	r.replayed(t, request())
}

func TestLargeAnswersAreNotStored(t *testing.T) {
	r := newRig()
	c := r.claim(t, request())
	large := idempotency.Stored{Status: 200, Body: make([]byte, idempotency.MaxBody+1)}
	must(t, "finish", r.Finish(t.Context(), c, large))
	r.refused(t, request(), committed)

	q := request()
	q.Key = "fits"
	c = r.claim(t, q)
	large.Body = large.Body[1:]
	must(t, "finish", r.Finish(t.Context(), c, large))
	if d, err := r.Claim(t.Context(), q); err != nil || len(d.Answer.Body) != idempotency.MaxBody {
		t.Errorf("%d bytes, %v", len(d.Answer.Body), err)
	}
}

// The client goes away: what ends the claim is written all the same, and is
// no write of the request itself.
func TestSettlingOutlivesTheRequest(t *testing.T) {
	r := newRig()
	c := r.claim(t, request())
	gone, cancel := context.WithCancel(idempotency.With(t.Context(), c))
	cancel()
	r.fake.OnUpdate = func(ctx context.Context, id idempotency.ID, decide func(*idempotency.Record) (bool, error)) error {
		if _, ok := idempotency.From(ctx); ok {
			t.Error("the write that ends a claim carries it")
		}
		if _, ok := ctx.Deadline(); !ok {
			t.Error("no deadline")
		}
		return r.mem.UpdateIdempotency(ctx, id, decide)
	}
	must(t, "finish", r.Finish(gone, c, answer))
	r.fake.OnUpdate = nil
	r.replayed(t, request())
}

// A claim is never part of another claim's effect.
func TestClaimsDoNotNest(t *testing.T) {
	r := newRig()
	c := r.claim(t, request())
	r.fake.OnUpdate = func(ctx context.Context, id idempotency.ID, decide func(*idempotency.Record) (bool, error)) error {
		if _, ok := idempotency.From(ctx); ok {
			t.Error("the write of a claim carries another one")
		}
		return r.mem.UpdateIdempotency(ctx, id, decide)
	}
	other := request()
	other.Key = "another"
	if _, err := r.Claim(idempotency.With(t.Context(), c), other); err != nil {
		t.Fatal(err)
	}
}

func TestRequestWritesFail(t *testing.T) {
	for name, persisted := range map[string]bool{"failed": false, "failed but persisted": true} {
		t.Run("claim "+name, func(t *testing.T) {
			r := newRig()
			r.fake.FailNext(1, persisted, errStore)
			if _, err := r.Claim(t.Context(), request()); err != errStore {
				t.Fatal(err)
			}
			r.claim(t, request()) // at once: the lost claim was released
		})
		t.Run("claim and its release "+name, func(t *testing.T) {
			r := newRig()
			r.fake.FailNext(2, persisted, errStore)
			if _, err := r.Claim(t.Context(), request()); err != errStore {
				t.Fatal(err)
			}
			r.now = r.now.Add(lease)
			r.claim(t, request())
		})
		t.Run("finish "+name, func(t *testing.T) {
			r := newRig()
			c := r.claim(t, request())
			must(t, "effect", r.mem.Effect(idempotency.With(t.Context(), c)))
			r.fake.FailNext(1, persisted, errStore)
			if err := r.Finish(t.Context(), c, answer); err != errStore {
				t.Fatal(err)
			}
			if persisted {
				r.replayed(t, request())
			} else {
				r.refused(t, request(), answering)
			}
			must(t, "repeat", r.Finish(t.Context(), c, answer))
			r.replayed(t, request())
		})
		t.Run("abandon "+name, func(t *testing.T) {
			r := newRig()
			c := r.claim(t, request())
			r.fake.FailNext(1, persisted, errStore)
			if err := r.Abandon(t.Context(), c); err != errStore {
				t.Fatal(err)
			}
			if !persisted {
				r.refused(t, request(), inProgress)
			}
			must(t, "repeat", r.Abandon(t.Context(), c))
			r.claim(t, request())
		})
	}
}
