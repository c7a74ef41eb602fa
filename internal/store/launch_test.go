package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
	"avalo.app/gantry/internal/launch/launchtest"
	"avalo.app/gantry/internal/store"
)

var _ interface {
	launch.ControlStore
	launch.OverrideStore
	launch.SignupStore
	launch.GuestStore
	launch.AllowStore
	launch.WaitStore
} = (*store.DB)(nil)

var modeEntry = audit.Entry{Kind: audit.LaunchModeChanged, Actor: "key:a", Object: "launch:mode", Reason: "for good reasons"}

// move is one that the gate lets pass.
func move(to launch.Mode, version int64, at time.Time) launch.Move {
	return launch.Move{To: to, IfVersion: version, Reason: "for good reasons", By: launch.Actor{ID: "key:a", Owner: "Ana"}, At: at,
		Report: launch.Report{Passed: true, Digest: "d", ValidUntil: at.Add(time.Minute)}}
}

func mustMove(t *testing.T, db *store.DB, m launch.Move) launch.Transition {
	t.Helper()
	tr, err := db.SetMode(t.Context(), m, modeEntry)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func mustSave(t *testing.T, db *store.DB, name string, doc any) {
	t.Helper()
	if _, err := db.SaveLaunchDoc(t.Context(), name, doc, -1, nil, audit.Entry{Kind: audit.LaunchPhaseSet, Object: "launch:" + name}); err != nil {
		t.Fatal(err)
	}
}

func limited(n int64) launch.Phase {
	return launch.Phase{Groups: []string{launch.GroupAll}, DailyCap: &n}
}

func reserve(n int) launch.Op {
	return launch.Op{Kind: launch.OpReserve, Applicant: launch.Applicant{UserID: fmt.Sprintf("u%d", n), EmailHash: fmt.Sprintf("e%d", n), Country: "PL", TTL: time.Hour}}
}

// apply performs steps, none of which may fail.
func apply(t *testing.T, db *store.DB, ops ...launch.Op) []launch.Outcome {
	t.Helper()
	var all []launch.Outcome
	for len(ops) > 0 {
		n := min(len(ops), 128)
		outs, err := db.ApplySignups(t.Context(), ops[:n])
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range outs {
			if o.Err != nil {
				t.Fatalf("%+v: %v", ops[i], o.Err)
			}
		}
		all, ops = append(all, outs...), ops[n:]
	}
	return all
}

func wantDrift(t *testing.T, db *store.DB, want ...launch.Drift) {
	t.Helper()
	got, err := db.SignupDrift(t.Context())
	if d := cmp.Diff(append([]launch.Drift{}, want...), got); err != nil || d != "" {
		t.Errorf("drift: %v %s", err, d)
	}
}

func counts(t *testing.T, db *store.DB, day string) map[launch.DayKey]launch.Day {
	t.Helper()
	days, err := db.SignupDays(t.Context(), day)
	if err != nil {
		t.Fatal(err)
	}
	return days
}

// topic returns the revision of the launch topic.
func topic(t *testing.T, db *store.DB) int64 {
	t.Helper()
	revs, err := db.Revisions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return revs[store.TopicLaunch]
}

func TestLaunchDefaults(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, _ *launchtest.Clock) {
		s, err := db.LaunchState(t.Context())
		if d := cmp.Diff(launch.NewState(), s, cmp.AllowUnexported(launch.Calendar{}), cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
	})
}

