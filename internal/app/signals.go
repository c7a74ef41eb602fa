package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/hostsignal"
	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/launch"
	"avalo.app/gantry/internal/lease"
	"avalo.app/gantry/internal/signal"
)

// The pace of what Gantry says of itself.
const (
	diskEvery  = 10 * time.Second
	ownEvery   = 10 * time.Second
	auditEvery = 24 * time.Hour
	auditAgain = time.Hour        // while it does not verify
	auditLook  = 10 * time.Second // whether it is time
)

// startSignals watches what has no component: violations and failed
// authentications by the hour, receivers and signups, this node's disk, and
// daily the audit log.
func (a *App) startSignals(ctx context.Context) {
	a.atOnce(ctx, diskEvery, "look at the disk", a.diskSignal)
	a.leased(ctx, "own signals", healthLease, ownEvery, func(ctx context.Context, _ lease.Held) error {
		raised, err := a.raised(ctx)
		if err != nil {
			return err
		}
		a.receiverSignals(raised)
		return errors.Join(a.violationSignals(ctx, raised), a.unbackedSignals(ctx, raised))
	})
	a.leased(ctx, "verify the audit log", healthLease, auditLook, func(ctx context.Context, _ lease.Held) error {
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
	if err := a.statfs(a.config().DataDir, &st); err != nil {
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
func (a *App) violationSignals(ctx context.Context, raised []signal.Fact) error {
	refused, unauthenticated, err := a.db.CountViolations(ctx, a.o.Now().Add(-time.Hour))
	if err != nil {
		return err
	}
	s := a.config().Signals
	for _, c := range []struct {
		rule, text string
		n          int64
		limit      int
	}{
		{"violations_high", "%d rate limit violations in an hour; the limit is %d", refused, s.ViolationsPerHour},
		{"auth_failures", "%d failed authentications in an hour were refused; the limit is %d", unauthenticated, s.AuthFailuresPerHour},
	} {
		limit := float64(c.limit)
		if slices.ContainsFunc(raised, func(f signal.Fact) bool { return f.Rule == c.rule }) {
			limit *= hostsignal.Calm
		}
		a.signal(signal.Fact{Rule: c.rule, Object: "all", Failing: float64(c.n) > limit, Value: fmt.Sprintf(c.text, c.n, c.limit)})
	}
	return nil
}

// receiverSignals ends what is said of receivers that are gone: nothing is
// sent to them that could show that they accept.
func (a *App) receiverSignals(raised []signal.Fact) {
	for _, f := range raised {
		if _, ok := a.receivers[f.Object]; f.Rule == incident.ReceiverFailing && !ok {
			a.signal(signal.Fact{Rule: f.Rule, Object: f.Object, Value: "no longer configured"})
		}
	}
}

// unbackedMost bounds the accounts that are looked at.
const unbackedMost = 1000

// unbackedSignals holds the facts about accounts without a slot to the list of
// them: a node may have died between the signup and its fact.
func (a *App) unbackedSignals(ctx context.Context, raised []signal.Fact) error {
	const rule = "signup_unbacked"
	list, err := a.db.Signups(ctx, launch.SignupFilter{State: launch.Unbacked, Limit: unbackedMost})
	if err != nil {
		return err
	}
	told := map[string]bool{}
	for _, f := range raised {
		told[f.Object] = told[f.Object] || f.Rule == rule
	}
	for _, r := range list {
		if !told[r.ID] {
			a.signal(signal.Fact{Rule: rule, Object: r.ID, Failing: true, Value: r.Day})
		}
		delete(told, r.ID)
	}
	for id, ours := range told {
		if ours && len(list) < unbackedMost {
			a.signal(signal.Fact{Rule: rule, Object: id, Value: "it has a slot, or is gone"})
		}
	}
	return nil
}

// auditSignal verifies the whole log, once a day on this node, and sooner
// if it does not verify or could not be read. A log that verified is not read again at every
// takeover.
func (a *App) auditSignal(ctx context.Context) error {
	now := a.o.Now()
	if now.Before(a.auditDue) {
		return nil
	}
	var o audit.Options
	switch since, err := os.ReadFile(filepath.Join(a.checkpointDir(), "latest")); {
	case err == nil:
		o.Since = since
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("audit.checkpoint_dir: %w", err)
	}
	report, err := a.db.VerifyAudit(ctx, o)
	if err != nil {
		return err
	}
	a.auditDue = now.Add(auditEvery)
	value := fmt.Sprintf("%d entries verify", report.Size)
	if !report.OK() {
		a.auditDue = now.Add(auditAgain)
		value = fmt.Sprintf("the first of %d findings: %s; run gantry audit verify", int64(len(report.Findings))+report.More, report.Findings[0])
	}
	a.signal(signal.Fact{Rule: "audit_unverified", Object: "log", Failing: !report.OK(), Value: value})
	return nil
}
