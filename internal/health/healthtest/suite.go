package healthtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/health"
)

// Backend is a store under test, with an empty state.
type Backend interface {
	health.Store
	health.JobStore
	health.SourceStore
}

// Lease takes a lease by name from whoever holds it, for an hour.
type Lease func(name string) health.Fence

// Start is the time at which the clock of a backend under test stands.
func Start() time.Time { return time.Date(2026, 3, 1, 23, 59, 0, 0, time.UTC) }

// RunStore checks that a store keeps its promises. open returns an empty one
// whose clock stands at Start.
func RunStore(t *testing.T, open func(t *testing.T) (Backend, Lease)) {
	for name, fn := range map[string]func(*testing.T, Backend, Lease){
		"a round may be repeated":              repeatedRound,
		"a round is refused without its lease": lostRound,
		"many nodes write at once":             manyNodes,
		"windows":                              windows,
		"jobs are registered once":             registered,
		"pings at once":                        pingsAtOnce,
		"an update that fails changes nothing": failedUpdate,
		"sources":                              sources,
	} {
		t.Run(name, func(t *testing.T) {
			b, lease := open(t)
			fn(t, b, lease)
		})
	}
}

// result is the n-th result of a component that was UP n times.
func result(component, node string, n int64) health.Result {
	at := Start().Add(time.Duration(n) * 10 * time.Second)
	return health.Result{Component: component, Node: node,
		State: health.State{Status: health.Healthy, Since: Start(), Successes: int(n), History: 1 << 63, Tally: health.Tally{Up: n}},
		Last:  health.Observation{At: at, Took: time.Millisecond, Outcome: health.Answered, Message: "fine ✓ \"", Details: map[string]any{"freeBytes": 12.0}}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantDays(t *testing.T, b Backend, want ...health.Day) {
	t.Helper()
	got, err := b.HealthUptime(t.Context(), "2026-01-01")
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Fatalf("%v %s", err, d)
	}
}

func wantResults(t *testing.T, b Backend, want ...health.Result) {
	t.Helper()
	s, err := b.HealthSnapshot(t.Context())
	must(t, err)
	got := map[string]health.Result{}
	for _, r := range s.Results {
		got[r.Component+"/"+r.Node] = r
	}
	all := map[string]health.Result{}
	for _, r := range want {
		all[r.Component+"/"+r.Node] = r
	}
	if d := cmp.Diff(all, got); d != "" {
		t.Fatal(d)
	}
}

func repeatedRound(t *testing.T, b Backend, lease Lease) {
	f := lease("health")
	save := func(rs ...health.Result) {
		t.Helper()
		must(t, b.SaveHealthRound(t.Context(), health.Round{Fence: &f, Results: rs}))
	}
	save()
	save(result("a", "", 1), result("b", "", 1))
	save(result("a", "", 1), result("b", "", 2)) // as after an error that hid a commit
	save(result("a", "", 3))
	save(result("a", "", 2)) // too late
	wantResults(t, b, result("a", "", 3), result("b", "", 2))
	wantDays(t, b, health.Day{Component: "a", Day: "2026-03-01", Tally: health.Tally{Up: 3}}, health.Day{Component: "b", Day: "2026-03-01", Tally: health.Tally{Up: 2}})
	down := result("a", "", 7) // on the next day
	down.State.Status, down.State.Tally = health.Down, health.Tally{Up: 4, Degraded: 1, Down: 2, Maintenance: 3}
	save(down)
	wantDays(t, b, health.Day{Component: "a", Day: "2026-03-01", Tally: health.Tally{Up: 3}},
		health.Day{Component: "a", Day: "2026-03-02", Tally: health.Tally{Up: 1, Degraded: 1, Down: 2, Maintenance: 3}},
		health.Day{Component: "b", Day: "2026-03-01", Tally: health.Tally{Up: 2}})
	anew := result("a", "", 8) // a process that knows nothing of before
	anew.State.Tally = health.Tally{Up: 1}
	save(anew)
	days, err := b.HealthUptime(t.Context(), "2026-03-02")
	if err != nil || len(days) != 1 || days[0].Up != 2 || days[0].Down != 2 {
		t.Errorf("%+v %v", days, err)
	}
}

// lostRound: a holder that was paused wakes after a takeover.
func lostRound(t *testing.T, b Backend, lease Lease) {
	old := lease("health")
	must(t, b.SaveHealthRound(t.Context(), health.Round{Fence: &old, Results: []health.Result{result("a", "", 1)}}))
	now := lease("health")
	err := b.SaveHealthRound(t.Context(), health.Round{Fence: &old, Results: []health.Result{result("a", "", 2)}})
	if fault.CodeOf(err) != fault.Conflict {
		t.Fatalf("the paused holder wrote: %v", err)
	}
	if err := b.SaveSources(t.Context(), old, []health.SourceRecord{{Source: "s"}}); fault.CodeOf(err) != fault.Conflict {
		t.Fatalf("the paused holder wrote: %v", err)
	}
	wantResults(t, b, result("a", "", 1))
	must(t, b.SaveHealthRound(t.Context(), health.Round{Fence: &now, Results: []health.Result{result("a", "", 3)}}))
	wantResults(t, b, result("a", "", 3))
}

// manyNodes: each writes its own results, and all add to the same days.
func manyNodes(t *testing.T, b Backend, _ Lease) {
	const nodes, rounds = 6, 10
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() {
			node := fmt.Sprintf("n%d", i)
			for n := range int64(rounds) {
				rs := []health.Result{result("disk", node, n+1), result("self", node, n+1)}
				if i%2 == 1 {
					rs[0], rs[1] = rs[1], rs[0]
				}
				for _, r := range rs {
					r.Last.At = Start()
				}
				if err := b.SaveHealthRound(t.Context(), health.Round{Results: rs}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	days, err := b.HealthUptime(t.Context(), "2026-01-01")
	must(t, err)
	sum := map[string]int64{}
	for _, d := range days {
		sum[d.Component] += d.Up
	}
	if d := cmp.Diff(map[string]int64{"disk": nodes * rounds, "self": nodes * rounds}, sum); d != "" {
		t.Error(d)
	}
}

func windows(t *testing.T, b Backend, _ Lease) {
	const hour = time.Hour
	w := health.Window{ID: "w1", Components: []string{"a", "b"}, From: Start(), Until: Start().Add(hour), Reason: "a new disk", By: "key:1"}
	all := health.Window{ID: "w2", From: Start().Add(hour), Until: Start().Add(2 * hour), Reason: "everything", By: "key:2"}
	past := health.Window{ID: "w0", From: Start().Add(-hour), Until: Start(), Reason: "over", By: "key:2"}
	for _, w := range []health.Window{all, w, past} {
		must(t, b.SaveHealthWindow(t.Context(), w, audit.Entry{Kind: audit.HealthMaintenanceBegan, Actor: w.By, Object: "maintenance:" + w.ID, Reason: w.Reason, After: w}))
	}
	want := func(ws ...health.Window) {
		t.Helper()
		s, err := b.HealthSnapshot(t.Context())
		if d := cmp.Diff(ws, s.Windows); err != nil || d != "" {
			t.Fatalf("%v %s", err, d)
		}
	}
	want(w, all)
	end := func(id string, at time.Time) (health.Window, error) {
		return b.EndHealthWindow(t.Context(), health.Window{ID: id, EndedAt: at, EndedBy: "key:3"},
			audit.Entry{Kind: audit.HealthMaintenanceEnded, Actor: "key:3", Object: "maintenance:" + id, Reason: "done early"})
	}
	got, err := end("w1", Start().Add(time.Minute))
	must(t, err)
	w.EndedAt, w.EndedBy = Start().Add(time.Minute), "key:3"
	if d := cmp.Diff(w, got); d != "" {
		t.Fatal(d)
	}
	want(all)
	for limit, wantAll := range map[int][]health.Window{2: {all, w}, 9: {all, w, past}} {
		got, err := b.HealthWindows(t.Context(), limit)
		if d := cmp.Diff(wantAll, got); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
	}
	for id, code := range map[string]fault.Code{"w1": fault.Conflict, "w0": fault.Conflict, "none": fault.NotFound} {
		if _, err := end(id, Start().Add(2*time.Minute)); fault.CodeOf(err) != code {
			t.Errorf("end %s: %v, want %s", id, err, code)
		}
	}
}

func registered(t *testing.T, b Backend, _ Lease) {
	plans := []health.JobPlan{{Job: "a", Plan: "p"}, {Job: "b", Plan: "p"}}
	must(t, b.RegisterJobs(t.Context(), nil, Start()))
	must(t, b.RegisterJobs(t.Context(), plans, Start()))
	must(t, b.RegisterJobs(t.Context(), plans, Start().Add(time.Hour)))
	must(t, b.UpdateJob(t.Context(), "a", func(r *health.JobRecord) (bool, error) {
		r.RanAt = Start()
		return true, nil
	}))
	plans[0].Plan = "another"
	must(t, b.RegisterJobs(t.Context(), plans, Start().Add(2*time.Hour)))
	got, err := b.JobRecords(t.Context())
	want := []health.JobRecord{{Job: "a", Plan: "another", PlanSince: Start().Add(2 * time.Hour), RanAt: Start()}, {Job: "b", Plan: "p", PlanSince: Start()}}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

// pingsAtOnce: every update sees the one before.
func pingsAtOnce(t *testing.T, b Backend, _ Lease) {
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			err := b.UpdateJob(context.WithoutCancel(t.Context()), "a", func(r *health.JobRecord) (bool, error) {
				next, changed, err := r.Apply(health.Ping{Job: "a", Kind: health.PingStart, RunID: fmt.Sprint(i % 10), At: Start()})
				*r = next
				return changed, err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	rs, err := b.JobRecords(t.Context())
	if err != nil || len(rs) != 1 || len(rs[0].Recent) != 10 || !rs[0].Running {
		t.Errorf("%+v %v", rs, err)
	}
}

func failedUpdate(t *testing.T, b Backend, _ Lease) {
	boom := errors.New("boom")
	code := 3
	rec := health.JobRecord{Job: "a", Plan: "p", PlanSince: Start(), RanAt: Start(), EndedAt: Start(), ExitCode: &code, Duration: time.Second, Recent: []string{"fail:1"}}
	must(t, b.UpdateJob(t.Context(), "a", func(r *health.JobRecord) (bool, error) { *r = rec; return true, nil }))
	err := b.UpdateJob(t.Context(), "a", func(r *health.JobRecord) (bool, error) { r.Running = true; return true, boom })
	if !errors.Is(err, boom) {
		t.Errorf("%v, want boom", err)
	}
	must(t, b.UpdateJob(t.Context(), "a", func(r *health.JobRecord) (bool, error) { r.Running = true; return false, nil }))
	rs, err := b.JobRecords(t.Context())
	if d := cmp.Diff([]health.JobRecord{rec}, rs); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

func sources(t *testing.T, b Backend, lease Lease) {
	f := lease("health")
	recs := []health.SourceRecord{{Source: "a", UpdatedAt: Start(), CheckedAt: Start()}, {Source: "b", CheckedAt: Start(), Problem: "timed out"}}
	must(t, b.SaveSources(t.Context(), f, recs[:1]))
	recs[0].Problem = "gone"
	for range 2 {
		must(t, b.SaveSources(t.Context(), f, recs))
	}
	got, err := b.SourceRecords(t.Context())
	if d := cmp.Diff(recs, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}