// TestLaunchDocs: each document comes back whole, under its own versions.
func TestLaunchDocs(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		n := int64(7)
		p := launch.Phase{Countries: []string{"PL"}, Groups: []string{"NA"}, DailyCap: &n, CountryCaps: map[string]int64{"PL": 3}}
		s := launch.Settings{TimeZone: "Europe/Warsaw", Blocked: []string{"US"}, RequireIPCountry: true, ReservationTTL: launch.Duration(time.Hour), HookTTL: launch.Duration(2 * time.Hour)}
		m := launch.Maintenance{Until: testTime.Add(time.Hour), StartedAt: testTime}
		for i, d := range []struct {
			name string
			doc  any
			kind audit.Kind
		}{{launch.DocPhase(launch.SoftLaunch), p, audit.LaunchPhaseSet}, {launch.DocSettings, s, audit.LaunchSettingsSet}, {launch.DocMaintenance, m, audit.LaunchMaintenanceSet}} {
			e := audit.Entry{Kind: d.kind, Actor: "key:a", Object: "launch:" + d.name, After: d.doc}
			if v, err := db.SaveLaunchDoc(t.Context(), d.name, d.doc, 0, nil, e); err != nil || v != 1 {
				t.Fatalf("%s: %d %v", d.name, v, err)
			}
			if _, err := db.SaveLaunchDoc(t.Context(), d.name, d.doc, 0, nil, e); fault.CodeOf(err) != fault.Conflict {
				t.Errorf("%s, an old version: %v", d.name, err)
			}
			refused := errors.New("no")
			if _, err := db.SaveLaunchDoc(t.Context(), d.name, d.doc, 1, func(before launch.State) error {
				if before.Versions[d.name] != 1 {
					t.Errorf("%s: checked against %v", d.name, before.Versions)
				}
				return refused
			}, e); !errors.Is(err, refused) {
				t.Errorf("%s, refused by its check: %v", d.name, err)
			}
			if v, err := db.SaveLaunchDoc(t.Context(), d.name, d.doc, -1, nil, e); err != nil || v != 2 {
				t.Errorf("%s, whatever the version: %d %v", d.name, v, err)
			}
			if rev, size := topic(t, db), logSize(t, db); rev != int64(2*i+2) || size != int64(2*i+2) {
				t.Errorf("%s: topic at %d, %d leaves", d.name, rev, size)
			}
		}
		got, err := db.LaunchState(t.Context())
		if err != nil || cmp.Diff(p, got.Phases[launch.SoftLaunch]) != "" || cmp.Diff(s, got.Settings) != "" || cmp.Diff(m, got.Maintenance) != "" || got.Mode != launch.InternalTest || got.Version != 0 {
			t.Errorf("%+v %v", got, err)
		}
		if got.Calendar.Day(time.Date(2026, 3, 1, 23, 30, 0, 0, time.UTC)) != "2026-03-02" {
			t.Error("the calendar is not the settings'")
		}
		if cmp.Diff(launch.DefaultPhase(launch.ClosedBeta), got.Phases[launch.ClosedBeta]) != "" {
			t.Error("another phase changed")
		}
		wantLog(t, db, map[audit.Kind]int{audit.LaunchPhaseSet: 2, audit.LaunchSettingsSet: 2, audit.LaunchMaintenanceSet: 2})
		es, err := db.ListAudit(t.Context(), audit.Filter{Kind: audit.LaunchPhaseSet})
		if err != nil || !strings.Contains(string(es[1].Before), "2000") || !strings.Contains(string(es[0].Before), `"PL":3`) { // the default, then the first
			t.Errorf("before: %s %s %v", es[1].Before, es[0].Before, err)
		}
	})
}

// wantLog wants exactly these kinds, after the log's start.
func wantLog(t *testing.T, db *store.DB, want map[audit.Kind]int) {
	t.Helper()
	es, err := db.ListAudit(t.Context(), audit.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	got := map[audit.Kind]int{}
	for _, e := range es {
		got[e.Kind]++
	}
	delete(got, audit.LogStarted)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("log: %s", d)
	}
	rep, err := db.VerifyAudit(t.Context(), audit.Options{})
	if err != nil || !rep.OK() {
		t.Errorf("the log does not verify: %v %v", rep, err)
	}
}

