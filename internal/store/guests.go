package store

import (
	"context"
	"database/sql"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
)

const inviteColumns = `id, hash, batch, max_uses, used, country, email_hash, note, created_by, created_at, expires_at, revoked_at`

func scanInvite(r *sql.Rows) (*launch.Invite, error) {
	i := new(launch.Invite)
	var created, expires, revoked int64
	err := r.Scan(&i.ID, &i.Hash, &i.Batch, &i.MaxUses, &i.Used, &i.Country, &i.EmailHash, &i.Note, &i.CreatedBy, &created, &expires, &revoked)
	i.CreatedAt, i.ExpiresAt, i.RevokedAt = fromMicros(created), fromMicros(expires), fromMicros(revoked)
	return i, err
}

// saveInvites adds invites, or writes the uses of those that are there.
func (t *Tx) saveInvites(ctx context.Context, is []*launch.Invite) error {
	return insert(ctx, t, `invites (`+inviteColumns+`)`, `ON CONFLICT (id) DO UPDATE SET used = excluded.used`, 12, is, func(i *launch.Invite) []any {
		return []any{i.ID, i.Hash, i.Batch, i.MaxUses, i.Used, i.Country, i.EmailHash, i.Note, i.CreatedBy, micros(i.CreatedAt), micros(i.ExpiresAt), micros(i.RevokedAt)}
	})
}

// guests changes invites or lists under the launch lock; fn reports whether
// the audit entry is due.
func (db *DB) guests(ctx context.Context, op string, e audit.Entry, fn func(*Tx) (bool, error)) error {
	return db.Write(ctx, op, func(tx *Tx) error {
		if err := tx.Lock(ctx, launchHead); err != nil {
			return err
		}
		changed, err := fn(tx)
		if err != nil || !changed {
			return err
		}
		_, err = tx.audit(ctx, e)
		return err
	})
}

// CreateInvites implements launch.GuestStore.
func (db *DB) CreateInvites(ctx context.Context, is []launch.Invite, e audit.Entry) error {
	return db.guests(ctx, "store.CreateInvites", e, func(tx *Tx) (bool, error) {
		rows := make([]*launch.Invite, len(is))
		for i := range is {
			rows[i] = &is[i]
		}
		return true, tx.saveInvites(ctx, rows)
	})
}

// RevokeInvites implements launch.GuestStore.
func (db *DB) RevokeInvites(ctx context.Context, id string, at time.Time, e audit.Entry) (int64, error) {
	var n int64
	err := db.guests(ctx, "store.RevokeInvites", e, func(tx *Tx) (bool, error) {
		var err error
		// Who was invited from the waitlist and has not come waits on.
		if _, err = tx.Exec(ctx, `UPDATE waitlist SET invited_at = 0, invite_id = '' WHERE invite_id IN (
				SELECT id FROM invites WHERE (id = $1 OR batch = $1) AND revoked_at = 0 AND used = 0)`, id); err != nil {
			return false, err
		}
		n, err = tx.Exec(ctx, `UPDATE invites SET revoked_at = $1 WHERE (id = $2 OR batch = $2) AND revoked_at = 0`, micros(at), id)
		return n > 0, err
	})
	return n, err
}

// Invites implements launch.GuestStore.
func (db *DB) Invites(ctx context.Context, batch string, limit int) ([]launch.Invite, error) {
	var out []launch.Invite
	err := db.rows(ctx, "store.Invites", func(r *sql.Rows) error {
		i, err := scanInvite(r)
		out = append(out, *i)
		return err
	}, `SELECT `+inviteColumns+` FROM invites WHERE ($1 = '' OR batch = $1) ORDER BY created_at DESC, id LIMIT $2`, batch, int64(limit))
	return out, err
}

