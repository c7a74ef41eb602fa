package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/hostdb"
	"avalo.app/gantry/internal/hostsignal"
	"avalo.app/gantry/internal/httpapi"
	"avalo.app/gantry/internal/lease"
	"avalo.app/gantry/internal/probe"
	"avalo.app/gantry/internal/probe/disk"
	"avalo.app/gantry/internal/probe/self"
)

// selfComponent is what each node measures of itself.
const selfComponent = "gantry"

// The pace of health. A lease of ten seconds is taken over in under 15.
const (
	healthLease     = 10 * time.Second
	healthRefresh   = time.Second
	heartbeatCheck  = 5 * time.Second
	freshnessCheck  = 5 * time.Second
	judgeSignals    = 10 * time.Second
	watchRefresh    = 5 * time.Second
	uptimeRefresh   = time.Minute
	uptimeRetention = 90 * 24 * time.Hour
	signalRetention = 24 * time.Hour
	topActions      = 10
)

func (a *App) openHealth(ctx context.Context) error {
	h := a.config().Health
	own, err := a.ownProber()
	if err != nil {
		return err
	}
	components := append(h.Watched(), health.Component{Name: selfComponent, Kind: "self", Interval: selfEvery, PerNode: true, Own: true})
	probers := map[string]health.Prober{selfComponent: own}
	for name, c := range h.Components {
		if probers[name], err = a.prober(ctx, c); err != nil {
			return fmt.Errorf("health.components.%s: %w", name, err)
		}
	}
	a.monitor, err = health.NewMonitor(health.Options{Components: components, Probers: probers, Store: a.db, Signals: a.signal, Now: a.o.Now, Node: a.node, Version: a.o.Version})
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	if a.heartbeats, err = health.NewHeartbeats(health.HeartbeatOptions{Jobs: h.Expected(), Store: a.db, Signals: a.signal, Now: a.o.Now}); err != nil {
		return fmt.Errorf("health: %w", err)
	}
	if err := a.heartbeats.Register(ctx); err != nil {
		return err
	}
	if err := a.openQueries(h); err != nil {
		return err
	}
	a.hostSignals = hostsignal.New(hostsignal.Options{Store: a.db, Sink: a.signal, Raised: a.raised, Rules: a.signalRules, Now: a.o.Now})
	if err := a.monitor.RefreshUptime(ctx); err != nil {
		return err
	}
	return a.monitor.Refresh(ctx)
}

func (a *App) ownProber() (health.Prober, error) {
	process, err := self.New(self.Config{})
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(a.config().DataDir)
	if err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	low := float64(a.config().Health.DiskFree)
	room, err := disk.New(disk.Config{Path: dir, Degraded: disk.Level{Percent: low, InodesPercent: low}, Failing: disk.Level{Percent: min(1, low)}})
	return ownProber{a: a, process: process, disk: room}, err
}

// openQueries opens what the configuration asks of the host: counts and
// moments.
func (a *App) openQueries(h config.Health) error {
	var db *hostdb.DB
	if address := h.HostDatabase.Reveal(); address != "" {
		var err error
		if db, err = hostdb.Open(address); err != nil {
			return fmt.Errorf("health.host_database: %w", err)
		}
		a.onStop("host database", func(context.Context) error { return db.Close() })
	}
	counts := map[string]health.Count{}
	for name, query := range h.Diagnostics.Queries {
		counts[name] = func(ctx context.Context) (int64, error) { return db.Number(ctx, query) }
	}
	var err error
	if a.diagnostics, err = health.NewDiagnostics(counts, a.o.Now); err != nil {
		return fmt.Errorf("health.diagnostics: %w", err)
	}
	o := health.SourceOptions{Readers: map[string]health.Reader{}, Store: a.db, Signals: a.signal, Now: a.o.Now}
	for name, f := range h.Freshness {
		o.Sources = append(o.Sources, health.Source{Name: name, MaxAge: time.Duration(f.MaxAge), Interval: time.Duration(f.Every)})
		if f.Query != "" {
			o.Readers[name] = func(ctx context.Context) (time.Time, error) { return db.Moment(ctx, f.Query) }
			continue
		}
		if o.Readers[name], err = momentAt(f.URL.Reveal(), f.Field); err != nil {
			return fmt.Errorf("health.freshness.%s: %w", name, err)
		}
	}
	if a.sources, err = health.NewSources(o); err != nil {
		return fmt.Errorf("health: %w", err)
	}
	return nil
}

