package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"avalo.app/gantry/internal/launch"
	"avalo.app/gantry/internal/lease"
)

// source is what rows are read from.
type source struct {
	querier
	dialect dialect
}

func (t *Tx) source() source { return source{t.tx, t.db.dialect} }

// ApplySignups implements launch.SignupStore. What is due expires first, in
// transactions of its own where it is more than one round: after an outage
// there may be more than one transaction has time for.
func (db *DB) ApplySignups(ctx context.Context, ops []launch.Op) ([]launch.Outcome, error) {
	for {
		outs, err := db.applySignups(ctx, ops)
		if err != nil || outs != nil {
			return outs, err
		}
	}
}

// applySignups returns no outcomes if a full round of reservations expired:
// there may be more.
func (db *DB) applySignups(ctx context.Context, ops []launch.Op) ([]launch.Outcome, error) {
	var outs []launch.Outcome
	err := db.Write(ctx, "store.ApplySignups", func(tx *Tx) error {
		outs = nil
		if err := tx.Lock(ctx, launchHead); err != nil {
			return err
		}
		s, err := db.knownState(ctx, tx.tx)
		if err != nil {
			return err
		}
		now := db.now()
		ended, err := tx.expireRound(ctx, s, now)
		if err != nil || ended == dueRows {
			return err
		}
		b := launch.NewBooks(now, s)
		if err := loadBooks(ctx, tx.source(), b, ops); err != nil {
			return err
		}
		outs = make([]launch.Outcome, len(ops))
		for i, op := range ops {
			outs[i] = b.Apply(op)
		}
		return tx.saveBooks(ctx, b)
	})
	return outs, err
}

// SignupBooks implements launch.SignupStore.
func (db *DB) SignupBooks(ctx context.Context, a launch.Applicant) (*launch.Books, error) {
	b, err := db.signupBooks(ctx, db.read, db.now(), a)
	return b, db.dialect.explain("store.SignupBooks", err)
}

func (db *DB) signupBooks(ctx context.Context, q querier, now time.Time, a launch.Applicant) (*launch.Books, error) {
	s, err := db.knownState(ctx, q)
	if err != nil {
		return nil, err
	}
	src := source{q, db.dialect}
	b := launch.NewBooks(now, s)
	// What is due would end before a reservation is decided.
	due, err := dueReservations(ctx, src, b, now)
	if err != nil {
		return nil, err
	}
	if err := loadCounters(ctx, src, b, due, nil); err != nil {
		return nil, err
	}
	if err := loadBooks(ctx, src, b, []launch.Op{{Kind: launch.OpReserve, Applicant: a}}); err != nil {
		return nil, err
	}
	b.ExpireDue()
	return b, nil
}

func dueReservations(ctx context.Context, q source, b *launch.Books, now time.Time) ([]*launch.Reservation, error) {
	return reservations(ctx, q, b, `state = 'open' AND expires_at <= $1 ORDER BY expires_at LIMIT $2`, micros(now), int64(dueRows))
}

// revisedState is a launch state that nobody changes, and its revision.
type revisedState struct {
	rev   int64
	state launch.State
}

// knownState is launchState for those who only read it: it is read anew when
// its revision moved, which every change does in its own transaction.
func (db *DB) knownState(ctx context.Context, q querier) (*launch.State, error) {
	var next revisedState
	if err := each(ctx, q, func(r *sql.Rows) error { return r.Scan(&next.rev) }, `SELECT rev FROM revisions WHERE topic = $1`, TopicLaunch); err != nil {
		return nil, err
	}
	if known := db.launch.Load(); known != nil && known.rev == next.rev {
		return &known.state, nil
	}
	// Outside a transaction the state may be newer than the revision; then the
	// next caller reads it once more.
	var err error
	if next.state, err = launchState(ctx, q); err != nil {
		return nil, err
	}
	db.launch.Store(&next)
	return &next.state, nil
}

// dueRows bounds how many reservations expire in one round.
const dueRows = 1000

// expireRound ends open reservations whose time is up, at most dueRows, so
// that their slots can be used at that very moment, and returns how many.
func (t *Tx) expireRound(ctx context.Context, s *launch.State, now time.Time) (int64, error) {
	b := launch.NewBooks(now, s)
	due, err := dueReservations(ctx, t.source(), b, now)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	if err := loadCounters(ctx, t.source(), b, due, nil); err != nil {
		return 0, err
	}
	b.ExpireDue()
	return int64(len(due)), t.saveBooks(ctx, b)
}

// ExpireSignups ends open reservations whose time is up, under the lease, and
// returns how many; a thousand say that there may be more. Reserving
// does so as well; this is for days without signups.
func (db *DB) ExpireSignups(ctx context.Context, h lease.Held) (int64, error) {
	var n int64
	err := db.Write(ctx, "store.ExpireSignups", func(tx *Tx) error {
		if err := tx.underLease(ctx, h); err != nil {
			return err
		}
		if err := tx.Lock(ctx, launchHead); err != nil {
			return err
		}
		s, err := launchState(ctx, tx.tx)
		if err != nil {
			return err
		}
		n, err = tx.expireRound(ctx, &s, db.now())
		return err
	})
	return n, err
}

// revokeOpen ends every open reservation and returns how many. What is due
// has expired, and is not among them.
func (t *Tx) revokeOpen(ctx context.Context, now time.Time) (int64, error) {
	s, err := launchState(ctx, t.tx)
	if err != nil {
		return 0, err
	}
	for {
		if n, err := t.expireRound(ctx, &s, now); err != nil || n == 0 {
			if err != nil {
				return 0, err
			}
			break
		}
	}
	var total int64
	for {
		b := launch.NewBooks(now, &s)
		open, err := reservations(ctx, t.source(), b, `state = 'open' LIMIT $1`, int64(dueRows))
		if err != nil || len(open) == 0 {
			return total, err
		}
		if err := loadCounters(ctx, t.source(), b, open, nil); err != nil {
			return total, err
		}
		b.RevokeOpen()
		if err := t.saveBooks(ctx, b); err != nil {
			return total, err
		}
		total += int64(len(open))
	}
}

// loadBooks loads what the steps can touch; see launch.Books.
func loadBooks(ctx context.Context, q source, b *launch.Books, ops []launch.Op) error {
	var ids, users, emails, events set
	for _, op := range ops {
		ids.add(op.ID)
		users.add(op.Applicant.UserID)
		emails.add(op.Applicant.EmailHash)
		events.add(op.Applicant.Event)
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
	found, err := loadReservations(ctx, q, b, ids, users, emails)
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

// loadReservations loads the reservations of ids and subjects, and those
// that stand for the subjects of these.
func loadReservations(ctx context.Context, q source, b *launch.Books, ids, users, emails set) (found []*launch.Reservation, err error) {
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
		load(users, ended("user_id")), load(emails, ended("email_hash"))); err != nil {
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
