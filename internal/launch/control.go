package launch

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/signal"
)

// ControlOptions are what a Control stands on.
type ControlOptions struct {
	Store interface {
		ControlStore
		OverrideStore
	}
	// Days counts today's signups, for answers from memory.
	Days func(ctx context.Context, day string) (map[DayKey]Day, error)
	Gate Gate
	// Distinct reports whether the approver may give the second admin's
	// consent to what the requester asks.
	Distinct func(ctx context.Context, approver, requester Actor) (bool, error)
	Signals  func(signal.Fact)
	Now      func() time.Time
	// StoreTimeout bounds each call of Store, Days and Distinct; 0: 3 s. Past
	// it the answer is SERVICE_DEGRADED.
	StoreTimeout time.Duration
}

// Control is the launch mode and everything around it that admins decide. It
// is safe for concurrent use. Reads are from memory: call Refresh once before
// the first, and whenever the store's topic moved.
type Control struct {
	o          ControlOptions
	view       atomic.Pointer[View]
	refreshing sync.Mutex // one Refresh at a time, so that an older read never replaces a newer one
}

// View is the state as it was read at one moment. It is replaced, never
// changed.
type View struct {
	State
	Today map[DayKey]Day // counts of the day
	At    time.Time      // of the read
}

// NewControl returns a control that knows the defaults until Refresh.
func NewControl(o ControlOptions) *Control {
	if o.Signals == nil {
		o.Signals = signal.Discard
	}
	o.StoreTimeout = cmp.Or(o.StoreTimeout, storeTimeout)
	c := &Control{o: o}
	c.view.Store(&View{State: NewState()})
	return c
}

// storeTimeout is how long a store may take if the options do not say.
const storeTimeout = 3 * time.Second

// inTime bounds one call of the store.
func inTime[T any](ctx context.Context, limit time.Duration, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, err := call(ctx)
	if ctx.Err() != nil {
		err = degraded(err)
	}
	return out, err
}

// View returns the state and its age.
func (c *Control) View() (*View, time.Duration) {
	v := c.view.Load()
	return v, c.o.Now().Sub(v.At)
}

// Refresh reads the state and the day's counts. After a failure the last
// known ones serve on, with their age.
func (c *Control) Refresh(ctx context.Context) error {
	c.refreshing.Lock()
	defer c.refreshing.Unlock()
	at := c.o.Now() // before the read: the view is at least as new as it says
	s, err := inTime(ctx, c.o.StoreTimeout, c.o.Store.LaunchState)
	if err != nil {
		return err
	}
	days, err := inTime(ctx, c.o.StoreTimeout, func(ctx context.Context) (map[DayKey]Day, error) { return c.o.Days(ctx, s.Calendar.Day(at)) })
	if err != nil {
		return err
	}
	was := c.view.Swap(&View{State: s, Today: days, At: at})
	c.misconfigured(was, &s)
	return nil
}

// misconfigured raises or clears a signal for each mode whose phase opens a
// blocked country by name, or none at all. The first read tells all: what was
// raised before may be over.
func (c *Control) misconfigured(was *View, s *State) {
	for _, m := range Modes() {
		before, now := was.misfit(m), s.misfit(m)
		if before != now || was.At.IsZero() {
			c.o.Signals(signal.Fact{Rule: "launch_misconfigured", Object: string(m), Failing: now != "", Value: now})
		}
	}
}

// misfit says what is wrong with a phase under the settings in force.
func (s *State) misfit(m Mode) string {
	p := s.Phases[m]
	for _, country := range p.Countries {
		if s.blocked(country) {
			return country + " is open by name and blocked"
		}
	}
	if list, all := p.Allowed(s.Settings.Blocked); !all && len(list) == 0 {
		return "no country is open"
	}
	return ""
}

// SetMode performs a move. It fails with CONFLICT and a Precondition when
// the mode is the same, or when the gate does not pass and no override is
// named; see Move.Check.
func (c *Control) SetMode(ctx context.Context, m Move) (Transition, error) {
	if err := checkMode(opMove, "mode", m.To); err != nil {
		return Transition{}, err
	}
	if err := checkReason(opMove, m.Reason); err != nil {
		return Transition{}, err
	}
	v, _ := c.View()
	if m.IfVersion < 0 {
		m.IfVersion = v.Version
	}
	m.At = c.o.Now()
	var err error
	if m.Report, err = c.report(ctx, v.Mode, m.To); err != nil {
		return Transition{}, err
	}
	if m.Override != "" {
		if err := c.stillDistinct(ctx, m.Override); err != nil {
			return Transition{}, err
		}
	}
	limit := c.o.StoreTimeout
	if m.RevokeOpen {
		limit *= 10 // it may end a hundred thousand reservations, all or none
	}
	t, err := inTime(ctx, limit, func(ctx context.Context) (Transition, error) {
		return c.o.Store.SetMode(ctx, m, audit.Entry{Kind: audit.LaunchModeChanged, Actor: m.By.ID, Object: "launch:mode", Reason: m.Reason})
	})
	if err != nil {
		return t, err
	}
	_ = c.Refresh(ctx) // the next poll is due within a second
	return t, nil
}

