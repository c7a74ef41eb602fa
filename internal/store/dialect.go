package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// dialect is every place where SQLite and PostgreSQL differ.
type dialect uint8

const (
	dialectSQLite dialect = iota + 1
	dialectPostgres
)

func (d dialect) String() string {
	if d == dialectPostgres {
		return "postgres"
	}
	return "sqlite"
}

// lock makes the transaction the only writer of the named head until it
// ends. SQLite has one writer anyway; PostgreSQL locks the row of heads.
func (d dialect) lock(ctx context.Context, tx *Tx, head string) error {
	if d == dialectSQLite {
		return nil
	}
	var name string
	err := tx.QueryRow(ctx, `SELECT name FROM heads WHERE name = $1 FOR UPDATE`, head).Scan(&name)
	if err != nil {
		return fmt.Errorf("lock head %q: %w", head, err)
	}
	return nil
}

// retryable reports whether the engine asks for the transaction again: busy
// or locked on SQLite, serialisation failure or deadlock on PostgreSQL.
func (d dialect) retryable(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		code := lite.Code() & 0xff
		return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "40001" || pg.Code == "40P01"
	}
	return false
}
