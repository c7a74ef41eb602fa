package store

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"time"
)

// Tx is one transaction. Its statements use $1 placeholders and the common
// subset of both engines.
type Tx struct {
	tx *sql.Tx
	db *DB
}

// Exec runs a statement and returns the number of rows it changed.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := t.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// QueryRow runs a query for one row.
func (t *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(ctx, query, args...)
}

// Query runs a query. The caller closes the rows.
func (t *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(ctx, query, args...)
}

// Lock makes this transaction the only writer of the named head (a row of
// heads that a migration made) until it ends.
func (t *Tx) Lock(ctx context.Context, head string) error { return t.db.dialect.lock(ctx, t, head) }

// attempts bounds how often one write is tried when the engine asks to
// retry; the waits between add up to about a second.
const attempts = 8

// Write runs fn in a read-write transaction and commits. When the engine
// reports a serialisation failure or a busy database, all of fn runs again
// in a new transaction: fn must have no effect outside it. If ctx carries an
// idempotency claim, it commits with what fn did, or neither does.
func (db *DB) Write(ctx context.Context, op string, fn func(*Tx) error) error {
	var err error
	for i := range attempts {
		if err = db.once(ctx, fn); err == nil || !db.dialect.retryable(err) {
			break
		}
		wait := time.Duration(1+rand.IntN(8<<i)) * time.Millisecond
		select {
		case <-ctx.Done():
			return db.dialect.explain(op, ctx.Err())
		case <-time.After(wait):
		}
	}
	return db.dialect.explain(op, err)
}

func (db *DB) once(ctx context.Context, fn func(*Tx) error) error {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it is a no-op; before, the first error counts
	t := &Tx{tx: tx, db: db}
	if err := fn(t); err != nil {
		return err
	}
	if err := t.commitClaim(ctx); err != nil {
		return err
	}
	return tx.Commit()
}

// rows runs a read outside any transaction and scans each row with scan.
func (db *DB) rows(ctx context.Context, op string, scan func(*sql.Rows) error, query string, args ...any) error {
	return db.dialect.explain(op, each(ctx, db.read, scan, query, args...))
}

// each runs a query and scans each row.
func each(ctx context.Context, q querier, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// bump tells every node that the named topic changed, in the change's own
// transaction; see Revisions.
func (t *Tx) bump(ctx context.Context, topic string) error {
	_, err := t.Exec(ctx, `INSERT INTO revisions (topic, rev) VALUES ($1, 1)
		ON CONFLICT (topic) DO UPDATE SET rev = revisions.rev + 1`, topic)
	return err
}

// Revisions returns the change counter of every topic. A node polls it and
// reloads what moved; a topic that never changed is absent.
func (db *DB) Revisions(ctx context.Context) (map[string]int64, error) {
	revs := map[string]int64{}
	err := db.rows(ctx, "store.Revisions", func(r *sql.Rows) error {
		var topic string
		var rev int64
		if err := r.Scan(&topic, &rev); err != nil {
			return err
		}
		revs[topic] = rev
		return nil
	}, `SELECT topic, rev FROM revisions`)
	return revs, err
}
