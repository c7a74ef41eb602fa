package store_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/hostsignal"
	"avalo.app/gantry/internal/store"
)

func TestSignals(t *testing.T) {
	withClock(t, func(t *testing.T, db *store.DB, _ *testClock) {
		api := hostsignal.Count{Kind: hostsignal.Requests, Object: "api", N: 7}
		stripe := hostsignal.Count{Kind: hostsignal.PaymentFailed, Object: "stripe", N: 1}
		var wg sync.WaitGroup
		for range 20 { // exact under concurrency
			wg.Go(func() {
				if err := db.AddSignals(t.Context(), testTime.Add(30*time.Second), []hostsignal.Count{stripe, api}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := db.AddSignals(t.Context(), testTime.Add(-time.Hour), []hostsignal.Count{api}); err != nil {
			t.Fatal(err)
		}
		minute := testTime.Truncate(time.Minute)
		want := func(since time.Time, want ...hostsignal.Bucket) {
			t.Helper()
			got, err := db.Signals(t.Context(), since)
			if d := cmp.Diff(want, got); err != nil || d != "" {
				t.Errorf("since %s: %v %s", since, err, d)
			}
		}
		old := hostsignal.Bucket{Minute: minute.Add(-time.Hour), Count: api}
		api.N, stripe.N = 140, 20
		now := []hostsignal.Bucket{{Minute: minute, Count: stripe}, {Minute: minute, Count: api}}
		want(testTime.Add(59*time.Second), now...)
		want(testTime.Add(-time.Hour), append([]hostsignal.Bucket{old}, now...)...)
		want(testTime.Add(time.Minute))

		h := acquire(t, db, "a")
		if n, err := db.PruneSignals(t.Context(), minute, 10, h); err != nil || n != 1 {
			t.Errorf("pruned %d: %v", n, err)
		}
		if n, err := db.PruneSignals(t.Context(), minute, 10, h); err != nil || n != 0 {
			t.Errorf("pruned again %d: %v", n, err)
		}
		want(testTime.Add(-2*time.Hour), now...)
		h.Token--
		if n, err := db.PruneSignals(t.Context(), minute.Add(time.Hour), 10, h); err == nil || n != 0 {
			t.Errorf("without the lease %d: %v", n, err)
		}
	})
}
