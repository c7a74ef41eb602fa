package httpapi

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/idempotency"
	"avalo.app/gantry/internal/launch"
)

type eligibilityInput struct{ Body api.EligibilityRequest }
type eligibilityOutput struct{ Body api.Eligibility }

func (s *Server) signupEligibility(ctx context.Context, in *eligibilityInput) (*eligibilityOutput, error) {
	v, err := s.d.Signups.Eligible(ctx, application(in.Body))
	if err != nil {
		return nil, err
	}
	out := &eligibilityOutput{Body: api.Eligibility{Allowed: v.Allowed, Mode: string(v.View.Mode), AsOf: v.View.At.UTC(),
		RequiresInviteCode: v.View.Mode.Admission() == launch.AdmitInvited, AllowedCountries: v.View.AllowedCountries()}}
	if !v.Allowed {
		p := s.problem(callerOf(ctx), v.Err)
		out.Body.Code, out.Body.Message, out.Body.Details = p.Code, p.Message, p.Details
	}
	return out, nil
}

func application(in api.EligibilityRequest) launch.Application {
	return launch.Application{Country: in.Country, InviteCode: in.InviteCode, UserID: in.UserID, Email: in.Email, IP: in.IP, Device: in.Device, Source: "api"}
}

// alone makes a step commit together with the request's idempotency claim,
// if it has one, and with nothing else.
func alone(ctx context.Context) context.Context {
	if _, ok := idempotency.From(ctx); ok {
		return launch.Solo(ctx)
	}
	return ctx
}

type reserveInput struct{ Body api.ReserveRequest }
type reserveOutput struct {
	Status int
	Body   api.Reservation
}

func (s *Server) reserveSignup(ctx context.Context, in *reserveInput) (*reserveOutput, error) {
	a := application(in.Body.EligibilityRequest)
	a.TTL = time.Duration(min(max(in.Body.TTLSeconds, -1), 1<<31)) * time.Second
	r, existing, err := s.d.Signups.Reserve(alone(ctx), a)
	if err != nil {
		return nil, err
	}
	out := &reserveOutput{Status: http.StatusCreated, Body: reservationOut(r)}
	if out.Body.Existing = existing; existing {
		out.Status = http.StatusOK
	}
	return out, nil
}

type reservationOutput struct{ Body api.Reservation }

func (s *Server) confirmSignup(ctx context.Context, in *IDPath) (*reservationOutput, error) {
	r, err := s.d.Signups.Confirm(alone(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return &reservationOutput{Body: reservationOut(r)}, nil
}

type releaseInput struct {
	IDPath
	Sole bool `query:"sole" doc:"Only if no other request of the subject was answered with the reservation; else it stays as it is"`
}

func (s *Server) releaseSignup(ctx context.Context, in *releaseInput) (*reservationOutput, error) {
	release := s.d.Signups.Release
	if in.Sole {
		release = s.d.Signups.Withdraw
	}
	r, err := release(alone(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return &reservationOutput{Body: reservationOut(r)}, nil
}

func reservationOut(r launch.Reservation) api.Reservation {
	return api.Reservation{ID: r.ID, State: string(r.State), Day: r.Day, Country: r.Country, Mode: string(r.Mode), UserID: r.UserID, Source: r.Source,
		InviteID: r.InviteID, CreatedAt: r.CreatedAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(), ConfirmedAt: optional(r.ConfirmedAt), EndedAt: optional(r.EndedAt)}
}

type signupsInput struct {
	Page
	State  string `query:"state" enum:"open,confirmed,released,expired,revoked,unbacked" doc:"Only those in this state"`
	Day    string `query:"day" maxLength:"10" doc:"Only those that count on this day"`
	UserID string `query:"userId" maxLength:"128" doc:"Only this user's"`
}
type signupsOutput struct {
	Body struct {
		Signups []api.Reservation `json:"signups" doc:"Newest first"`
	}
}

func (s *Server) listSignups(ctx context.Context, in *signupsInput) (*signupsOutput, error) {
	if in.Day != "" {
		if err := launch.CheckDay("httpapi.listSignups", "day", in.Day); err != nil {
			return nil, err
		}
	}
	rs, err := s.d.Signups.List(ctx, launch.SignupFilter{State: launch.ReservationState(in.State), Day: in.Day, UserID: in.UserID, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &signupsOutput{}
	out.Body.Signups = mapped(rs, reservationOut)
	return out, nil
}

type countsInput struct {
	Day string `query:"day" maxLength:"10" doc:"Like 2026-11-24; absent: today in the settings' time zone"`
}
type countsOutput struct{ Body api.SignupCounts }

func (s *Server) signupCounts(ctx context.Context, in *countsInput) (*countsOutput, error) {
	day, days, err := s.d.Signups.Days(ctx, in.Day)
	if err != nil {
		return nil, err
	}
	v, _ := s.d.Launch.View()
	now := s.d.Now()
	today := day == v.Calendar.Day(now)
	out := &countsOutput{Body: api.SignupCounts{Day: day, TimeZone: v.Settings.TimeZone, Countries: []api.SignupCount{}}}
	if today {
		out.Body.EndsAt = new(v.Calendar.Ends(now))
	}
	keys := slices.SortedFunc(maps.Keys(days), func(a, b launch.DayKey) int { return strings.Compare(a.Country, b.Country) })
	out.Body.Total = countOut(v, launch.DayKey{Day: day}, days, today)
	for _, k := range keys {
		if k.Country != "" {
			out.Body.Countries = append(out.Body.Countries, countOut(v, k, days, today))
		}
	}
	return out, nil
}

// countOut is one counter, with the cap in force today, or the last one of
// another day.
func countOut(v *launch.View, k launch.DayKey, days map[launch.DayKey]launch.Day, today bool) api.SignupCount {
	d, known := days[k]
	out := api.SignupCount{Country: k.Country, Open: d.Open, Confirmed: d.Confirmed}
	limit := d.Cap
	if today {
		limit = v.Phase().CapOf(k.Country)
	} else if !known {
		return out
	}
	if limit >= 0 {
		out.Cap, out.Remaining = &limit, new(max(0, limit-d.Open-d.Confirmed))
	}
	return out
}

type driftOutput struct {
	Body struct {
		Drift []api.SignupDrift `json:"drift" doc:"Counters that do not count what is there; empty when all agree"`
	}
}

func (s *Server) signupDrift(ctx context.Context, _ *struct{}) (*driftOutput, error) {
	ds, err := s.d.Signups.Drift(ctx)
	if err != nil {
		return nil, err
	}
	out := &driftOutput{}
	out.Body.Drift = mapped(ds, func(d launch.Drift) api.SignupDrift {
		return api.SignupDrift{Day: d.Day, Country: d.Country, State: string(d.State), Invite: d.Invite, Counted: d.Counted, Rows: d.Rows}
	})
	return out, nil
}

// heldDetails are a holder's refusal as RATE_LIMITED carries it.
func heldDetails(h launch.Held, now time.Time) api.RateLimitedDetails {
	return api.RateLimitedDetails{Limit: h.Limit, Actual: h.Actual, ResetAt: h.ResetAt.UTC(), RetryAfter: h.RetryAfter, Policy: "SIGNUP_HOLD", Scope: h.Scope,
		Mode: api.ModeEnforced, WindowSeconds: int64(max(0, h.ResetAt.Sub(now)) / time.Second), PolicyName: "signup_hold"}
}
