package store

import (
	"context"
	"database/sql"
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
