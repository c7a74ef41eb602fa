package app

import (
	"context"
	"errors"
	"time"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/lease"
)

// The leased work: one node does it, at this pace.
const (
	sweepName    = "sweep"
	sweepLease   = 30 * time.Second
	sweepPeriod  = time.Minute
	expireName   = "expire signups"
	expireLease  = 10 * time.Second
	expirePeriod = time.Second
	mediaName    = "media quarantine"
	mediaLease   = 5 * time.Minute
	mediaPeriod  = 10 * time.Second
	sweepRows    = 1000 // of one transaction
)

// startLeased runs what one node does for all: forgetting what is past its
// retention, and ending reservations whose time is up.
func (a *App) startLeased(ctx context.Context) {
	a.leased(ctx, sweepName, sweepLease, sweepPeriod, func(ctx context.Context, h lease.Held) error {
		now := a.o.Now()
		return errors.Join( // the failure of one is no reason to keep what the others forget
			drain(func() (int64, error) {
				return a.db.PruneViolations(ctx, now.Add(-time.Duration(a.config().RateLimit.ViolationsRetention)), sweepRows, h)
			}),
			drain(func() (int64, error) { return a.db.SweepIdempotency(ctx, now, sweepRows, h) }),
			drain(func() (int64, error) { return a.db.PruneRefusals(ctx, now.Add(-refusalRetention), sweepRows, h) }),
			drain(func() (int64, error) { return a.db.PruneSignups(ctx, now.Add(-signupRetention), sweepRows, h) }),
			drain(func() (int64, error) { return a.db.PruneHealth(ctx, now.Add(-uptimeRetention), sweepRows, h) }),
			drain(func() (int64, error) { return a.db.PruneSignals(ctx, now.Add(-signalRetention), sweepRows, h) }),
			drain(func() (int64, error) {
				return a.db.PruneIncidents(ctx, incident.Fence(h), now.Add(-incidentRetention), sweepRows)
			}))
	})
	a.leased(ctx, mediaName, mediaLease, mediaPeriod, func(ctx context.Context, _ lease.Held) error {
		return errors.Join(a.media.VerifyAway(ctx), a.media.Collect(ctx))
	})
	a.leased(ctx, expireName, expireLease, expirePeriod, func(ctx context.Context, h lease.Held) error {
		return drain(func() (int64, error) { return a.db.ExpireSignups(ctx, h) })
	})
}

// leased repeats fn on the one node that holds the lease of the name.
func (a *App) leased(ctx context.Context, name string, ttl, period time.Duration, fn func(context.Context, lease.Held) error) {
	r := &lease.Runner{Store: a.db, Holder: a.node, Log: a.o.Log, Report: a.watch(name)}
	a.loops.Go(func() {
		if err := r.Run(ctx, name, ttl, period, fn); err != nil && ctx.Err() == nil {
			a.o.Log.Error("leased work ended", "work", name, "error", err)
		}
	})
}

// drain repeats a bounded delete until it finds less than a full batch.
func drain(batch func() (int64, error)) error {
	for {
		if n, err := batch(); err != nil || n < sweepRows {
			return err
		}
	}
}
