package launch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
	"avalo.app/gantry/internal/signal"
)

// What fake adds to the rows in memory, so that it is a store of everything.

func (f *fake) LaunchState(ctx context.Context) (launch.State, error) {
	if f.down != nil {
		return launch.State{}, f.down
	}
	return f.Memory.LaunchState(ctx)
}

func (f *fake) SetMode(ctx context.Context, m launch.Move, e audit.Entry) (launch.Transition, error) {
	f.moves, f.entries = append(f.moves, m), append(f.entries, e)
	if o, ok := f.overs[m.Override]; ok {
		s, _ := f.Memory.LaunchState(ctx)
		if err := m.Check(&s, &o); err != nil {
			return launch.Transition{}, err
		}
		m.Override, m.Report.Passed, m.Report.ValidUntil = "", true, m.At.Add(1)
	}
	return f.Memory.SetMode(ctx, m, e)
}

func (f *fake) LaunchHistory(context.Context, int64, int) ([]launch.Transition, error) {
	return nil, nil
}

func (f *fake) RequestOverride(_ context.Context, o launch.Override, e audit.Entry) error {
	f.overs[o.ID], f.entries = o, append(f.entries, e)
	return nil
}

func (f *fake) ApproveOverride(ctx context.Context, id string, by launch.Actor, at time.Time, check func(launch.Override, *launch.State) error, e audit.Entry) (launch.Override, error) {
	s, _ := f.Memory.LaunchState(ctx)
	o := f.overs[id]
	if err := check(o, &s); err != nil {
		return o, err
	}
	o.ApprovedBy, o.ApprovedAt = by, at
	f.overs[id], f.entries = o, append(f.entries, e)
	return o, nil
}

func (f *fake) LaunchOverrides(context.Context, int) ([]launch.Override, error) { return nil, nil }

func (f *fake) LaunchOverride(_ context.Context, id string) (launch.Override, error) {
	o, ok := f.overs[id]
	if !ok {
		return o, fault.New(fault.NotFound, "test", "no override")
	}
	return o, nil
}

func (f *fake) Invites(context.Context, string, int) ([]launch.Invite, error) { return nil, nil }

func (f *fake) Allowlist(context.Context, string, int) ([]launch.Listed, error) { return nil, nil }

func (f *fake) JoinWaitlist(_ context.Context, w launch.Waiting) (launch.Waiting, error) {
	w.Position = 1
	return w, nil
}

func (f *fake) Waitlist(context.Context, bool, string, int) ([]launch.Waiting, error) {
	return nil, nil
}

func (f *fake) InviteWaiting(_ context.Context, _ string, limit int, at time.Time, invite func(launch.Waiting) launch.Invite, entry func(int) audit.Entry) ([]launch.Waiting, error) {
	ws := []launch.Waiting{{ID: "w1", Email: "a@x.y", Country: "PL"}, {ID: "w2", Email: "b@x.y", Country: "DE"}}[:min(limit, 2)]
	for range 2 { // as a store does that retries
		for i := range ws {
			ws[i].InviteID = invite(ws[i]).ID
		}
	}
	f.entries = append(f.entries, entry(len(ws)))
	return ws, nil
}

func (f *fake) LeaveWaitlist(context.Context, string) error { return nil }

var (
	ana = launch.Actor{ID: "key:a", Owner: "Ana"}
	ben = launch.Actor{ID: "key:b", Owner: "Ben"}
)

const why = "because we want to"

func TestSetMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.ClosedBeta)
		set := func(m launch.Move) error {
			_, err := b.control.SetMode(t.Context(), m)
			return err
		}
		for _, tt := range []struct {
			m    launch.Move
			want string
		}{
			{launch.Move{To: "OPEN", Reason: why}, "INVALID_ARGUMENT mode"}, {launch.Move{To: launch.SoftLaunch, Reason: "too short"}, "INVALID_ARGUMENT reason"},
			{launch.Move{To: launch.SoftLaunch, Reason: "  too short  "}, "INVALID_ARGUMENT reason"}, {launch.Move{To: launch.SoftLaunch, Reason: strings.Repeat("ż", 501)}, "INVALID_ARGUMENT reason"},
			{launch.Move{To: launch.SoftLaunch, Reason: why + "\x00"}, "INVALID_ARGUMENT reason"},
			{launch.Move{To: launch.SoftLaunch, Reason: why, IfVersion: -1}, "CONFLICT readiness"},
			{launch.Move{To: launch.InternalTest, Reason: why, IfVersion: 5}, "CONFLICT ifVersion"},
			{launch.Move{To: launch.SoftLaunch, Reason: why, IfVersion: -1, Override: "ovr_none"}, "NOT_FOUND"},
		} {
			if err := set(tt.m); problem(err) != tt.want {
				t.Errorf("%+v: %v, want %q", tt.m, err, tt.want)
			}
		}
		b.gateErr = errors.New("the report cannot be read")
		if err := set(launch.Move{To: launch.SoftLaunch, Reason: why, IfVersion: -1}); fault.CodeOf(err) != fault.ServiceDegraded {
			t.Errorf("a gate that fails: %v", err)
		}
		if err := set(launch.Move{To: launch.InternalTest, Reason: strings.Repeat("ż", 500), IfVersion: -1}); err != nil {
			t.Errorf("backward, without a gate: %v", err)
		}
		if v, _ := b.control.View(); v.Mode != launch.InternalTest || v.Version != 2 {
			t.Errorf("the view has %s", v.Mode)
		}
		b.gateErr, b.gate = nil, launch.Report{Passed: true, Digest: "d", ValidUntil: time.Now().Add(time.Minute)}
		if err := set(launch.Move{To: launch.GlobalLaunch, Reason: why, IfVersion: 2}); err != nil {
			t.Errorf("a gate that passes: %v", err)
		}
		if e := b.f.entries[len(b.f.entries)-1]; e.Kind != audit.LaunchModeChanged || e.Reason != why {
			t.Errorf("entry %+v", e)
		}
	})
	if r, err := (launch.NoReport{}).Ready(t.Context(), launch.SoftLaunch); err != nil || r.Passed || r.Problem == "" {
		t.Errorf("no report passes: %+v %v", r, err)
	}
}

// TestOverrideByTwo goes the whole way.
func TestOverrideByTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.ClosedBeta)
		b.gate = launch.Report{Digest: "d", Problem: "two checks fail"}
		m := launch.Move{To: launch.SoftLaunch, IfVersion: -1, Reason: why, By: ana}
		for _, tt := range []struct {
			m    launch.Move
			want string
		}{
			{launch.Move{To: launch.InternalTest, IfVersion: -1, Reason: why}, "CONFLICT no override needed"}, {launch.Move{To: launch.SoftLaunch, IfVersion: 9, Reason: why}, "CONFLICT"},
			{launch.Move{To: launch.SoftLaunch, IfVersion: -1, Reason: "short"}, "INVALID_ARGUMENT reason"}, {launch.Move{To: "X", Reason: why}, "INVALID_ARGUMENT mode"},
		} {
			if _, err := b.control.RequestOverride(t.Context(), tt.m); problem(err) != tt.want {
				t.Errorf("%+v: %v, want %q", tt.m, err, tt.want)
			}
		}
		o, err := b.control.RequestOverride(t.Context(), m)
		if err != nil || o.Report != "d" || o.FromVersion != 1 || o.RequestedBy != ana {
			t.Fatalf("%+v %v", o, err)
		}
		m.Override = o.ID
		if _, err := b.control.SetMode(t.Context(), m); problem(err) != "CONFLICT override" {
			t.Errorf("before its approval: %v", err)
		}
		b.refused = true
		if _, err := b.control.ApproveOverride(t.Context(), o.ID, ana); fault.CodeOf(err) != fault.PermissionDenied {
			t.Errorf("approved by one person: %v", err)
		}
		b.refused = false
		if o, err = b.control.ApproveOverride(t.Context(), o.ID, ben); err != nil || o.ApprovedBy != ben {
			t.Fatalf("%+v %v", o, err)
		}
		if _, err := b.control.ApproveOverride(t.Context(), o.ID, ben); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("approved twice: %v", err)
		}
		b.refused = true // the approver's key was revoked meanwhile
		if _, err := b.control.SetMode(t.Context(), m); fault.CodeOf(err) != fault.PermissionDenied {
			t.Errorf("the approval has gone: %v", err)
		}
		b.refused = false
		if _, err := b.control.SetMode(t.Context(), m); err != nil {
			t.Errorf("at last: %v", err)
		}
	})
}

func TestSetPhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.SoftLaunch)
		p, _, err := b.control.SetPhase(t.Context(), launch.SoftLaunch, launch.Phase{Countries: []string{"uk"}, DailyCap: capped(5)}, -1, ana, why)
		if err != nil || !slices.Equal(p.Countries, []string{"GB"}) {
			t.Fatalf("%+v %v", p, err)
		}
		if v, _ := b.control.View(); v.AllowedCountries().([]string)[0] != "GB" {
			t.Error("the view does not know it")
		}
		for _, tt := range []struct {
			mode   launch.Mode
			p      launch.Phase
			reason string
			want   string
		}{{"X", p, why, "mode: unknown"}, {launch.SoftLaunch, p, "no", "reason: length"}, {launch.SoftLaunch, launch.Phase{}, why, "countries: empty"}} {
			if _, _, err := b.control.SetPhase(t.Context(), tt.mode, tt.p, -1, ana, tt.reason); field(t, err) != tt.want {
				t.Errorf("%v, want %q", err, tt.want)
			}
		}
	})
}

func TestSetMaintenance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.SoftLaunch)
		now := time.Now()
		for _, tt := range []struct {
			until time.Time
			want  string
		}{{now, "until: past"}, {now.Add(launch.MaxMaintenance + 1), "until: too far"}, {now.Add(launch.MaxMaintenance), ""}, {now.Add(time.Hour), ""}, {time.Time{}, ""}} {
			m, err := b.control.SetMaintenance(t.Context(), tt.until, ana, why)
			v, _ := b.control.View()
			if field(t, err) != tt.want || err == nil && (!m.Until.Equal(tt.until) || v.Maintenance != m) {
				t.Errorf("%s: %+v %v", tt.until, m, err)
			}
		}
		if _, err := b.control.SetMaintenance(t.Context(), now.Add(time.Hour), ana, "short"); field(t, err) != "reason: length" {
			t.Error(err)
		}
	})
}

// TestMisconfigured: blocking what a phase opens by name is allowed, raises a
// signal for each mode once, and the mended phase clears it.
func TestMisconfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.SoftLaunch)
		// The first read ends whatever a node before this one raised.
		if len(b.facts) != len(launch.Modes()) || slices.ContainsFunc(b.facts, func(f signal.Fact) bool { return f.Failing || f.Rule != "launch_misconfigured" }) {
			t.Fatalf("at the start: %+v", b.facts)
		}
		b.facts = nil
		s := launch.DefaultSettings()
		s.Blocked = []string{"ch"}
		if _, _, err := b.control.SetSettings(t.Context(), s, -1, ana, why); err != nil {
			t.Fatal(err)
		}
		_ = b.control.Refresh(t.Context())
		if len(b.facts) != 1 || b.facts[0].Object != "SOFT_LAUNCH" || !b.facts[0].Failing || b.facts[0].Value != "CH is open by name and blocked" {
			t.Fatalf("%+v", b.facts)
		}
		b.setPhase(t, launch.Phase{Groups: []string{"EU"}})
		if len(b.facts) != 2 || b.facts[1].Failing {
			t.Fatalf("%+v", b.facts)
		}
		b.setPhase(t, launch.Phase{Groups: []string{"NA"}})
		s.Blocked = []string{"CA", "US", "MX"}
		if _, _, err := b.control.SetSettings(t.Context(), s, -1, ana, why); err != nil {
			t.Fatal(err)
		}
		if len(b.facts) != 3 || b.facts[2].Value != "no country is open" {
			t.Fatalf("%+v", b.facts)
		}
		if _, _, err := b.control.SetSettings(t.Context(), launch.Settings{}, -1, ana, why); field(t, err) != "timeZone: empty" {
			t.Error(err)
		}
		if _, _, err := b.control.SetSettings(t.Context(), launch.DefaultSettings(), -1, ana, ""); field(t, err) != "reason: length" {
			t.Error(err)
		}
	})
}

// hung is a store that answers nothing until the caller gives up, and then
// without a code.
type hung struct{ *fake }

func (h hung) LaunchState(ctx context.Context) (launch.State, error) {
	<-ctx.Done()
	return launch.State{}, ctx.Err()
}

func (h hung) SetMode(ctx context.Context, _ launch.Move, _ audit.Entry) (launch.Transition, error) {
	<-ctx.Done()
	return launch.Transition{}, ctx.Err()
}

func (h hung) LaunchOverride(ctx context.Context, _ string) (launch.Override, error) {
	<-ctx.Done()
	return launch.Override{}, ctx.Err()
}

func (h hung) JoinWaitlist(ctx context.Context, _ launch.Waiting) (launch.Waiting, error) {
	<-ctx.Done()
	return launch.Waiting{}, ctx.Err()
}

