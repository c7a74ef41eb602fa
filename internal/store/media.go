package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/idempotency"
	"avalo.app/gantry/internal/lease"
	"avalo.app/gantry/internal/media"
)

const mediaHead = "media"

const objectColumns = `o.id, o.owner, o.sha256, o.key, o.mime, o.size, o.stored, o.created_at`

func objectInto(o *media.Object, created *int64) []any {
	return []any{&o.ID, &o.Owner, &o.SHA256, &o.Key, &o.MIME, &o.Size, &o.Stored, created}
}

// onMedia runs one change of uploads and objects.
func (db *DB) onMedia(ctx context.Context, op string, fn func(*Tx) error) error {
	return db.Write(ctx, op, func(tx *Tx) error {
		if err := tx.Lock(ctx, mediaHead); err != nil {
			return err
		}
		return fn(tx)
	})
}

// BeginObject implements media.Store.
func (db *DB) BeginObject(ctx context.Context, o media.Object) (got media.Object, live bool, err error) {
	err = db.onMedia(idempotency.Without(ctx), "store.BeginObject", func(tx *Tx) error {
		got, live = media.Object{}, false
		var state string
		var created int64
		err := tx.QueryRow(ctx, `SELECT o.state, `+objectColumns+` FROM media_objects o WHERE o.owner = $1 AND o.sha256 = $2 AND o.state <> 'deleting'`, o.Owner, o.SHA256).
			Scan(append([]any{&state}, objectInto(&got, &created)...)...)
		if errors.Is(err, sql.ErrNoRows) {
			got = o
			_, err := tx.Exec(ctx, `INSERT INTO media_objects (id, owner, sha256, key, state, refs, mime, size, stored, created_at, touched_at)
				VALUES ($1, $2, $3, $4, 'pending', 0, $5, $6, $7, $8, $8)`, o.ID, o.Owner, o.SHA256, o.Key, o.MIME, o.Size, o.Stored, micros(o.CreatedAt))
			return err
		}
		if err != nil {
			return err
		}
		got.CreatedAt, live = fromMicros(created), state == "live"
		if live {
			return nil
		}
		// Another upload of the same content is being written, or was when its
		// process died: both write the same bytes.
		_, err = tx.Exec(ctx, `UPDATE media_objects SET touched_at = $1 WHERE id = $2`, micros(o.CreatedAt), got.ID)
		return err
	})
	return got, live, err
}

// FinishObject implements media.Store.
func (db *DB) FinishObject(ctx context.Context, id string, u media.Upload) (media.Upload, error) {
	err := db.onMedia(ctx, "store.FinishObject", func(tx *Tx) error {
		var created int64
		err := tx.QueryRow(ctx, `UPDATE media_objects SET state = 'live' WHERE id = $1 AND state IN ('pending', 'live') RETURNING `+strings.ReplaceAll(objectColumns, "o.", ""), id).
			Scan(objectInto(&u.Object, &created)...)
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.Conflict, "store.FinishObject", "the object was collected meanwhile: store the upload again")
		}
		if err != nil {
			return err
		}
		u.Object.CreatedAt = fromMicros(created)
		return tx.refer(ctx, u)
	})
	return u, err
}

// refer makes the upload a reference to its object, once. One that waited in
// quarantine and was deleted meanwhile stays deleted.
func (t *Tx) refer(ctx context.Context, u media.Upload) error {
	var was string
	err := t.QueryRow(ctx, `SELECT object_id FROM media_uploads WHERE id = $1`, u.ID).Scan(&was)
	switch {
	case err == nil && was == u.Object.ID:
		return nil // repeated
	case err == nil && was != "":
		return fault.New(fault.Conflict, "store.refer", "the upload was verified already")
	case errors.Is(err, sql.ErrNoRows) && u.Quarantine != "":
		return fault.New(fault.NotFound, "store.refer", "the upload was deleted while it was verified")
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return err
	}
	if _, err := t.Exec(ctx, `UPDATE media_objects SET refs = refs + 1 WHERE id = $1`, u.Object.ID); err != nil {
		return err
	}
	return t.putUpload(ctx, u)
}

