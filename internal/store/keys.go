package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
)

// TopicKeys moves when a key is made or revoked; see Revisions.
const TopicKeys = "access.keys"

// Keys implements access.KeyStore.
func (db *DB) Keys(ctx context.Context) ([]access.StoredKey, error) {
	var out []access.StoredKey
	err := db.rows(ctx, "store.Keys", func(r *sql.Rows) error {
		var k access.StoredKey
		var hash []byte
		var created, expires, used, revoked, bootstrap int64
		if err := r.Scan(&k.ID, &hash, &k.Role, &k.Label, &k.Owner, &k.CreatedBy,
			&created, &expires, &used, &revoked, &bootstrap); err != nil {
			return err
		}
		if copy(k.Hash[:], hash) != len(k.Hash) || len(hash) != len(k.Hash) {
			return fmt.Errorf("the hash of key %s has %d bytes", k.ID, len(hash))
		}
		k.CreatedAt, k.ExpiresAt = fromMicros(created), fromMicros(expires)
		k.LastUsedAt, k.RevokedAt, k.Bootstrap = fromMicros(used), fromMicros(revoked), bootstrap == 1
		out = append(out, k)
		return nil
	}, `SELECT id, hash, role, label, owner, created_by, created_at, expires_at, last_used_at, revoked_at, bootstrap
		FROM access_keys ORDER BY created_at, id`)
	return out, err
}

// CreateKey implements access.KeyStore.
func (db *DB) CreateKey(ctx context.Context, k access.StoredKey, e audit.Entry) error {
	return db.Write(ctx, "store.CreateKey", func(tx *Tx) error {
		if err := tx.Lock(ctx, "access"); err != nil {
			return err
		}
		if err := tx.insertKey(ctx, k); err != nil {
			return err
		}
		return tx.changed(ctx, TopicKeys, e)
	})
}

// RevokeKey implements access.KeyStore.
func (db *DB) RevokeKey(ctx context.Context, id string, at time.Time, e audit.Entry) error {
	return db.Write(ctx, "store.RevokeKey", func(tx *Tx) error {
		if err := tx.Lock(ctx, "access"); err != nil {
			return err
		}
		var revoked int64
		err := tx.QueryRow(ctx, `SELECT revoked_at FROM access_keys WHERE id = $1`, id).Scan(&revoked)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return fault.New(fault.NotFound, "store.RevokeKey", "there is no key with that id; list them with gantry key list or GET /v1/keys")
		case err != nil:
			return err
		case revoked != 0: // a repeat: done, and on record
			return nil
		}
		if _, err := tx.Exec(ctx, `UPDATE access_keys SET revoked_at = $2 WHERE id = $1`, id, micros(at)); err != nil {
			return err
		}
		return tx.changed(ctx, TopicKeys, e)
	})
}

// TouchKeys implements access.KeyStore. It bumps no topic: nobody waits for
// a last use.
func (db *DB) TouchKeys(ctx context.Context, uses map[string]time.Time) error {
	return db.Write(ctx, "store.TouchKeys", func(tx *Tx) error {
		// In order of id, so that nodes that write at once cannot deadlock.
		for _, id := range slices.Sorted(maps.Keys(uses)) {
			if _, err := tx.Exec(ctx, `UPDATE access_keys SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2`,
				id, micros(uses[id])); err != nil {
				return err
			}
		}
		return nil
	})
}

// BootstrapKey implements access.KeyStore.
func (db *DB) BootstrapKey(ctx context.Context, k access.StoredKey, e audit.Entry) (created bool, err error) {
	err = db.Write(ctx, "store.BootstrapKey", func(tx *Tx) error {
		created = false
		if err := tx.Lock(ctx, "access"); err != nil {
			return err
		}
		var n int64
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM access_keys`).Scan(&n); err != nil || n > 0 {
			return err
		}
		if err := tx.insertKey(ctx, k); err != nil {
			return err
		}
		created = true
		return tx.changed(ctx, TopicKeys, e)
	})
	return created && err == nil, err
}

func (t *Tx) insertKey(ctx context.Context, k access.StoredKey) error {
	bootstrap := int64(0)
	if k.Bootstrap {
		bootstrap = 1
	}
	_, err := t.Exec(ctx, `INSERT INTO access_keys (id, hash, role, label, owner, created_by,
			created_at, expires_at, last_used_at, revoked_at, bootstrap)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, $9)`,
		k.ID, k.Hash[:], string(k.Role), k.Label, k.Owner, k.CreatedBy, micros(k.CreatedAt), micros(k.ExpiresAt), bootstrap)
	return err
}