func (h hung) CreateInvites(ctx context.Context, _ []launch.Invite, _ audit.Entry) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestStoreTimeout: a store that hangs is given up in time.
func TestStoreTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.ClosedBeta)
		control := launch.NewControl(launch.ControlOptions{Store: hung{b.f}, Days: b.f.SignupDays, Gate: b, Now: time.Now})
		guests := launch.NewGuests(launch.GuestOptions{Store: hung{b.f}, Signups: b.Signups, Hasher: b.hasher, Limits: b.limits, Now: time.Now, StoreTimeout: time.Second})
		ctx := t.Context()
		for _, tt := range []struct {
			name string
			want time.Duration
			call func() error
		}{
			{"Refresh", 3 * time.Second, func() error { return control.Refresh(ctx) }},
			{"SetMode", 3 * time.Second, func() error {
				_, err := control.SetMode(ctx, launch.Move{To: launch.ClosedBeta, Reason: why})
				return err
			}},
			{"ApproveOverride", 3 * time.Second, func() error { _, err := control.ApproveOverride(ctx, "ovr_1", ben); return err }},
			{"Join", time.Second, func() error {
				_, err := guests.Join(ctx, launch.Application{Email: "a@b.c", Country: "US"})
				return err
			}},
			{"Invite", time.Second, func() error { _, err := guests.Invite(ctx, launch.InviteSpec{Count: 1}, ana); return err }},
		} {
			began := time.Now()
			if err := tt.call(); fault.CodeOf(err) != fault.ServiceDegraded || time.Since(began) != tt.want {
				t.Errorf("%s after %s: %v", tt.name, time.Since(began), err)
			}
		}
	})
}

func TestInvite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.ClosedBeta)
		ns, err := b.guests.Invite(t.Context(), launch.InviteSpec{Count: 3, Country: "pl", Email: "Ada@x.y", ExpiresAt: time.Now().Add(time.Hour)}, ana)
		if err != nil || len(ns) != 3 || ns[0].Code == ns[1].Code || ns[0].Hash != b.hasher.Code(ns[0].Code) || ns[0].Country != "PL" || ns[0].Batch != ns[2].Batch || ns[0].MaxUses != 1 || ns[0].CreatedBy != ana.ID {
			t.Fatalf("%+v %v", ns, err)
		}
		ws, err := b.guests.InviteWaiting(t.Context(), launch.InviteSpec{Count: 5, Country: "PL", MaxUses: 9, Email: "evil@x.y"}, ben)
		if err != nil || len(ws) != 2 || ws[0].Email != "a@x.y" || ws[0].MaxUses != 1 || ws[0].Country != "" || ws[1].EmailHash != b.hasher.Applicant(launch.Application{Email: "b@x.y"}).EmailHash {
			t.Fatalf("%+v %v", ws, err)
		}
		e := b.f.entries[len(b.f.entries)-1]
		if after := e.After.(map[string]any); e.Kind != audit.InvitesCreated || after["count"] != 2 || after["bound"] != true || e.Actor != ben.ID {
			t.Errorf("entry %+v", e)
		}
	})
}

func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.SoftLaunch)
		w, err := b.guests.Join(t.Context(), launch.Application{Email: " Ada@X.Y", Country: "us"})
		if err != nil || w.Email != "ada@x.y" || w.Country != "US" || w.Refused != string(fault.CountryNotAllowed) || w.Position != 1 {
			t.Fatalf("%+v %v", w, err)
		}
		for _, tt := range []struct {
			a    launch.Application
			want fault.Code
		}{
			{launch.Application{Country: "US"}, fault.InvalidArgument}, {launch.Application{Email: "x", Country: "US"}, fault.InvalidArgument},
			{launch.Application{Email: "a@b.c", Country: "PL"}, fault.Conflict}, {launch.Application{Email: "a@b.c", Country: "Narnia"}, fault.CountryNotAllowed},
		} {
			if _, err := b.guests.Join(t.Context(), tt.a); fault.CodeOf(err) != tt.want {
				t.Errorf("%+v: %v", tt.a, err)
			}
		}
		b.limits.refuse = launch.ActionWaitlist
		if _, err := b.guests.Join(t.Context(), launch.Application{Email: "a@b.c", Country: "US"}); fault.CodeOf(err) != fault.RateLimited {
			t.Error(err)
		}
	})
}
