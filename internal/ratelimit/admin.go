package ratelimit

import (
	"context"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
)

// Active returns the policies in force, by action.
func (s *Service) Active() []Active { return s.table.Load().list() }

// ActiveFor returns the policy in force for one action.
func (s *Service) ActiveFor(action string) (Active, error) {
	c := s.table.Load().policies[action]
	if c == nil {
		return Active{}, s.noPolicy(action)
	}
	return c.Active, nil
}

func (s *Service) noPolicy(action string) error {
	return &fault.Error{Code: fault.NotFound, Op: "ratelimit.Policy",
		Msg:    "there is no policy of that name; list them with GET /v1/ratelimit/policies",
		Detail: fault.Field{Field: "action", Allowed: s.table.Load().actions()}}
}

// SetPolicy puts p in force on every node and keeps all counts. ifVersion is
// the version the caller read (0: never set by the API), -1 for any.
func (s *Service) SetPolicy(ctx context.Context, p Policy, ifVersion int64, actor, reason string) (Active, error) {
	if p.OnFailure == "" {
		p.OnFailure = FailOpen
	}
	if err := p.Validate(); err != nil {
		return Active{}, err
	}
	return s.savePolicy(ctx, StoredPolicy{Action: p.Action, Policy: &p, UpdatedAt: s.o.Now(), UpdatedBy: actor}, ifVersion,
		audit.Entry{Kind: audit.PolicySet, Actor: actor, Reason: reason, After: p})
}

// ResetPolicy takes the API's policy back; the configured one is in force
// again, or none.
func (s *Service) ResetPolicy(ctx context.Context, action string, ifVersion int64, actor, reason string) error {
	a, err := s.ActiveFor(action)
	if err != nil {
		return err
	}
	if a.Source != FromAPI {
		return fault.New(fault.NotFound, "ratelimit.ResetPolicy", "policy %s was not set by the API: there is nothing to reset", action)
	}
	_, err = s.savePolicy(ctx, StoredPolicy{Action: action, UpdatedAt: s.o.Now(), UpdatedBy: actor}, ifVersion,
		audit.Entry{Kind: audit.PolicyReset, Actor: actor, Reason: reason})
	return err
}

func (s *Service) savePolicy(ctx context.Context, p StoredPolicy, ifVersion int64, e audit.Entry) (Active, error) {
	e.Object = "policy:" + p.Action
	if before, ok := s.configured(p.Action); ok {
		e.Before = before
	}
	if _, err := s.o.Policies.SavePolicy(ctx, p, ifVersion, e); err != nil {
		return Active{}, err
	}
	if err := s.Refresh(ctx); err != nil {
		return Active{}, err
	}
	if p.Policy == nil {
		return Active{}, nil
	}
	return s.ActiveFor(p.Action)
}

// configured returns the policy in force for an action that the API never set.
func (s *Service) configured(action string) (Policy, bool) {
	s.reload.Lock()
	defer s.reload.Unlock()
	a, ok := s.base[action]
	return a.Policy, ok
}

// Overrides returns the overrides in force.
func (s *Service) Overrides(ctx context.Context) ([]Override, error) {
	return s.o.Policies.Overrides(ctx, s.o.Now())
}

// SetOverride puts o in force for subject, a raw user id, address or device.
// The override's Subject is filled in; an address or device is kept as a
// pseudonym only.
func (s *Service) SetOverride(ctx context.Context, o Override, subject string) (Override, error) {
	sub, err := normalize(subjectOf(o.Dimension, subject))
	if err != nil {
		return Override{}, err
	}
	now := s.o.Now()
	if err := o.Validate(now); err != nil {
		return Override{}, err
	}
	if o.Subject = s.identity(o.Dimension, sub); o.Subject == "" {
		return Override{}, fault.Invalid("ratelimit.SetOverride", fault.Field{Field: "subject", Problem: "empty"}, "subject must not be empty")
	}
	if o.Action == "" {
		o.Action = AnyAction
	}
	if o.Action != AnyAction {
		if _, err := s.ActiveFor(o.Action); err != nil {
			return Override{}, s.table.Load().unknownAction(o.Action)
		}
	}
	o.CreatedAt = now
	e := audit.Entry{Kind: audit.OverrideSet, Actor: o.CreatedBy, Object: "override:" + o.ID, Reason: o.Reason, After: o}
	if err := s.o.Policies.SaveOverride(ctx, o, e); err != nil {
		return Override{}, err
	}
	return o, s.Refresh(ctx)
}

// RemoveOverride ends an override by its id.
func (s *Service) RemoveOverride(ctx context.Context, id, actor, reason string) error {
	e := audit.Entry{Kind: audit.OverrideRemoved, Actor: actor, Object: "override:" + id, Reason: reason}
	if err := s.o.Policies.RemoveOverride(ctx, id, e); err != nil {
		return err
	}
	return s.Refresh(ctx)
}

// ViolationsOf returns recorded refusals, this node's newest included if they
// can be written. Address and device of sub are raw; the filter's own hashes are set here.
func (s *Service) ViolationsOf(ctx context.Context, sub Subject, f ViolationFilter) ([]Violation, error) {
	sub, err := normalize(sub)
	if err != nil {
		return nil, err
	}
	f.User, f.IPHash, f.DeviceHash = sub.User, s.identity(IP, sub), s.identity(Device, sub)
	s.flushFirst(ctx)
	return s.o.Violations.Violations(ctx, f)
}

// Offenders returns the subjects refused most often in a period, this
// node's newest refusals included if they can be written.
func (s *Service) Offenders(ctx context.Context, f OffenderFilter) ([]Offender, error) {
	s.flushFirst(ctx)
	return s.o.Violations.Offenders(ctx, f)
}

// flushFirst writes what a query should see. A store that takes no writes
// (full, read-only) still answers from what it has; whoever flushes in the
// background fails on the same batch, and says so.
func (s *Service) flushFirst(ctx context.Context) { _ = s.Flush(ctx) }

func subjectOf(d Scope, value string) Subject {
	switch d {
	case User:
		return Subject{User: value}
	case IP:
		return Subject{IP: value}
	case Device:
		return Subject{Device: value}
	}
	return Subject{}
}

// sinceDefault is how far back a query looks when it does not say.
const sinceDefault = 24 * time.Hour

// DefaultSince returns the start of a query that names none: a day ago.
func (s *Service) DefaultSince() time.Time { return s.o.Now().Add(-sinceDefault) }
