package store_test

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/health/healthtest"
	"avalo.app/gantry/internal/lease"
	"avalo.app/gantry/internal/signal"
	"avalo.app/gantry/internal/store"
	"avalo.app/gantry/internal/store/storetest"
)

var (
	_ health.Store       = (*store.DB)(nil)
	_ health.JobStore    = (*store.DB)(nil)
	_ health.SourceStore = (*store.DB)(nil)
)

// openHealth opens a store with a clock of the test's.
func openHealth(t *testing.T, url string, now func() time.Time) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: url, Now: now})
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

// take takes a lease, releasing whoever has it.
func take(t *testing.T, db *store.DB, held map[string]lease.Held) healthtest.Lease {
	return func(name string) health.Fence {
		if h, ok := held[name]; ok {
			if err := db.ReleaseLease(t.Context(), h); err != nil {
				t.Fatal(err)
			}
		}
		h, ok, err := db.AcquireLease(t.Context(), name, "test", time.Hour)
		if err != nil || !ok {
			t.Fatalf("acquire: %v %v", ok, err)
		}
		held[name] = h
		return health.Fence(h)
	}
}

func TestHealthStore(t *testing.T) {
	for name, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "gantry.db") },
		"postgres": storetest.Postgres,
	} {
		t.Run(name, func(t *testing.T) {
			healthtest.RunStore(t, func(t *testing.T) (healthtest.Backend, healthtest.Lease) {
				db := openHealth(t, url(t), healthtest.Start)
				return db, take(t, db, map[string]lease.Held{})
			})
		})
	}
}

// A window's begin and end are leaves, and the nodes are told; what is refused
// leaves neither.
func TestHealthWindowsAreAudited(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := openHealth(t, url, healthtest.Start)
		w := health.Window{ID: "w", Components: []string{"db"}, From: healthtest.Start(), Until: healthtest.Start().Add(time.Hour), Reason: "a new disk", By: "key:1"}
		e := audit.Entry{Kind: audit.HealthMaintenanceBegan, Actor: "key:1", Object: "maintenance:w", Reason: w.Reason, After: w}
		if err := db.SaveHealthWindow(t.Context(), w, e); err != nil {
			t.Fatal(err)
		}
		if err := db.SaveHealthWindow(t.Context(), w, e); err == nil {
			t.Error("the id was taken")
		}
		end := health.Window{ID: "w", EndedAt: healthtest.Start().Add(time.Minute), EndedBy: "key:2"}
		e = audit.Entry{Kind: audit.HealthMaintenanceEnded, Actor: "key:2", Object: "maintenance:w", Reason: "done early"}
		for _, code := range []fault.Code{"", fault.Conflict} {
			if _, err := db.EndHealthWindow(t.Context(), end, e); code == "" && err != nil || code != "" && fault.CodeOf(err) != code {
				t.Errorf("%v, want %q", err, code)
			}
		}
		wantLog(t, db, map[audit.Kind]int{audit.HealthMaintenanceBegan: 1, audit.HealthMaintenanceEnded: 1})
		logSize(t, db) // verifies the log
		if revs, err := db.Revisions(t.Context()); err != nil || revs[store.TopicHealth] != 2 {
			t.Errorf("%v %v", revs, err)
		}
		ws, err := db.HealthWindows(t.Context(), 10)
		w.EndedAt, w.EndedBy = end.EndedAt, end.EndedBy
		if d := cmp.Diff([]health.Window{w}, ws); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
	})
}

func TestPruneHealth(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		clock := newTestClock()
		db := openHealth(t, url, clock.Now)
		days := int64(health.UptimeDays)
		for i := range days + 10 {
			at := testTime.AddDate(0, 0, int(i))
			r := health.Result{Component: "a", State: health.State{Tally: health.Tally{Up: i + 1}}, Last: health.Observation{At: at}}
			gone := health.Result{Component: "a", Node: at.Format(time.DateOnly), Last: health.Observation{At: at}}
			w := health.Window{ID: at.Format(time.DateOnly), From: at, Until: at.Add(time.Hour), Reason: "a new disk"}
			if err := db.SaveHealthRound(t.Context(), health.Round{Results: []health.Result{r, gone}}); err != nil {
				t.Fatal(err)
			}
			if err := db.SaveHealthWindow(t.Context(), w, audit.Entry{Kind: audit.HealthMaintenanceBegan, Actor: "a", Object: "w"}); err != nil {
				t.Fatal(err)
			}
		}
		clock.Add(time.Duration(days+9) * 24 * time.Hour)
		old := acquire(t, db, "a")
		clock.Add(time.Hour)
		h := acquire(t, db, "b")
		before := testTime.AddDate(0, 0, 10)
		if _, err := db.PruneHealth(t.Context(), before, 4, old); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("the paused holder pruned: %v", err)
		}
		var sum int64
		for n := int64(1); n > 0; sum += n {
			var err error
			if n, err = db.PruneHealth(t.Context(), before, 4, h); err != nil || n > 12 {
				t.Fatalf("pruned %d, %v", n, err)
			}
		}
		if want := 10 + 10 + days + 5; sum != want { // days, windows, and all results but those of the last five days
			t.Errorf("pruned %d, want %d", sum, want)
		}
		left, err := db.HealthUptime(t.Context(), "")
		if err != nil || int64(len(left)) != days || left[0].Day != health.DayOf(before) {
			t.Errorf("%d days left from %v, %v", len(left), left[0].Day, err)
		}
		s, err := db.HealthSnapshot(t.Context())
		if err != nil || len(s.Results) != 6 {
			t.Errorf("%d results left, %v", len(s.Results), err)
		}
	})
}

