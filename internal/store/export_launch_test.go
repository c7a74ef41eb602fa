package store

import "context"

// ExecRaw changes rows behind the store's back.
func (db *DB) ExecRaw(ctx context.Context, query string, args ...any) error {
	return db.Write(ctx, "store.ExecRaw", func(tx *Tx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	})
}
