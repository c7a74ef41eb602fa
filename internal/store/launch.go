package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
)

// TopicLaunch moves when the mode, a phase, settings or a maintenance change.
const TopicLaunch = "launch"

// launchHead is locked by every change of the launch state and by every step
// on reservations, so that each sees the other whole.
const launchHead = "launch"

// modeDoc is the stored form of the mode.
type modeDoc struct {
	Mode  launch.Mode `json:"mode"`
	Since time.Time   `json:"since"`
}

// LaunchState implements launch.ControlStore.
func (db *DB) LaunchState(ctx context.Context) (launch.State, error) {
	s, err := launchState(ctx, db.read)
	return s, db.dialect.explain("store.LaunchState", err)
}

func launchState(ctx context.Context, q querier) (launch.State, error) {
	s := launch.NewState()
	err := each(ctx, q, func(r *sql.Rows) error {
		var name, doc string
		var version int64
		if err := r.Scan(&name, &version, &doc); err != nil {
			return err
		}
		s.Versions[name] = version
		return readLaunchDoc(&s, name, version, []byte(doc))
	}, `SELECT name, version, doc FROM launch_docs`)
	s.Calendar = launch.NewCalendar(s.Settings.TimeZone)
	return s, err
}

func readLaunchDoc(s *launch.State, name string, version int64, doc []byte) error {
	switch mode, isPhase := strings.CutPrefix(name, "phase:"); {
	case isPhase:
		var p launch.Phase
		err := json.Unmarshal(doc, &p)
		s.Phases[launch.Mode(mode)] = p
		return err
	case name == launch.DocMode:
		var m modeDoc
		err := json.Unmarshal(doc, &m)
		s.Mode, s.Since, s.Version = m.Mode, m.Since, version
		return err
	case name == launch.DocSettings:
		return json.Unmarshal(doc, &s.Settings)
	case name == launch.DocMaintenance:
		return json.Unmarshal(doc, &s.Maintenance)
	}
	return nil
}

// putLaunchDoc stores a document and tells who changed it when.
func (t *Tx) putLaunchDoc(ctx context.Context, name string, version int64, doc any, at time.Time, by string) error {
	b, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	_, err = t.Exec(ctx, `INSERT INTO launch_docs (name, version, doc, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (name) DO UPDATE SET version = excluded.version, doc = excluded.doc,
			updated_at = excluded.updated_at, updated_by = excluded.updated_by`, name, version, string(b), micros(at), by)
	return err
}

// SaveLaunchDoc implements launch.ControlStore.
func (db *DB) SaveLaunchDoc(ctx context.Context, name string, doc any, ifVersion int64, check func(launch.State) error, e audit.Entry) (int64, error) {
	var version int64
	err := db.Write(ctx, "store.SaveLaunchDoc", func(tx *Tx) error {
		if err := tx.Lock(ctx, launchHead); err != nil {
			return err
		}
		s, err := launchState(ctx, tx.tx)
		if err != nil {
			return err
		}
		version = s.Versions[name]
		if ifVersion >= 0 && ifVersion != version {
			return &fault.Error{Code: fault.Conflict, Op: "store.SaveLaunchDoc", Msg: "it was changed meanwhile: read it again and repeat with its version",
				Detail: fault.Field{Field: "ifVersion", Limit: version, Actual: ifVersion}}
		}
		if check != nil {
			if err := check(s); err != nil {
				return err
			}
		}
		e.Before = launchDoc(&s, name)
		version++
		if err := tx.putLaunchDoc(ctx, name, version, doc, db.now(), e.Actor); err != nil {
			return err
		}
		if err := tx.noteCaps(ctx, db.now()); err != nil {
			return err
		}
		return tx.changed(ctx, TopicLaunch, e)
	})
	return version, err
}

// launchDoc is a document as it was, its default if it was never set.
func launchDoc(s *launch.State, name string) any {
	switch mode, isPhase := strings.CutPrefix(name, "phase:"); {
	case isPhase:
		return s.Phases[launch.Mode(mode)]
	case name == launch.DocSettings:
		return s.Settings
	}
	return s.Maintenance
}

