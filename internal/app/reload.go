package app

import (
	"context"
	"log/slog"
	"net/netip"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/httpapi"
)

// Reload reads the configuration again and puts in force what can change
// live. What needs a restart is named and stays as it was. A configuration
// with an error changes nothing.
func (a *App) Reload(ctx context.Context, actor string) (httpapi.ReloadReport, error) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	next, err := a.o.Load()
	if err != nil {
		return httpapi.ReloadReport{}, &fault.Error{Code: fault.InvalidArgument, Op: "app.Reload", Msg: err.Error()}
	}
	old := a.config()
	live, restart := config.Diff(*old, next)
	report := httpapi.ReloadReport{Applied: append([]string{}, live...), NeedRestart: append([]string{}, restart...)} // [] in JSON, not null
	if len(live) > 0 {
		if err := a.apply(ctx, old.WithLive(next), actor, live); err != nil {
			return httpapi.ReloadReport{}, err
		}
	}
	a.o.Log.Info("configuration reloaded", "applied", live, "needRestart", restart)
	return report, nil
}

func (a *App) apply(ctx context.Context, cfg config.Config, actor string, changed []string) error {
	proxies, err := httpapi.NewProxies(prefixes(cfg.Server.TrustedProxies))
	if err != nil {
		return err
	}
	if _, err := a.db.RecordAudit(ctx, audit.Entry{Kind: audit.ConfigReloaded, Actor: actor, Object: "config", After: changed}); err != nil {
		return err
	}
	if err := a.limits.Configure(ctx, cfg.Policies()); err != nil {
		return err
	}
	a.proxies.Store(proxies)
	a.access.SetIssuers(a.tokenIssuers(&cfg))
	a.setLevel(cfg.Log.Level)
	a.cfg.Store(&cfg)
	return nil
}

func (a *App) setLevel(text string) {
	var l slog.Level
	if a.o.Level != nil && l.UnmarshalText([]byte(text)) == nil {
		a.o.Level.Set(l)
	}
}

func prefixes(in []config.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, len(in))
	for i, p := range in {
		out[i] = p.Prefix
	}
	return out
}
