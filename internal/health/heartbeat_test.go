package health_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/health/healthtest"
	"avalo.app/gantry/internal/signal"
)

// hand is a clock that a test sets.
type hand struct{ now time.Time }

func (h *hand) Now() time.Time { return h.now }

// levels keeps what is raised, of single-threaded tests.
type levels map[string]bool

func (l levels) take(f signal.Fact) {
	if k := f.Rule + " " + f.Object; f.Failing {
		l[k] = true
	} else {
		delete(l, k)
	}
}

func heartbeats(t *testing.T, s health.JobStore, c *hand, l levels, jobs ...health.Job) *health.Heartbeats {
	t.Helper()
	h, err := health.NewHeartbeats(health.HeartbeatOptions{Jobs: jobs, Store: s, Signals: l.take, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHeartbeats(t *testing.T) {
	c, l := &hand{start}, levels{}
	s := healthtest.NewMemory(c.Now)
	h := heartbeats(t, s, c, l, health.Job{Name: "backup", Period: time.Hour, Grace: 10 * time.Minute, MaxRuntime: 20 * time.Minute}, health.Job{Name: "index", Schedule: "0 3 * * *"})
	check := func(at time.Duration, word health.JobWord, raised ...string) {
		t.Helper()
		c.now = start.Add(at)
		if err := h.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := levels{}
		for _, r := range raised {
			want[r] = true
		}
		if d := cmp.Diff(want, l); d != "" {
			t.Error(at, d)
		}
		views, err := h.Jobs(t.Context())
		if err != nil || len(views) != 2 || views[0].Word != word {
			t.Errorf("%s: %+v %v, want %s", at, views, err, word)
		}
	}
	ping := func(kind health.PingKind, id string, exit *int) health.JobView {
		t.Helper()
		v, err := h.Ping(t.Context(), health.Ping{Job: "backup", Kind: kind, RunID: id, ExitCode: exit})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	one := 1
	check(0, health.JobWaiting)
	check(69*time.Minute, health.JobWaiting)
	check(71*time.Minute, health.JobOverdue, "job_overdue backup")
	if v := ping(health.PingStart, "a", nil); v.Word != health.JobRunning {
		t.Errorf("%+v", v)
	}
	check(80*time.Minute, health.JobRunning)
	check(92*time.Minute, health.JobOverrun, "job_overdue backup")
	for range 2 {
		if v := ping(health.PingFail, "a", &one); v.Word != health.JobFailure || v.ExitCode == nil || v.Duration != 21*time.Minute {
			t.Errorf("%+v", v)
		}
	}
	check(93*time.Minute, health.JobFailure, "job_failed backup")
	ping(health.PingStart, "b", nil)
	check(94*time.Minute, health.JobRunning, "job_failed backup") // until it has run well
	check(93*time.Minute+2*time.Hour, health.JobOverrun, "job_failed backup", "job_overdue backup")
	ping(health.PingSuccess, "b", nil)
	check(94*time.Minute+2*time.Hour, health.JobOverdue, "job_overdue backup") // it began more than an hour ago
	ping(health.PingSuccess, "c", nil)
	check(95*time.Minute+2*time.Hour, health.JobSuccess)
	ping(health.PingFail, "d", nil)
	check(96*time.Minute+2*time.Hour, health.JobFailure, "job_failed backup")

	// A job that is no longer configured is no longer raised.
	h = heartbeats(t, s, c, l, health.Job{Name: "index", Schedule: "0 3 * * *"}, health.Job{Name: "other", Period: time.Hour})
	check(97*time.Minute+2*time.Hour, health.JobWaiting)
}

func TestPingRefusals(t *testing.T) {
	c := &hand{start}
	h := heartbeats(t, healthtest.NewMemory(c.Now), c, levels{}, health.Job{Name: "backup", Period: time.Hour})
	one := 1
	for name, tt := range map[string]struct {
		p    health.Ping
		want string
	}{
		"a kind":         {health.Ping{Kind: "done"}, "kind"},
		"a long id":      {health.Ping{Kind: health.PingStart, RunID: strings.Repeat("x", 129)}, "runId"},
		"an odd id":      {health.Ping{Kind: health.PingStart, RunID: "a\x00b"}, "runId"},
		"no UTF-8":       {health.Ping{Kind: health.PingStart, RunID: "\xff"}, "runId"},
		"a start's exit": {health.Ping{Kind: health.PingStart, ExitCode: &one}, "exitCode"},
		"a success of 1": {health.Ping{Kind: health.PingSuccess, ExitCode: &one}, "exitCode"},
		"a duration":     {health.Ping{Kind: health.PingSuccess, Duration: -1}, "duration"},
		"a failure of 1": {health.Ping{Kind: health.PingFail, ExitCode: &one}, ""},
	} {
		tt.p.Job = "backup"
		if _, err := h.Ping(t.Context(), tt.p); field(t, err) != tt.want {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	_, err := h.Ping(t.Context(), health.Ping{Job: "none", Kind: health.PingStart})
	if fault.CodeOf(err) != fault.NotFound || !strings.Contains(err.Error(), "health.jobs") {
		t.Errorf("%v", err)
	}
}

// A ping whose write failed, or failed but was persisted, is repeated with
// the same answer.
func TestPingFailures(t *testing.T) {
	for name, after := range map[string]bool{"failed": false, "failed but persisted": true} {
		t.Run(name, func(t *testing.T) {
			c := &hand{start}
			s := healthtest.NewMemory(c.Now)
			h := heartbeats(t, s, c, levels{}, health.Job{Name: "backup", Period: time.Hour})
			boom := errors.New("no answer")
			for _, p := range []health.Ping{{Kind: health.PingStart, RunID: "1"}, {Kind: health.PingFail, RunID: "1"}} {
				p.Job = "backup"
				s.SetFail(healthtest.After("UpdateJob", after, boom))
				if _, err := h.Ping(t.Context(), p); !errors.Is(err, boom) {
					t.Fatal(err)
				}
				c.now = c.now.Add(time.Second)
				v, err := h.Ping(t.Context(), p)
				if err != nil || (v.Word == health.JobRunning) != (p.Kind == health.PingStart) {
					t.Fatalf("%+v %v", v, err)
				}
			}
			rs, err := s.JobRecords(t.Context())
			if err != nil || len(rs[0].Recent) != 2 || rs[0].Running || rs[0].EndedOK {
				t.Errorf("%+v %v", rs, err)
			}
		})
	}
}

func TestCheckFailures(t *testing.T) {
	for _, op := range []string{"RegisterJobs", "JobRecords"} {
		for _, after := range []bool{false, true} {
			c, l := &hand{start}, levels{}
			s := healthtest.NewMemory(c.Now)
			h := heartbeats(t, s, c, l, health.Job{Name: "backup", Period: time.Hour})
			boom := errors.New("no answer")
			s.SetFail(healthtest.After(op, after, boom))
			if err := h.Check(t.Context()); !errors.Is(err, boom) {
				t.Errorf("%s: %v", op, err)
			}
			c.now = c.now.Add(2 * time.Hour)
			if err := h.Check(t.Context()); err != nil {
				t.Error(err)
			}
			// Known since the first registration that was persisted, if any.
			if got := l["job_overdue backup"]; got != (op == "JobRecords" || after) {
				t.Errorf("%s, after %v: overdue %v", op, after, got)
			}
		}
	}
	c := &hand{start}
	h := heartbeats(t, healthtest.NewMemory(c.Now), c, levels{}, health.Job{Name: "backup", Period: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a node that lost the lease goes on: %v", err)
	}
}

func TestSources(t *testing.T) {
	c, l := &hand{start}, levels{}
	s := healthtest.NewMemory(c.Now)
	var updated time.Time
	var problem error
	read := 0
	o := health.SourceOptions{
		Sources: []health.Source{{Name: "index", MaxAge: time.Hour}}, Store: s, Signals: l.take, Now: c.Now,
		Readers: map[string]health.Reader{"index": func(context.Context) (time.Time, error) { read++; return updated, problem }},
	}
	src, err := health.NewSources(o)
	if err != nil {
		t.Fatal(err)
	}
	lease := s.TakeLease("health")
	check := func(at time.Duration, want health.Freshness, stale bool) {
		t.Helper()
		c.now = start.Add(at)
		if err := src.Check(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
		v, err := src.Freshness(t.Context())
		if err != nil || len(v) != 1 || v[0].Freshness != want || l["freshness_stale index"] != stale {
			t.Errorf("%s: %+v %v, stale raised %v; want %s, %v", at, v, err, l["freshness_stale index"], want, stale)
		}
	}
	if v, err := src.Freshness(t.Context()); err != nil || v[0].Freshness != health.Unclear || v[0].Message != "not read yet" {
		t.Errorf("%+v %v", v, err)
	}
	updated = start.Add(-time.Minute)
	check(0, health.Fresh, false)
	check(time.Second, health.Fresh, false)
	if read != 1 {
		t.Errorf("read %d times in a second", read)
	}
	check(59*time.Minute, health.Fresh, false)
	check(60*time.Minute, health.Stale, true)
	updated = start.Add(60 * time.Minute)
	check(61*time.Minute+time.Second, health.Fresh, false)
	problem = errors.New("relation does not exist")
	check(63*time.Minute, health.Unclear, false) // what was read last is still young
	check(125*time.Minute, health.Unclear, true) // and now it is not
	problem, updated = nil, time.Time{}
	check(127*time.Minute, health.Unclear, true)
	updated = start.Add(200 * time.Minute)
	check(129*time.Minute, health.Unclear, true) // ahead of its time
	updated = start.Add(133 * time.Minute)       // within what clocks may differ
	check(131*time.Minute, health.Fresh, false)

	// Nobody reads it any more: it is not called fresh for ever.
	c.now = c.now.Add(4 * time.Minute)
	if v, err := src.Freshness(t.Context()); err != nil || v[0].Freshness != health.Unclear || !strings.HasPrefix(v[0].Message, "not read since") {
		t.Errorf("%+v %v", v, err)
	}
	// A paused holder that wakes changes nothing, and raises nothing.
	s.TakeLease("health")
	problem = errors.New("late")
	if err := src.Check(t.Context(), lease); fault.CodeOf(err) != fault.Conflict || l["freshness_stale index"] {
		t.Errorf("%v, %v", err, l)
	}
	// A source that is no longer configured is no longer raised.
	l["freshness_stale index"] = true
	o.Sources = nil
	if src, err = health.NewSources(o); err != nil {
		t.Fatal(err)
	}
	if err := src.Check(t.Context(), s.TakeLease("health")); err != nil || len(l) != 0 {
		t.Errorf("%v %v", err, l)
	}
}

func TestSourceFailures(t *testing.T) {
	for name, after := range map[string]bool{"failed": false, "failed but persisted": true} {
		c, l := &hand{start}, levels{}
		s := healthtest.NewMemory(c.Now)
		src, err := health.NewSources(health.SourceOptions{Sources: []health.Source{{Name: "index", MaxAge: time.Hour}}, Store: s, Signals: l.take, Now: c.Now,
			Readers: map[string]health.Reader{"index": func(context.Context) (time.Time, error) { return time.Unix(0, 1000), nil }}})
		if err != nil {
			t.Fatal(err)
		}
		boom := errors.New("no answer")
		s.SetFail(healthtest.After("SaveSources", after, boom))
		f := s.TakeLease("health")
		if err := src.Check(t.Context(), f); !errors.Is(err, boom) {
			t.Errorf("%s: %v", name, err)
		}
		if err := src.Check(t.Context(), f); err != nil || !l["freshness_stale index"] {
			t.Errorf("%s: again: %v %v", name, err, l)
		}
	}
}

func TestNewSources(t *testing.T) {
	read := func(context.Context) (time.Time, error) { return time.Time{}, nil }
	for name, tt := range map[string]struct {
		list []health.Source
		want string
	}{
		"a name":    {[]health.Source{{Name: "A", MaxAge: time.Hour}}, "freshness.A"},
		"twice":     {[]health.Source{{Name: "a", MaxAge: time.Hour}, {Name: "a", MaxAge: time.Hour}}, "freshness.a"},
		"no age":    {[]health.Source{{Name: "a"}}, "freshness.a.maxAge"},
		"interval":  {[]health.Source{{Name: "a", MaxAge: time.Hour, Interval: 1}}, "freshness.a"},
		"no reader": {[]health.Source{{Name: "b", MaxAge: time.Hour}}, "freshness.b"},
		"as it is":  {[]health.Source{{Name: "a", MaxAge: time.Hour}}, ""},
	} {
		if _, err := health.NewSources(health.SourceOptions{Sources: tt.list, Readers: map[string]health.Reader{"a": read}}); field(t, err) != tt.want {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// What is not declared is null, never 0; so is what cannot be counted.
func TestDiagnostics(t *testing.T) {
	c := &hand{start}
	asked := 0
	d, err := health.NewDiagnostics(map[string]health.Count{
		"payouts.pending": func(context.Context) (int64, error) { asked++; return 7, nil },
		"disputes.open":   func(context.Context) (int64, error) { return 0, nil },
		"kyc.pending":     func(context.Context) (int64, error) { return 5, errors.New("no such table") },
		"users.suspended": func(context.Context) (int64, error) { return 2, nil },
	}, c.Now)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := d.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := func(i int64) *int64 { return &i }
	want := health.DiagnosticsReport{At: start, Failed: map[string]string{"kyc.pending": "no such table"}, Counts: map[string]map[string]*int64{
		"users": {"total": nil, "active": nil, "suspended": n(2)}, "sessions": {"active": nil}, "payouts": {"pending": n(7)}, "disputes": {"open": n(0)}, "kyc": {"pending": nil}}}
	if diff := cmp.Diff(want, rep); diff != "" {
		t.Error(diff)
	}
	for _, wait := range []time.Duration{0, 999 * time.Millisecond, time.Millisecond} {
		c.now = c.now.Add(wait)
		if _, err := d.Report(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times in a second and once after it", asked)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Report(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, name := range []string{"users", "users.", ".total", "Users.total", "a.b c"} {
		if _, err := health.NewDiagnostics(map[string]health.Count{name: nil}, c.Now); field(t, err) != "diagnostics" {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestDiagnosticsBehindARoundThatHangs: whoever has less time than the round
// under way leaves in time.
func TestDiagnosticsBehindARoundThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := health.NewDiagnostics(map[string]health.Count{"users.total": func(ctx context.Context) (int64, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = d.Report(t.Context()) })
		synctest.Wait()
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := d.Report(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("it answers %v after %s, want the end of its second", err, time.Since(begin))
		}
		wg.Wait()
	})
}
