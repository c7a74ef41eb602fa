package store_test

import (
	"sync"
	"testing"
	"time"

	"avalo.app/gantry/internal/ratelimit"
	"avalo.app/gantry/internal/store"
)

// TestCountViolations: the refusals of the last hour are counted by the
// minute in which they were written, failed authentications apart; trials
// never, a repeated batch once, and a flush of many nodes exactly.
func TestCountViolations(t *testing.T) {
	withClock(t, func(t *testing.T, db *store.DB, clock *testClock) {
		want := func(since time.Time, refused, unauthenticated int64) {
			t.Helper()
			r, u, err := db.CountViolations(t.Context(), since)
			if err != nil || r != refused || u != unauthenticated {
				t.Errorf("since %s: %d and %d, want %d and %d (%v)", since, r, u, refused, unauthenticated, err)
			}
		}
		start := clock.Now()
		want(start.Add(-time.Hour), 0, 0)
		trial := violation("carol", 900)
		trial.Shadow = true
		auth := violation("dave", 5)
		auth.Action = ratelimit.AuthFailure
		batch := ratelimit.Batch{Node: "n", Seq: 1, Violations: []ratelimit.Violation{violation("alice", 50), violation("bob", 3), trial, auth}}
		for range 2 { // the second time is a retry
			if err := db.RecordViolations(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		}
		want(start.Add(-time.Hour), 53, 5)
		if err := db.RecordViolations(t.Context(), ratelimit.Batch{Node: "n", Seq: 2, Violations: []ratelimit.Violation{trial}}); err != nil {
			t.Fatal(err)
		}
		want(start.Add(-time.Hour), 53, 5)

		clock.Add(30 * time.Minute)
		var wg sync.WaitGroup
		for _, node := range []string{"a", "b", "c", "d"} {
			wg.Go(func() {
				for seq := range int64(5) {
					b := ratelimit.Batch{Node: node, Seq: seq + 1, Violations: []ratelimit.Violation{violation("alice", 2), auth}}
					if err := db.RecordViolations(t.Context(), b); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		now := clock.Now()
		want(now.Add(-time.Hour), 53+40, 5+100)
		want(now, 40, 100)
		want(now.Add(time.Minute), 0, 0)
		clock.Add(31 * time.Minute)
		want(clock.Now().Add(-time.Hour), 40, 100)

		// They are Gantry's own, and none of what the host reported.
		if got, err := db.Signals(t.Context(), start.Add(-time.Hour)); err != nil || len(got) != 0 {
			t.Errorf("as signals of the host: %v %v", got, err)
		}
	})
}
