package app

import (
	"syscall"

	"avalo.app/gantry/internal/signal"
)

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// CloseListener takes the socket away from under the server.
func (a *App) CloseListener() error { return a.listener.Close() }

// NotLocked is notLocked.
var NotLocked = notLocked

// CountIncidents is countIncidents.
func (a *App) CountIncidents(ctx context.Context) error { return a.countIncidents(ctx) }

// AgeCounts makes the last counts older.
func (a *App) AgeCounts(by time.Duration) {
	old := a.counts.Load()
	a.counts.Store(&incidentCounts{at: old.at.Add(-by), incidents: old.incidents, outbox: old.outbox})
}

// Registry has the metrics.
func (a *App) Registry() *prometheus.Registry { return a.registry }

// Lasts is lasts.
var Lasts = lasts

// Signal tells a fact as features do, also those that are not there yet.
func (a *App) Signal(f signal.Fact) { a.signal(f) }

// SetDisk replaces what looks at the disk. Call it before Start.
func (a *App) SetDisk(f func(path string, st *syscall.Statfs_t) error) { a.statfs = f }
