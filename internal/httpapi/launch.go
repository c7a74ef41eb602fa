package httpapi

import (
	"context"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
)

// actor is who asks, as the launch features want it.
func actor(ctx context.Context) launch.Actor {
	p := callerOf(ctx).principal
	return launch.Actor{ID: p.ID, Owner: p.Owner}
}

// orAny is a version that may be absent: -1 stands for any.
func orAny(v *int64) int64 {
	if v == nil {
		return -1
	}
	return *v
}

type launchModeOutput struct{ Body api.LaunchMode }

func (s *Server) launchMode(context.Context, *struct{}) (*launchModeOutput, error) {
	return &launchModeOutput{Body: s.launchModeOut()}, nil
}

func (s *Server) launchModeOut() api.LaunchMode {
	v, age := s.d.Launch.View()
	out := api.LaunchMode{Mode: string(v.Mode), Version: v.Version, Since: optional(v.Since), Description: v.Mode.Description(),
		Admission: string(v.Mode.Admission()), RequiresInviteCode: v.Mode.Admission() == launch.AdmitInvited,
		AllowedCountries: v.AllowedCountries(), AsOf: v.At.UTC(), AgeSeconds: int64(age / time.Second)}
	if v.Maintenance.On(s.d.Now()) {
		out.Maintenance = new(api.Maintenance{Until: v.Maintenance.Until, StartedAt: v.Maintenance.StartedAt})
	}
	return out
}

type setLaunchModeInput struct{ Body api.SetLaunchModeRequest }
type transitionOutput struct{ Body api.Transition }

func (s *Server) setLaunchMode(ctx context.Context, in *setLaunchModeInput) (*transitionOutput, error) {
	t, err := s.d.Launch.SetMode(ctx, move(ctx, in.Body))
	if err != nil {
		return nil, err
	}
	return &transitionOutput{Body: transitionOut(t)}, nil
}

func move(ctx context.Context, b api.SetLaunchModeRequest) launch.Move {
	return launch.Move{To: launch.Mode(b.Mode), IfVersion: orAny(b.IfVersion), Reason: b.Reason, RevokeOpen: b.RevokeOpen, Override: b.Override, By: actor(ctx)}
}

func transitionOut(t launch.Transition) api.Transition {
	return api.Transition{ID: t.ID, Version: t.Version, From: string(t.From), To: string(t.To), At: t.At, By: t.By, Reason: t.Reason,
		RevokeOpen: t.RevokeOpen, Revoked: t.Revoked, Override: t.Override, ApprovedBy: t.ApprovedBy, Report: t.Report}
}

