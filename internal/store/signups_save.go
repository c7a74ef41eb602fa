package store

import (
	"cmp"
	"context"
	"slices"

	"avalo.app/gantry/internal/launch"
)

// saveBooks writes all that changed.
func (t *Tx) saveBooks(ctx context.Context, b *launch.Books) error {
	var moved set
	for _, r := range b.Moved {
		moved.add(r.ID)
	}
	if len(moved) > 0 {
		one, arg := t.db.dialect.oneOf("id", 1, moved)
		if _, err := t.Exec(ctx, `UPDATE signup_reservations SET user_id = '' WHERE `+one, arg); err != nil {
			return err
		}
	}
	if err := t.saveReservations(ctx, b); err != nil {
		return err
	}
	if err := t.saveInvites(ctx, b.ChangedInvites); err != nil {
		return err
	}
	if err := t.saveDays(ctx, b); err != nil {
		return err
	}
	if len(b.Withdrawn) > 0 {
		one, arg := t.db.dialect.oneOf("reservation_id", 1, b.Withdrawn)
		if _, err := t.Exec(ctx, `DELETE FROM signup_events WHERE `+one, arg); err != nil {
			return err
		}
	}
	return insert(ctx, t, `signup_events (event, reservation_id, at)`, ``, 3, b.NewEvents, func(e string) []any {
		return []any{e, b.Events[e], micros(b.Now)}
	})
}

// saveReservations writes rows that ended before rows that hold, so that no
// subject holds two in between.
func (t *Tx) saveReservations(ctx context.Context, b *launch.Books) error {
	var whole []*launch.Reservation
	ended, held := map[move][]string{}, map[move][]string{}
	for _, r := range b.ChangedReservations {
		m := move{r.State, micros(r.ConfirmedAt), micros(r.EndedAt)}
		switch {
		case !b.OnlyMoved(r):
			whole = append(whole, r)
		case holds(r):
			held[m] = append(held[m], r.ID)
		default:
			ended[m] = append(ended[m], r.ID)
		}
	}
	if err := t.moveReservations(ctx, ended); err != nil {
		return err
	}
	if err := t.saveWhole(ctx, whole); err != nil {
		return err
	}
	return t.moveReservations(ctx, held)
}

func holds(r *launch.Reservation) bool { return r.State == launch.Open || r.State == launch.Confirmed }

// move is what happens to most reservations after their first commit.
type move struct {
	to                 launch.ReservationState
	confirmedAt, ended int64
}

// moveReservations writes rows of which nothing else changed: the indexes
// of the other columns stay as they are.
func (t *Tx) moveReservations(ctx context.Context, moves map[move][]string) error {
	for m, ids := range moves {
		one, arg := t.db.dialect.oneOf(`id`, 4, ids)
		if _, err := t.Exec(ctx, `UPDATE signup_reservations SET state = $1, confirmed_at = $2, ended_at = $3 WHERE `+one,
			string(m.to), m.confirmedAt, m.ended, arg); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tx) saveWhole(ctx context.Context, rs []*launch.Reservation) error {
	slices.SortStableFunc(rs, func(a, b *launch.Reservation) int { return cmp.Compare(flag(holds(a)), flag(holds(b))) })
	return insert(ctx, t, `signup_reservations (`+reservationColumns+`)`, `ON CONFLICT (id) DO UPDATE SET state = excluded.state, day = excluded.day,
			country = excluded.country, mode = excluded.mode, user_id = excluded.user_id, email_hash = excluded.email_hash,
			network = excluded.network, device = excluded.device, invite_id = excluded.invite_id, source = excluded.source,
			account = excluded.account, grants = excluded.grants, expires_at = excluded.expires_at, confirmed_at = excluded.confirmed_at, ended_at = excluded.ended_at`, 17, rs,
		func(r *launch.Reservation) []any {
			return []any{r.ID, string(r.State), r.Day, r.Country, string(r.Mode), r.UserID, r.EmailHash, r.Network, r.Device, r.InviteID, r.Source, flag(r.Account), r.Grants,
				micros(r.CreatedAt), micros(r.ExpiresAt), micros(r.ConfirmedAt), micros(r.EndedAt)}
		})
}

func (t *Tx) saveDays(ctx context.Context, b *launch.Books) error {
	return insert(ctx, t, `signup_days (day, country, open, confirmed, cap)`, `ON CONFLICT (day, country) DO UPDATE SET open = excluded.open,
			confirmed = excluded.confirmed, cap = excluded.cap`, 5, b.ChangedDays,
		func(k launch.DayKey) []any {
			d := b.Days[k]
			return []any{k.Day, k.Country, d.Open, d.Confirmed, d.Cap}
		})
}

// insert writes rows, if there are any, in as few statements as the engine
// likes.
func insert[T any](ctx context.Context, t *Tx, into, onConflict string, columns int, rows []T, args func(T) []any) error {
	for len(rows) > 0 {
		n := t.db.dialect.rowsPerInsert(len(rows))
		all := make([]any, 0, n*columns)
		for _, r := range rows[:n] {
			all = append(all, args(r)...)
		}
		if _, err := t.Exec(ctx, `INSERT INTO `+into+` VALUES `+t.db.dialect.values(n, columns)+` `+onConflict, all...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}