func TestSetModeKeepsHistory(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		if h, err := db.LaunchHistory(t.Context(), 0, 10); err != nil || len(h) != 0 {
			t.Fatalf("%v %v", h, err)
		}
		var want []launch.Transition
		for i, to := range []launch.Mode{launch.ClosedBeta, launch.SoftLaunch, launch.GlobalLaunch, launch.InternalTest} {
			m := move(to, int64(i), c.Now())
			c.Add(time.Second) // it waited for the lock
			tr := mustMove(t, db, m)
			if !tr.At.Equal(c.Now()) || tr.ID != fmt.Sprintf("mode-%d", i+1) {
				t.Errorf("%+v", tr)
			}
			want = append([]launch.Transition{tr}, want...)
		}
		for _, m := range []launch.Move{move(launch.ClosedBeta, 3, c.Now()), move(launch.InternalTest, 4, c.Now())} {
			if _, err := db.SetMode(t.Context(), m, modeEntry); fault.CodeOf(err) != fault.Conflict {
				t.Errorf("%+v: %v", m, err)
			}
		}
		late := move(launch.SoftLaunch, 4, c.Now())
		c.Add(time.Minute) // the report is too old by the time of the change
		if _, err := db.SetMode(t.Context(), late, modeEntry); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("an old report: %v", err)
		}
		got, err := db.LaunchHistory(t.Context(), 0, 10)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Fatalf("%v %s", err, d)
		}
		page, err := db.LaunchHistory(t.Context(), 3, 1)
		if d := cmp.Diff(want[2:3], page); err != nil || d != "" {
			t.Errorf("a page: %v %s", err, d)
		}
		s, err := db.LaunchState(t.Context())
		if err != nil || s.Mode != launch.InternalTest || s.Version != 4 || !s.Since.Equal(want[0].At) || topic(t, db) != 4 {
			t.Errorf("%+v %v", s, err)
		}
		wantLog(t, db, map[audit.Kind]int{audit.LaunchModeChanged: 4})
	})
}

// TestModeRace: of many admins that saw the same version one wins, and every
// version is in the history once.
func TestModeRace(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		for version := range int64(4) {
			to := launch.Modes()[(version+1)%4]
			var wg sync.WaitGroup
			won := make(chan bool, 8)
			for range 8 {
				wg.Go(func() {
					_, err := db.SetMode(t.Context(), move(to, version, c.Now()), modeEntry)
					if err != nil && fault.CodeOf(err) != fault.Conflict {
						t.Error(err)
					}
					won <- err == nil
				})
			}
			wg.Wait()
			close(won)
			n := 0
			for w := range won {
				if w {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%d won", n)
			}
		}
		h, err := db.LaunchHistory(t.Context(), 0, 10)
		if err != nil || len(h) != 4 || h[0].Version != 4 || h[3].Version != 1 || h[0].From != h[1].To {
			t.Errorf("%+v %v", h, err)
		}
		wantLog(t, db, map[audit.Kind]int{audit.LaunchModeChanged: 4})
	})
}

