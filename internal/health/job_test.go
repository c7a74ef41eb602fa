package health_test

import (
	"fmt"
	"testing"
	"time"
	_ "time/tzdata" // the test machine may lack zones

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/health"
)

func job(t tester, j health.Job) health.Job {
	t.Helper()
	if j.Name == "" {
		j.Name = "backup"
	}
	js, err := health.Jobs([]health.Job{j})
	if err != nil {
		t.Fatal(err)
	}
	return js[0]
}

func TestJobs(t *testing.T) {
	for name, tt := range map[string]struct {
		job  health.Job
		want string
	}{
		"a schedule":           {health.Job{Name: "a", Schedule: "0 3 * * *", TimeZone: "Europe/Warsaw"}, ""},
		"a name of one":        {health.Job{Name: "a", Schedule: "@daily"}, ""},
		"a period":             {health.Job{Name: "a", Period: time.Hour, Grace: time.Minute, MaxRuntime: time.Minute}, ""},
		"neither":              {health.Job{Name: "a"}, "jobs.a.schedule"},
		"both":                 {health.Job{Name: "a", Schedule: "@daily", Period: time.Hour}, "jobs.a.schedule"},
		"no name":              {health.Job{Period: time.Hour}, "jobs..name"},
		"six fields":           {health.Job{Name: "a", Schedule: "0 0 3 * * *"}, "jobs.a.schedule"},
		"nonsense":             {health.Job{Name: "a", Schedule: "now and then"}, "jobs.a.schedule"},
		"@every":               {health.Job{Name: "a", Schedule: "@every 1h"}, "jobs.a.schedule"},
		"the 30th of February": {health.Job{Name: "a", Schedule: "0 0 30 2 *"}, "jobs.a.schedule"},
		"a zone inside":        {health.Job{Name: "a", Schedule: "TZ=UTC 0 3 * * *"}, "jobs.a.schedule"},
		"a zone alone":         {health.Job{Name: "a", Schedule: "TZ=UTC"}, "jobs.a.schedule"},
		"an unknown zone":      {health.Job{Name: "a", Schedule: "@daily", TimeZone: "Europe/Nowhere"}, "jobs.a.schedule"},
		"the machine's zone":   {health.Job{Name: "a", Schedule: "@daily", TimeZone: "Local"}, "jobs.a.schedule"},
		"too often":            {health.Job{Name: "a", Period: time.Second}, "jobs.a.period"},
		"a negative grace":     {health.Job{Name: "a", Period: time.Hour, Grace: -1}, "jobs.a.grace"},
		"a run time of a year": {health.Job{Name: "a", Period: time.Hour, MaxRuntime: 9000 * time.Hour}, "jobs.a.maxRuntime"},
		"a name that is taken": {health.Job{Name: "b", Period: time.Hour}, "jobs.b.name"},
	} {
		_, err := health.Jobs([]health.Job{{Name: "b", Period: time.Hour}, tt.job})
		if got := field(t, err); got != tt.want {
			t.Errorf("%s: field %q, want %q: %v", name, got, tt.want, err)
		}
	}
}