// SetMode implements launch.ControlStore.
func (db *DB) SetMode(ctx context.Context, m launch.Move, e audit.Entry) (launch.Transition, error) {
	var t launch.Transition
	err := db.Write(ctx, "store.SetMode", func(tx *Tx) error {
		if err := tx.Lock(ctx, launchHead); err != nil {
			return err
		}
		s, err := launchState(ctx, tx.tx)
		if err != nil {
			return err
		}
		o, err := tx.overrideOf(ctx, m)
		if err != nil {
			return err
		}
		// It is judged at the moment that it happens, not when it began to wait.
		if now := db.now(); now.After(m.At) {
			m.At = now
		}
		if err := m.Check(&s, o); err != nil {
			return err
		}
		t = launch.Transition{ID: transitionID(s.Version + 1), Version: s.Version + 1, From: s.Mode, To: m.To, At: m.At.UTC().Truncate(time.Microsecond), By: m.By.ID,
			Reason: m.Reason, RevokeOpen: m.RevokeOpen, Report: m.Report.Digest}
		if o != nil {
			t.Override, t.ApprovedBy = o.ID, o.ApprovedBy.ID
		}
		return tx.move(ctx, &t, e)
	})
	return t, err
}

func (t *Tx) overrideOf(ctx context.Context, m launch.Move) (*launch.Override, error) {
	if m.Override == "" {
		return nil, nil
	}
	o, err := overrideByID(ctx, t.tx, m.Override)
	if err != nil {
		return nil, err
	}
	return &o, nil
}

