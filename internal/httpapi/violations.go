package httpapi

import (
	"context"
	"crypto/rand"
	"math"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/ratelimit"
)

// Period is the time and size of a query. Exported, as ActionPath is, because
// huma reads no unexported embedded struct.
type Period struct {
	Since time.Time `query:"since" doc:"From this moment (RFC 3339), inclusive. Default: 24 hours ago"`
	Until time.Time `query:"until" doc:"Up to this moment (RFC 3339), exclusive. Default: now"`
	Limit int       `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"At most this many rows"`
}

type violationsInput struct {
	Period
	User   string `query:"user" maxLength:"256" doc:"This user's only"`
	IP     string `query:"ip" maxLength:"64" doc:"This address's only"`
	Device string `query:"device" maxLength:"256" doc:"This device's only"`
	Action string `query:"action" maxLength:"64" doc:"This action's only"`
}

type violationsOutput struct {
	Body struct {
		Violations []api.Violation `json:"violations"`
	}
}

func (s *Server) listViolations(ctx context.Context, in *violationsInput) (*violationsOutput, error) {
	s.defaultSince(&in.Period)
	vs, err := s.d.Limits.ViolationsOf(ctx, ratelimit.Subject{User: in.User, IP: in.IP, Device: in.Device},
		ratelimit.ViolationFilter{Action: in.Action, Since: in.Since, Until: in.Until, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &violationsOutput{}
	out.Body.Violations = make([]api.Violation, len(vs))
	for i, v := range vs {
		out.Body.Violations[i] = api.Violation{Action: v.Action, Scope: v.Scope.String(), User: v.User, IPHash: v.IPHash, DeviceHash: v.DeviceHash,
			WindowStart: v.WindowStart, Window: v.Window.String(), Limit: v.Limit, Count: v.Count, FirstAt: v.FirstAt, LastAt: v.LastAt, Shadow: v.Shadow}
	}
	return out, nil
}

func (s *Server) defaultSince(p *Period) {
	if p.Since.IsZero() {
		p.Since = s.d.Limits.DefaultSince()
	}
}

type offendersInput struct {
	Period
	Dimension string `query:"dimension" enum:"user,ip,device" doc:"Only offenders of this kind"`
}

type offendersOutput struct {
	Body struct {
		Offenders []api.Offender `json:"offenders"`
	}
}

func (s *Server) listOffenders(ctx context.Context, in *offendersInput) (*offendersOutput, error) {
	s.defaultSince(&in.Period)
	dim, _ := ratelimit.ParseScope(in.Dimension)
	os, err := s.d.Limits.Offenders(ctx, ratelimit.OffenderFilter{Dimension: dim, Since: in.Since, Until: in.Until, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &offendersOutput{}
	out.Body.Offenders = make([]api.Offender, len(os))
	for i, o := range os {
		out.Body.Offenders[i] = api.Offender{Dimension: o.Dimension.String(), Subject: o.Subject, Count: o.Count, Actions: o.Actions, LastAt: o.LastAt}
	}
	return out, nil
}

type overridesOutput struct {
	Body struct {
		Overrides []api.Override `json:"overrides"`
	}
}

func (s *Server) listOverrides(ctx context.Context, _ *struct{}) (*overridesOutput, error) {
	os, err := s.d.Limits.Overrides(ctx)
	if err != nil {
		return nil, err
	}
	out := &overridesOutput{}
	out.Body.Overrides = make([]api.Override, len(os))
	for i, o := range os {
		out.Body.Overrides[i] = overrideOut(o)
	}
	return out, nil
}

type createOverrideInput struct{ Body api.OverrideSpec }
type overrideOutput struct{ Body api.Override }

func (s *Server) createOverride(ctx context.Context, in *createOverrideInput) (*overrideOutput, error) {
	b := in.Body
	dim, _ := ratelimit.ParseScope(b.Dimension)
	o := ratelimit.Override{ID: "ov_" + rand.Text()[:16], Dimension: dim, Action: b.Action, Exempt: b.Exempt,
		ExpiresAt: b.ExpiresAt, Reason: b.Reason, CreatedBy: callerOf(ctx).principal.ID}
	if b.Multiplier != 0 {
		o.Multiplier = int64(math.Round(min(max(b.Multiplier, -1e6), 1e6) * 1000))
		if o.Multiplier == 0 {
			o.Multiplier = -1 // too small to mean anything: refused by its bound
		}
	}
	if b.BlockUntil != nil {
		o.BlockUntil = *b.BlockUntil
	}
	o, err := s.d.Limits.SetOverride(ctx, o, b.Subject)
	if err != nil {
		return nil, err
	}
	return &overrideOutput{Body: overrideOut(o)}, nil
}

type deleteOverrideInput struct {
	ID     string `path:"id" maxLength:"64" doc:"The override's id"`
	Reason string `query:"reason" maxLength:"500" doc:"Why, for the audit log"`
}

func (s *Server) deleteOverride(ctx context.Context, in *deleteOverrideInput) (*struct{}, error) {
	return nil, s.d.Limits.RemoveOverride(ctx, in.ID, callerOf(ctx).principal.ID, in.Reason)
}

func overrideOut(o ratelimit.Override) api.Override {
	out := api.Override{ID: o.ID, Dimension: o.Dimension.String(), Subject: o.Subject, Action: o.Action, Exempt: o.Exempt,
		Multiplier: float64(o.Multiplier) / 1000, ExpiresAt: o.ExpiresAt, Reason: o.Reason, CreatedBy: o.CreatedBy, CreatedAt: o.CreatedAt}
	if !o.BlockUntil.IsZero() {
		out.BlockUntil = &o.BlockUntil
	}
	return out
}
