package health_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/health/healthtest"
	"avalo.app/gantry/internal/signal"
)

// bench is one node over a store in memory. Use it in a bubble only.
type bench struct {
	t       *testing.T
	store   *healthtest.Memory
	probers map[string]health.Prober
	m       *health.Monitor
	cancel  func()
	ctx     context.Context
	wg      sync.WaitGroup

	mu    sync.Mutex
	log   []string // "12s +component_down db", facts as they change, failing ones only once
	level map[string]bool
	facts int // failing ones
	begun time.Time
	fails []error // of writes
}

// newBench makes a node of components, all of which answer well unless
// probers say otherwise.
func newBench(t *testing.T, store *healthtest.Memory, probers map[string]health.Prober, cs ...health.Component) *bench {
	t.Helper()
	if store == nil {
		store = healthtest.NewMemory(time.Now)
	}
	b := &bench{t: t, store: store, probers: map[string]health.Prober{}, level: map[string]bool{}, begun: time.Now()}
	for _, c := range cs {
		b.probers[c.Name] = new(healthtest.Answers).OK()
	}
	maps.Copy(b.probers, probers)
	b.ctx, b.cancel = context.WithCancel(t.Context())
	var err error
	b.m, err = health.NewMonitor(health.Options{Components: cs, Probers: b.probers, Store: store, Signals: b.signal, Now: time.Now, Node: "n1", Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) signal(f signal.Fact) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f.Failing {
		b.facts++
	}
	k := f.Rule + " " + f.Object
	if b.level[k] == f.Failing {
		return
	}
	b.level[k] = f.Failing
	b.log = append(b.log, fmt.Sprintf("%s%s", map[bool]string{true: "+", false: "-"}[f.Failing], k))
}

// told is how many failing facts were told so far.
func (b *bench) told() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.facts
}

// failures are the errors that were reported so far.
func (b *bench) failures() []error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.fails)
}

// raised returns the changes of facts since the last call.
func (b *bench) raised() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.log
	b.log = nil
	return append([]string{}, out...)
}

func (b *bench) report(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.fails = append(b.fails, err)
	}
}

// lead leads and runs until end.
func (b *bench) lead() {
	f := b.store.TakeLease("health")
	b.wg.Go(func() {
		if err := b.m.Lead(b.ctx, f, b.report); b.ctx.Err() == nil {
			b.t.Errorf("Lead ended: %v", err)
		}
	})
	b.wg.Go(func() { _ = b.m.Run(b.ctx, b.report) })
}

func (b *bench) end() {
	b.cancel()
	b.wg.Wait()
	synctest.Wait()
}

func (b *bench) entry(name string) health.Entry {
	b.t.Helper()
	rep, err := b.m.Report(b.t.Context(), false)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range rep.Components {
		if e.Component == name {
			return e
		}
	}
	b.t.Fatalf("no component %s in %+v", name, rep)
	return health.Entry{}
}

func pass(d time.Duration) {
	time.Sleep(d) // the bubble's clock
	synctest.Wait()
}

func (b *bench) want(facts ...string) {
	b.t.Helper()
	if d := cmp.Diff(append([]string{}, facts...), b.raised()); d != "" {
		b.t.Errorf("after %s: %s", time.Since(b.begun), d)
	}
}

func TestMonitorRaisesAndClears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var db healthtest.Answers
		db.OK()
		b := newBench(t, nil, map[string]health.Prober{"db": &db}, health.Component{Name: "db", Critical: true}, health.Component{Name: "disk", PerNode: true})
		if e := b.entry("db"); e.Status != health.Unknown {
			t.Errorf("before anything is measured: %s", e.Status)
		}
		b.lead()
		defer b.end()
		pass(20 * time.Second)
		b.want() // nothing is wrong with a node that has just started
		if e := b.entry("disk"); e.Status != health.Healthy || len(e.Nodes) != 1 || e.Nodes[0].Node != "n1" {
			t.Errorf("%+v", e)
		}
		db.Fail()
		pass(15 * time.Second)
		b.want() // one or two failures are none yet
		pass(20 * time.Second)
		b.want("+component_down db")
		told := b.told()
		pass(time.Minute)
		b.want()
		if n := b.told() - told; n < 6 { // a level: told at every evaluation
			t.Errorf("told %d times in a minute", n)
		}
		if p := b.m.Public(); p.Status != health.Down || p.Version != "v1" {
			t.Errorf("%+v", p)
		}
		db.OK()
		pass(25 * time.Second)
		b.want("-component_down db")
		if err := b.failures(); err != nil {
			t.Error(err)
		}
		b.end()
		if asked := db.Asked() + b.probers["disk"].(*healthtest.Answers).Asked(); b.store.Rows > asked {
			t.Errorf("%d results written of %d measurements", b.store.Rows, asked)
		}
		days, err := b.m.Uptime(t.Context(), 1)
		if err != nil || len(days) != 2 || days[0].Component != "db" || days[0].Up+days[0].Down != int64(db.Asked()) && days[0].Up+days[0].Down != int64(db.Asked())-1 {
			t.Errorf("%+v %v, asked %d", days, err, db.Asked())
		}
		if share, ok := days[0].Uptime(); !ok || share >= 1 || share <= 0.3 {
			t.Errorf("uptime %v", share)
		}
	})
}