// Page bounds a list.
type Page struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"At most this many"`
}

type historyInput struct {
	Page
	Before int64 `query:"before" minimum:"0" doc:"Only transitions before this version: the last one of the page before"`
}
type historyOutput struct {
	Body struct {
		History []api.Transition `json:"history" doc:"Newest first"`
	}
}

func (s *Server) launchHistory(ctx context.Context, in *historyInput) (*historyOutput, error) {
	ts, err := s.d.Launch.History(ctx, in.Before, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &historyOutput{}
	out.Body.History = mapped(ts, transitionOut)
	return out, nil
}

// mapped converts a list; it is never null in JSON.
func mapped[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

type launchOverrideOutput struct{ Body api.LaunchOverride }

func (s *Server) requestOverride(ctx context.Context, in *setLaunchModeInput) (*launchOverrideOutput, error) {
	if in.Body.Override != "" {
		return nil, fault.Invalid("httpapi.requestOverride", fault.Field{Field: "override", Problem: "not here"}, "an override is asked for without naming one")
	}
	o, err := s.d.Launch.RequestOverride(ctx, move(ctx, in.Body))
	if err != nil {
		return nil, err
	}
	return &launchOverrideOutput{Body: s.launchOverrideOut(o)}, nil
}

// IDPath names one thing in a path.
type IDPath struct {
	ID string `path:"id" maxLength:"64" doc:"As listed"`
}

func (s *Server) approveOverride(ctx context.Context, in *IDPath) (*launchOverrideOutput, error) {
	o, err := s.d.Launch.ApproveOverride(ctx, in.ID, actor(ctx))
	if err != nil {
		return nil, err
	}
	return &launchOverrideOutput{Body: s.launchOverrideOut(o)}, nil
}

type launchOverridesOutput struct {
	Body struct {
		Overrides []api.LaunchOverride `json:"overrides" doc:"Newest first"`
	}
}

func (s *Server) listLaunchOverrides(ctx context.Context, in *Page) (*launchOverridesOutput, error) {
	os, err := s.d.Launch.Overrides(ctx, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &launchOverridesOutput{}
	out.Body.Overrides = mapped(os, s.launchOverrideOut)
	return out, nil
}

func (s *Server) launchOverrideOut(o launch.Override) api.LaunchOverride {
	return api.LaunchOverride{ID: o.ID, Status: o.Status(s.d.Now()), From: string(o.From), FromVersion: o.FromVersion, To: string(o.To), Reason: o.Reason,
		RevokeOpen: o.RevokeOpen, Report: o.Report, RequestedBy: o.RequestedBy.ID, RequestedAt: o.RequestedAt, ApprovedBy: o.ApprovedBy.ID,
		ApprovedAt: optional(o.ApprovedAt), UsedAt: optional(o.UsedAt), ExpiresAt: o.ExpiresAt()}
}

type phasesOutput struct {
	Body struct {
		Phases []api.LaunchPhaseInfo `json:"phases" doc:"From closed to open"`
	}
}

func (s *Server) launchPhases(context.Context, *struct{}) (*phasesOutput, error) {
	v, _ := s.d.Launch.View()
	out := &phasesOutput{}
	out.Body.Phases = mapped(launch.Modes(), func(m launch.Mode) api.LaunchPhaseInfo { return phaseOut(&v.State, m) })
	return out, nil
}

func phaseOut(s *launch.State, m launch.Mode) api.LaunchPhaseInfo {
	p := s.Phases[m]
	out := api.LaunchPhaseInfo{Mode: string(m), Current: m == s.Mode, Version: s.Versions[launch.DocPhase(m)], AllowedCountries: launch.GroupAll,
		LaunchPhase: api.LaunchPhase{Countries: append([]string{}, p.Countries...), Groups: p.Groups, DailyCap: p.DailyCap, CountryCaps: p.CountryCaps}}
	if list, all := p.Allowed(s.Settings.Blocked); !all {
		out.AllowedCountries = list
	}
	return out
}

// Why is the reason and version of a change.
type Why struct {
	Reason    string  `query:"reason" maxLength:"2000" doc:"Why, in 10 to 500 characters; kept in the audit log"`
	IfVersion version `query:"ifVersion" doc:"The version you read (0: never changed); CONFLICT if it moved on. Absent: any"`
}

type putPhaseInput struct {
	Why
	Mode string `path:"mode" maxLength:"64" doc:"Whose phase"`
	Body api.LaunchPhase
}
type phaseOutput struct{ Body api.LaunchPhaseInfo }

func (s *Server) putPhase(ctx context.Context, in *putPhaseInput) (*phaseOutput, error) {
	p := launch.Phase{Countries: in.Body.Countries, Groups: in.Body.Groups, DailyCap: in.Body.DailyCap, CountryCaps: in.Body.CountryCaps}
	p, version, err := s.d.Launch.SetPhase(ctx, launch.Mode(in.Mode), p, in.IfVersion.orAny(), actor(ctx), in.Reason)
	if err != nil {
		return nil, err
	}
	v, _ := s.d.Launch.View()
	one := v.State
	one.Phases, one.Versions = map[launch.Mode]launch.Phase{launch.Mode(in.Mode): p}, map[string]int64{launch.DocPhase(launch.Mode(in.Mode)): version}
	return &phaseOutput{Body: phaseOut(&one, launch.Mode(in.Mode))}, nil
}

type settingsOutput struct{ Body api.LaunchSettings }

func (s *Server) launchSettings(context.Context, *struct{}) (*settingsOutput, error) {
	v, _ := s.d.Launch.View()
	return &settingsOutput{Body: settingsOut(v.Settings, v.Versions[launch.DocSettings])}, nil
}

func settingsOut(s launch.Settings, version int64) api.LaunchSettings {
	return api.LaunchSettings{TimeZone: s.TimeZone, BlockedCountries: s.Blocked, RequireIPCountry: s.RequireIPCountry,
		ReservationTTL: time.Duration(s.ReservationTTL).String(), HookTTL: time.Duration(s.HookTTL).String(), Version: version}
}

type putSettingsInput struct {
	Why
	Body api.LaunchSettings
}

func (s *Server) putSettings(ctx context.Context, in *putSettingsInput) (*settingsOutput, error) {
	const op = "httpapi.putSettings"
	b := in.Body
	next := launch.Settings{TimeZone: b.TimeZone, Blocked: b.BlockedCountries, RequireIPCountry: b.RequireIPCountry}
	for _, f := range [...]struct {
		name, value string
		into        *launch.Duration
	}{{"reservationTTL", b.ReservationTTL, &next.ReservationTTL}, {"hookTTL", b.HookTTL, &next.HookTTL}} {
		d, err := duration(op, f.name, f.value)
		if err != nil {
			return nil, err
		}
		*f.into = launch.Duration(d)
	}
	if b.RequireIPCountry && s.d.IPCountry == nil {
		return nil, fault.Invalid(op, fault.Field{Field: "requireIPCountry", Problem: "no database"},
			"requireIPCountry needs a database of addresses: set launch.ip_country_database and restart; without it every signup would be refused")
	}
	set, version, err := s.d.Launch.SetSettings(ctx, next, in.IfVersion.orAny(), actor(ctx), in.Reason)
	if err != nil {
		return nil, err
	}
	return &settingsOutput{Body: settingsOut(set, version)}, nil
}

type maintenanceOutput struct {
	Body struct {
		On bool `json:"on"`
		*api.Maintenance
	}
}

func (s *Server) getMaintenance(context.Context, *struct{}) (*maintenanceOutput, error) {
	v, _ := s.d.Launch.View()
	return s.maintenanceOut(v.Maintenance), nil
}

func (s *Server) maintenanceOut(m launch.Maintenance) *maintenanceOutput {
	out := &maintenanceOutput{}
	if out.Body.On = m.On(s.d.Now()); out.Body.On {
		out.Body.Maintenance = &api.Maintenance{Until: m.Until, StartedAt: m.StartedAt}
	}
	return out
}

type putMaintenanceInput struct{ Body api.MaintenanceRequest }

func (s *Server) putMaintenance(ctx context.Context, in *putMaintenanceInput) (*maintenanceOutput, error) {
	const op = "httpapi.putMaintenance"
	b := in.Body
	if (b.Until == nil) == (b.For == "") {
		return nil, fault.Invalid(op, fault.Field{Field: "until", Problem: "until and for"}, "send one of until and for: a maintenance ends by itself")
	}
	until := time.Time{}
	if b.Until != nil {
		until = *b.Until
	}
	if b.For != "" {
		d, err := duration(op, "for", b.For)
		if err != nil {
			return nil, err
		}
		until = s.d.Now().Add(d)
	}
	if until.IsZero() {
		until = time.Unix(0, 0) // in the past, where no time stands for the end
	}
	m, err := s.d.Launch.SetMaintenance(ctx, until, actor(ctx), b.Reason)
	if err != nil {
		return nil, err
	}
	return s.maintenanceOut(m), nil
}

type reasonInput struct {
	Reason string `query:"reason" maxLength:"2000" doc:"Why, in 10 to 500 characters; kept in the audit log"`
}

func (s *Server) endMaintenance(ctx context.Context, in *reasonInput) (*struct{}, error) {
	_, err := s.d.Launch.SetMaintenance(ctx, time.Time{}, actor(ctx), in.Reason)
	return nil, err
}
