package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/idempotency"
	"avalo.app/gantry/internal/store"
	"avalo.app/gantry/internal/store/storetest"
)

func TestSweepIdempotency(t *testing.T) {
	withIdempotency(t, func(t *testing.T, db *store.DB, s *idempotency.Service, clock *testClock) {
		for i := range 5 {
			q := claimRequest()
			q.Key = fmt.Sprint("k", i)
			if _, err := s.Claim(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		doubt := idempotency.BeginRequest{Scope: "s", Key: "doubt"}
		if _, err := s.Begin(t.Context(), doubt); err != nil {
			t.Fatal(err)
		}
		clock.Add(24*time.Hour - time.Millisecond)
		h := acquire(t, db, "a")
		sweep := func(want int64) {
			t.Helper()
			n, err := db.SweepIdempotency(t.Context(), clock.Now(), 3, h)
			if err != nil || n != want {
				t.Fatalf("swept %d, %v; want %d", n, err, want)
			}
		}
		sweep(0)
		clock.Add(time.Millisecond)
		mustClaim(t, s) // another key, fresh
		sweep(3)
		sweep(2)
		sweep(0)
		clock.Add(365 * 24 * time.Hour)
		h = acquire(t, db, "a")
		sweep(1)
		if b, err := s.Begin(t.Context(), doubt); err != nil || b.State != idempotency.BegunInDoubt {
			t.Fatalf("%+v %v", b, err)
		}
	})
}

// A holder is paused for so long that its record expires, is swept and
// claimed anew: the new row's token must not be the old one again.
func TestSweptTokensDoNotComeBack(t *testing.T) {
	withIdempotency(t, func(t *testing.T, db *store.DB, s *idempotency.Service, clock *testClock) {
		old := mustClaim(t, s)
		clock.Add(24 * time.Hour)
		if n, err := db.SweepIdempotency(t.Context(), clock.Now(), 10, acquire(t, db, "a")); n != 1 || err != nil {
			t.Fatalf("swept %d, %v", n, err)
		}
		if err := db.Bump(idempotency.With(t.Context(), old), "effect", nothing); fault.CodeOf(err) != fault.Conflict {
			t.Fatalf("an effect without a record: %v", err)
		}
		next := mustClaim(t, s)
		if next.Token <= old.Token {
			t.Errorf("token %d after %d", next.Token, old.Token)
		}
		if err := db.Bump(idempotency.With(t.Context(), old), "effect", nothing); fault.CodeOf(err) != fault.Conflict {
			t.Fatalf("the old holder's effect: %v", err)
		}
		if n := writes(t, db); n != 0 {
			t.Errorf("%d effects", n)
		}
	})
}

// The sweep has chosen a key that is just being claimed anew, and waits for
// its row: the row must stay.
func TestSweepSparesAKeyClaimedMeanwhile(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		db, err := store.Open(t.Context(), store.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		h := acquire(t, db, "a")
		id := idempotency.ID{Kind: idempotency.KindRequest, Scope: "s", Key: "k"}
		until := func(expires time.Time, locked func()) {
			if err := db.UpdateIdempotency(t.Context(), id, func(r *idempotency.Record) (bool, error) {
				locked()
				r.State, r.Token, r.ExpiresAt = idempotency.StateInProgress, 7, expires
				return true, nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		until(testTime, func() {})
		var wg sync.WaitGroup
		until(testTime.Add(time.Hour), func() {
			wg.Go(func() {
				if n, err := db.SweepIdempotency(t.Context(), testTime, 10, h); n != 0 || err != nil {
					t.Errorf("swept %d, %v", n, err)
				}
			})
			somebodyWaits(t, url)
		})
		wg.Wait()
	})
}

// somebodyWaits returns once a transaction of the database waits for another;
// at once on SQLite, where the second one does not even begin.
func somebodyWaits(t *testing.T, url string) {
	t.Helper()
	if strings.HasPrefix(url, "sqlite:") {
		return
	}
	pg, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer pg.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for n := 0; n == 0; {
		if err := pg.QueryRowContext(ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}