// Next runs over the changes of Warsaw, 2026-03-29 at 02:00 and 2026-10-25 at
// 03:00, and of Lord Howe, which moves by half an hour, and of Santiago, where
// a midnight is left out.
func TestNextRunOverDaylightSaving(t *testing.T) {
	for name, tt := range map[string]struct {
		schedule, zone, after string
		want                  []string // local, with the offset
	}{
		"a plain day":        {"30 2 * * *", "Europe/Warsaw", "2026-03-10T12:00:00Z", []string{"2026-03-11T02:30:00+01:00", "2026-03-12T02:30:00+01:00"}},
		"left out in spring": {"30 2 * * *", "Europe/Warsaw", "2026-03-28T12:00:00Z", []string{"2026-03-30T02:30:00+02:00", "2026-03-31T02:30:00+02:00"}},
		"once in autumn":     {"30 2 * * *", "Europe/Warsaw", "2026-10-24T12:00:00Z", []string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		"every hour, spring": {"0 * * * *", "Europe/Warsaw", "2026-03-29T00:30:00Z", []string{"2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"}},
		"every hour, autumn": {"0 * * * *", "Europe/Warsaw", "2026-10-24T23:30:00Z", []string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"}},
		"after the change":   {"30 3 * * *", "Europe/Warsaw", "2026-10-25T00:00:00Z", []string{"2026-10-25T03:30:00+01:00", "2026-10-26T03:30:00+01:00"}},
		"half an hour":       {"45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", []string{"2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"}},
		"no midnight":        {"0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", []string{"2026-09-07T00:00:00-03:00", "2026-09-08T00:00:00-03:00"}},
		"every year":         {"@yearly", "Pacific/Auckland", "2026-03-01T00:00:00Z", []string{"2027-01-01T00:00:00+13:00"}},
		"weekdays":           {"0 9 * * MON-FRI", "UTC", "2026-03-06T09:00:00Z", []string{"2026-03-09T09:00:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			j := job(t, health.Job{Schedule: tt.schedule, TimeZone: tt.zone})
			loc, err := time.LoadLocation(tt.zone)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, tt.after)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for range tt.want {
				at = health.JobState(j, health.JobRecord{PlanSince: at}, at).NextRun
				got = append(got, at.In(loc).Format(time.RFC3339))
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// A job that runs at each of its times is never overdue, in any zone, over
// three years, though its clock differs by a few seconds.
func TestPunctualJobsAreNeverOverdue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom([]string{"UTC", "Europe/Warsaw", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo"}).Draw(t, "zone")
		schedule := rapid.SampledFrom([]string{"30 2 * * *", "0 0 * * *", "0 * * * *", "*/15 * * * *", "15 1-3 * * *", "0 3 * * SUN", "0 12 1 * *"}).Draw(t, "schedule")
		j := job(t, health.Job{Schedule: schedule, TimeZone: zone, Grace: 2 * time.Minute})
		r := health.JobRecord{PlanSince: start}
		day := time.Duration(rapid.IntRange(0, 1000).Draw(t, "day")) * 24 * time.Hour
		r.PlanSince = start.Add(day)
		for i := range 60 {
			due := health.JobState(j, r, r.PlanSince).NextRun
			skew := time.Duration(rapid.IntRange(-60, 110).Draw(t, "skew")) * time.Second
			if i == 0 {
				skew = max(skew, 0) // the first is told by its plan alone
			}
			at := due.Add(skew)
			if v := health.JobState(j, r, at); v.Word == health.JobOverdue {
				t.Fatalf("overdue at %s: %+v", at, v)
			}
			if v := health.JobState(j, r, due.Add(2*time.Minute+time.Second)); v.Word != health.JobOverdue {
				t.Fatalf("not overdue: %+v", v)
			}
			was := due
			r, _, _ = r.Apply(health.Ping{Kind: health.PingSuccess, At: at})
			if next := health.JobState(j, r, at).NextRun; !next.After(was.Add(30 * time.Second)) {
				t.Fatalf("ran at %s for %s; next %s", at, was, next)
			}
		}
	})
}

func TestJobState(t *testing.T) {
	hourly := job(t, health.Job{Period: time.Hour, Grace: 10 * time.Minute, MaxRuntime: 30 * time.Minute})
	three := 3
	ran := func(ok bool, ago time.Duration) health.JobRecord {
		return health.JobRecord{PlanSince: start.Add(-time.Hour), RanAt: now.Add(-ago), EndedAt: now.Add(-ago), EndedOK: ok}
	}
	running := func(r health.JobRecord, ago time.Duration) health.JobRecord {
		r.Running, r.StartedAt, r.RanAt = true, now.Add(-ago), now.Add(-ago)
		return r
	}
	never := func(ago time.Duration) health.JobRecord { return health.JobRecord{PlanSince: now.Add(-ago)} }
	for name, tt := range map[string]struct {
		r    health.JobRecord
		word health.JobWord
		last health.JobWord
	}{
		"never run":            {never(time.Minute), health.JobWaiting, ""},
		"never run, in grace":  {never(70 * time.Minute), health.JobWaiting, ""},
		"never run, overdue":   {never(70*time.Minute + 1), health.JobOverdue, ""},
		"ran well":             {ran(true, time.Minute), health.JobSuccess, health.JobSuccess},
		"failed":               {ran(false, time.Minute), health.JobFailure, health.JobFailure},
		"overdue":              {ran(true, 71*time.Minute), health.JobOverdue, health.JobSuccess},
		"failed and overdue":   {ran(false, 71*time.Minute), health.JobOverdue, health.JobFailure},
		"runs":                 {running(never(time.Hour), time.Minute), health.JobRunning, ""},
		"runs after a failure": {running(ran(false, time.Hour), time.Minute), health.JobRunning, health.JobFailure},
		"runs too long":        {running(ran(true, time.Hour), 31*time.Minute), health.JobOverrun, health.JobSuccess},
		"another plan":         {health.JobRecord{PlanSince: now.Add(-time.Minute), RanAt: now.Add(-time.Hour * 99), EndedAt: now.Add(-time.Hour * 99), EndedOK: true}, health.JobSuccess, health.JobSuccess},
	} {
		v := health.JobState(hourly, tt.r, now)
		if v.Word != tt.word || v.LastRunStatus != tt.last {
			t.Errorf("%s: %s, last %q; want %s, %q", name, v.Word, v.LastRunStatus, tt.word, tt.last)
		}
	}
	endless := job(t, health.Job{Period: time.Hour, Grace: 10 * time.Minute})
	if v := health.JobState(endless, running(never(9*time.Hour), 71*time.Minute), now); v.Word != health.JobOverdue {
		t.Errorf("a run that never ends, and no next one: %s", v.Word)
	}
	minutely := job(t, health.Job{Schedule: "* * * * *"})
	for late, want := range map[time.Duration]time.Duration{-5 * time.Second: time.Minute, 10 * time.Second: time.Minute, 50 * time.Second: time.Minute} {
		r := health.JobRecord{PlanSince: start.Add(-time.Hour), RanAt: start.Add(late)}
		if v := health.JobState(minutely, r, start); !v.NextRun.Equal(start.Add(want)) {
			t.Errorf("ran %s late: next run at %s, want %s", late, v.NextRun, start.Add(want))
		}
	}
	r := ran(false, time.Minute)
	r.ExitCode = &three
	if v := health.JobState(hourly, r, now); v.ExitCode == nil || *v.ExitCode != 3 || !v.NextRun.Equal(now.Add(59*time.Minute)) || !v.OverdueFrom.Equal(now.Add(69*time.Minute)) {
		t.Errorf("%+v", v)
	}
}

func TestApply(t *testing.T) {
	type ping struct {
		kind health.PingKind
		id   string
		at   int // minutes
		want string
	}
	const same, ok, refused = "same", "", "CONFLICT"
	for name, tt := range map[string]struct {
		pings   []ping
		running bool
		last    bool
		ranAt   int
	}{
		"start and success":     {[]ping{{health.PingStart, "1", 0, ok}, {health.PingSuccess, "1", 5, ok}}, false, true, 0},
		"repeated":              {[]ping{{health.PingStart, "1", 0, ok}, {health.PingStart, "1", 1, same}, {health.PingSuccess, "1", 5, ok}, {health.PingSuccess, "1", 6, same}}, false, true, 0},
		"an old start, late":    {[]ping{{health.PingSuccess, "1", 5, ok}, {health.PingStart, "1", 6, ok}}, false, true, 5},
		"an old end, late":      {[]ping{{health.PingStart, "1", 0, ok}, {health.PingFail, "1", 1, ok}, {health.PingStart, "2", 2, ok}, {health.PingFail, "1", 3, same}}, true, false, 2},
		"it cannot end twice":   {[]ping{{health.PingStart, "1", 0, ok}, {health.PingSuccess, "1", 1, ok}, {health.PingFail, "1", 2, refused}}, false, true, 0},
		"two at once":           {[]ping{{health.PingStart, "1", 0, ok}, {health.PingStart, "2", 1, ok}, {health.PingSuccess, "1", 2, ok}}, true, true, 2},
		"two at once, both end": {[]ping{{health.PingStart, "1", 0, ok}, {health.PingStart, "2", 1, ok}, {health.PingSuccess, "1", 2, ok}, {health.PingFail, "2", 3, ok}}, false, false, 2},
		"without ids":           {[]ping{{health.PingStart, "", 0, ok}, {health.PingSuccess, "", 1, ok}, {health.PingSuccess, "", 2, ok}}, false, true, 2},
		"an end without its id": {[]ping{{health.PingStart, "1", 0, ok}, {health.PingFail, "", 1, ok}}, false, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var r health.JobRecord
			for i, p := range tt.pings {
				next, changed, err := r.Apply(health.Ping{Kind: p.kind, RunID: p.id, At: start.Add(time.Duration(p.at) * time.Minute)})
				got := ok
				if err != nil {
					got = string(fault.CodeOf(err))
				} else if !changed {
					got = same
				}
				if got != p.want {
					t.Fatalf("ping %d: %q, want %q", i, got, p.want)
				}
				r = next
			}
			if r.Running != tt.running || r.EndedOK != tt.last || !r.RanAt.Equal(start.Add(time.Duration(tt.ranAt)*time.Minute)) {
				t.Errorf("%+v", r)
			}
		})
	}
}

// Pings that are repeated, at once or later, change nothing.
func TestApplyIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kinds := []health.PingKind{health.PingStart, health.PingSuccess, health.PingFail}
		var once, twice health.JobRecord
		var sent []health.Ping
		for i := range rapid.IntRange(1, 20).Draw(t, "n") {
			p := health.Ping{Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), RunID: fmt.Sprint(rapid.IntRange(1, 6).Draw(t, "run")), At: start.Add(time.Duration(i) * time.Minute)}
			if next, _, err := once.Apply(p); err == nil {
				once = next
				sent = append(sent, p)
			}
			if next, _, err := twice.Apply(p); err == nil {
				twice = next
			}
			if len(sent) > 0 {
				again := rapid.SampledFrom(sent).Draw(t, "again")
				again.At = p.At.Add(30 * time.Second)
				next, changed, err := twice.Apply(again)
				if changed || err != nil {
					t.Fatalf("%+v again: changed %v, %v", again, changed, err)
				}
				twice = next
			}
		}
		if d := cmp.Diff(once, twice); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzSchedule(f *testing.F) {
	for _, s := range []string{"0 3 * * *", "@daily", "*/5 1-3,4 * JAN SUN", "TZ=UTC", "CRON_TZ=x 0 0 * * *", "99 * * * *", "@every 1s", "1/0 * * * *", ""} {
		f.Add(s, "Europe/Warsaw")
	}
	f.Fuzz(func(t *testing.T, s, zone string) {
		js, err := health.Jobs([]health.Job{{Name: "a", Schedule: s, TimeZone: zone}})
		if err != nil {
			return
		}
		v := health.JobState(js[0], health.JobRecord{PlanSince: start}, start)
		if !v.NextRun.After(start) {
			t.Errorf("%q in %q: next run %s", s, zone, v.NextRun)
		}
	})
}
