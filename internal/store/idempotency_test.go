package store_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/idempotency"
	"avalo.app/gantry/internal/store"
)

var _ idempotency.Store = (*store.DB)(nil)

// withIdempotency runs fn on each engine with a service over the store.
func withIdempotency(t *testing.T, fn func(*testing.T, *store.DB, *idempotency.Service, *testClock)) {
	t.Helper()
	withClock(t, func(t *testing.T, db *store.DB, clock *testClock) {
		fn(t, db, idempotency.New(db, idempotency.Options{Now: clock.Now}), clock)
	})
}

func claimRequest() idempotency.Request {
	return idempotency.Request{Scope: "key:1 route", Key: "k", Fingerprint: [32]byte{0, 0xff}, InSQL: true}
}

func mustClaim(t *testing.T, s *idempotency.Service) idempotency.Claim {
	t.Helper()
	d, err := s.Claim(t.Context(), claimRequest())
	if err != nil || d.State != idempotency.Run {
		t.Fatalf("claim: %+v %v", d, err)
	}
	return d.Claim
}

func writes(t *testing.T, db *store.DB) int64 {
	t.Helper()
	revs, err := db.Revisions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return revs["effect"]
}

// effect returns the Detail of the CONFLICT that err must be.
func effect(t *testing.T, err error) idempotency.Unsettled {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != fault.Conflict {
		t.Fatalf("%v, want CONFLICT", err)
	}
	u, _ := f.Detail.(idempotency.Unsettled)
	return u
}

func TestIdempotencyRecordsComeBackWhole(t *testing.T) {
	withIdempotency(t, func(t *testing.T, db *store.DB, _ *idempotency.Service, _ *testClock) {
		id := idempotency.ID{Kind: idempotency.KindOperation, Scope: "zażółć", Key: `"'; --`}
		for _, want := range []idempotency.Record{
			{State: idempotency.StateDone, Token: 1 << 60, Fingerprint: []byte{0, 1, 0xff}, InSQL: true, LeaseUntil: testTime, ExpiresAt: testTime.Add(time.Hour),
				Answer: idempotency.Stored{Status: 201, Header: map[string]string{"Content-Type": "application/json", "Etag": `"ł"`}, Body: []byte("a\x00b\xff")}},
			{State: idempotency.StateInProgress, Token: 2, LeaseUntil: testTime},
		} {
			if err := db.UpdateIdempotency(t.Context(), id, func(r *idempotency.Record) (bool, error) { *r = want; return true, nil }); err != nil {
				t.Fatal(err)
			}
			failed := errors.New("decided against")
			if err := db.UpdateIdempotency(t.Context(), id, func(r *idempotency.Record) (bool, error) { r.Token++; return true, failed }); !errors.Is(err, failed) {
				t.Fatal(err)
			}
			var got idempotency.Record
			if err := db.UpdateIdempotency(t.Context(), id, func(r *idempotency.Record) (bool, error) { got = *r; r.Token++; return false, nil }); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
				t.Fatal(d)
			}
		}
	})
}

func TestOneOfManyIsNew(t *testing.T) {
	withIdempotency(t, func(t *testing.T, _ *store.DB, s *idempotency.Service, _ *testClock) {
		var wg sync.WaitGroup
		var claimed, begun atomic.Int64
		for range 32 {
			wg.Go(func() {
				d, err := s.Claim(t.Context(), claimRequest())
				switch {
				case err == nil && d.State == idempotency.Run:
					claimed.Add(1)
				case fault.CodeOf(err) != fault.Conflict:
					t.Errorf("claim: %+v %v", d, err)
				}
			})
			wg.Go(func() {
				b, err := s.Begin(t.Context(), idempotency.BeginRequest{Scope: "s", Key: "k", Fingerprint: "f"})
				switch {
				case err == nil && b.State == idempotency.BegunNew:
					begun.Add(1)
				case err != nil || b.State != idempotency.BegunInProgress:
					t.Errorf("begin: %+v %v", b, err)
				}
			})
		}
		wg.Wait()
		if claimed.Load() != 1 || begun.Load() != 1 {
			t.Fatalf("%d claims, %d begins were new", claimed.Load(), begun.Load())
		}
	})
}

