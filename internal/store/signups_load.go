package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strings"

	"avalo.app/gantry/internal/launch"
)

// loadBooks loads what the steps can touch; see launch.Books.
func loadBooks(ctx context.Context, q source, b *launch.Books, ops []launch.Op) error {
	var ids, users, emails, pastUsers, pastEmails, events set
	for _, op := range ops {
		ids.add(op.ID)
		users.add(op.Applicant.UserID)
		emails.add(op.Applicant.EmailHash)
		events.add(op.Applicant.Event)
		if op.Kind != launch.OpReserve { // only who confirms or releases by subject may mean what has ended
			pastUsers.add(op.Applicant.UserID)
			pastEmails.add(op.Applicant.EmailHash)
		}
	}
	err := eachIn(ctx, q, events, func(r *sql.Rows) error {
		var event, id string
		err := r.Scan(&event, &id)
		b.Events[event] = id
		ids.add(id)
		return err
	}, `SELECT event, reservation_id FROM signup_events WHERE `, `event`)
	if err != nil {
		return err
	}
	found, err := loadReservations(ctx, q, b, ids, users, emails, pastUsers, pastEmails)
	if err != nil {
		return err
	}
	if err := loadCounters(ctx, q, b, found, ops); err != nil {
		return err
	}
	if b.State.Mode.Admission() == launch.AdmitListed {
		if err := loadListed(ctx, q, b, ops); err != nil {
			return err
		}
	}
	return loadHolders(ctx, q, b, ops)
}

// loadReservations loads the reservations of ids, what stands for subjects
// and for the subjects of these, and of past subjects also what ended last.
func loadReservations(ctx context.Context, q source, b *launch.Books, ids, users, emails, pastUsers, pastEmails set) (found []*launch.Reservation, err error) {
	load := func(values set, where func(set) (string, any)) error {
		if len(values) == 0 {
			return nil
		}
		condition, arg := where(values)
		rs, err := reservations(ctx, q, b, condition, arg)
		found = append(found, rs...)
		return err
	}
	const standing = `('open', 'confirmed', 'unbacked')`
	byID := func(v set) (string, any) { return q.dialect.oneOf("id", 1, v) }
	stands := func(column string) func(set) (string, any) {
		return func(v set) (string, any) {
			one, arg := q.dialect.oneOf(column, 1, v)
			return one + ` AND state IN ` + standing + ` AND ` + column + ` <> ''`, arg
		}
	}
	// Of what has ended the newest counts: a subject may have a long history.
	ended := func(column string) func(set) (string, any) {
		return func(v set) (string, any) {
			from, arg := q.dialect.listed(1, v)
			return `id IN (SELECT (SELECT r.id FROM signup_reservations r WHERE r.` + column + ` = v.value AND r.` + column + ` <> ''
				AND r.state NOT IN ` + standing + ` ORDER BY r.created_at DESC, r.id DESC LIMIT 1) FROM ` + from + `)`, arg
		}
	}
	if err := errors.Join(load(ids, byID), load(users, stands("user_id")), load(emails, stands("email_hash")),
		load(pastUsers, ended("user_id")), load(pastEmails, ended("email_hash"))); err != nil {
		return nil, err
	}
	var others, otherEmails set
	for _, r := range found {
		if !slices.Contains(users, r.UserID) {
			others.add(r.UserID)
		}
		if !slices.Contains(emails, r.EmailHash) {
			otherEmails.add(r.EmailHash)
		}
	}
	return found, errors.Join(load(others, stands("user_id")), load(otherEmails, stands("email_hash")))
}

// set is a list of distinct values for dialect.oneOf, without the empty one.
type set []string

func (s *set) add(v string) {
	if v != "" && !slices.Contains(*s, v) {
		*s = append(*s, v)
	}
}

// eachIn runs a query whose text ends where the condition on the column
// stands, if there are values.
func eachIn(ctx context.Context, q source, values set, scan func(*sql.Rows) error, query, column string) error {
	if len(values) == 0 {
		return nil
	}
	one, arg := q.dialect.oneOf(column, 1, values)
	return each(ctx, q, scan, query+one, arg)
}

const reservationColumns = `id, state, day, country, mode, user_id, email_hash, network, device, invite_id, source, account, grants,
	created_at, expires_at, confirmed_at, ended_at`

func scanReservation(r *sql.Rows) (*launch.Reservation, error) {
	v := new(launch.Reservation)
	var account, created, expires, confirmed, ended int64
	err := r.Scan(&v.ID, &v.State, &v.Day, &v.Country, &v.Mode, &v.UserID, &v.EmailHash, &v.Network, &v.Device, &v.InviteID, &v.Source, &account, &v.Grants,
		&created, &expires, &confirmed, &ended)
	v.Account = account == 1
	v.CreatedAt, v.ExpiresAt, v.ConfirmedAt, v.EndedAt = fromMicros(created), fromMicros(expires), fromMicros(confirmed), fromMicros(ended)
	return v, err
}