// report asks the gate, if the move needs it.
func (c *Control) report(ctx context.Context, from, to Mode) (Report, error) {
	if !NeedsGate(from, to) {
		return Report{}, nil
	}
	r, err := c.o.Gate.Ready(ctx, to)
	if err != nil {
		return Report{}, fault.Wrap(fault.ServiceDegraded, opMove, err)
	}
	return r, nil
}

// stillDistinct asks again whether the approval is another person's: keys
// come and go within its half hour.
func (c *Control) stillDistinct(ctx context.Context, id string) error {
	o, err := c.override(ctx, id)
	if err != nil || o.ApprovedAt.IsZero() {
		return err
	}
	ok, err := c.distinct(ctx, o.ApprovedBy, o.RequestedBy)
	if err == nil && !ok {
		err = fault.New(fault.PermissionDenied, opMove, "the approval no longer stands: its key was revoked, or is not another person's")
	}
	return err
}

func (c *Control) override(ctx context.Context, id string) (Override, error) {
	return inTime(ctx, c.o.StoreTimeout, func(ctx context.Context) (Override, error) { return c.o.Store.LaunchOverride(ctx, id) })
}

func (c *Control) distinct(ctx context.Context, approver, requester Actor) (bool, error) {
	return inTime(ctx, c.o.StoreTimeout, func(ctx context.Context) (bool, error) { return c.o.Distinct(ctx, approver, requester) })
}

func checkMode(op, field string, m Mode) error {
	if slices.Contains(Modes(), m) {
		return nil
	}
	allowed := make([]string, 0, len(Modes()))
	for _, m := range Modes() {
		allowed = append(allowed, string(m))
	}
	return fault.Invalid(op, fault.Field{Field: field, Problem: "unknown", Actual: short(string(m)), Allowed: allowed}, "%s must be %s", field, strings.Join(allowed, ", "))
}

// SetPhase puts a phase in force and returns it as stored, with its version.
func (c *Control) SetPhase(ctx context.Context, m Mode, p Phase, ifVersion int64, by Actor, reason string) (Phase, int64, error) {
	const op = "launch.SetPhase"
	if err := checkMode(op, "mode", m); err != nil {
		return p, 0, err
	}
	if err := checkReason(op, reason); err != nil {
		return p, 0, err
	}
	p, err := p.normal(nil)
	if err != nil {
		return p, 0, err
	}
	check := func(s State) error {
		_, err := p.normal(s.Settings.Blocked)
		return err
	}
	version, err := c.save(ctx, DocPhase(m), p, ifVersion, check, audit.Entry{Kind: audit.LaunchPhaseSet, Actor: by.ID, Object: "launch:" + DocPhase(m), Reason: reason, After: p})
	return p, version, err
}

// SetSettings puts settings in force and returns them as stored, with their
// version. Blocking a country that a phase opens by name is allowed, since
// blocking is urgent, and raises a signal until the phase is mended.
func (c *Control) SetSettings(ctx context.Context, s Settings, ifVersion int64, by Actor, reason string) (Settings, int64, error) {
	if err := checkReason("launch.SetSettings", reason); err != nil {
		return s, 0, err
	}
	s, err := s.normal()
	if err != nil {
		return s, 0, err
	}
	version, err := c.save(ctx, DocSettings, s, ifVersion, nil, audit.Entry{Kind: audit.LaunchSettingsSet, Actor: by.ID, Object: "launch:settings", Reason: reason, After: s})
	return s, version, err
}

