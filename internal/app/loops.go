package app

import (
	"context"
	"time"

	"avalo.app/gantry/internal/signal"
	"avalo.app/gantry/internal/store"
)

// The intervals of the background loops that are not configuration.
const (
	pollEvery     = 500 * time.Millisecond // revisions: a change reaches every node within a second
	flushEvery    = time.Second            // violations
	touchEvery    = time.Minute            // last use of keys
	sweepEvery    = time.Minute            // counters whose windows ended leave memory
	geoEvery      = time.Minute            // a database of addresses that was replaced
	tusEvery      = time.Minute            // resumable uploads of this node that nobody goes on with
	storeTimeout  = 5 * time.Second        // of one background store operation
	expireRefresh = 30 * time.Second       // overrides that expired leave memory
)

func (a *App) startLoops(ctx context.Context) {
	a.every(ctx, pollEvery, "poll revisions", a.poller())
	a.every(ctx, flushEvery, "flush violations", a.limits.Flush)
	a.every(ctx, expireRefresh, "refresh limits", a.limits.Refresh)
	a.every(ctx, sweepEvery, "sweep counters", func(context.Context) error {
		a.counters.Sweep(a.o.Now().UnixMicro())
		return nil
	})
	a.every(ctx, touchEvery, "record key use", a.access.FlushUses)
	a.every(ctx, time.Duration(a.config().Counters.SnapshotInterval), "snapshot counters", func(context.Context) error { return a.saveCounters() })
	a.atOnce(ctx, time.Duration(a.config().Audit.CheckpointInterval), "publish checkpoint", a.publishCheckpoint)
	if a.geo != nil {
		a.every(ctx, geoEvery, "read address database", func(context.Context) error { return a.geo.Reload() })
	}
	a.every(ctx, tusEvery, "collect resumable uploads", a.tus.Collect)
	a.every(ctx, tusEvery, "collect parts of objects", func(context.Context) error { return a.parts(a.o.Now()) })
	a.startLeased(ctx)
	a.startHealth(ctx)
	a.startIncidents(ctx)
}

// every runs fn at an interval until ctx ends; see watch.
func (a *App) every(ctx context.Context, d time.Duration, name string, fn func(context.Context) error) {
	a.repeat(ctx, d, d, name, fn)
}

// atOnce is every, and the first time now.
func (a *App) atOnce(ctx context.Context, d time.Duration, name string, fn func(context.Context) error) {
	a.repeat(ctx, 0, d, name, fn)
}

func (a *App) repeat(ctx context.Context, first, d time.Duration, name string, fn func(context.Context) error) {
	a.loops.Go(func() {
		t := time.NewTimer(first)
		defer t.Stop()
		report := a.watch(name)
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				t.Reset(d)
			}
			once, cancel := context.WithTimeout(ctx, storeTimeout)
			err := fn(once)
			cancel()
			if err != nil && ctx.Err() != nil {
				return
			}
			report(err)
		}
	})
}

// watch returns what is told how each turn of one background work went, from
// one goroutine. A failure degrades the health word, and is logged when it
// begins and when it ends, not at every turn.
func (a *App) watch(name string) func(error) {
	failing := false
	return func(err error) {
		switch {
		case err != nil && !failing:
			a.failing.Add(1)
			a.o.Log.Error("background work fails", "work", name, "error", err)
			a.signal(signal.Fact{Rule: "background_failing", Object: oneWord(name), Failing: true, Value: "see this node's log: " + name})
		case err == nil && failing:
			a.failing.Add(-1)
			a.o.Log.Info("background work succeeds again", "work", name)
			a.signal(signal.Fact{Rule: "background_failing", Object: oneWord(name), Value: name + " succeeds again"})
		}
		failing = err != nil
	}
}

// poller returns the loop that notices changes made by other nodes and by
// the command line, and that measures whether the store answers.
func (a *App) poller() func(context.Context) error {
	seen := map[string]int64{}
	return func(ctx context.Context) error {
		revs, err := a.db.Revisions(ctx)
		a.storeErr.Store(&err)
		if err != nil {
			return err
		}
		// Keys are read at every turn: it also renews how long they may serve
		// without the store, and the table is small.
		if err := a.access.Refresh(ctx); err != nil {
			return err
		}
		if revs[store.TopicPolicies] != seen[store.TopicPolicies] || revs[store.TopicOverrides] != seen[store.TopicOverrides] {
			if err := a.limits.Refresh(ctx); err != nil {
				return err
			}
		}
		// The launch state is read at every turn, too: its counts move with every
		// signup, and its age tells how long the store has not answered.
		if err := a.control.Refresh(ctx); err != nil {
			return err
		}
		seen = revs
		return nil
	}
}

// lastStoreErr returns the error of the last look at the store, or nil.
func (a *App) lastStoreErr() error {
	if p := a.storeErr.Load(); p != nil {
		return *p
	}
	return nil
}