func (t *Tx) putUpload(ctx context.Context, u media.Upload) error {
	_, err := t.Exec(ctx, `INSERT INTO media_uploads (id, owner, state, name, declared, size, quarantine, object_id, scanned, created_at, verified_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, name = excluded.name, size = excluded.size, object_id = excluded.object_id,
			scanned = excluded.scanned, verified_at = excluded.verified_at`,
		u.ID, u.Owner, string(u.State), u.Name, u.Declared, u.Size, u.Quarantine, u.Object.ID, string(u.Scanned), micros(u.CreatedAt), micros(u.VerifiedAt))
	return err
}

// Quarantine implements media.Store.
func (db *DB) Quarantine(ctx context.Context, u media.Upload) (media.Upload, error) {
	err := db.onMedia(ctx, "store.Quarantine", func(tx *Tx) error {
		err := collectOne(ctx, tx.tx, &u, `u.quarantine = $1`, u.Quarantine)
		if fault.CodeOf(err) != fault.NotFound {
			return err
		}
		return tx.putUpload(ctx, u)
	})
	return u, err
}

// MediaUpload implements media.Store.
func (db *DB) MediaUpload(ctx context.Context, id string) (media.Upload, error) {
	var u media.Upload
	err := collectOne(ctx, db.read, &u, `u.id = $1`, id)
	return u, db.dialect.explain("store.MediaUpload", err)
}

const uploadQuery = `SELECT u.id, u.owner, u.state, u.name, u.declared, u.size, u.quarantine, u.scanned, u.created_at, u.verified_at,
	coalesce(o.id, ''), coalesce(o.owner, ''), coalesce(o.sha256, ''), coalesce(o.key, ''), coalesce(o.mime, ''), coalesce(o.size, 0), coalesce(o.stored, 0), coalesce(o.created_at, 0)
	FROM media_uploads u LEFT JOIN media_objects o ON o.id = u.object_id WHERE `

func scanUpload(r *sql.Rows) (u media.Upload, err error) {
	var created, verified, object int64
	err = r.Scan(append([]any{&u.ID, &u.Owner, &u.State, &u.Name, &u.Declared, &u.Size, &u.Quarantine, &u.Scanned, &created, &verified}, objectInto(&u.Object, &object)...)...)
	u.CreatedAt, u.VerifiedAt, u.Object.CreatedAt = fromMicros(created), fromMicros(verified), fromMicros(object)
	return u, err
}

// collectOne reads one upload, if there is one.
func collectOne(ctx context.Context, q querier, into *media.Upload, where string, args ...any) error {
	us, err := collect(ctx, q, scanUpload, uploadQuery+where, args...)
	if err != nil {
		return err
	}
	if len(us) == 0 {
		return fault.New(fault.NotFound, "store.MediaUpload", "there is no such upload: it was refused, deleted, or never finished")
	}
	*into = us[0]
	return nil
}

// DropUpload implements media.Store.
func (db *DB) DropUpload(ctx context.Context, id string, state media.UploadState, r *media.Refusal) (media.Object, error) {
	var orphan media.Object
	err := db.onMedia(ctx, "store.DropUpload", func(tx *Tx) error {
		orphan = media.Object{}
		var u media.Upload
		if err := collectOne(ctx, tx.tx, &u, `u.id = $1`, id); err != nil {
			return err
		}
		if state != "" && u.State != state {
			return fault.New(fault.Conflict, "store.DropUpload", "the upload is %s by now", u.State)
		}
		if _, err := tx.Exec(ctx, `DELETE FROM media_uploads WHERE id = $1`, id); err != nil {
			return err
		}
		if r != nil {
			if err := tx.refuse(ctx, *r); err != nil {
				return err
			}
		}
		if u.Object.ID == "" {
			return nil
		}
		n, err := tx.Exec(ctx, `UPDATE media_objects SET refs = refs - 1, state = CASE WHEN refs = 1 THEN 'deleting' ELSE state END, touched_at = $1
			WHERE id = $2`, micros(db.now()), u.Object.ID)
		if err != nil || n == 0 {
			return err
		}
		var left string
		if err := tx.QueryRow(ctx, `SELECT state FROM media_objects WHERE id = $1`, u.Object.ID).Scan(&left); err != nil {
			return err
		}
		if left == "deleting" {
			orphan = u.Object
		}
		return nil
	})
	return orphan, err
}