// SetMaintenance closes signups, gates and flags until a moment; the zero
// time ends a maintenance now.
func (c *Control) SetMaintenance(ctx context.Context, until time.Time, by Actor, reason string) (Maintenance, error) {
	const op = "launch.SetMaintenance"
	now := c.o.Now()
	m := Maintenance{Until: until.UTC().Truncate(time.Microsecond), StartedAt: now.UTC().Truncate(time.Microsecond)}
	switch {
	case until.IsZero():
		m = Maintenance{}
	case !until.After(now):
		return m, fault.Invalid(op, fault.Field{Field: "until", Problem: "past", Limit: now.UTC(), Actual: until.UTC()}, "until must be in the future; DELETE /v1/maintenance ends a maintenance")
	case until.Sub(now) > MaxMaintenance:
		return m, fault.Invalid(op, fault.Field{Field: "until", Problem: "too far", Limit: now.Add(MaxMaintenance).UTC(), Actual: until.UTC()}, "a maintenance lasts at most %s; renew it if it takes longer", MaxMaintenance)
	}
	if err := checkReason(op, reason); err != nil {
		return m, err
	}
	_, err := c.save(ctx, DocMaintenance, m, -1, nil, audit.Entry{Kind: audit.LaunchMaintenanceSet, Actor: by.ID, Object: "launch:maintenance", Reason: reason, After: m})
	return m, err
}

func (c *Control) save(ctx context.Context, name string, doc any, ifVersion int64, check func(State) error, e audit.Entry) (int64, error) {
	version, err := inTime(ctx, c.o.StoreTimeout, func(ctx context.Context) (int64, error) {
		return c.o.Store.SaveLaunchDoc(ctx, name, doc, ifVersion, check, e)
	})
	if err != nil {
		return 0, err
	}
	_ = c.Refresh(ctx) // the next poll is due within a second
	return version, nil
}

// History returns transitions, newest first; before is the version of the
// last one seen, 0 for the first page.
func (c *Control) History(ctx context.Context, before int64, limit int) ([]Transition, error) {
	return inTime(ctx, c.o.StoreTimeout, func(ctx context.Context) ([]Transition, error) { return c.o.Store.LaunchHistory(ctx, before, limit) })
}

// RequestOverride asks for a second admin's consent to a move that the gate
// does not let pass. The move is then made with the same words.
func (c *Control) RequestOverride(ctx context.Context, m Move) (Override, error) {
	const op = "launch.RequestOverride"
	if err := checkMode(op, "mode", m.To); err != nil {
		return Override{}, err
	}
	if err := checkReason(op, m.Reason); err != nil {
		return Override{}, err
	}
	v, _ := c.View()
	if m.IfVersion < 0 {
		m.IfVersion = v.Version
	}
	if m.IfVersion != v.Version {
		return Override{}, fault.New(fault.Conflict, op, "the mode has another version by now: read it again")
	}
	if !NeedsGate(v.Mode, m.To) {
		return Override{}, m.precondition(&v.State, "no override needed", "a move from "+string(v.Mode)+" to "+string(m.To)+" needs no override")
	}
	r, err := c.report(ctx, v.Mode, m.To)
	if err != nil {
		return Override{}, err
	}
	o := Override{ID: "ovr_" + strings.ToLower(rand.Text()[:16]), FromVersion: m.IfVersion, From: v.Mode, To: m.To, Reason: m.Reason, RevokeOpen: m.RevokeOpen,
		Report: r.Digest, RequestedBy: m.By, RequestedAt: c.o.Now().UTC().Truncate(time.Microsecond)}
	e := audit.Entry{Kind: audit.LaunchOverrideRequested, Actor: m.By.ID, Object: "launch:override:" + o.ID, Reason: m.Reason, After: o}
	return inTime(ctx, c.o.StoreTimeout, func(ctx context.Context) (Override, error) { return o, c.o.Store.RequestOverride(ctx, o, e) })
}

// ApproveOverride gives the second admin's consent.
func (c *Control) ApproveOverride(ctx context.Context, id string, by Actor) (Override, error) {
	o, err := c.override(ctx, id)
	if err != nil {
		return o, err
	}
	distinct, err := c.distinct(ctx, by, o.RequestedBy)
	if err != nil {
		return o, err
	}
	now := c.o.Now().UTC().Truncate(time.Microsecond)
	return inTime(ctx, c.o.StoreTimeout, func(ctx context.Context) (Override, error) {
		return c.o.Store.ApproveOverride(ctx, id, by, now, func(o Override, s *State) error { return o.Approve(s, now, distinct) },
			audit.Entry{Kind: audit.LaunchOverrideApproved, Actor: by.ID, Object: "launch:override:" + id})
	})
}

// Overrides returns overrides, newest first.
func (c *Control) Overrides(ctx context.Context, limit int) ([]Override, error) {
	return inTime(ctx, c.o.StoreTimeout, func(ctx context.Context) ([]Override, error) { return c.o.Store.LaunchOverrides(ctx, limit) })
}