// Many take over what a dead holder left.
func TestOneOfManyTakesOver(t *testing.T) {
	withIdempotency(t, func(t *testing.T, _ *store.DB, s *idempotency.Service, clock *testClock) {
		q := idempotency.BeginRequest{Scope: "s", Key: "k"}
		if _, err := s.Begin(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		clock.Add(time.Hour)
		var wg sync.WaitGroup
		var doubt atomic.Int64
		for range 32 {
			wg.Go(func() {
				b, err := s.Begin(t.Context(), q)
				switch {
				case err == nil && b.State == idempotency.BegunInDoubt:
					doubt.Add(1)
				case err != nil || b.State != idempotency.BegunInProgress:
					t.Errorf("%+v %v", b, err)
				}
			})
		}
		wg.Wait()
		if doubt.Load() != 1 {
			t.Fatalf("%d were told in_doubt", doubt.Load())
		}
	})
}

// The process dies around the effect's transaction; a repeat must leave
// exactly one effect, or say that there is one.
func TestEffectCommitsWithItsClaim(t *testing.T) {
	withIdempotency(t, func(t *testing.T, db *store.DB, s *idempotency.Service, clock *testClock) {
		old := mustClaim(t, s)
		died := errors.New("died")
		if err := db.Bump(idempotency.With(t.Context(), old), "effect", func() error { return died }); !errors.Is(err, died) {
			t.Fatal(err)
		}
		_, err := s.Claim(t.Context(), claimRequest())
		if u := effect(t, err); u.State != idempotency.InProgress || u.Effect != "" {
			t.Fatalf("%+v", u)
		}
		clock.Add(time.Minute)
		next := mustClaim(t, s)
		// The old one was only paused: its effect must not commit now.
		if err := db.Bump(idempotency.With(t.Context(), old), "effect", nothing); fault.CodeOf(err) != fault.Conflict {
			t.Fatalf("the old holder's effect: %v", err)
		}
		if n := writes(t, db); n != 0 {
			t.Fatalf("%d effects", n)
		}
		for range 2 { // a request may write twice
			if err := db.Bump(idempotency.With(t.Context(), next), "effect", nothing); err != nil {
				t.Fatal(err)
			}
		}
		clock.Add(time.Hour)
		_, err = s.Claim(t.Context(), claimRequest())
		if u := effect(t, err); u.Effect != idempotency.EffectCommitted {
			t.Fatalf("%+v", u)
		}
		want := idempotency.Stored{Status: 200, Header: map[string]string{"A": "b"}, Body: []byte("{}")}
		if err := s.Finish(idempotency.With(t.Context(), next), next, want); err != nil {
			t.Fatal(err)
		}
		if err := db.Bump(idempotency.With(t.Context(), next), "effect", nothing); fault.CodeOf(err) != fault.Conflict {
			t.Fatalf("an effect after the answer: %v", err)
		}
		d, err := s.Claim(t.Context(), claimRequest())
		if diff := cmp.Diff(idempotency.Decision{State: idempotency.Replay, Answer: want}, d); err != nil || diff != "" {
			t.Fatalf("%v %s", err, diff)
		}
		if n := writes(t, db); n != 2 {
			t.Fatalf("%d effects", n)
		}
	})
}

// A takeover and an abandonment meet an effect that is just committing.
func TestEffectUnderWay(t *testing.T) {
	withIdempotency(t, func(t *testing.T, db *store.DB, s *idempotency.Service, clock *testClock) {
		for i := range 10 {
			q := claimRequest()
			q.Key = fmt.Sprint("k", i)
			d, err := s.Claim(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			clock.Add(time.Minute)
			before := writes(t, db)
			var wg sync.WaitGroup
			var again atomic.Bool
			var wrote error
			wg.Go(func() { wrote = db.Bump(idempotency.With(t.Context(), d.Claim), "effect", nothing) })
			wg.Go(func() {
				next, err := s.Claim(t.Context(), q)
				again.Store(err == nil && next.State == idempotency.Run)
				if !again.Load() && effect(t, err).Effect != idempotency.EffectCommitted {
					t.Errorf("claim: %v", err)
				}
			})
			wg.Go(func() {
				if err := s.Abandon(t.Context(), d.Claim); err != nil {
					t.Error(err)
				}
			})
			wg.Wait()
			committed := writes(t, db) > before
			if committed != (wrote == nil) || committed == again.Load() {
				t.Fatalf("the effect committed: %v (%v); a repeat runs: %v", committed, wrote, again.Load())
			}
		}
	})
}