func TestLaunchOverrides(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		ana, ben := launch.Actor{ID: "key:a", Owner: "Ana"}, launch.Actor{ID: "key:b", Owner: "Ben"}
		o := launch.Override{ID: "ovr_1", From: launch.InternalTest, To: launch.SoftLaunch, Reason: "for good reasons", RevokeOpen: true, Report: "d", RequestedBy: ana, RequestedAt: c.Now()}
		if err := db.RequestOverride(t.Context(), o, audit.Entry{Kind: audit.LaunchOverrideRequested, Object: "launch:override:ovr_1", After: o}); err != nil {
			t.Fatal(err)
		}
		later := o
		later.ID, later.RequestedAt = "ovr_2", c.Now().Add(time.Second)
		if err := db.RequestOverride(t.Context(), later, audit.Entry{Kind: audit.LaunchOverrideRequested, Object: "launch:override:ovr_2", After: later}); err != nil {
			t.Fatal(err)
		}
		all, err := db.LaunchOverrides(t.Context(), 10)
		if d := cmp.Diff([]launch.Override{later, o}, all); err != nil || d != "" {
			t.Fatalf("%v %s", err, d)
		}
		approve := func(id string, check func(launch.Override, *launch.State) error) (launch.Override, error) {
			return db.ApproveOverride(t.Context(), id, ben, c.Now(), check, audit.Entry{Kind: audit.LaunchOverrideApproved, Actor: ben.ID, Object: "launch:override:" + id})
		}
		distinct := func(o launch.Override, s *launch.State) error { return o.Approve(s, c.Now(), true) }
		if _, err := approve("ovr_9", distinct); fault.CodeOf(err) != fault.NotFound {
			t.Errorf("none: %v", err)
		}
		if _, err := approve("ovr_1", func(o launch.Override, s *launch.State) error { return o.Approve(s, c.Now(), false) }); fault.CodeOf(err) != fault.PermissionDenied {
			t.Errorf("one person: %v", err)
		}
		o.ApprovedBy, o.ApprovedAt = ben, c.Now()
		if got, err := approve("ovr_1", distinct); err != nil || cmp.Diff(o, got) != "" {
			t.Errorf("%+v %v", got, err)
		}
		if _, err := approve("ovr_1", distinct); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("twice: %v", err)
		}
		if got, err := db.LaunchOverride(t.Context(), "ovr_1"); err != nil || cmp.Diff(o, got) != "" {
			t.Errorf("%+v %v", got, err)
		}
		m := move(launch.SoftLaunch, 0, c.Now())
		m.Report, m.RevokeOpen, m.Override = launch.Report{Digest: "d"}, true, "ovr_1"
		other := m
		other.To = launch.GlobalLaunch
		for name, bad := range map[string]launch.Move{"another target": other, "no such": {To: launch.SoftLaunch, Override: "ovr_9"}} {
			if _, err := db.SetMode(t.Context(), bad, modeEntry); err == nil {
				t.Errorf("%s passed", name)
			}
		}
		tr := mustMove(t, db, m)
		if tr.Override != "ovr_1" || tr.ApprovedBy != "key:b" || tr.Report != "d" || !tr.RevokeOpen {
			t.Errorf("%+v", tr)
		}
		if got, err := db.LaunchOverride(t.Context(), "ovr_1"); err != nil || !got.UsedAt.Equal(c.Now()) {
			t.Errorf("not used: %+v %v", got, err)
		}
		// Back, and once more with the same words: the version alone would refuse
		// it, so take the version out of the question.
		mustMove(t, db, move(launch.InternalTest, 1, c.Now()))
		if err := db.ExecRaw(t.Context(), `UPDATE launch_overrides SET from_version = 2 WHERE id = 'ovr_1'`); err != nil {
			t.Fatal(err)
		}
		m.IfVersion = 2
		if _, err := db.SetMode(t.Context(), m, modeEntry); fault.CodeOf(err) != fault.Conflict || !strings.Contains(err.Error(), "used") {
			t.Errorf("used twice: %v", err)
		}
		if _, err := approve("ovr_2", distinct); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("approved after the mode moved: %v", err)
		}
		wantLog(t, db, map[audit.Kind]int{audit.LaunchModeChanged: 2, audit.LaunchOverrideRequested: 2, audit.LaunchOverrideApproved: 1})
	})
}

