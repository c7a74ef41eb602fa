package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"avalo.app/gantry/internal/hostsignal"
	"avalo.app/gantry/internal/ratelimit"
)

// violationChunk rows go into one statement, far below either engine's bound
// on parameters.
const (
	violationChunk   = 200
	violationColumns = 14
)

// RecordViolations implements ratelimit.ViolationStore.
func (db *DB) RecordViolations(ctx context.Context, b ratelimit.Batch) error {
	return db.Write(ctx, "store.RecordViolations", func(tx *Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO ratelimit_batches (node, seq, at) VALUES ($1, $2, $3)
			ON CONFLICT (node) DO UPDATE SET seq = excluded.seq, at = excluded.at
			WHERE ratelimit_batches.seq < excluded.seq`, b.Node, b.Seq, micros(db.now()))
		if err != nil || n == 0 { // 0 rows: this batch is already in
			return err
		}
		for chunk := range slices.Chunk(b.Violations, violationChunk) {
			if err := tx.addViolations(ctx, chunk); err != nil {
				return err
			}
		}
		return tx.countViolations(ctx, b.Violations)
	})
}

// The kinds of counts by the minute that are Gantry's own.
const (
	kindViolations   = "ratelimit_violations"
	kindAuthFailures = "auth_failures"
)

// countViolations adds refusals to the minute: rows of violations are of
// whole windows, and do not tell how many there were in an hour.
func (t *Tx) countViolations(ctx context.Context, vs []ratelimit.Violation) error {
	n := map[string]int64{}
	for _, v := range vs {
		switch {
		case v.Shadow:
		case v.Action == ratelimit.AuthFailure:
			n[kindAuthFailures] += v.Count
		default:
			n[kindViolations] += v.Count
		}
	}
	var cs []hostsignal.Count
	for _, kind := range []string{kindAuthFailures, kindViolations} {
		if n[kind] > 0 {
			cs = append(cs, hostsignal.Count{Kind: hostsignal.Kind(kind), Object: "gantry", N: n[kind]})
		}
	}
	return t.addCounts(ctx, t.db.now(), cs)
}

// CountViolations returns how many requests were refused since a moment's
// minute, and how many of those for failed authentications; shadows do not
// count.
func (db *DB) CountViolations(ctx context.Context, since time.Time) (refused, unauthenticated int64, err error) {
	err = db.rows(ctx, "store.CountViolations", func(r *sql.Rows) error {
		var kind string
		var n int64
		if err := r.Scan(&kind, &n); err != nil {
			return err
		}
		if kind == kindAuthFailures {
			unauthenticated = n
		} else {
			refused = n
		}
		return nil
	}, `SELECT kind, CAST(SUM(n) AS bigint) FROM host_signals WHERE minute >= $1 AND kind IN ($2, $3) GROUP BY kind`,
		micros(since.Truncate(time.Minute)), kindViolations, kindAuthFailures)
	return refused, unauthenticated, err
}

func (t *Tx) addViolations(ctx context.Context, vs []ratelimit.Violation) error {
	args := make([]any, 0, violationColumns*len(vs))
	for _, v := range vs {
		dim, offender := offenderOf(v)
		shadow := int64(0)
		if v.Shadow {
			shadow = 1
		}
		args = append(args, v.Action, v.Scope.String(), v.User, v.IPHash, v.DeviceHash, micros(v.WindowStart), shadow,
			v.Window.Microseconds(), v.Limit, v.Count, micros(v.FirstAt), micros(v.LastAt), dim.String(), offender)
	}
	_, err := t.Exec(ctx, `INSERT INTO ratelimit_violations (action, scope, user_id, ip_hash, device_hash, window_start, shadow,
			window_us, limit_units, count, first_at, last_at, offender_dim, offender)
		VALUES `+t.db.dialect.values(len(vs), violationColumns)+`
		ON CONFLICT (action, scope, user_id, ip_hash, device_hash, window_start, shadow) DO UPDATE SET
			count = ratelimit_violations.count + excluded.count,
			limit_units = excluded.limit_units,
			first_at = CASE WHEN excluded.first_at < ratelimit_violations.first_at THEN excluded.first_at ELSE ratelimit_violations.first_at END,
			last_at = CASE WHEN excluded.last_at > ratelimit_violations.last_at THEN excluded.last_at ELSE ratelimit_violations.last_at END`,
		args...)
	return err
}

// offenderOf says who a refusal is laid to; see ratelimit.Offender.
func offenderOf(v ratelimit.Violation) (ratelimit.Scope, string) {
	switch {
	case v.IPHash != "":
		return ratelimit.IP, v.IPHash
	case v.DeviceHash != "":
		return ratelimit.Device, v.DeviceHash
	}
	return ratelimit.User, v.User
}

// where collects conditions with their placeholders.
type where struct {
	conds []string
	args  []any
}

func (w *where) add(cond string, arg any) {
	w.args = append(w.args, arg)
	w.conds = append(w.conds, fmt.Sprintf(cond, len(w.args)))
}

// period selects the rows whose refusals reach into it: a row holds a whole
// window, and its last refusal may have come after the period's end.
func (w *where) period(since, until time.Time) {
	if !since.IsZero() {
		w.add("last_at >= $%d", micros(since))
	}
	if !until.IsZero() {
		w.add("first_at < $%d", micros(until))
	}
}

func (w *where) sql() string {
	if len(w.conds) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conds, " AND ")
}

// Violations implements ratelimit.ViolationStore.
func (db *DB) Violations(ctx context.Context, f ratelimit.ViolationFilter) ([]ratelimit.Violation, error) {
	var w where
	for _, c := range [...]struct{ column, value string }{
		{"user_id", f.User}, {"ip_hash", f.IPHash}, {"device_hash", f.DeviceHash}, {"action", f.Action},
	} {
		if c.value != "" {
			w.add(c.column+" = $%d", c.value)
		}
	}
	w.period(f.Since, f.Until)
	w.args = append(w.args, int64(f.Limit))
	var out []ratelimit.Violation
	err := db.rows(ctx, "store.Violations", func(r *sql.Rows) error {
		v, err := scanViolation(r)
		out = append(out, v)
		return err
	}, `SELECT action, scope, user_id, ip_hash, device_hash, window_start, shadow, window_us, limit_units, count, first_at, last_at
		FROM ratelimit_violations`+w.sql()+
		fmt.Sprintf(` ORDER BY last_at DESC, action, scope, user_id, ip_hash, device_hash LIMIT $%d`, len(w.args)), w.args...)
	return out, err
}

func scanViolation(r *sql.Rows) (v ratelimit.Violation, err error) {
	var scope string
	var start, shadow, window, first, last int64
	if err := r.Scan(&v.Action, &scope, &v.User, &v.IPHash, &v.DeviceHash, &start, &shadow, &window,
		&v.Limit, &v.Count, &first, &last); err != nil {
		return v, err
	}
	var ok bool
	if v.Scope, ok = ratelimit.ParseScope(scope); !ok {
		return v, errors.New("ratelimit_violations holds an unknown scope")
	}
	v.WindowStart, v.Shadow, v.Window = fromMicros(start), shadow == 1, time.Duration(window)*time.Microsecond
	v.FirstAt, v.LastAt = fromMicros(first), fromMicros(last)
	return v, nil
}

// Offenders implements ratelimit.ViolationStore.
func (db *DB) Offenders(ctx context.Context, f ratelimit.OffenderFilter) ([]ratelimit.Offender, error) {
	w := where{conds: []string{"shadow = 0"}} // under trial nobody was refused
	if f.Dimension != 0 {
		w.add("offender_dim = $%d", f.Dimension.String())
	}
	w.period(f.Since, f.Until)
	w.args = append(w.args, int64(f.Limit))
	// The top subjects first, then their actions, in one statement and so in
	// one snapshot.
	query := `WITH top AS (
			SELECT offender_dim, offender, CAST(SUM(count) AS bigint) AS total, MAX(last_at) AS last
			FROM ratelimit_violations` + w.sql() + `
			GROUP BY offender_dim, offender
			ORDER BY total DESC, offender_dim, offender LIMIT ` + fmt.Sprintf("$%d", len(w.args)) + `)
		SELECT DISTINCT t.offender_dim, t.offender, t.total, t.last, v.action
		FROM top t JOIN (SELECT offender_dim, offender, action FROM ratelimit_violations` + w.sql() + `) v
			ON v.offender_dim = t.offender_dim AND v.offender = t.offender
		ORDER BY t.total DESC, t.offender_dim, t.offender, v.action`
	var out []ratelimit.Offender
	err := db.rows(ctx, "store.Offenders", func(r *sql.Rows) error {
		var o ratelimit.Offender
		var dim, action string
		var last int64
		if err := r.Scan(&dim, &o.Subject, &o.Count, &last, &action); err != nil {
			return err
		}
		o.Dimension, _ = ratelimit.ParseScope(dim)
		if n := len(out); n > 0 && out[n-1].Dimension == o.Dimension && out[n-1].Subject == o.Subject {
			out[n-1].Actions = append(out[n-1].Actions, action)
			return nil
		}
		o.LastAt, o.Actions = fromMicros(last), []string{action}
		out = append(out, o)
		return nil
	}, query, w.args...)
	return out, err
}

// TopActions returns the actions with the most refusals since a moment,
// highest first: of all windows that had one since. Failed authentications and
// shadows do not count, as in CountViolations.
func (db *DB) TopActions(ctx context.Context, since time.Time, limit int) ([]ratelimit.ActionCount, error) {
	var out []ratelimit.ActionCount
	err := db.rows(ctx, "store.TopActions", func(r *sql.Rows) error {
		var c ratelimit.ActionCount
		err := r.Scan(&c.Action, &c.Count)
		out = append(out, c)
		return err
	}, `SELECT action, CAST(SUM(count) AS bigint) AS total FROM ratelimit_violations
		WHERE shadow = 0 AND last_at >= $1 AND action <> $2
		GROUP BY action ORDER BY total DESC, action LIMIT $3`, micros(since), ratelimit.AuthFailure, int64(limit))
	return out, err
}