// ForgetObject implements media.Store.
func (db *DB) ForgetObject(ctx context.Context, id string) error {
	return db.onMedia(ctx, "store.ForgetObject", func(tx *Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM media_objects WHERE id = $1 AND state = 'deleting'`, id)
		return err
	})
}

// Refuse implements media.Log.
func (db *DB) Refuse(ctx context.Context, r media.Refusal) error {
	return db.Write(ctx, "store.Refuse", func(tx *Tx) error { return tx.refuse(ctx, r) })
}

func (t *Tx) refuse(ctx context.Context, r media.Refusal) error {
	_, err := t.Exec(ctx, `INSERT INTO media_refusals (id, at, owner_hash, flow, code, reason, declared, detected, limit_at, actual)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING`,
		r.ID, micros(r.At), r.OwnerHash, r.Flow, string(r.Code), r.Reason, r.Declared, r.Detected, r.Limit, r.Actual)
	return err
}

// Refusals implements media.Log.
func (db *DB) Refusals(ctx context.Context, f media.RefusalFilter) ([]media.Refusal, error) {
	where, args := `at >= $1`, []any{micros(f.Since)}
	for _, c := range [...]struct{ column, value string }{{"owner_hash", f.OwnerHash}, {"code", string(f.Code)}} {
		if c.value != "" {
			args = append(args, c.value)
			where += ` AND ` + c.column + ` = $` + strconv.Itoa(len(args))
		}
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	args = append(args, int64(min(limit, 1000)))
	out, err := collect(ctx, db.read, func(r *sql.Rows) (v media.Refusal, err error) {
		var at int64
		err = r.Scan(&v.ID, &at, &v.OwnerHash, &v.Flow, &v.Code, &v.Reason, &v.Declared, &v.Detected, &v.Limit, &v.Actual)
		v.At = fromMicros(at)
		return v, err
	}, `SELECT id, at, owner_hash, flow, code, reason, declared, detected, limit_at, actual FROM media_refusals WHERE `+where+
		` ORDER BY at DESC, id LIMIT $`+strconv.Itoa(len(args)), args...)
	return out, db.dialect.explain("store.Refusals", err)
}

// Abandoned implements media.Log.
func (db *DB) Abandoned(ctx context.Context, before time.Time, limit int) ([]media.Object, error) {
	var out []media.Object
	err := db.onMedia(ctx, "store.Abandoned", func(tx *Tx) error {
		// What is claimed here is written anew by whoever still writes it.
		if _, err := tx.Exec(ctx, `UPDATE media_objects SET state = 'deleting' WHERE state = 'pending' AND touched_at < $1`, micros(before)); err != nil {
			return err
		}
		var err error
		out, err = collect(ctx, tx.tx, func(r *sql.Rows) (o media.Object, err error) {
			var created int64
			err = r.Scan(objectInto(&o, &created)...)
			o.CreatedAt = fromMicros(created)
			return o, err
		}, `SELECT `+objectColumns+` FROM media_objects o WHERE o.state = 'deleting' AND o.touched_at < $1 ORDER BY o.touched_at LIMIT $2`, micros(before), int64(limit))
		return err
	})
	return out, err
}

// Waiting implements media.Log.
func (db *DB) Waiting(ctx context.Context, before time.Time, limit int) ([]media.Upload, error) {
	out, err := collect(ctx, db.read, scanUpload, uploadQuery+`u.state = 'quarantined' AND u.created_at < $1 ORDER BY u.created_at LIMIT $2`, micros(before), int64(limit))
	return out, db.dialect.explain("store.Waiting", err)
}

// PruneRefusals forgets up to limit entries of the verdict log from before a
// moment, under the lease, and returns how many went.
func (db *DB) PruneRefusals(ctx context.Context, before time.Time, limit int, h lease.Held) (int64, error) {
	var n int64
	err := db.Write(ctx, "store.PruneRefusals", func(tx *Tx) error {
		if err := tx.underLease(ctx, h); err != nil {
			return err
		}
		var err error
		n, err = tx.Exec(ctx, `DELETE FROM media_refusals WHERE id IN (SELECT id FROM media_refusals WHERE at < $1 LIMIT $2)`, micros(before), int64(limit))
		return err
	})
	return n, err
}
