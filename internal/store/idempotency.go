package store

import (
	"context"
	"encoding/json"
	"time"

	"avalo.app/gantry/internal/idempotency"
	"avalo.app/gantry/internal/lease"
)

// UpdateIdempotency implements idempotency.Store.
func (db *DB) UpdateIdempotency(ctx context.Context, id idempotency.ID, decide func(*idempotency.Record) (bool, error)) error {
	return db.Write(ctx, "store.UpdateIdempotency", func(tx *Tx) error {
		r, err := tx.lockIdempotency(ctx, id)
		if err != nil {
			return err
		}
		save, err := decide(&r)
		if err != nil {
			return err
		}
		if !save {
			return nil
		}
		return tx.saveIdempotency(ctx, id, r)
	})
}

// lockIdempotency reads a record and locks its row until the transaction
// ends. The update that changes nothing locks on both engines, and the
// insert makes the row to lock; if decide wants none, it stays free and
// unclaimed until it is swept.
func (t *Tx) lockIdempotency(ctx context.Context, id idempotency.ID) (r idempotency.Record, err error) {
	var inSQL, leased, expires, status int64
	var header string
	err = t.QueryRow(ctx, `INSERT INTO idempotency (kind, scope, key, state, token, fingerprint, in_sql,
			lease_until, expires_at, status, header, body)
		VALUES ($1, $2, $3, $4, 0, $5, 0, 0, 1, 0, '', $5)
		ON CONFLICT (kind, scope, key) DO UPDATE SET token = idempotency.token
		RETURNING state, token, fingerprint, in_sql, lease_until, expires_at, status, header, body`,
		string(id.Kind), id.Scope, id.Key, string(idempotency.StateFree), []byte{}).
		Scan(&r.State, &r.Token, &r.Fingerprint, &inSQL, &leased, &expires, &status, &header, &r.Answer.Body)
	if err != nil {
		return r, err
	}
	r.InSQL, r.LeaseUntil, r.ExpiresAt, r.Answer.Status = inSQL == 1, fromMicros(leased), fromMicros(expires), int(status)
	if header != "" {
		err = json.Unmarshal([]byte(header), &r.Answer.Header)
	}
	return r, err
}

func (t *Tx) saveIdempotency(ctx context.Context, id idempotency.ID, r idempotency.Record) error {
	var header []byte
	if len(r.Answer.Header) > 0 {
		var err error
		if header, err = json.Marshal(r.Answer.Header); err != nil {
			return err
		}
	}
	inSQL := int64(0)
	if r.InSQL {
		inSQL = 1
	}
	_, err := t.Exec(ctx, `UPDATE idempotency SET state = $4, token = $5, fingerprint = $6, in_sql = $7,
			lease_until = $8, expires_at = $9, status = $10, header = $11, body = $12
		WHERE kind = $1 AND scope = $2 AND key = $3`,
		string(id.Kind), id.Scope, id.Key, string(r.State), r.Token, nonNil(r.Fingerprint), inSQL,
		micros(r.LeaseUntil), micros(r.ExpiresAt), int64(r.Answer.Status), string(header), nonNil(r.Answer.Body))
	return err
}

// nonNil keeps a driver from storing no bytes as NULL.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// commitClaim is the fence of idempotency.Store: it marks the claim of the
// request that the transaction belongs to, if any, as committed. It runs
// last, so that its row is locked for as short as can be.
func (t *Tx) commitClaim(ctx context.Context) error {
	c, ok := idempotency.From(ctx)
	if !ok {
		return nil
	}
	n, err := t.Exec(ctx, `UPDATE idempotency SET state = $1
		WHERE kind = $2 AND scope = $3 AND key = $4 AND token = $5 AND state IN ($1, $6)`,
		string(idempotency.StateCommitted), string(idempotency.KindRequest), c.Scope, c.Key, c.Token, string(idempotency.StateInProgress))
	if err != nil {
		return err
	}
	if n == 0 {
		return idempotency.Lost("store.commitClaim")
	}
	return nil
}

// SweepIdempotency removes up to limit records that expired before now,
// under the lease, and returns how many went. Operations in progress or in
// doubt never expire, and so are never removed.
func (db *DB) SweepIdempotency(ctx context.Context, now time.Time, limit int, h lease.Held) (int64, error) {
	var n int64
	err := db.Write(ctx, "store.SweepIdempotency", func(tx *Tx) error {
		if err := tx.underLease(ctx, h); err != nil {
			return err
		}
		var err error
		// The condition stands twice: a row that is claimed anew between the
		// choice and the delete must stay.
		n, err = tx.Exec(ctx, `DELETE FROM idempotency WHERE (kind, scope, key) IN (
				SELECT kind, scope, key FROM idempotency WHERE expires_at > 0 AND expires_at <= $1
				ORDER BY expires_at LIMIT $2)
			AND expires_at > 0 AND expires_at <= $1`, micros(now), int64(limit))
		return err
	})
	return n, err
}