// ClaimInvite implements launch.GuestStore.
func (db *DB) ClaimInvite(ctx context.Context, codeHash, emailHash string, at time.Time, valid func(*launch.Invite) error) error {
	return db.guests(ctx, "store.ClaimInvite", audit.Entry{}, func(tx *Tx) (bool, error) {
		var i *launch.Invite
		err := each(ctx, tx.tx, func(r *sql.Rows) (err error) {
			i, err = scanInvite(r)
			return err
		}, `SELECT `+inviteColumns+` FROM invites WHERE hash = $1`, codeHash)
		if err != nil {
			return false, err
		}
		if err := valid(i); err != nil {
			return false, err
		}
		_, err = tx.Exec(ctx, `INSERT INTO invite_claims (email_hash, invite_id, at) VALUES ($1, $2, $3)
			ON CONFLICT (email_hash) DO UPDATE SET invite_id = excluded.invite_id, at = excluded.at`, emailHash, i.ID, micros(at))
		return false, err
	})
}

const listedColumns = `id, kind, value, note, added_by, added_at`

// Allow implements launch.AllowStore.
func (db *DB) Allow(ctx context.Context, ls []launch.Listed, e audit.Entry) (int64, error) {
	var added int64
	err := db.guests(ctx, "store.Allow", e, func(tx *Tx) (bool, error) {
		added = 0
		for _, l := range ls {
			n, err := tx.Exec(ctx, `INSERT INTO allowlist (`+listedColumns+`) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (kind, value) DO NOTHING`,
				l.ID, string(l.Kind), l.Value, l.Note, l.AddedBy, micros(l.AddedAt))
			if err != nil {
				return false, err
			}
			added += n
		}
		return added > 0, nil
	})
	return added, err
}

// Disallow implements launch.AllowStore.
func (db *DB) Disallow(ctx context.Context, id string, e audit.Entry) error {
	return db.guests(ctx, "store.Disallow", e, func(tx *Tx) (bool, error) {
		n, err := tx.Exec(ctx, `DELETE FROM allowlist WHERE id = $1`, id)
		if err == nil && n == 0 {
			err = fault.New(fault.NotFound, "store.Disallow", "there is no entry with that id; list them with GET /v1/allowlist")
		}
		return true, err
	})
}

// Allowlist implements launch.AllowStore.
func (db *DB) Allowlist(ctx context.Context, after string, limit int) ([]launch.Listed, error) {
	var out []launch.Listed
	err := db.rows(ctx, "store.Allowlist", func(r *sql.Rows) error {
		var l launch.Listed
		var at int64
		err := r.Scan(&l.ID, &l.Kind, &l.Value, &l.Note, &l.AddedBy, &at)
		l.AddedAt = fromMicros(at)
		out = append(out, l)
		return err
	}, `SELECT `+listedColumns+` FROM allowlist WHERE id > $1 ORDER BY id LIMIT $2`, after, int64(limit))
	return out, err
}

const waitingColumns = `id, email, country, refused, joined_at, invited_at, invite_id`

// scanWaiting scans waitingColumns, and what follows them into more.
func scanWaiting(r *sql.Rows, more ...any) (launch.Waiting, error) {
	var w launch.Waiting
	var joined, invited int64
	err := r.Scan(append([]any{&w.ID, &w.Email, &w.Country, &w.Refused, &joined, &invited, &w.InviteID}, more...)...)
	w.JoinedAt, w.InvitedAt = fromMicros(joined), fromMicros(invited)
	return w, err
}

