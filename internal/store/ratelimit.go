package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/ratelimit"
)

// The topics that move when policies or overrides change; see Revisions.
const (
	TopicPolicies  = "ratelimit.policies"
	TopicOverrides = "ratelimit.overrides"
)

// Policies implements ratelimit.PolicyStore.
func (db *DB) Policies(ctx context.Context) ([]ratelimit.StoredPolicy, error) {
	var out []ratelimit.StoredPolicy
	err := db.rows(ctx, "store.Policies", func(r *sql.Rows) error {
		var p ratelimit.StoredPolicy
		var doc sql.NullString
		var at int64
		if err := r.Scan(&p.Action, &p.Version, &doc, &at, &p.UpdatedBy); err != nil {
			return err
		}
		p.UpdatedAt = fromMicros(at)
		if doc.Valid {
			p.Policy = new(ratelimit.Policy)
			if err := json.Unmarshal([]byte(doc.String), p.Policy); err != nil {
				return err
			}
		}
		out = append(out, p)
		return nil
	}, `SELECT action, version, policy, updated_at, updated_by FROM ratelimit_policies ORDER BY action`)
	return out, err
}

// SavePolicy implements ratelimit.PolicyStore.
func (db *DB) SavePolicy(ctx context.Context, p ratelimit.StoredPolicy, ifVersion int64, e audit.Entry) (ratelimit.StoredPolicy, error) {
	var doc any
	if p.Policy != nil {
		b, err := json.Marshal(p.Policy)
		if err != nil {
			return p, err
		}
		doc = string(b)
	}
	err := db.Write(ctx, "store.SavePolicy", func(tx *Tx) error {
		if err := tx.Lock(ctx, "ratelimit"); err != nil {
			return err
		}
		var version int64
		var stored sql.NullString
		err := tx.QueryRow(ctx, `SELECT version, policy FROM ratelimit_policies WHERE action = $1`, p.Action).Scan(&version, &stored)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if ifVersion >= 0 && ifVersion != version {
			return &fault.Error{Code: fault.Conflict, Op: "store.SavePolicy",
				Msg:    "the policy was changed meanwhile; read it again and repeat with its version",
				Detail: fault.Field{Field: "version", Limit: version, Actual: ifVersion}}
		}
		p.Version = version + 1
		if _, err := tx.Exec(ctx, `INSERT INTO ratelimit_policies (action, version, policy, updated_at, updated_by)
			VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (action) DO UPDATE SET version = excluded.version, policy = excluded.policy,
				updated_at = excluded.updated_at, updated_by = excluded.updated_by`,
			p.Action, p.Version, doc, micros(p.UpdatedAt), p.UpdatedBy); err != nil {
			return err
		}
		leaf := e
		if stored.Valid {
			leaf.Before = json.RawMessage(stored.String)
		}
		return tx.changed(ctx, TopicPolicies, leaf)
	})
	return p, err
}

// Overrides implements ratelimit.PolicyStore.
func (db *DB) Overrides(ctx context.Context, now time.Time) ([]ratelimit.Override, error) {
	var out []ratelimit.Override
	err := db.rows(ctx, "store.Overrides", func(r *sql.Rows) error {
		o, err := scanOverride(r.Scan)
		out = append(out, o)
		return err
	}, `SELECT `+overrideColumns+` FROM ratelimit_overrides WHERE expires_at > $1 ORDER BY created_at DESC, id`, micros(now))
	return out, err
}

const overrideColumns = "id, dimension, subject, action, multiplier, exempt, block_until, expires_at, reason, created_by, created_at"

// scanOverride reads overrideColumns.
func scanOverride(scan func(...any) error) (o ratelimit.Override, err error) {
	var dim string
	var exempt, block, expires, created int64
	if err := scan(&o.ID, &dim, &o.Subject, &o.Action, &o.Multiplier, &exempt, &block, &expires,
		&o.Reason, &o.CreatedBy, &created); err != nil {
		return o, err
	}
	o.Dimension, _ = ratelimit.ParseScope(dim)
	o.Exempt, o.BlockUntil, o.ExpiresAt, o.CreatedAt = exempt == 1, fromMicros(block), fromMicros(expires), fromMicros(created)
	return o, nil
}

// SaveOverride implements ratelimit.PolicyStore.
func (db *DB) SaveOverride(ctx context.Context, o ratelimit.Override, e audit.Entry) error {
	return db.Write(ctx, "store.SaveOverride", func(tx *Tx) error {
		if err := tx.Lock(ctx, "ratelimit"); err != nil {
			return err
		}
		leaf := e
		before, err := scanOverride(tx.QueryRow(ctx, `DELETE FROM ratelimit_overrides WHERE dimension = $1 AND subject = $2 AND action = $3
			RETURNING `+overrideColumns, o.Dimension.String(), o.Subject, o.Action).Scan)
		switch {
		case err == nil:
			leaf.Before = before
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		exempt := int64(0)
		if o.Exempt {
			exempt = 1
		}
		if _, err := tx.Exec(ctx, `INSERT INTO ratelimit_overrides (`+overrideColumns+`)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			o.ID, o.Dimension.String(), o.Subject, o.Action, o.Multiplier, exempt,
			micros(o.BlockUntil), micros(o.ExpiresAt), o.Reason, o.CreatedBy, micros(o.CreatedAt)); err != nil {
			return err
		}
		return tx.changed(ctx, TopicOverrides, leaf)
	})
}

// RemoveOverride implements ratelimit.PolicyStore.
func (db *DB) RemoveOverride(ctx context.Context, id string, e audit.Entry) error {
	return db.Write(ctx, "store.RemoveOverride", func(tx *Tx) error {
		if err := tx.Lock(ctx, "ratelimit"); err != nil {
			return err
		}
		before, err := scanOverride(tx.QueryRow(ctx, `DELETE FROM ratelimit_overrides WHERE id = $1 RETURNING `+overrideColumns, id).Scan)
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "store.RemoveOverride", "there is no override with that id; list them with GET /v1/ratelimit/overrides")
		}
		if err != nil {
			return err
		}
		leaf := e
		leaf.Before = before
		return tx.changed(ctx, TopicOverrides, leaf)
	})
}

// changed ends a change's transaction: every node is told, and the audit
// leaf commits with it. The audit head is locked last, everywhere.
func (t *Tx) changed(ctx context.Context, topic string, e audit.Entry) error {
	if err := t.bump(ctx, topic); err != nil {
		return err
	}
	_, err := t.audit(ctx, e)
	return err
}
