package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/lease"
	"avalo.app/gantry/internal/signal"
)

// The pace of what Gantry says of itself.
const (
	diskEvery       = 30 * time.Second
	violationsEvery = 30 * time.Second
	auditEvery      = 24 * time.Hour
)

// startSignals watches what has no component: violations and failed
// authentications by the hour, this node's disk, and daily the audit log.
func (a *App) startSignals(ctx context.Context) {
	a.every(ctx, diskEvery, "look at the disk", a.diskSignal)
	a.leased(ctx, "violations by the hour", healthLease, violationsEvery, func(ctx context.Context, _ lease.Held) error {
		return a.violationSignals(ctx)
	})
	a.leased(ctx, "verify the audit log", healthLease, auditEvery, func(ctx context.Context, _ lease.Held) error {
		return a.auditSignal(ctx)
	})
}

// raised returns what fails, by the last word of any node.
func (a *App) raised(ctx context.Context) ([]signal.Fact, error) {
	cs, err := a.incidents.Conditions(ctx)
	out := make([]signal.Fact, len(cs))
	for i, c := range cs {
		out[i] = signal.Fact{Rule: c.Rule, Object: c.Object, Failing: true, Value: c.Value}
	}
	return out, err
}

// diskSignal reports a disk that is low. It clears a little above the limit:
// one that stays about it is one cause.
func (a *App) diskSignal(context.Context) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(a.config().DataDir, &st); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	if st.Blocks == 0 {
		return nil
	}
	free, limit := 100*float64(st.Bavail)/float64(st.Blocks), float64(a.config().Health.DiskFree)
	if a.diskLow {
		limit *= 1.1
	}
	a.diskLow = free < limit
	a.signal(signal.Fact{Rule: "disk_low", Object: "data_dir", Failing: a.diskLow,
		Value: fmt.Sprintf("%.1f %% of the disk of data_dir are free; the limit is %d %%: make room, or move data_dir", free, a.config().Health.DiskFree)})
	return nil
}

// violationSignals counts the refusals of the last hour.
func (a *App) violationSignals(ctx context.Context) error {
	refused, unauthenticated, err := a.db.CountViolations(ctx, a.o.Now().Add(-time.Hour))
	if err != nil {
		return err
	}
	s := a.config().Signals
	a.signal(signal.Fact{Rule: "violations_high", Object: "all", Failing: refused > int64(s.ViolationsPerHour),
		Value: fmt.Sprintf("%d rate limit violations in an hour; the limit is %d", refused, s.ViolationsPerHour)})
	a.signal(signal.Fact{Rule: "auth_failures", Object: "all", Failing: unauthenticated > int64(s.AuthFailuresPerHour),
		Value: fmt.Sprintf("%d failed authentications in an hour were refused; the limit is %d", unauthenticated, s.AuthFailuresPerHour)})
	return nil
}

// auditSignal verifies the whole log.
func (a *App) auditSignal(ctx context.Context) error {
	var o audit.Options
	if since, err := os.ReadFile(filepath.Join(a.checkpointDir(), "latest")); err == nil {
		o.Since = since
	}
	report, err := a.db.VerifyAudit(ctx, o)
	if err != nil {
		return err
	}
	value := fmt.Sprintf("%d entries verify", report.Size)
	if !report.OK() {
		value = fmt.Sprintf("the first of %d findings: %s; run gantry audit verify", len(report.Findings), report.Findings[0])
	}
	a.signal(signal.Fact{Rule: "audit_unverified", Object: "log", Failing: !report.OK(), Value: value})
	return nil
}
