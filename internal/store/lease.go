package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/lease"
)

// AcquireLease implements lease.Store.
func (db *DB) AcquireLease(ctx context.Context, name, holder string, ttl time.Duration) (lease.Held, bool, error) {
	h := lease.Held{Name: name}
	err := db.Write(ctx, "store.AcquireLease", func(tx *Tx) error {
		now := db.now()
		return tx.QueryRow(ctx, `INSERT INTO leases (name, holder, token, expires_at) VALUES ($1, $2, 1, $3)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = leases.token + 1, expires_at = excluded.expires_at
			WHERE leases.expires_at <= $4
			RETURNING token`, name, holder, micros(now.Add(ttl)), micros(now)).Scan(&h.Token)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return lease.Held{}, false, nil
	}
	if err != nil {
		return lease.Held{}, false, err
	}
	return h, true, nil
}

// RenewLease implements lease.Store.
func (db *DB) RenewLease(ctx context.Context, h lease.Held, ttl time.Duration) (bool, error) {
	var n int64
	err := db.Write(ctx, "store.RenewLease", func(tx *Tx) (err error) {
		now := db.now()
		n, err = tx.Exec(ctx, `UPDATE leases SET expires_at = $3 WHERE name = $1 AND token = $2 AND expires_at > $4`,
			h.Name, h.Token, micros(now.Add(ttl)), micros(now))
		return err
	})
	return n == 1, err
}

// ReleaseLease implements lease.Store.
func (db *DB) ReleaseLease(ctx context.Context, h lease.Held) error {
	return db.Write(ctx, "store.ReleaseLease", func(tx *Tx) error {
		_, err := tx.Exec(ctx, `UPDATE leases SET expires_at = 0 WHERE name = $1 AND token = $2`, h.Name, h.Token)
		return err
	})
}

// underLease makes the transaction fail unless the lease is still held, and
// keeps it from being taken over until the transaction ends: the update that
// changes nothing locks the row on both engines. Call it first.
func (t *Tx) underLease(ctx context.Context, h lease.Held) error {
	n, err := t.Exec(ctx, `UPDATE leases SET token = token WHERE name = $1 AND token = $2 AND expires_at > $3`,
		h.Name, h.Token, micros(t.db.now()))
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.Conflict, "store.underLease", "the lease %q was lost; nothing was changed, and whoever holds it now goes on", h.Name)
	}
	return nil
}
