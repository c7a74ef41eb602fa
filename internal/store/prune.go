package store

import (
	"context"
	"time"

	"avalo.app/gantry/internal/lease"
)

// PruneViolations deletes about limit rows, those whose last refusal is
// oldest and was before, under the lease, and returns how many went.
func (db *DB) PruneViolations(ctx context.Context, before time.Time, limit int, h lease.Held) (int64, error) {
	var n int64
	err := db.Write(ctx, "store.PruneViolations", func(tx *Tx) error {
		n = 0
		if err := tx.underLease(ctx, h); err != nil {
			return err
		}
		// The limit-th oldest row bounds the delete, so that one transaction
		// stays short whatever piled up. Rows of the same instant go with it.
		var bound int64
		err := tx.QueryRow(ctx, `SELECT COALESCE(MAX(last_at), 0) FROM (SELECT last_at FROM ratelimit_violations
			WHERE last_at < $1 ORDER BY last_at LIMIT $2) AS oldest`, micros(before), int64(limit)).Scan(&bound)
		if err != nil {
			return err
		}
		if n, err = tx.Exec(ctx, `DELETE FROM ratelimit_violations WHERE last_at <= $1 AND last_at < $2`, bound, micros(before)); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM ratelimit_batches WHERE at < $1`, micros(before))
		return err
	})
	return n, err
}