// Up, down, up, down: one alert, which stays.
func TestMonitorTellsOfFlappingOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		flaps := healthtest.Func(func(context.Context) (health.Reading, error) {
			if n++; n%4 < 2 {
				return health.Reading{}, errors.New("away")
			}
			return health.Reading{}, nil
		})
		b := newBench(t, nil, map[string]health.Prober{"db": flaps}, health.Component{Name: "db", Critical: true, FailureThreshold: 2, SuccessThreshold: 3})
		b.lead()
		defer b.end()
		pass(time.Hour)
		got := slices.DeleteFunc(b.raised(), func(f string) bool { return !strings.Contains(f, "component_down") })
		if d := cmp.Diff([]string{"+component_down db"}, got); d != "" {
			t.Error(d)
		}
	})
}

// A child is suppressed while its parent is DOWN, is measured again at the
// parent's recovery, however long its interval, and alerts by that or not.
func TestMonitorMeasuresChildrenBeforeRelease(t *testing.T) {
	for name, healed := range map[string]bool{"healed with the parent": true, "still failing": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var db, api healthtest.Answers
				db.OK()
				api.OK()
				b := newBench(t, nil, map[string]health.Prober{"db": &db, "api": &api},
					health.Component{Name: "db", Critical: true, FailureThreshold: 1},
					health.Component{Name: "api", Critical: true, DependsOn: []string{"db"}, FailureThreshold: 1, Interval: time.Hour})
				b.lead()
				defer b.end()
				pass(10 * time.Second)
				db.Fail()
				pass(15 * time.Second)
				api.Fail()
				pass(65 * time.Minute)
				b.raised()
				if e := b.entry("api"); e.Status != health.Down || !slices.Equal(e.SuppressedBy, []string{"db"}) {
					t.Fatalf("%s, suppressed by %v", e.Status, e.SuppressedBy)
				}
				if healed {
					api.OK()
				}
				asked := api.Asked()
				db.OK()
				want := []string{"-component_down db"}
				if !healed {
					want = append(want, "+component_down api")
				}
				pass(24 * time.Second) // two successes, and two turns
				if api.Asked() == asked {
					t.Error("the child was not measured again")
				}
				got := b.raised()
				slices.Sort(got)
				slices.Sort(want)
				if d := cmp.Diff(want, got); d != "" {
					t.Error(d)
				}
				pass(30 * time.Second)
				if e := b.entry("api"); healed != (e.Status == health.Healthy) || len(e.SuppressedBy) > 0 {
					t.Errorf("%s, suppressed by %v", e.Status, e.SuppressedBy)
				}
				b.want()
			})
		})
	}
}

// A measurement that began before the parent's recovery does not release.
func TestMonitorIgnoresWhatBeganTooEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var db healthtest.Answers
		db.Fail()
		var asked atomic.Int64
		api := healthtest.Func(func(ctx context.Context) (health.Reading, error) {
			if asked.Add(1) > 1 {
				return health.Reading{}, nil
			}
			<-ctx.Done() // the first one runs for its whole minute, over the parent's recovery
			return health.Reading{}, ctx.Err()
		})
		b := newBench(t, nil, map[string]health.Prober{"db": &db, "api": api},
			health.Component{Name: "db", Critical: true, FailureThreshold: 1},
			health.Component{Name: "api", Critical: true, DependsOn: []string{"db"}, FailureThreshold: 1, Interval: time.Hour, Timeout: time.Minute})
		b.lead()
		defer b.end()
		pass(30 * time.Second)
		db.OK()
		pass(24 * time.Second)
		b.raised()
		pass(9 * time.Second) // it times out, and is measured again at once
		if asked.Load() < 2 {
			t.Error("the child was not measured again at once")
		}
		for _, f := range b.raised() {
			if strings.Contains(f, "+component_down api") {
				t.Error("released by what began before the recovery")
			}
		}
	})
}

func TestMaintenanceEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var db healthtest.Answers
		db.OK()
		b := newBench(t, nil, map[string]health.Prober{"db": &db}, health.Component{Name: "db", Critical: true})
		b.lead()
		defer b.end()
		pass(20 * time.Second)
		b.raised()
		w, err := b.m.BeginMaintenance(t.Context(), health.Window{Components: []string{"db"}, Until: time.Now().Add(5 * time.Minute), Reason: "a new disk for it"}, "key:1")
		if err != nil {
			t.Fatal(err)
		}
		db.Fail()
		pass(5*time.Minute - time.Second)
		b.want()
		if e := b.entry("db"); e.Status != health.Down || !e.MaintenanceUntil.Equal(w.Until) {
			t.Errorf("%+v", e)
		}
		pass(3 * time.Second)
		b.want("+component_down db") // at once, not at the next measurement
		w, err = b.m.BeginMaintenance(t.Context(), health.Window{Until: time.Now().Add(5 * time.Minute), Reason: "once more, for all"}, "key:1")
		if err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		b.want("-component_down db")
		if ws := b.m.Windows(); len(ws) != 1 || ws[0].ID != w.ID {
			t.Errorf("%+v", ws)
		}
		if _, err := b.m.EndMaintenance(t.Context(), w.ID, "it took less time", "key:2"); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		b.want("+component_down db")
		days, err := b.m.Uptime(t.Context(), 2)
		if err != nil || len(days) != 1 || days[0].Maintenance < 25 || days[0].Down > 4 {
			t.Errorf("%+v %v", days, err)
		}
		if got := len(b.store.Audits); got != 3 || b.store.Audits[2].Reason != "it took less time" || b.store.Audits[2].Actor != "key:2" {
			t.Errorf("%+v", b.store.Audits)
		}
	})
}

func TestMaintenanceRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, nil, health.Component{Name: "db"})
		now := time.Now()
		const why = "ten chars!"
		for _, tt := range []struct {
			w    health.Window
			want string
		}{
			{health.Window{Until: now.Add(time.Hour), Reason: why}, ""},
			{health.Window{Until: now.Add(health.MaxWindow), Reason: why, Components: []string{"db"}}, ""},
			{health.Window{From: now.Add(health.MaxAhead), Until: now.Add(health.MaxAhead + time.Hour), Reason: why}, ""},
			{health.Window{Until: now.Add(time.Hour), Reason: "too short"}, "reason"},
			{health.Window{Until: now.Add(time.Hour), Reason: strings.Repeat("x", 501)}, "reason"},
			{health.Window{Until: now.Add(time.Hour), Reason: why + "\x00"}, "reason"},
			{health.Window{Until: now, Reason: why}, "until"},
			{health.Window{Reason: why}, "until"},
			{health.Window{Until: now.Add(health.MaxWindow + time.Second), Reason: why}, "until"},
			{health.Window{From: now.Add(health.MaxAhead + time.Hour), Until: now.Add(health.MaxAhead + 2*time.Hour), Reason: why}, "from"},
			{health.Window{Until: now.Add(time.Hour), Reason: why, Components: []string{"db", "none"}}, "components"},
		} {
			if _, err := b.m.BeginMaintenance(t.Context(), tt.w, "key:1"); field(t, err) != tt.want {
				t.Errorf("%+v: %v, want %q", tt.w, err, tt.want)
			}
		}
		if len(b.store.Audits) != 3 {
			t.Errorf("%d audits", len(b.store.Audits))
		}
		if _, err := b.m.EndMaintenance(t.Context(), "none", why, "key:1"); fault.CodeOf(err) != fault.NotFound {
			t.Error(err)
		}
		if _, err := b.m.EndMaintenance(t.Context(), "none", "", "key:1"); field(t, err) != "reason" {
			t.Error(err)
		}
	})
}

// ignoring is a prober that does not stop when its context ends, until freed.
type ignoring struct {
	free  chan struct{}
	mu    sync.Mutex
	asked int
}

func (i *ignoring) Probe(context.Context) (health.Reading, error) {
	i.mu.Lock()
	i.asked++
	i.mu.Unlock()
	<-i.free
	return health.Reading{}, nil
}