// momentAt reads a time from a field of a JSON document.
func momentAt(address, field string) (health.Reader, error) {
	u, err := base(address, "")
	if err != nil {
		return nil, err
	}
	client := probe.Client(egress.Options{}, u)
	return func(ctx context.Context) (time.Time, error) { return fetchMoment(ctx, client, u, field) }, nil
}

func fetchMoment(ctx context.Context, client *http.Client, u *url.URL, field string) (time.Time, error) {
	var doc any
	if err := probe.FetchJSON(ctx, client, "read the moment", u, &doc); err != nil {
		return time.Time{}, err
	}
	for name := range strings.SplitSeq(field, ".") {
		object, _ := doc.(map[string]any)
		var ok bool
		if doc, ok = object[name]; !ok {
			return time.Time{}, fmt.Errorf("the answer has no field %s", field)
		}
	}
	if _, isNumber := doc.(json.Number); isNumber || doc == nil {
		return time.Time{}, errors.New("the field is no time")
	}
	return hostdb.Moment(doc)
}

func (a *App) signalRules() hostsignal.Rules {
	s := a.config().Signals
	return hostsignal.Rules{Window: time.Duration(s.Window), ErrorPercent: float64(s.ErrorPercent), MinRequests: int64(s.MinRequests), Quiet: time.Duration(s.Quiet)}
}

// startHealth measures: this node itself on every node, everything shared on
// the one that holds the lease.
func (a *App) startHealth(ctx context.Context) {
	a.every(ctx, healthRefresh, "read health", a.monitor.Refresh)
	own := a.watch("measure this node")
	a.loops.Go(func() { _ = a.monitor.Run(ctx, own) }) // it ends with ctx
	shared := a.watch("measure components")
	a.leased(ctx, "health", healthLease, time.Second, func(ctx context.Context, h lease.Held) error {
		defer shared(nil) // another node measures from now on: what failed here is over
		return a.monitor.Lead(ctx, health.Fence(h), shared)
	})
	a.leased(ctx, "heartbeats", healthLease, heartbeatCheck, func(ctx context.Context, _ lease.Held) error { return a.heartbeats.Check(ctx) })
	a.leased(ctx, "freshness", healthLease, freshnessCheck, func(ctx context.Context, h lease.Held) error {
		return a.sources.Check(ctx, health.Fence(h))
	})
	a.leased(ctx, "host signals", healthLease, judgeSignals, func(ctx context.Context, _ lease.Held) error { return a.hostSignals.Judge(ctx) })
	// What answers and metrics show of jobs and sources is in memory.
	a.every(ctx, watchRefresh, "read heartbeats", a.heartbeats.Refresh)
	a.every(ctx, watchRefresh, "read freshness", a.sources.Refresh)
	a.every(ctx, uptimeRefresh, "read uptime", a.monitor.RefreshUptime)
	a.startSignals(ctx)
}

// rateLimitStatus is what the limiter did of late, for people. The windows are
// this node's counters.
func (a *App) rateLimitStatus(ctx context.Context) (httpapi.RateLimitStatus, error) {
	since := a.o.Now().Add(-24 * time.Hour)
	out := httpapi.RateLimitStatus{ActiveWindows: int64(a.counters.Stats().Keys)}
	var err error
	if out.Refused, _, err = a.db.CountViolations(ctx, since); err != nil {
		return out, err
	}
	out.Top, err = a.db.TopActions(ctx, since, topActions)
	return out, err
}

// discovery names the source that is the discovery index, "" if none is.
func (a *App) discovery() string {
	for _, name := range slices.Sorted(maps.Keys(a.config().Health.Freshness)) {
		if a.config().Health.Freshness[name].Discovery {
			return name
		}
	}
	return ""
}
