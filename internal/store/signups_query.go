package store

import (
	"context"
	"database/sql"
	"strconv"
	"time"

	"avalo.app/gantry/internal/launch"
	"avalo.app/gantry/internal/lease"
)

// SignupDays implements launch.SignupStore.
func (db *DB) SignupDays(ctx context.Context, day string) (map[launch.DayKey]launch.Day, error) {
	b := &launch.Books{Days: map[launch.DayKey]*launch.Day{}}
	err := loadDays(ctx, source{db.read, db.dialect}, b, set{day}, nil)
	out := make(map[launch.DayKey]launch.Day, len(b.Days))
	for k, d := range b.Days {
		out[k] = *d
	}
	return out, db.dialect.explain("store.SignupDays", err)
}

// Signups implements launch.SignupStore.
func (db *DB) Signups(ctx context.Context, f launch.SignupFilter) ([]launch.Reservation, error) {
	where, args := `1 = 1`, []any{}
	for _, c := range [...]struct{ column, value string }{{"state", string(f.State)}, {"day", f.Day}, {"user_id", f.UserID}} {
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
	out := []launch.Reservation{}
	err := db.rows(ctx, "store.Signups", func(r *sql.Rows) error {
		v, err := scanReservation(r)
		out = append(out, *v)
		return err
	}, `SELECT `+reservationColumns+` FROM signup_reservations WHERE `+where+` ORDER BY created_at DESC, id LIMIT $`+strconv.Itoa(len(args)), args...)
	return out, err
}

// SignupDrift implements launch.SignupStore. Each comparison is one
// statement, and so one view.
func (db *DB) SignupDrift(ctx context.Context) ([]launch.Drift, error) {
	out := []launch.Drift{}
	for _, state := range []launch.ReservationState{launch.Open, launch.Confirmed} {
		if err := db.rows(ctx, "store.SignupDrift", func(r *sql.Rows) error {
			d := launch.Drift{State: state}
			err := r.Scan(&d.Day, &d.Country, &d.Counted, &d.Rows)
			out = append(out, d)
			return err
		}, `SELECT day, country, CAST(sum(counted) AS bigint), CAST(sum(there) AS bigint) FROM (
				SELECT day, country, `+string(state)+` AS counted, 0 AS there FROM signup_days
				UNION ALL SELECT day, country, 0, count(*) FROM signup_reservations WHERE state = '`+string(state)+`' AND country <> '' GROUP BY day, country
				UNION ALL SELECT day, '', 0, count(*) FROM signup_reservations WHERE state = '`+string(state)+`' GROUP BY day
			) t GROUP BY day, country HAVING sum(counted) <> sum(there) ORDER BY day, country`); err != nil {
			return out, err
		}
	}
	return out, db.rows(ctx, "store.SignupDrift", func(r *sql.Rows) error {
		var d launch.Drift
		err := r.Scan(&d.Invite, &d.Counted, &d.Rows)
		out = append(out, d)
		return err
	}, `SELECT i.id, i.used, count(r.id) FROM invites i LEFT JOIN signup_reservations r ON r.invite_id = i.id AND r.state IN ('open', 'confirmed')
		GROUP BY i.id, i.used HAVING i.used <> count(r.id) ORDER BY i.id`)
}

// PruneSignups forgets up to limit ended reservations and hook events from
// before a moment, under the lease, and returns how many went. Confirmed
// ones and accounts without a slot stay.
func (db *DB) PruneSignups(ctx context.Context, before time.Time, limit int, h lease.Held) (int64, error) {
	var n int64
	err := db.Write(ctx, "store.PruneSignups", func(tx *Tx) error {
		if err := tx.underLease(ctx, h); err != nil {
			return err
		}
		if err := tx.Lock(ctx, launchHead); err != nil {
			return err
		}
		events, err := tx.Exec(ctx, `DELETE FROM signup_events WHERE event IN (SELECT event FROM signup_events WHERE at < $1 LIMIT $2)`, micros(before), int64(limit))
		if err != nil {
			return err
		}
		rows, err := tx.Exec(ctx, `DELETE FROM signup_reservations WHERE id IN (SELECT id FROM signup_reservations
			WHERE ended_at > 0 AND ended_at < $1 AND state IN ('released', 'expired', 'revoked') LIMIT $2)`, micros(before), int64(limit))
		n = max(events, rows)
		return err
	})
	return n, err
}