func (i *ignoring) times() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// A thousand fresh reports with every probe hanging: each answers in under 2 s
// and names them all, and nothing piles up.
func TestFreshReportsOfHangingProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := &ignoring{free: make(chan struct{})}
		probers := map[string]health.Prober{"c9": stuck}
		var cs []health.Component
		for i := range 10 {
			c := health.Component{Name: fmt.Sprintf("c%d", i), Critical: i == 0, Timeout: time.Duration(i+1) * 500 * time.Millisecond}
			if cs = append(cs, c); i < 9 {
				probers[c.Name] = healthtest.Hangs()
			}
		}
		b := newBench(t, nil, probers, cs...)
		defer b.end()
		var names []string
		for i := range 10 {
			names = append(names, fmt.Sprintf("c%d", i))
		}
		before := runtime.NumGoroutine()
		for range 1000 {
			begun := time.Now()
			rep, err := b.m.Report(t.Context(), true)
			if took := time.Since(begun); err != nil || took >= 2*time.Second {
				t.Fatalf("after %s: %v", took, err)
			}
			if d := cmp.Diff(names, rep.TimedOut); d != "" || !rep.Fresh {
				t.Fatal(d)
			}
			for i, e := range rep.Components[:10] {
				// Who may take longer than a report is not DOWN for being silent in one.
				want := map[bool]health.Status{true: health.Down, false: health.Unknown}[i < 3]
				if e.Status != want || e.Message != "timed out" {
					t.Fatalf("%+v, want %s", e, want)
				}
			}
		}
		synctest.Wait()
		if n := runtime.NumGoroutine(); n > before+5 {
			t.Errorf("%d goroutines, %d before and one stuck", n, before)
		}
		if stuck.times() != 1 {
			t.Errorf("the stuck prober was started %d times", stuck.times())
		}
		if started, _, now := b.m.Probes(); started != 9001 || now != 1 {
			t.Errorf("%d started, %d stuck", started, now)
		}
		if len(b.store.Writes) != 0 {
			t.Errorf("reports wrote: %v", b.store.Writes)
		}
		close(stuck.free)
	})
}

// A prober that ignores its context is reported as timed out, holds up nobody,
// and is measured again once it returns.
func TestMonitorOutlivesAStuckProber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := &ignoring{free: make(chan struct{})}
		var fine healthtest.Answers
		fine.OK()
		b := newBench(t, nil, map[string]health.Prober{"stuck": stuck, "fine": &fine}, health.Component{Name: "stuck", Critical: true}, health.Component{Name: "fine"})
		b.lead()
		defer b.end()
		before := runtime.NumGoroutine()
		pass(10 * time.Minute)
		if n := fine.Asked(); n < 50 {
			t.Errorf("the other component was measured %d times in ten minutes", n)
		}
		if n := runtime.NumGoroutine(); n > before+5 {
			t.Errorf("%d goroutines, %d before", n, before)
		}
		e := b.entry("stuck")
		if _, givenUp, now := b.m.Probes(); stuck.times() != 1 || e.Status != health.Down || e.Message != "timed out" || givenUp != 1 || now != 1 {
			t.Errorf("started %d times, %s, %q, given up %d times, %d stuck", stuck.times(), e.Status, e.Message, givenUp, now)
		}
		close(stuck.free)
		pass(time.Minute)
		if e := b.entry("stuck"); e.Status != health.Healthy || stuck.times() < 3 {
			t.Errorf("%s after it returned, asked %d times", e.Status, stuck.times())
		}
	})
}

// Callers cost nothing: a thousand at once are answered from memory, and a
// thousand fresh ones share one measurement.
func TestCallersCauseNoProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var db healthtest.Answers
		db.Set(health.Reading{Message: "fine"}, nil, time.Second)
		b := newBench(t, nil, map[string]health.Prober{"db": &db}, health.Component{Name: "db", Published: true})
		b.lead()
		pass(5 * time.Second)
		b.end()
		asked := db.Asked()
		crowd := func(fn func()) {
			var wg sync.WaitGroup
			for range 1000 {
				wg.Go(fn)
			}
			wg.Wait()
		}
		crowd(func() {
			if p := b.m.Public(); p.Status != health.Healthy || len(p.Components) != 1 {
				t.Errorf("%+v", p)
			}
			if rep, err := b.m.Report(t.Context(), false); err != nil || rep.Status != health.Healthy {
				t.Errorf("%+v %v", rep, err)
			}
		})
		if n := db.Asked() - asked; n != 0 {
			t.Errorf("%d probes for callers", n)
		}
		crowd(func() {
			if rep, err := b.m.Report(t.Context(), true); err != nil || rep.Status != health.Healthy || len(rep.TimedOut) != 0 {
				t.Errorf("%+v %v", rep, err)
			}
		})
		if n := db.Asked() - asked; n != 1 {
			t.Errorf("%d probes for a thousand fresh reports at once", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := b.m.Report(ctx, true); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller who goes: %v", err)
		}
		pass(5 * time.Second)
	})
}

