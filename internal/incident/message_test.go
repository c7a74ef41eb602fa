package incident_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
)

// TestResolveSaysThatItIsOver: a resolve does not read as if it failed still,
// and tells how long it lasted.
func TestResolveSaysThatItIsOver(t *testing.T) {
	w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
	last := func() string {
		ms := w.Receivers["pager"].Accepted()
		return ms[len(ms)-1].Summary
	}
	w.Fail("db", "component_down")
	w.MustTurn(0)
	if got := last(); got != "db is down: it is so" {
		t.Errorf("trigger: %q", got)
	}
	w.Clear("db", "component_down")
	w.MustTurn(90 * time.Second)
	if got := last(); got != "over after 1m30s; it was: db is down: it is so" {
		t.Errorf("resolve: %q", got)
	}
	w.Fail("db", "component_down")
	w.MustTurn(time.Minute)
	w.Clear("db", "component_down")
	w.MustTurn(time.Minute)
	if got := last(); got != "over after 3m30s, reopened 1×; it was: db is down: it is so" {
		t.Errorf("resolve of a reopened one: %q", got)
	}
	w.Fail(strings.Repeat("ż", 100), "payment_failed")
	w.MustTurn(0)
	w.Clear(strings.Repeat("ż", 100), "payment_failed")
	w.MustTurn(time.Minute)
	if got := last(); len(got) > 1000 || !strings.HasPrefix(got, "over after 1m0s; ") {
		t.Errorf("a long one: %d bytes, %q", len(got), got)
	}
}

// TestDirectSaysWhen: pages without the store say since when it is away, also
// when they are repeated, and their resolve that it is over.
func TestDirectSaysWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		var marks []bool
		pager := &incidenttest.Receiver{}
		start := time.Now()
		stop := direct(t, &up, false, &marks, map[string]incident.Receiver{"pager": pager}, 0)
		defer stop()
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		up.Store(true)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		ms := pager.Accepted()
		if len(ms) != 3 {
			t.Fatalf("heard %v", pager.Actions())
		}
		for _, m := range ms {
			if !m.OpenedAt.Equal(start) {
				t.Errorf("%s: opened at %v, want %v", m.Action, m.OpenedAt, start)
			}
		}
		if got, want := ms[2].Summary, "over after 6m1s; it was: Gantry's own store does not answer"; got != want {
			t.Errorf("resolve: %q, want %q", got, want)
		}
	})
}
