package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/httpapi"
	"avalo.app/gantry/internal/launch"
	"avalo.app/gantry/internal/signal"
	"avalo.app/gantry/internal/store"
)

// storeURL is where the configuration puts the store.
func storeURL(cfg config.Config) string {
	if url := cfg.Store.URL.Reveal(); url != "" {
		return url
	}
	return "sqlite:" + filepath.Join(cfg.DataDir, "gantry.db")
}

// OpenStore opens the store for writing: the schema is brought forward and
// the audit log's key is in place.
func OpenStore(ctx context.Context, cfg config.Config, now func() time.Time) (*store.DB, error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	key, made, err := secretFile(cfg.Audit.Key.Reveal(), cfg.Audit.KeyFile, filepath.Join(cfg.DataDir, "audit.key"), func() (string, error) {
		secret, _, err := audit.GenerateKey(cfg.Audit.Origin)
		return secret, err
	})
	if err != nil {
		return nil, fmt.Errorf("audit.key: %w", err)
	}
	db, err := store.Open(ctx, store.Options{URL: storeURL(cfg), Now: now, MaxConns: cfg.Store.MaxConns})
	if err != nil {
		return nil, err
	}
	if err := db.UseAuditKey(ctx, key); err != nil {
		// Only a log that has another key certainly does not have this one: after
		// any other error it may be registered, and must not be lost.
		if made && fault.CodeOf(err) == fault.Conflict {
			_ = os.Remove(filepath.Join(cfg.DataDir, "audit.key"))
		}
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// InspectStore opens the store for reading, and changes nothing in it.
func InspectStore(ctx context.Context, cfg config.Config) (*store.DB, error) {
	return store.Inspect(ctx, store.Options{URL: storeURL(cfg), MaxConns: cfg.Store.MaxConns})
}

func (a *App) publishCheckpoint(ctx context.Context) error {
	signed, err := a.db.AuditCheckpoint(ctx)
	if err != nil {
		return err
	}
	err = audit.Publish(a.checkpointDir(), signed)
	var c *audit.ContradictionError
	if contradicts := errors.As(err, &c); contradicts || err == nil {
		value := "the log extends what was published of it"
		if contradicts {
			value = "it was rolled back or rewritten; run gantry audit verify with --since"
		}
		// Each node has a directory of its own: what one finds, another does not.
		a.signal(signal.Fact{Rule: "audit_contradicted", Object: "checkpoints", Failing: contradicts, Value: value})
	}
	return err
}

// checkpointDir is where checkpoints are kept outside of the store.
func (a *App) checkpointDir() string {
	if dir := a.config().Audit.CheckpointDir; dir != "" {
		return dir
	}
	return a.path("checkpoints")
}

func (a *App) openHTTP(context.Context) error {
	proxies, err := httpapi.NewProxies(prefixes(a.config().Server.TrustedProxies))
	if err != nil {
		return err
	}
	a.proxies.Store(proxies)
	hooks, err := a.hooks()
	if err != nil {
		return err
	}
	a.collectors()
	api := httpapi.New(httpapi.Deps{
		Limits: a.limits, Access: a.access, Idempotency: a.idem, Audit: a.db, AuditLog: httpapi.NewAuditLog(a.db),
		Launch: a.control, Signups: a.signups, Guests: a.guests, Media: a.media, Tus: a.tus,
		Incidents: a.incidents, Receivers: a.listReceivers, TestAlerts: a.testAlerts, IPCountry: a.ipCountry(), Hooks: hooks,
		Monitor: a.monitor, Heartbeats: a.heartbeats, Sources: a.sources, Discovery: a.discovery(), Diagnostics: a.diagnostics, HostSignals: a.hostSignals,
		RateLimitStatus: a.rateLimitStatus, Node: a.node, Started: a.o.Now(),
		Metrics: a.registry, Log: a.o.Log, Now: a.o.Now, Version: a.o.Version,
		StoreErr: a.lastStoreErr, Failing: a.failing.Load, Reload: a.Reload,
		Config:  func() string { return config.Print(*a.config()) },
		Proxies: a.proxies.Load, CORSOrigins: func() []string { return a.config().Server.CORSOrigins },
		MaxBody: int64(a.config().Server.MaxBody),
	})
	a.server = &http.Server{
		Handler:           api.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          quietServerLog(a.o.Log),
	}
	a.server.RegisterOnShutdown(api.EndStreams)
	return nil
}

// collectors registers the series that are read when scraped.
func (a *App) collectors() {
	gauge := func(name, help string, fn func() float64) {
		a.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, fn))
	}
	counter := func(name, help string, fn func() float64) {
		a.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, fn))
	}
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	gauge("gantry_counters_keys", "Counters in memory.", func() float64 { return float64(a.counters.Stats().Keys) })
	gauge("gantry_counters_bytes", "Memory of the counters, in bytes.", func() float64 { return float64(a.counters.Stats().Bytes) })
	gauge("gantry_counters_snapshot_age_seconds", "Time since the counters were saved last, or since the start, in seconds.",
		func() float64 { return time.Since(*a.saved.Load()).Seconds() })
	counter("gantry_counters_overflow_total", "Decisions on a shared counter because the table was full of live ones.",
		func() float64 { return float64(a.counters.Stats().OverflowHits) })
	counter("gantry_ratelimit_violations_dropped_total", "Refusals that were not recorded because too many waited for the store.",
		func() float64 { return float64(a.limits.DroppedViolations()) })
	counter("gantry_ratelimit_degraded_total", "Checks decided without the counter store.", func() float64 {
		_, total, _ := a.limits.Degraded()
		return float64(total)
	})
	for _, m := range launch.Modes() {
		a.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "gantry_launch_mode", Help: "1 for the launch mode in force.", ConstLabels: prometheus.Labels{"mode": string(m)}}, func() float64 {
			if v, _ := a.control.View(); v.Mode == m {
				return 1
			}
			return 0
		}))
	}
	gauge("gantry_launch_state_age_seconds", "Age of the launch state that this node answers from.", func() float64 {
		_, age := a.control.View()
		return age.Seconds()
	})
	gauge("gantry_signups_open", "Reservations of today that are not confirmed yet.", func() float64 { return float64(a.today().Open) })
	gauge("gantry_signups_confirmed", "Signups of today that are confirmed.", func() float64 { return float64(a.today().Confirmed) })
	gauge("gantry_signups_cap", "Signups that today admits; +Inf without a cap.", func() float64 {
		v, _ := a.control.View()
		if limit := v.Phase().CapOf(""); limit >= 0 {
			return float64(limit)
		}
		return math.Inf(1)
	})
	gauge("gantry_background_failing", "Background loops whose last turn failed (snapshots, flushes, polls).", func() float64 { return float64(a.failing.Load()) })
	gauge("gantry_store_up", "1 while the durable store answers.", func() float64 {
		if a.lastStoreErr() != nil {
			return 0
		}
		return 1
	})
}