// A fresh report shows this one measurement: a failure at once, a success at
// once, and the standing state is not stepped.
func TestFreshReportShowsOneMeasurement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var db healthtest.Answers
		db.OK()
		b := newBench(t, nil, map[string]health.Prober{"db": &db, "slow": healthtest.Hangs()}, health.Component{Name: "db", Critical: true}, health.Component{Name: "slow", Timeout: time.Second})
		b.lead()
		pass(5 * time.Second)
		b.end()
		db.Fail()
		for range 5 {
			rep, err := b.m.Report(t.Context(), true)
			if err != nil || rep.Status != health.Down || !slices.Equal(rep.TimedOut, []string{"slow"}) {
				t.Fatalf("%+v %v", rep, err)
			}
		}
		if e := b.entry("db"); e.Status != health.Healthy {
			t.Errorf("five fresh reports made it %s", e.Status)
		}
	})
}

// A turn that shares the probe of a fresh report, which cuts it short, learns
// nothing by that: only the component's own timeout makes it DOWN.
func TestFreshReportsMakeNothingDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow healthtest.Answers
		slow.Set(health.Reading{}, nil, 3*time.Second)
		b := newBench(t, nil, map[string]health.Prober{"slow": &slow}, health.Component{Name: "slow", Critical: true, Timeout: 5 * time.Second, FailureThreshold: 1})
		b.lead()
		defer b.end()
		pass(10 * time.Second)
		for range 30 {
			rep, err := b.m.Report(t.Context(), true)
			if err != nil || rep.Status == health.Down {
				t.Fatalf("%+v %v", rep.Status, err)
			}
			if e := b.entry("slow"); e.Status == health.Down {
				t.Fatalf("%+v", e)
			}
			pass(100 * time.Millisecond)
		}
		pass(20 * time.Second)
		if e := b.entry("slow"); e.Status != health.Healthy {
			t.Errorf("left alone: %s", e.Status)
		}
	})
}

// The same for a probe that takes a while to stop when it is cut short.
func TestFreshReportsLeaveAProbeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lazy := healthtest.Func(func(ctx context.Context) (health.Reading, error) {
			select {
			case <-ctx.Done():
				time.Sleep(time.Second)
				return health.Reading{}, ctx.Err()
			case <-time.After(3 * time.Second):
				return health.Reading{}, nil
			}
		})
		b := newBench(t, nil, map[string]health.Prober{"lazy": lazy}, health.Component{Name: "lazy", Timeout: 5 * time.Second, FailureThreshold: 1})
		b.lead()
		defer func() {
			b.end()
			pass(2 * time.Second) // the last one stops
		}()
		pass(10 * time.Second)
		for range 30 {
			if _, err := b.m.Report(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			if e := b.entry("lazy"); e.Status == health.Down {
				t.Fatalf("%+v", e)
			}
			pass(100 * time.Millisecond)
		}
	})
}

// A fresh report that shares the probe of a turn measures on its own when the
// turn is cancelled.
func TestFreshReportSurvivesTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		first := healthtest.Func(func(ctx context.Context) (health.Reading, error) {
			if asked.Add(1) == 1 {
				<-ctx.Done()
			}
			return health.Reading{}, ctx.Err()
		})
		b := newBench(t, nil, map[string]health.Prober{"db": first}, health.Component{Name: "db", Critical: true, Interval: time.Minute, Timeout: time.Minute})
		b.lead()
		pass(5 * time.Second)
		got := make(chan health.Report, 1)
		go func() {
			rep, err := b.m.Report(t.Context(), true)
			if err != nil {
				t.Error(err)
			}
			got <- rep
		}()
		pass(500 * time.Millisecond)
		b.end()
		if rep := <-got; rep.Status != health.Healthy || len(rep.TimedOut) != 0 {
			t.Errorf("%s, timed out %v", rep.Status, rep.TimedOut)
		}
	})
}