// JoinWaitlist implements launch.WaitStore.
func (db *DB) JoinWaitlist(ctx context.Context, w launch.Waiting) (launch.Waiting, error) {
	const op = "store.JoinWaitlist"
	var out launch.Waiting
	var seq int64
	if err := db.guests(ctx, op, audit.Entry{}, func(tx *Tx) (bool, error) {
		if _, err := tx.Exec(ctx, `INSERT INTO waitlist (id, seq, email, country, refused, joined_at, invited_at, invite_id)
			SELECT $1, coalesce(max(seq), 0) + 1, $2, $3, $4, $5, 0, '' FROM waitlist
			WHERE true ON CONFLICT (email) DO NOTHING`, w.ID, w.Email, w.Country, w.Refused, micros(w.JoinedAt)); err != nil {
			return false, err
		}
		// Whose invite ended before it was used waits on.
		if _, err := tx.Exec(ctx, `UPDATE waitlist SET invited_at = 0, invite_id = '' WHERE email = $1 AND invited_at > 0 AND NOT EXISTS (
				SELECT 1 FROM invites i WHERE i.id = waitlist.invite_id AND (i.used > 0 OR i.revoked_at = 0 AND (i.expires_at = 0 OR i.expires_at > $2)))`,
			w.Email, micros(w.JoinedAt)); err != nil {
			return false, err
		}
		return false, each(ctx, tx.tx, func(r *sql.Rows) (err error) {
			out, err = scanWaiting(r, &seq)
			return err
		}, `SELECT `+waitingColumns+`, seq FROM waitlist WHERE email = $1`, w.Email)
	}); err != nil || !out.InvitedAt.IsZero() {
		return out, err
	}
	// Everybody before is counted after the lock: it takes as long as the list.
	err := db.read.QueryRowContext(ctx, `SELECT count(*) FROM waitlist WHERE invited_at = 0 AND seq <= $1`, seq).Scan(&out.Position)
	return out, db.dialect.explain(op, err)
}

// Waitlist implements launch.WaitStore.
func (db *DB) Waitlist(ctx context.Context, invited bool, country string, limit int) ([]launch.Waiting, error) {
	var out []launch.Waiting
	err := db.rows(ctx, "store.Waitlist", func(r *sql.Rows) error {
		var position int64
		w, err := scanWaiting(r, &position)
		if w.InvitedAt.IsZero() {
			w.Position = position
		}
		out = append(out, w)
		return err
	}, `SELECT `+waitingColumns+`, position FROM (
			SELECT `+waitingColumns+`, seq, count(*) FILTER (WHERE invited_at = 0) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS position FROM waitlist) AS w
		WHERE ($1 = 1 OR invited_at = 0) AND ($2 = '' OR country = $2) ORDER BY seq LIMIT $3`,
		flag(invited), country, int64(limit))
	return out, err
}

// InviteWaiting implements launch.WaitStore.
func (db *DB) InviteWaiting(ctx context.Context, country string, limit int, at time.Time, invite func(launch.Waiting) launch.Invite, entry func(n int) audit.Entry) ([]launch.Waiting, error) {
	var out []launch.Waiting
	err := db.Write(ctx, "store.InviteWaiting", func(tx *Tx) error {
		if err := tx.Lock(ctx, launchHead); err != nil {
			return err
		}
		out = []launch.Waiting{}
		if err := each(ctx, tx.tx, func(r *sql.Rows) error {
			w, err := scanWaiting(r)
			out = append(out, w)
			return err
		}, `SELECT `+waitingColumns+` FROM waitlist WHERE invited_at = 0 AND ($1 = '' OR country = $1) ORDER BY seq LIMIT $2`, country, int64(limit)); err != nil || len(out) == 0 {
			return err
		}
		rows := make([]*launch.Invite, len(out))
		for i := range out {
			made := invite(out[i])
			rows[i] = &made
			out[i].InvitedAt, out[i].InviteID = at, made.ID
			if _, err := tx.Exec(ctx, `UPDATE waitlist SET invited_at = $1, invite_id = $2 WHERE id = $3`, micros(at), made.ID, out[i].ID); err != nil {
				return err
			}
		}
		if err := tx.saveInvites(ctx, rows); err != nil {
			return err
		}
		_, err := tx.audit(ctx, entry(len(out)))
		return err
	})
	return out, err
}

// LeaveWaitlist implements launch.WaitStore.
func (db *DB) LeaveWaitlist(ctx context.Context, id string) error {
	return db.guests(ctx, "store.LeaveWaitlist", audit.Entry{}, func(tx *Tx) (bool, error) {
		n, err := tx.Exec(ctx, `DELETE FROM waitlist WHERE id = $1`, id)
		if err == nil && n == 0 {
			err = fault.New(fault.NotFound, "store.LeaveWaitlist", "there is no entry with that id; list them with GET /v1/waitlist")
		}
		return false, err
	})
}
