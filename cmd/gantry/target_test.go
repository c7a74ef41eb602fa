package main_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/gantrytest"
)

// target is an app with components at /NAME, that a test takes down and that
// counts who looks at it.
type target struct {
	url string

	mu   sync.Mutex
	down map[string]bool
	seen map[string]int
}

func newTarget(t *testing.T) *target {
	g := &target{down: map[string]bool{}, seen: map[string]int{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.Trim(r.URL.Path, "/")
		g.mu.Lock()
		defer g.mu.Unlock()
		g.seen[name]++
		if g.down[name] {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte(`{"updatedAt":"` + time.Now().UTC().Format(time.RFC3339) + `"}`))
	}))
	t.Cleanup(s.Close)
	g.url = s.URL
	return g
}

func (g *target) set(name string, down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down[name] = down
}

// count is how often a component was looked at.
func (g *target) count(name string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen[name]
}

// await waits until ok, at most five minutes, and returns how long it took.
func await(t *testing.T, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > 5*time.Minute {
			t.Fatalf("%s: not within five minutes", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	took := time.Since(began)
	t.Logf("%s after %s", what, took.Round(time.Millisecond))
	return took
}

// incidents lists all, with what was sent about each.
func incidents(t *testing.T, p *gantrytest.Process) (out []api.IncidentDetail) {
	t.Helper()
	var list struct{ Incidents []api.Incident }
	p.Do(t, "GET", "/v1/incidents?state=all&limit=1000", nil).Decode(t, &list)
	for _, i := range list.Incidents {
		var d api.IncidentDetail
		p.Do(t, "GET", "/v1/incidents/"+i.ID, nil).Decode(t, &d)
		out = append(out, d)
	}
	return out
}

// settled reports whether no message waits, and no incident is active but of
// the objects given.
func settled(is []api.IncidentDetail, but ...string) bool {
	for _, i := range is {
		if i.State != "resolved" && !slices.Contains(but, i.Object) {
			return false
		}
		for _, d := range i.Deliveries {
			if d.State == "pending" {
				return false
			}
		}
	}
	return true
}

// heardAll demands that the receiver was told of every opening and every end
// of each incident, in order, by the incident's own key.
func heardAll(t *testing.T, is []api.IncidentDetail, r *gantrytest.Receiver) {
	t.Helper()
	stories := r.Stories()
	for _, i := range is {
		var want []string
		for _, u := range i.Updates {
			switch u.Kind {
			case "opened", "reopened":
				want = append(want, "trigger")
			case "resolved":
				want = append(want, "resolve")
			}
		}
		keys := map[string]bool{}
		for _, d := range i.Deliveries {
			keys[d.DedupKey] = true
			if d.State != "delivered" {
				t.Errorf("%s of %s: the %s is %s after %d attempts: %s", i.ID, i.Object, d.Action, d.State, d.Attempts, d.Answer)
			}
		}
		if len(keys) != 1 {
			t.Errorf("%s of %s has the dedup keys %v, want one", i.ID, i.Object, keys)
		}
		for key := range keys {
			if got := gantrytest.Actions(stories[key]); strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("%s of %s: the receiver heard %v, want %v", i.ID, i.Object, got, want)
			}
		}
	}
}