// Whatever the write of a round does, what was measured is stored in the end,
// counts once, and facts are raised.
func TestSaveRoundFailures(t *testing.T) {
	for name, tt := range map[string]struct {
		after bool
		code  fault.Code
	}{"failed": {false, fault.ServiceDegraded}, "failed but persisted": {true, fault.ServiceDegraded}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var db healthtest.Answers
				db.OK()
				store := healthtest.NewMemory(time.Now)
				b := newBench(t, store, map[string]health.Prober{"db": &db}, health.Component{Name: "db", Critical: true, Interval: 2 * time.Second, FailureThreshold: 1})
				b.lead()
				pass(5 * time.Second)
				b.raised()
				away := time.Now().Add(time.Minute)
				store.SetFail(func(op string, after bool) error {
					if op == "SaveHealthRound" && after == tt.after && time.Now().Before(away) {
						return &fault.Error{Code: tt.code}
					}
					return nil
				})
				db.Fail()
				pass(10 * time.Second)
				b.want("+component_down db") // although it cannot be stored
				pass(time.Minute)
				if len(b.failures()) == 0 {
					t.Error("the failures were not reported")
				}
				b.end()
				days, err := b.m.Uptime(t.Context(), 1)
				if n := int64(db.Asked()); err != nil || len(days) != 1 || days[0].Up+days[0].Down > n || days[0].Up+days[0].Down < n-1 {
					t.Errorf("%+v %v of %d measurements", days, err, n)
				}
			})
		})
	}
}

func TestLeadFailures(t *testing.T) {
	t.Run("nothing can be read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, nil, nil, health.Component{Name: "db"})
			boom := errors.New("no answer")
			b.store.SetFail(healthtest.After("HealthSnapshot", false, boom))
			f := b.store.TakeLease("health")
			if err := b.m.Lead(b.ctx, f, b.report); !errors.Is(err, boom) {
				t.Error(err)
			}
			b.lead() // and now it can
			pass(5 * time.Second)
			if e := b.entry("db"); e.Status != health.Healthy {
				t.Error(e.Status)
			}
			b.end()
		})
	})
	for name, quiet := range map[string]bool{"the lease is lost": false, "the lease is lost and nothing is due": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var db healthtest.Answers
				db.Fail()
				interval := 2 * time.Second
				if quiet {
					interval = time.Hour
				}
				b := newBench(t, nil, map[string]health.Prober{"db": &db}, health.Component{Name: "db", Critical: true, Interval: interval, FailureThreshold: 1})
				f := b.store.TakeLease("health")
				done := make(chan error, 1)
				go func() { done <- b.m.Lead(b.ctx, f, b.report) }()
				pass(30 * time.Second)
				b.store.TakeLease("health")
				pass(500 * time.Millisecond)
				told := b.told()
				if err := <-done; fault.CodeOf(err) != fault.Conflict || b.told() != told {
					t.Errorf("%v, and %d facts after the loss", err, b.told()-told)
				}
			})
		})
	}
}

// Probes end when the lease or the program does.
func TestLeadCancelsItsProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended error
		hang := healthtest.Func(func(ctx context.Context) (health.Reading, error) {
			<-ctx.Done()
			ended = ctx.Err()
			return health.Reading{}, ctx.Err()
		})
		b := newBench(t, nil, map[string]health.Prober{"db": hang}, health.Component{Name: "db", Interval: time.Minute, Timeout: time.Minute, FailureThreshold: 1})
		b.lead()
		pass(10 * time.Second)
		b.end()
		if !errors.Is(ended, context.Canceled) {
			t.Errorf("the probe ended by %v", ended)
		}
		if e := b.entry("db"); e.Status != health.Unknown {
			t.Errorf("a probe that was cancelled made it %s", e.Status)
		}
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		flying, most := 0, 0
		probers := map[string]health.Prober{}
		var cs []health.Component
		for i := range 20 {
			c := health.Component{Name: fmt.Sprintf("c%d", i), Timeout: time.Second}
			cs = append(cs, c)
			probers[c.Name] = healthtest.Func(func(ctx context.Context) (health.Reading, error) {
				mu.Lock()
				flying++
				most = max(most, flying)
				mu.Unlock()
				<-ctx.Done()
				mu.Lock()
				flying--
				mu.Unlock()
				return health.Reading{}, ctx.Err()
			})
		}
		m, err := health.NewMonitor(health.Options{Components: cs, Probers: probers, Store: healthtest.NewMemory(time.Now), Signals: signal.Discard, Now: time.Now, Concurrency: 4})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Lead(ctx, health.Fence{}, func(error) {}) }()
		pass(time.Minute)
		rep, err := m.Report(t.Context(), false)
		for _, e := range rep.Components[:20] {
			if e.Status != health.Down || err != nil {
				t.Errorf("%+v %v", e, err)
			}
		}
		cancel()
		<-done
		synctest.Wait()
		if most != 4 {
			t.Errorf("%d at once, want 4", most)
		}
	})
}

