package store_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/lease"
	"avalo.app/gantry/internal/ratelimit"
	"avalo.app/gantry/internal/store"
	"avalo.app/gantry/internal/store/storetest"
)

var _ lease.Store = (*store.DB)(nil)

// testClock is a clock that the test moves.
type testClock struct{ us atomic.Int64 }

func newTestClock() *testClock {
	c := new(testClock)
	c.us.Store(testTime.UnixMicro())
	return c
}

func (c *testClock) Now() time.Time      { return time.UnixMicro(c.us.Load()).UTC() }
func (c *testClock) Add(d time.Duration) { c.us.Add(d.Microseconds()) }

// withClock runs fn on each engine with a store whose clock the test moves.
func withClock(t *testing.T, fn func(*testing.T, *store.DB, *testClock)) {
	t.Helper()
	storetest.EachURL(t, func(t *testing.T, url string) {
		clock := newTestClock()
		db, err := store.Open(t.Context(), store.Options{URL: url, Now: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		fn(t, db, clock)
	})
}

func acquire(t *testing.T, db *store.DB, holder string) lease.Held {
	t.Helper()
	h, ok, err := db.AcquireLease(t.Context(), "work", holder, time.Minute)
	if err != nil || !ok {
		t.Fatalf("%s acquires: %v %v", holder, ok, err)
	}
	return h
}

func nothing() error { return nil }

func TestLease(t *testing.T) {
	withClock(t, func(t *testing.T, db *store.DB, clock *testClock) {
		a := acquire(t, db, "a")
		if _, ok, err := db.AcquireLease(t.Context(), "work", "a", time.Minute); ok || err != nil {
			t.Fatalf("acquired twice: %v %v", ok, err)
		}
		if _, ok, err := db.AcquireLease(t.Context(), "other work", "b", time.Minute); !ok || err != nil {
			t.Fatalf("another name: %v %v", ok, err)
		}
		clock.Add(time.Minute - 1000)
		if ok, err := db.RenewLease(t.Context(), a, time.Minute); !ok || err != nil {
			t.Fatalf("renew: %v %v", ok, err)
		}
		clock.Add(time.Minute)
		if ok, err := db.RenewLease(t.Context(), a, time.Minute); ok || err != nil {
			t.Fatalf("renewed after its end: %v %v", ok, err)
		}
		b := acquire(t, db, "b")
		if b.Token <= a.Token {
			t.Fatalf("token %d after %d", b.Token, a.Token)
		}
		if err := db.ReleaseLease(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if ok, err := db.RenewLease(t.Context(), b, time.Minute); !ok || err != nil {
			t.Fatalf("b lost it by a's release: %v %v", ok, err)
		}
		for range 2 {
			if err := db.ReleaseLease(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		if c := acquire(t, db, "c"); c.Token <= b.Token {
			t.Fatalf("token %d after %d", c.Token, b.Token)
		}
	})
}

func TestOneOfManyAcquires(t *testing.T) {
	withClock(t, func(t *testing.T, db *store.DB, clock *testClock) {
		for round := range 3 {
			var wg sync.WaitGroup
			var won atomic.Int64
			for range 16 {
				wg.Go(func() {
					_, ok, err := db.AcquireLease(t.Context(), "work", "n", time.Minute)
					if err != nil {
						t.Error(err)
					}
					if ok {
						won.Add(1)
					}
				})
			}
			wg.Wait()
			if won.Load() != 1 {
				t.Fatalf("round %d: %d acquired", round, won.Load())
			}
			clock.Add(time.Minute)
		}
	})
}

// A holder is paused before its write and wakes after a takeover.
func TestPausedHolderChangesNothing(t *testing.T) {
	withClock(t, func(t *testing.T, db *store.DB, clock *testClock) {
		a := acquire(t, db, "a")
		if err := db.WriteUnder(t.Context(), a, "x", nothing); err != nil {
			t.Fatal(err)
		}
		clock.Add(time.Minute)
		if err := db.WriteUnder(t.Context(), a, "x", nothing); fault.CodeOf(err) != fault.Conflict {
			t.Fatalf("after the lease's end: %v", err)
		}
		b := acquire(t, db, "b")
		if err := db.WriteUnder(t.Context(), a, "x", nothing); fault.CodeOf(err) != fault.Conflict {
			t.Fatalf("after the takeover: %v", err)
		}
		if _, err := db.SweepIdempotency(t.Context(), clock.Now(), 1, a); fault.CodeOf(err) != fault.Conflict {
			t.Fatalf("sweep: %v", err)
		}
		if _, err := db.PruneViolations(t.Context(), clock.Now(), 1, a); fault.CodeOf(err) != fault.Conflict {
			t.Fatalf("prune: %v", err)
		}
		if err := db.WriteUnder(t.Context(), b, "x", nothing); err != nil {
			t.Fatal(err)
		}
		if revs, err := db.Revisions(t.Context()); err != nil || revs["x"] != 2 {
			t.Fatalf("%d writes, %v", revs["x"], err)
		}
	})
}

// A takeover waits for a write that is under way: it cannot slip between the
// check of the lease and the commit.
func TestTakeoverWaitsForTheWrite(t *testing.T) {
	withClock(t, func(t *testing.T, db *store.DB, clock *testClock) {
		a := acquire(t, db, "a")
		err := db.WriteUnder(t.Context(), a, "x", func() error {
			clock.Add(time.Hour) // paused here, for longer than the lease
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if _, ok, err := db.AcquireLease(ctx, "work", "b", time.Minute); ok || ctx.Err() == nil {
				t.Errorf("b need not wait: %v %v", ok, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		acquire(t, db, "b")
	})
}

func TestPruneViolations(t *testing.T) {
	withClock(t, func(t *testing.T, db *store.DB, clock *testClock) {
		var vs []ratelimit.Violation
		for i := range 10 {
			at := testTime.Add(time.Duration(i) * time.Minute)
			vs = append(vs, ratelimit.Violation{Action: "LOGIN", Scope: ratelimit.User, User: "u", Window: time.Minute,
				WindowStart: at, Limit: 5, Count: 1, FirstAt: at, LastAt: at})
		}
		if err := db.RecordViolations(t.Context(), ratelimit.Batch{Node: "n", Seq: 1, Violations: vs}); err != nil {
			t.Fatal(err)
		}
		h := acquire(t, db, "a")
		for _, want := range []int64{3, 3, 1, 0} { // seven are older than minute 7
			n, err := db.PruneViolations(t.Context(), testTime.Add(7*time.Minute), 3, h)
			if err != nil || n != want {
				t.Fatalf("pruned %d, %v; want %d", n, err, want)
			}
		}
		left, err := db.Violations(t.Context(), ratelimit.ViolationFilter{Limit: 100})
		if err != nil || len(left) != 3 || !left[2].LastAt.Equal(testTime.Add(7*time.Minute)) {
			t.Fatalf("left: %+v %v", left, err)
		}
	})
}