// Two nodes over one store: the follower serves what the leader measured, a
// takeover goes on from the states of before, and a paused leader that wakes
// changes nothing and raises nothing.
func TestHealthOfTwoNodes(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		a, b := newHealthNode(t, url, "a"), newHealthNode(t, url, "b")
		held := map[string]lease.Held{}
		first := take(t, a.db, held)("health")
		stopA := a.lead(first)
		b.refreshUntil(t, func(r *health.Report) bool { return r.Status == health.Down })
		if got := a.report(t); got.Status != health.Down {
			t.Errorf("the leader says %s", got.Status)
		}
		second := take(t, a.db, held)("health") // a is paused, so to say: it does not know yet
		if err := stopA(); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("a ends with %v, want CONFLICT", err)
		}
		facts := a.raised()
		if err := a.lead(first)(); fault.CodeOf(err) != fault.Conflict || len(a.raised()) != len(facts) {
			t.Errorf("a paused leader wakes: %v, and raised %v", err, a.raised()[len(facts):])
		}
		stopB := b.lead(second)
		b.refreshUntil(t, func(*health.Report) bool { return len(b.raised()) > 0 })
		if got := b.raised()[0]; !got.Failing || got.Rule != health.RuleComponentDown {
			t.Errorf("b raised %+v first: it forgot that the component is DOWN", got)
		}
		b.prober.OK()
		a.refreshUntil(t, func(r *health.Report) bool { return r.Status == health.Healthy })
		b.cancel()
		if err := stopB(); err == nil || fault.CodeOf(err) == fault.Conflict {
			t.Errorf("b ends with %v, want its context's", err)
		}
		days, err := a.db.HealthUptime(t.Context(), "")
		if err != nil || len(days) != 1 || days[0].Down == 0 || days[0].Up == 0 {
			t.Errorf("%+v %v", days, err)
		}
	})
}

// healthNode is one node with one component, which is DOWN to begin with.
type healthNode struct {
	db     *store.DB
	m      *health.Monitor
	prober *healthtest.Answers
	ctx    context.Context
	cancel func()

	mu    sync.Mutex
	facts []signal.Fact
}

func newHealthNode(t *testing.T, url, name string) *healthNode {
	t.Helper()
	n := &healthNode{prober: new(healthtest.Answers).Fail()}
	var err error
	if n.db, err = store.Open(t.Context(), store.Options{URL: url}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.db.Close() })
	n.ctx, n.cancel = context.WithCancel(t.Context())
	n.m, err = health.NewMonitor(health.Options{
		Components: []health.Component{{Name: "db", Critical: true, Interval: time.Second, FailureThreshold: 2, SuccessThreshold: 1}},
		Probers:    map[string]health.Prober{"db": n.prober}, Store: n.db, Now: time.Now, Node: name,
		Signals: func(f signal.Fact) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.facts = append(n.facts, f)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *healthNode) raised() []signal.Fact {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.facts)
}

// lead leads until the lease is lost or the node is cancelled; end waits for it.
func (n *healthNode) lead(f health.Fence) (end func() error) {
	done := make(chan error, 1)
	go func() { done <- n.m.Lead(n.ctx, f, func(error) {}) }()
	return func() error { return <-done }
}

func (n *healthNode) report(t *testing.T) health.Report {
	t.Helper()
	rep, err := n.m.Report(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// refreshUntil reads what the other node wrote until it is so.
func (n *healthNode) refreshUntil(t *testing.T, ok func(*health.Report) bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(time.Minute); ; <-tick.C {
		if err := n.m.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := n.report(t)
		if ok(&got) {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("still %+v after a minute", got)
		}
	}
}