// What a prober does wrong is its component's trouble only.
func TestProberFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		panics := healthtest.Func(func(context.Context) (health.Reading, error) { panic("boom") })
		var nan, long healthtest.Answers
		nan.Set(health.Reading{Message: "bad \x00 text \xff", Details: map[string]any{"x": func() {}}}, nil, 0)
		long.Set(health.Reading{}, errors.New(strings.Repeat("x", 10000)), 0)
		b := newBench(t, nil, map[string]health.Prober{"panics": panics, "nan": &nan, "long": &long},
			health.Component{Name: "panics", FailureThreshold: 1}, health.Component{Name: "nan"}, health.Component{Name: "long", FailureThreshold: 1})
		b.lead()
		pass(5 * time.Second)
		b.end()
		if e := b.entry("panics"); e.Status != health.Down || !strings.Contains(e.Message, "panicked: boom") {
			t.Errorf("%+v", e)
		}
		if e := b.entry("nan"); e.Status != health.Healthy || e.Message != "bad  text \uFFFD" || len(e.Details) != 1 {
			t.Errorf("%+v", e)
		}
		if e := b.entry("long"); e.Status != health.Down || len(e.Message) > 400 {
			t.Errorf("%d bytes", len(e.Message))
		}
	})
}

// Facts of a component that is no longer configured are cleared by whoever
// leads next.
func TestFactsOfRemovedComponents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := newBench(t, nil, map[string]health.Prober{"old": new(healthtest.Answers).Fail()}, health.Component{Name: "old", Critical: true})
		old.lead()
		pass(time.Minute)
		old.end()
		b := newBench(t, old.store, nil, health.Component{Name: "db"})
		b.level["component_down old"] = true
		b.lead()
		pass(20 * time.Second)
		b.end()
		if got := b.raised(); !slices.Contains(got, "-component_down old") {
			t.Error(got)
		}
	})
}

// Without a leader, results age: what was HEALTHY is not asserted for ever.
func TestResultsGoStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, nil, health.Component{Name: "db"})
		b.lead()
		pass(5 * time.Second)
		b.end()
		for _, tt := range []struct {
			wait time.Duration
			want health.Status
		}{{20 * time.Second, health.Healthy}, {20 * time.Second, health.Unknown}} {
			pass(tt.wait)
			if e := b.entry("db"); e.Status != tt.want {
				t.Errorf("%s, want %s: %s", e.Status, tt.want, e.Message)
			}
		}
		if p := b.m.Public(); p.Status == health.Healthy {
			t.Error("the public word asserts what nobody measured")
		}
	})
}

// A node that has just begun to lead has a while to measure everything. What
// is not measured after that is why health is DEGRADED.
func TestWhatIsNeverMeasuredDegrades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, nil, health.Component{Name: "db"}, health.Component{Name: "disk", PerNode: true})
		f := b.store.TakeLease("health")
		go func() { _ = b.m.Lead(b.ctx, f, b.report) }() // and no node measures its disk
		pass(25 * time.Second)
		b.want()
		pass(20 * time.Second)
		b.want("+health_degraded disk")
		b.end()
	})
}

// A leader with nothing to do asks for its lease at every idle evaluation, not
// at every turn; and what is of nobody any more leaves its memory.
func TestIdleLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, nil, health.Component{Name: "cert", Interval: time.Hour}, health.Component{Name: "disk", PerNode: true})
		gone := health.Result{Component: "disk", Node: "n0", State: health.State{Status: health.Down}, Last: health.Observation{At: time.Now()}}
		if err := b.store.SaveHealthRound(t.Context(), health.Round{Results: []health.Result{gone}}); err != nil {
			t.Fatal(err)
		}
		f := b.store.TakeLease("health")
		b.wg.Go(func() { _ = b.m.Lead(b.ctx, f, b.report) })
		pass(10 * time.Minute)
		b.end()
		if n := b.store.Writes["SaveHealthRound"]; n < 50 || n > 70 {
			t.Errorf("%d writes in ten idle minutes", n)
		}
		if n := b.m.Known(); n != 2 {
			t.Errorf("knows %d results, want those of cert and of the other node", n)
		}
		pass(health.ForgetAfter)
		if err := b.m.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := b.m.Known(); n != 0 {
			t.Errorf("still knows %d results", n)
		}
	})
}

