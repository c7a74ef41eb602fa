package store

import (
	"context"

	"avalo.app/gantry/internal/lease"
)

// WriteUnder is a write under a lease: it bumps a topic after calling then,
// which runs with the lease's row locked.
func (db *DB) WriteUnder(ctx context.Context, h lease.Held, topic string, then func() error) error {
	return db.Write(ctx, "store.WriteUnder", func(tx *Tx) error {
		if err := tx.underLease(ctx, h); err != nil {
			return err
		}
		if err := then(); err != nil {
			return err
		}
		return tx.bump(ctx, topic)
	})
}

// Bump is a write of a request.
func (db *DB) Bump(ctx context.Context, topic string, then func() error) error {
	return db.Write(ctx, "store.Bump", func(tx *Tx) error {
		if err := tx.bump(ctx, topic); err != nil {
			return err
		}
		return then()
	})
}
