package httpapi

import (
	"context"
	"encoding/json"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
)

// launchConfig is a mode as the old clients read it.
type launchConfig struct {
	Mode               string `json:"mode"`
	Description        string `json:"description"`
	AllowedCountries   any    `json:"allowedCountries"`
	RequiresInviteCode bool   `json:"requiresInviteCode"`
	MaxDailySignups    *int64 `json:"maxDailySignups"` // null: unlimited
}

func (s *Server) launchConfig() launchConfig {
	v, _ := s.d.Launch.View()
	return launchConfig{Mode: string(v.Mode), Description: v.Mode.Description(), AllowedCountries: v.AllowedCountries(),
		RequiresInviteCode: v.Mode.Admission() == launch.AdmitInvited, MaxDailySignups: v.Phase().DailyCap}
}

func (s *Server) callGetLaunchMode(context.Context, json.RawMessage) (any, error) {
	return struct {
		Success bool `json:"success"`
		launchConfig
	}{true, s.launchConfig()}, nil
}

type setModeData struct {
	Mode     string `json:"mode"`
	Reason   string `json:"reason"`
	Override string `json:"override"`
}

func (s *Server) callSetLaunchMode(ctx context.Context, in setModeData) (any, error) {
	t, err := s.d.Launch.SetMode(ctx, launch.Move{To: launch.Mode(in.Mode), IfVersion: -1, Reason: in.Reason, Override: in.Override, By: actor(ctx)})
	if err != nil {
		return nil, err
	}
	return map[string]any{"success": true, "previousMode": t.From, "newMode": t.To, "config": s.launchConfig()}, nil
}

type limitData struct {
	Limit int `json:"limit"`
}

type legacyTransition struct {
	ID             string `json:"id"`
	From           string `json:"fromMode"`
	To             string `json:"toMode"`
	TransitionedAt int64  `json:"transitionedAt"`
	TransitionedBy string `json:"transitionedBy"`
	Reason         string `json:"reason"`
}

func (s *Server) callLaunchHistory(ctx context.Context, in limitData) (any, error) {
	if in.Limit == 0 {
		in.Limit = 50
	}
	if in.Limit < 1 || in.Limit > 1000 {
		return nil, fault.Invalid("httpapi.callLaunchHistory", fault.Field{Field: "limit", Problem: "out of range", Limit: "1..1000", Actual: in.Limit}, "limit must be from 1 to 1000")
	}
	ts, err := s.d.Launch.History(ctx, 0, in.Limit)
	if err != nil {
		return nil, err
	}
	return map[string]any{"success": true, "history": mapped(ts, func(t launch.Transition) legacyTransition {
		return legacyTransition{ID: t.ID, From: string(t.From), To: string(t.To), TransitionedAt: t.At.UnixMilli(), TransitionedBy: t.By, Reason: t.Reason}
	})}, nil
}

type eligibilityData struct {
	CountryCode string `json:"countryCode"`
	InviteCode  string `json:"inviteCode"`
	UserID      string `json:"userId"`
	Email       string `json:"email"`
	IP          string `json:"ip"`
	Device      string `json:"device"`
}

type legacyEligibility struct {
	Allowed            bool   `json:"allowed"`
	Reason             string `json:"reason,omitempty"`
	Code               string `json:"code,omitempty"` // of the catalogue; old clients do not read it
	RequiresInviteCode bool   `json:"requiresInviteCode"`
	AllowedCountries   any    `json:"allowedCountries"`
}

func (s *Server) callEligibility(ctx context.Context, in eligibilityData) (any, error) {
	v, err := s.d.Signups.Eligible(ctx, launch.Application{Country: in.CountryCode, InviteCode: in.InviteCode, UserID: in.UserID, Email: in.Email, IP: in.IP, Device: in.Device})
	refused := v.Err
	switch code := fault.CodeOf(err); {
	case err == nil:
	case code == fault.InvalidArgument, code == fault.RateLimited:
		return nil, err
	default:
		s.problem(callerOf(ctx), err) // logs it
		refused = err
	}
	c := s.launchConfig()
	out := legacyEligibility{Allowed: refused == nil, RequiresInviteCode: c.RequiresInviteCode, AllowedCountries: c.AllowedCountries}
	if refused != nil {
		out.Code, out.Reason = string(fault.CodeOf(refused)), legacyReason(refused)
	}
	return out, nil
}

// legacyReason is the word that the old clients read for a refusal.
func legacyReason(err error) string {
	switch fault.CodeOf(err) {
	case fault.LaunchModeRestricted:
		if r, ok := detail[launch.Refusal](err); ok && r.Problem == "allowlist required" {
			return "ALLOWLIST_REQUIRED"
		}
		return "NOT_ON_ALLOWLIST"
	case fault.InviteCodeInvalid:
		return "INVALID_INVITE_CODE"
	case fault.InviteCodeRequired, fault.InviteCodeDepleted, fault.CountryNotAllowed, fault.DailyLimitReached:
		return string(fault.CodeOf(err))
	}
	return "SYSTEM_ERROR"
}
