package app

import (
	"context"
	"fmt"
	"time"

	_ "time/tzdata" // a cap's day ends at midnight of a zone that the machine may not know

	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/geoip"
	"avalo.app/gantry/internal/httpapi"
	"avalo.app/gantry/internal/launch"
	"avalo.app/gantry/internal/oidc"
	"avalo.app/gantry/internal/ratelimit"
)

func (a *App) openLaunch(ctx context.Context) error {
	if path := a.config().Launch.IPCountryDatabase; path != "" {
		geo, err := geoip.Open(path)
		if err != nil {
			return fmt.Errorf("launch.ip_country_database: %w", err)
		}
		a.geo = geo
		a.onStop("address database", func(context.Context) error { return geo.Close() })
	}
	limits := signupLimits{a.limits}
	a.control = launch.NewControl(launch.ControlOptions{Store: a.db, Days: a.db.SignupDays, Gate: launch.NoReport{}, Distinct: a.distinct,
		Signals: a.signal, Now: a.o.Now})
	a.signups = launch.NewSignups(launch.SignupOptions{Store: a.db, Control: a.control, Hasher: a.launchHasher, Limits: limits,
		IPCountry: a.ipCountry(), Signals: a.signal, Now: a.o.Now})
	a.guests = launch.NewGuests(launch.GuestOptions{Store: a.db, Signups: a.signups, Hasher: a.launchHasher, Limits: limits, Now: a.o.Now})
	a.onStop("signups", func(context.Context) error { a.signups.Close(); return nil })
	return a.control.Refresh(ctx)
}

func (a *App) ipCountry() func(string) string {
	if a.geo == nil {
		return nil
	}
	return a.geo.Country
}

// today counts the day's signups, as this node last read them.
func (a *App) today() launch.Day {
	v, _ := a.control.View()
	return v.Today[launch.DayKey{Day: v.Calendar.Day(a.o.Now())}]
}

// hooks are the configured integrations.
func (a *App) hooks() (h httpapi.Hooks, err error) {
	cfg := a.config().Launch.Hooks
	h.CountryField, h.InviteField = cfg.Supabase.CountryField, cfg.Supabase.InviteField
	for path, one := range map[string]struct {
		secrets config.Secret
		into    **httpapi.Signatures
	}{"supabase": {cfg.Supabase.Secrets, &h.Supabase}, "webhook": {cfg.Webhook.Secrets, &h.Webhook}} {
		if one.secrets.IsZero() {
			continue
		}
		if *one.into, err = httpapi.NewSignatures(one.secrets.Reveal()); err != nil {
			return h, fmt.Errorf("launch.hooks.%s.secrets: %w", path, err)
		}
	}
	f := cfg.Firebase
	tokens := func(audience string) access.VerifyFunc {
		if f.Project == "" || audience == "" {
			return nil
		}
		return oidc.New(oidc.Config{Issuer: "https://securetoken.google.com/" + f.Project, Audience: audience, JWKSURL: f.JWKSURL, Now: a.o.Now})
	}
	h.FirebaseCreate, h.FirebaseSignIn = tokens(f.BeforeCreateAudience), tokens(f.BeforeSignInAudience)
	return h, nil
}

// distinct reports whether two actors are two people for an approval, and
// the approver's key still stands.
func (a *App) distinct(ctx context.Context, approver, requester launch.Actor) (bool, error) {
	keys, err := a.access.List(ctx)
	if err != nil {
		return false, err
	}
	for _, k := range keys {
		if "key:"+k.ID == approver.ID && (!k.RevokedAt.IsZero() || !k.ExpiresAt.IsZero() && !a.o.Now().Before(k.ExpiresAt)) {
			return false, nil
		}
	}
	return access.MayApprove(keys, access.Principal{ID: approver.ID, Owner: approver.Owner}, access.Principal{ID: requester.ID, Owner: requester.Owner}), nil
}

// signupLimits counts signups' attempts in the rate limiter.
type signupLimits struct{ limits *ratelimit.Service }

func (l signupLimits) request(action string, a launch.Application) (ratelimit.Request, bool) {
	sub := ratelimit.Subject{User: a.UserID, IP: a.IP, Device: a.Device}
	if action != launch.ActionInvite {
		sub.User = ""
	}
	return ratelimit.Request{Action: action, Subject: sub}, sub != ratelimit.Subject{}
}

// Take implements launch.Limiter.
func (l signupLimits) Take(ctx context.Context, action string, a launch.Application) error {
	r, ok := l.request(action, a)
	if !ok {
		return nil
	}
	v, err := l.limits.Check(ctx, r)
	if err == nil && !v.Allowed {
		err = httpapi.Limited(v, 1)
	}
	return err
}

// Give implements launch.Limiter.
func (l signupLimits) Give(ctx context.Context, action string, a launch.Application) {
	if r, ok := l.request(action, a); ok {
		_ = l.limits.Refund(ctx, r) // what is not given back is charged until its window ends
	}
}

// The retention of ended reservations, and of what tells a hook's replay.
const signupRetention = 90 * 24 * time.Hour