// move writes a transition that was checked.
func (t *Tx) move(ctx context.Context, tr *launch.Transition, e audit.Entry) error {
	if tr.Override != "" {
		if _, err := t.Exec(ctx, `UPDATE launch_overrides SET used_at = $1 WHERE id = $2`, micros(tr.At), tr.Override); err != nil {
			return err
		}
	}
	if tr.RevokeOpen {
		var err error
		if tr.Revoked, err = t.revokeOpen(ctx, tr.At); err != nil {
			return err
		}
	}
	if err := t.putLaunchDoc(ctx, launch.DocMode, tr.Version, modeDoc{Mode: tr.To, Since: tr.At}, tr.At, tr.By); err != nil {
		return err
	}
	if err := t.noteCaps(ctx, tr.At); err != nil {
		return err
	}
	if _, err := t.Exec(ctx, `INSERT INTO launch_history (version, from_mode, to_mode, at, by_id, reason, revoke_open, revoked, override_id, approved_by, report)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, tr.Version, string(tr.From), string(tr.To), micros(tr.At), tr.By, tr.Reason,
		flag(tr.RevokeOpen), tr.Revoked, tr.Override, tr.ApprovedBy, tr.Report); err != nil {
		return err
	}
	e.Before = map[string]any{"mode": tr.From, "version": tr.Version - 1}
	e.After = map[string]any{"mode": tr.To, "version": tr.Version, "revokeOpen": tr.RevokeOpen, "revoked": tr.Revoked, "override": tr.Override, "approvedBy": tr.ApprovedBy, "report": tr.Report}
	return t.changed(ctx, TopicLaunch, e)
}

// noteCaps writes the caps in force to the counters of the day, so that a
// late confirmation is held to the last cap of its own day.
func (t *Tx) noteCaps(ctx context.Context, now time.Time) error {
	s, err := launchState(ctx, t.tx)
	if err != nil {
		return err
	}
	b := launch.NewBooks(now, &s)
	if err := loadDays(ctx, t.source(), b, set{b.Today()}, nil); err != nil {
		return err
	}
	b.NoteCaps()
	return t.saveDays(ctx, b)
}

// LaunchHistory implements launch.ControlStore.
func (db *DB) LaunchHistory(ctx context.Context, before int64, limit int) ([]launch.Transition, error) {
	if before <= 0 {
		before = 1 << 62
	}
	var out []launch.Transition
	err := db.rows(ctx, "store.LaunchHistory", func(r *sql.Rows) error {
		var t launch.Transition
		var at, revoke int64
		err := r.Scan(&t.Version, &t.From, &t.To, &at, &t.By, &t.Reason, &revoke, &t.Revoked, &t.Override, &t.ApprovedBy, &t.Report)
		t.ID, t.At, t.RevokeOpen = transitionID(t.Version), fromMicros(at), revoke == 1
		out = append(out, t)
		return err
	}, `SELECT version, from_mode, to_mode, at, by_id, reason, revoke_open, revoked, override_id, approved_by, report
		FROM launch_history WHERE version < $1 ORDER BY version DESC LIMIT $2`, before, int64(limit))
	return out, err
}

func transitionID(version int64) string { return "mode-" + strconv.FormatInt(version, 10) }

// flag stores a truth value.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

const launchOverrideColumns = `id, from_version, from_mode, to_mode, reason, revoke_open, report, requested_by, requested_owner, requested_at,
	approved_by, approved_owner, approved_at, used_at`

func scanLaunchOverride(r interface{ Scan(...any) error }) (o launch.Override, err error) {
	var revoke, requested, approved, used int64
	err = r.Scan(&o.ID, &o.FromVersion, &o.From, &o.To, &o.Reason, &revoke, &o.Report, &o.RequestedBy.ID, &o.RequestedBy.Owner, &requested,
		&o.ApprovedBy.ID, &o.ApprovedBy.Owner, &approved, &used)
	o.RevokeOpen, o.RequestedAt, o.ApprovedAt, o.UsedAt = revoke == 1, fromMicros(requested), fromMicros(approved), fromMicros(used)
	return o, err
}

func overrideByID(ctx context.Context, q querier, id string) (o launch.Override, err error) {
	found := false
	err = each(ctx, q, func(r *sql.Rows) error {
		found = true
		o, err = scanLaunchOverride(r)
		return err
	}, `SELECT `+launchOverrideColumns+` FROM launch_overrides WHERE id = $1`, id)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "store.Override", "there is no override with that id; list them with GET /v1/launch/overrides")
	}
	return o, err
}

// LaunchOverride implements launch.OverrideStore.
func (db *DB) LaunchOverride(ctx context.Context, id string) (launch.Override, error) {
	o, err := overrideByID(ctx, db.read, id)
	return o, db.dialect.explain("store.Override", err)
}

// LaunchOverrides implements launch.OverrideStore.
func (db *DB) LaunchOverrides(ctx context.Context, limit int) ([]launch.Override, error) {
	var out []launch.Override
	err := db.rows(ctx, "store.Overrides", func(r *sql.Rows) error {
		o, err := scanLaunchOverride(r)
		out = append(out, o)
		return err
	}, `SELECT `+launchOverrideColumns+` FROM launch_overrides ORDER BY requested_at DESC, id LIMIT $1`, int64(limit))
	return out, err
}

// RequestOverride implements launch.OverrideStore.
func (db *DB) RequestOverride(ctx context.Context, o launch.Override, e audit.Entry) error {
	return db.Write(ctx, "store.RequestOverride", func(tx *Tx) error {
		if err := tx.Lock(ctx, launchHead); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO launch_overrides (`+launchOverrideColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '', '', 0, 0)`,
			o.ID, o.FromVersion, string(o.From), string(o.To), o.Reason, flag(o.RevokeOpen), o.Report, o.RequestedBy.ID, o.RequestedBy.Owner, micros(o.RequestedAt)); err != nil {
			return err
		}
		_, err := tx.audit(ctx, e)
		return err
	})
}

// ApproveOverride implements launch.OverrideStore.
func (db *DB) ApproveOverride(ctx context.Context, id string, by launch.Actor, at time.Time, check func(launch.Override, *launch.State) error, e audit.Entry) (launch.Override, error) {
	var o launch.Override
	err := db.Write(ctx, "store.ApproveOverride", func(tx *Tx) error {
		err := tx.Lock(ctx, launchHead)
		if err != nil {
			return err
		}
		s, err := launchState(ctx, tx.tx)
		if err != nil {
			return err
		}
		if o, err = overrideByID(ctx, tx.tx, id); err != nil {
			return err
		}
		if err := check(o, &s); err != nil {
			return err
		}
		o.ApprovedBy, o.ApprovedAt = by, at
		if _, err := tx.Exec(ctx, `UPDATE launch_overrides SET approved_by = $1, approved_owner = $2, approved_at = $3 WHERE id = $4`,
			by.ID, by.Owner, micros(at), id); err != nil {
			return err
		}
		e.After = o
		_, err = tx.audit(ctx, e)
		return err
	})
	return o, err
}
