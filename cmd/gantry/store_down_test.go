package main_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"avalo.app/gantry/internal/gantrytest"
	"avalo.app/gantry/internal/store/storetest"
)

// TestStoreDown: when the store is killed, and in make accept also when it
// takes connections and answers nothing, every node pages directly within 45 s
// and by one key, and resolves by it when the store is back. Incidents go on
// then.
func TestStoreDown(t *testing.T) {
	t.Parallel() // it waits for half a minute of patience to end
	t.Run("killed", func(t *testing.T) {
		storeDown(t, (*storetest.Server).Kill, func(s *storetest.Server, t testing.TB) {
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
		})
	})
	if os.Getenv("GANTRY_ACCEPT") != "" {
		t.Run("hanging", func(t *testing.T) { storeDown(t, (*storetest.Server).Freeze, (*storetest.Server).Thaw) })
	}
}

func storeDown(t *testing.T, begin, end func(*storetest.Server, testing.TB)) {
	pg := storetest.StartServer(t)
	n := newPair(t, pg.URL)
	names := []string{"first", "second"}
	for _, name := range names {
		n.start(name)
	}
	n.round()
	began := time.Now()
	begin(pg, t)
	heard := func(node, action string) (out []gantrytest.Told) {
		for _, m := range n.pager.Told() {
			if m.Node == node && m.Action == action && m.Cause == "store_down" && m.Incident == "" {
				out = append(out, m)
			}
		}
		return out
	}
	keys := map[string]bool{}
	each := func(action string) {
		t.Helper()
		for _, name := range names {
			await(t, "the "+action+" of the "+name+" node", func() bool { return len(heard(name, action)) > 0 })
			m := heard(name, action)
			keys[m[0].DedupKey] = true
			if len(m) != 1 {
				t.Errorf("the %s node sends %d of %s: %+v", name, len(m), action, m)
			}
		}
	}
	each("trigger")
	for _, name := range names {
		if after := heard(name, "trigger")[0].At.Sub(began); after < 30*time.Second || after > 5*time.Minute { // by design less than 37 s; the rest is for slow machines
			t.Errorf("the %s node pages after %s, want 30 to 45 s", name, after)
		} else {
			t.Logf("the %s node pages after %s", name, after)
		}
		if got := n.running[name].Do(t, "GET", "/healthz", nil); got.Status != 503 {
			t.Errorf("the %s node says %d %s", name, got.Status, got.Body)
		}
	}
	if got := heard("first", "resolve"); len(got) != 0 {
		t.Errorf("resolved before its end: %+v", got)
	}
	end(pg, t)
	each("resolve")
	if len(keys) != 1 {
		t.Errorf("the keys are %v, want one", keys)
	}
	n.round()
	for key, story := range n.pager.Stories() {
		if story[0].Object != "api" {
			continue
		}
		if got := strings.Join(gantrytest.Actions(story), " "); got != "trigger resolve trigger resolve" {
			t.Errorf("%s of the component: %s, want what happened before and after", key, got)
		}
	}
	for _, name := range names {
		if code := n.running[name].Stop(); code != 0 {
			t.Errorf("the %s node ends with %d", name, code)
		}
	}
}
