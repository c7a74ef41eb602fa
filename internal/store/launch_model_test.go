package store_test

import (
	"flag"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"avalo.app/gantry/internal/launch/launchtest"
	"avalo.app/gantry/internal/store"
	"avalo.app/gantry/internal/store/storetest"
)

var _ launchtest.Driver = (*store.DB)(nil)

// withLaunch runs fn on each engine with a store whose audit log has started
// and whose clock the test moves.
func withLaunch(t *testing.T, fn func(*testing.T, *store.DB, *launchtest.Clock)) {
	t.Helper()
	storetest.EachURL(t, func(t *testing.T, url string) {
		c := launchtest.NewClock(testTime)
		fn(t, openLaunch(t, url, c), c)
	})
}

func openLaunch(t *testing.T, url string, c *launchtest.Clock) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: url, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	secret, _ := newKey(t)
	if err := db.UseAuditKey(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	return db
}

// TestSignupsModel: over random histories, each engine decides and counts as
// the naive model does. Books that loaded too little show here.
func TestSignupsModel(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	was := checks.Value.String()
	if was == checks.DefValue {
		if err := checks.Value.Set("10"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = checks.Value.Set(was) })
	}
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		n := 0
		rapid.Check(t, func(rt *rapid.T) {
			n++
			launchtest.Random(rt, db, c, "r"+strconv.Itoa(n))
		})
	})
}