// A clock that goes back stops neither the states nor the writes.
func TestClockGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Int64
		now := func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }
		var db healthtest.Answers
		db.OK()
		b := newBench(t, nil, map[string]health.Prober{"db": &db}, health.Component{Name: "db", Critical: true})
		m, err := health.NewMonitor(health.Options{Components: []health.Component{{Name: "db", Critical: true}}, Probers: b.probers, Store: b.store, Signals: b.signal, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		b.m = m
		b.lead()
		pass(time.Minute)
		back.Store(int64(time.Hour))
		db.Fail()
		pass(time.Minute)
		b.want("+component_down db")
		b.end()
		var measured int64
		days, err := m.Uptime(t.Context(), 2)
		for _, d := range days {
			measured += d.Up + d.Down
		}
		if n := int64(db.Asked()); err != nil || measured < n-1 {
			t.Errorf("%d measurements stored of %d, %v", measured, n, err)
		}
	})
}

// A monitor that replaces another, as after a reload, goes on from its states.
func TestRunGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := new(healthtest.Answers).Fail()
		c := health.Component{Name: "disk", PerNode: true, Critical: true}
		first := newBench(t, nil, map[string]health.Prober{"disk": disk}, c)
		first.lead()
		pass(time.Minute)
		first.end()
		disk.OK()
		b := newBench(t, first.store, map[string]health.Prober{"disk": disk}, c)
		b.wg.Go(func() { _ = b.m.Run(b.ctx, b.report) })
		pass(5 * time.Second) // time for one success, not for two
		if e := b.entry("disk"); e.Status != health.Down {
			t.Errorf("after a reload it is %s", e.Status)
		}
		pass(30 * time.Second)
		if e := b.entry("disk"); e.Status != health.Healthy {
			t.Errorf("after three successes it is %s", e.Status)
		}
		b.end()
	})
}

// A change whose write failed is an error; one that was persisted after all
// holds, and can be ended.
func TestWindowFailures(t *testing.T) {
	for name, after := range map[string]bool{"failed": false, "failed but persisted": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil, nil, health.Component{Name: "db"})
				boom := errors.New("no answer")
				b.store.SetFail(healthtest.After("SaveHealthWindow", after, boom))
				w := health.Window{Until: time.Now().Add(time.Hour), Reason: "a new disk for it"}
				if _, err := b.m.BeginMaintenance(t.Context(), w, "key:1"); !errors.Is(err, boom) {
					t.Fatal(err)
				}
				if err := b.m.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				if n := len(b.m.Windows()); n != map[bool]int{false: 0, true: 1}[after] {
					t.Errorf("%d windows", n)
				}
				b.store.SetFail(healthtest.After("HealthSnapshot", false, boom)) // of the read after the write
				w, err := b.m.BeginMaintenance(t.Context(), w, "key:1")
				if err != nil {
					t.Fatal(err)
				}
				b.store.SetFail(healthtest.After("EndHealthWindow", after, boom))
				if _, err := b.m.EndMaintenance(t.Context(), w.ID, "it is in place", "key:1"); !errors.Is(err, boom) {
					t.Fatal(err)
				}
				_, err = b.m.EndMaintenance(t.Context(), w.ID, "it is in place", "key:1")
				if after != (fault.CodeOf(err) == fault.Conflict) || !after && err != nil {
					t.Errorf("again: %v", err)
				}
				ws, err := b.m.WindowHistory(t.Context(), 1)
				if err != nil || len(ws) != 1 || !after && ws[0].EndedAt.IsZero() {
					t.Errorf("%+v %v", ws, err)
				}
			})
		})
	}
}

func TestNewMonitorWantsProbers(t *testing.T) {
	_, err := health.NewMonitor(health.Options{Components: []health.Component{{Name: "db", Kind: "odd"}}})
	if fault.CodeOf(err) != fault.InvalidArgument || !strings.Contains(err.Error(), `"odd"`) {
		t.Error(err)
	}
}
