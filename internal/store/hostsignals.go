package store

import (
	"context"
	"database/sql"
	"time"

	"avalo.app/gantry/internal/hostsignal"
	"avalo.app/gantry/internal/lease"
)

// AddSignals implements hostsignal.Store.
func (db *DB) AddSignals(ctx context.Context, at time.Time, cs []hostsignal.Count) error {
	return db.Write(ctx, "store.AddSignals", func(tx *Tx) error { return tx.addCounts(ctx, at, cs) })
}

// addCounts adds to the minute of at. cs are in the order of their keys, or two
// transactions could wait for each other.
func (t *Tx) addCounts(ctx context.Context, at time.Time, cs []hostsignal.Count) error {
	if len(cs) == 0 {
		return nil
	}
	minute := micros(at.Truncate(time.Minute))
	args := make([]any, 0, 4*len(cs))
	for _, c := range cs {
		args = append(args, minute, string(c.Kind), c.Object, c.N)
	}
	_, err := t.Exec(ctx, `INSERT INTO host_signals (minute, kind, object, n) VALUES `+t.db.dialect.values(len(cs), 4)+`
		ON CONFLICT (minute, kind, object) DO UPDATE SET n = host_signals.n + excluded.n`, args...)
	return err
}

// Signals implements hostsignal.Store.
func (db *DB) Signals(ctx context.Context, since time.Time) ([]hostsignal.Bucket, error) {
	var out []hostsignal.Bucket
	err := db.rows(ctx, "store.Signals", func(r *sql.Rows) error {
		var b hostsignal.Bucket
		var minute int64
		if err := r.Scan(&minute, &b.Kind, &b.Object, &b.N); err != nil {
			return err
		}
		b.Minute = fromMicros(minute)
		out = append(out, b)
		return nil
	}, `SELECT minute, kind, object, n FROM host_signals WHERE minute >= $1 AND kind NOT IN ($2, $3) ORDER BY minute, kind, object`, micros(since.Truncate(time.Minute)), kindViolations, kindAuthFailures)
	return out, err
}

// PruneSignals deletes the counts of minutes before a moment, under the
// lease; about limit rows at a time.
func (db *DB) PruneSignals(ctx context.Context, before time.Time, limit int, h lease.Held) (int64, error) {
	var n int64
	err := db.Write(ctx, "store.PruneSignals", func(tx *Tx) (err error) {
		if err := tx.underLease(ctx, h); err != nil {
			return err
		}
		n, err = tx.Exec(ctx, `DELETE FROM host_signals WHERE minute <= (SELECT COALESCE(MAX(minute), 0) FROM
			(SELECT minute FROM host_signals WHERE minute < $1 ORDER BY minute LIMIT $2) AS oldest)`, micros(before), int64(limit))
		return err
	})
	return n, err
}