// reservations loads those that a condition selects into the books.
func reservations(ctx context.Context, q source, b *launch.Books, where string, args ...any) ([]*launch.Reservation, error) {
	var out []*launch.Reservation
	err := each(ctx, q, func(r *sql.Rows) error {
		v, err := scanReservation(r)
		if err == nil {
			b.AddReservation(v)
			out = append(out, v)
		}
		return err
	}, `SELECT `+reservationColumns+` FROM signup_reservations WHERE `+where, args...)
	return out, err
}

// loadCounters loads the invites and days of reservations and steps.
func loadCounters(ctx context.Context, q source, b *launch.Books, rs []*launch.Reservation, ops []launch.Op) error {
	var inviteIDs, hashes, emails, days, countries set
	days.add(b.Today())
	for _, r := range rs {
		inviteIDs.add(r.InviteID)
		days.add(r.Day)
		countries.add(r.Country)
	}
	for _, op := range ops {
		hashes.add(op.Applicant.InviteHash)
		countries.add(op.Applicant.Country)
		if op.Kind == launch.OpReserve && op.Applicant.InviteHash == "" {
			emails.add(op.Applicant.EmailHash)
		}
	}
	if b.State.Mode.Admission() == launch.AdmitInvited {
		if err := eachIn(ctx, q, emails, func(r *sql.Rows) error {
			var email, id string
			err := r.Scan(&email, &id)
			b.Claims[email] = id
			inviteIDs.add(id)
			return err
		}, `SELECT email_hash, invite_id FROM invite_claims WHERE `, `email_hash`); err != nil {
			return err
		}
	}
	add := func(r *sql.Rows) error {
		i, err := scanInvite(r)
		if err == nil {
			b.AddInvite(i)
		}
		return err
	}
	if err := eachIn(ctx, q, hashes, add, `SELECT `+inviteColumns+` FROM invites WHERE `, `hash`); err != nil {
		return err
	}
	if err := eachIn(ctx, q, inviteIDs, add, `SELECT `+inviteColumns+` FROM invites WHERE `, `id`); err != nil {
		return err
	}
	return loadDays(ctx, q, b, days, append(countries, ""))
}

// loadDays loads the counters of days and countries; nil: of all countries.
func loadDays(ctx context.Context, q source, b *launch.Books, days, countries set) error {
	one, arg := q.dialect.oneOf(`day`, 1, days)
	query, args := `SELECT day, country, open, confirmed, cap FROM signup_days WHERE `+one, []any{arg}
	if countries != nil {
		one, arg := q.dialect.oneOf(`country`, 2, countries)
		query, args = query+` AND `+one, append(args, arg)
	}
	return each(ctx, q, func(r *sql.Rows) error {
		var k launch.DayKey
		var d launch.Day
		err := r.Scan(&k.Day, &k.Country, &d.Open, &d.Confirmed, &d.Cap)
		b.Days[k] = &d
		return err
	}, query, args...)
}

// loadListed loads which of the applicants' keys stand on the allowlist.
func loadListed(ctx context.Context, q source, b *launch.Books, ops []launch.Op) error {
	byKind := map[string]*set{}
	for _, op := range ops {
		for _, key := range op.Applicant.AllowKeys {
			kind, value, _ := strings.Cut(key, ":")
			if byKind[kind] == nil {
				byKind[kind] = new(set)
			}
			byKind[kind].add(value)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		one, arg := q.dialect.oneOf(`value`, 2, *byKind[kind])
		if err := each(ctx, q, func(r *sql.Rows) error {
			l := launch.Listed{Kind: launch.ListKind(kind)}
			err := r.Scan(&l.Value)
			b.Listed[l.Key()] = true
			return err
		}, `SELECT value FROM allowlist WHERE kind = $1 AND `+one, kind, arg); err != nil {
			return err
		}
	}
	return nil
}

// loadHolders counts what the applicants' networks and devices hold open of
// today.
func loadHolders(ctx context.Context, q source, b *launch.Books, ops []launch.Op) error {
	var networks, devices set
	for _, op := range ops {
		networks.add(op.Applicant.Network)
		devices.add(op.Applicant.Device)
	}
	for column, hashes := range map[string]set{"network": networks, "device": devices} {
		if len(hashes) == 0 {
			continue
		}
		one, arg := q.dialect.oneOf(column, 2, hashes)
		if err := each(ctx, q, func(r *sql.Rows) error {
			var hash, country string
			var n, ends int64
			if err := r.Scan(&hash, &country, &n, &ends); err != nil {
				return err
			}
			b.AddHolder(hash, country, launch.Holder{Open: n, FirstEnds: fromMicros(ends)})
			return nil
		}, `SELECT `+column+`, country, count(*), min(expires_at) FROM signup_reservations
			WHERE state = 'open' AND day = $1 AND `+one+` AND `+column+` <> '' GROUP BY `+column+`, country`, b.Today(), arg); err != nil {
			return err
		}
	}
	return nil
}