// TestNoteCaps: a late confirmation is held to the last cap of its own day,
// which a change of phase or mode writes down.
func TestNoteCaps(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		mustMove(t, db, move(launch.GlobalLaunch, 0, c.Now()))
		mustSave(t, db, launch.DocPhase(launch.GlobalLaunch), limited(2))
		outs := apply(t, db, reserve(1), reserve(2))
		day := outs[0].Reservation.Day
		mustSave(t, db, launch.DocPhase(launch.GlobalLaunch), limited(1))
		c.Add(24 * time.Hour)
		mustSave(t, db, launch.DocPhase(launch.GlobalLaunch), limited(50)) // of the next day
		confirm := func(i int) error {
			os, err := db.ApplySignups(t.Context(), []launch.Op{{Kind: launch.OpConfirm, ID: outs[i].Reservation.ID}})
			if err != nil {
				t.Fatal(err)
			}
			return os[0].Err
		}
		if err := confirm(0); err != nil {
			t.Errorf("the first: %v", err)
		}
		if err := confirm(1); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("the second, over the lowered cap: %v", err)
		}
		want := map[launch.DayKey]launch.Day{{Day: day}: {Confirmed: 1, Cap: 1}, {Day: day, Country: "PL"}: {Confirmed: 1, Cap: -1}}
		if d := cmp.Diff(want, counts(t, db, day)); d != "" {
			t.Error(d)
		}
		wantDrift(t, db)
		// A change of mode lowers it as well.
		third := one(t, db, reserve(3)).Reservation
		apply(t, db, launch.Op{Kind: launch.OpConfirm, Applicant: reserve(3).Applicant}, reserve(4))
		mustSave(t, db, launch.DocPhase(launch.SoftLaunch), limited(1))
		mustMove(t, db, move(launch.SoftLaunch, 1, c.Now()))
		c.Add(24 * time.Hour)
		mustSave(t, db, launch.DocPhase(launch.SoftLaunch), limited(50))
		if got := counts(t, db, third.Day)[launch.DayKey{Day: third.Day}]; got.Cap != 1 {
			t.Errorf("after a change of mode: %+v", got)
		}
		if o := one(t, db, launch.Op{Kind: launch.OpConfirm, Applicant: reserve(4).Applicant}); fault.CodeOf(o.Err) != fault.Conflict {
			t.Errorf("late under the mode's cap: %v", o.Err)
		}
	})
}

// TestRevokeOpen ends more open reservations than one round holds, counts
// exactly those that were open, and spares what is confirmed.
func TestRevokeOpen(t *testing.T) {
	withLaunch(t, func(t *testing.T, db *store.DB, c *launchtest.Clock) {
		mustMove(t, db, move(launch.GlobalLaunch, 0, c.Now()))
		var ops []launch.Op
		for i := range 1103 {
			ops = append(ops, reserve(i))
		}
		ops[0].Applicant.TTL = time.Minute
		outs := apply(t, db, ops...)
		apply(t, db, launch.Op{Kind: launch.OpConfirm, ID: outs[1].Reservation.ID})
		c.Add(time.Minute)
		m := move(launch.SoftLaunch, 1, c.Now())
		m.RevokeOpen = true
		tr := mustMove(t, db, m)
		day := outs[0].Reservation.Day
		if n := counts(t, db, day)[launch.DayKey{Day: day}]; tr.Revoked != 1101 || n.Open != 0 || n.Confirmed != 1 {
			t.Errorf("%d revoked, left %+v", tr.Revoked, n)
		}
		for state, want := range map[launch.ReservationState]int{launch.Expired: 1, launch.Confirmed: 1, launch.Open: 0} {
			if rs, err := db.Signups(t.Context(), launch.SignupFilter{State: state}); err != nil || len(rs) != want {
				t.Errorf("%s: %d %v", state, len(rs), err)
			}
		}
		wantDrift(t, db)
		// Asked twice, a revoked one stays an account without a slot.
		for range 2 {
			os, err := db.ApplySignups(t.Context(), []launch.Op{{Kind: launch.OpConfirm, ID: outs[5].Reservation.ID}})
			if err != nil || fault.CodeOf(os[0].Err) != fault.Conflict || os[0].Reservation.State != launch.Unbacked {
				t.Errorf("%+v %v", os, err)
			}
		}
		// Moving without it honours the open ones.
		apply(t, db, reserve(7))
		if tr := mustMove(t, db, move(launch.GlobalLaunch, 2, c.Now())); tr.Revoked != 0 {
			t.Errorf("%d revoked unasked", tr.Revoked)
		}
		if rs, err := db.Signups(t.Context(), launch.SignupFilter{State: launch.Open}); err != nil || len(rs) != 1 {
			t.Errorf("%v %v", rs, err)
		}
	})
}
