package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"avalo.app/gantry/internal/fault"
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
//
// A table that PostgreSQL never analysed is estimated to hold so little that
// reading it whole looks cheap; such a plan is kept, and a stampede on an
// empty table would meet it. So the transaction's plans use indexes where
// there are any. Where there are none, that makes costs look high enough to
// compile the plan, which takes far longer than to run it.
func (d dialect) lock(ctx context.Context, tx *Tx, head string) error {
	if d == dialectSQLite {
		return nil
	}
	var scan, jit string
	err := tx.QueryRow(ctx, `SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)
		FROM heads WHERE name = $1 FOR UPDATE`, head).Scan(&scan, &jit)
	if err != nil {
		return fmt.Errorf("lock head %q: %w", head, err)
	}
	return nil
}

// values is the list of an INSERT: rows of placeholders, in the order of the
// arguments. SQLite looks numbered ones up by name, one after another, which
// takes ten times as long for a long list.
func (d dialect) values(rows, columns int) string {
	var b strings.Builder
	for i := range rows * columns {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%columns == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		if d == dialectPostgres {
			fmt.Fprintf(&b, "$%d", i+1)
		} else {
			b.WriteByte('?')
		}
	}
	b.WriteByte(')')
	return b.String()
}

// oneOf is the condition that a column has one of the values, and the
// argument $n of it. The text knows one value and many, so that both stay
// prepared.
func (d dialect) oneOf(column string, n int, values []string) (condition string, arg any) {
	switch {
	case len(values) == 1:
		return fmt.Sprintf("%s = $%d", column, n), values[0]
	case d == dialectPostgres:
		return fmt.Sprintf("%s = ANY($%d)", column, n), values
	}
	return fmt.Sprintf("%s IN (SELECT value FROM json_each($%d))", column, n), jsonList(values)
}

// listed is argument $n with the values as the rows v(value) of a FROM.
func (d dialect) listed(n int, values []string) (from string, arg any) {
	if d == dialectPostgres {
		return fmt.Sprintf("unnest(CAST($%d AS text[])) AS v(value)", n), values
	}
	return fmt.Sprintf("json_each($%d) AS v", n), jsonList(values)
}

func jsonList(values []string) string {
	b, err := json.Marshal(values)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(b)
}

// rowsPerInsert is how many of n rows an INSERT should have. PostgreSQL pays
// for every statement, so it gets one. SQLite pays for parsing, so its
// statements come in few sizes, each of which stays prepared.
func (d dialect) rowsPerInsert(n int) int {
	if d == dialectPostgres {
		return n
	}
	return min(1<<(bits.Len(uint(n))-1), 64)
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

// away reports whether err means that the store cannot be used now, rather
// than that the statement was wrong: no connection, no answer in time, no
// space, a server that is starting or going down or only reads.
func (d dialect) away(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		switch lite.Code() & 0xff {
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY,
			sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT:
			return true
		}
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code[:2] {
		case "08", "53", "57", "58": // connection, resources, operator, system
			return true
		}
		return pg.Code == "25006" || d.retryable(err) // a standby, or a primary that became one
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF)
}

// errText refuses on SQLite what PostgreSQL refuses: text with a NUL, or that
// is not UTF-8.
var errText = errors.New("a text with a NUL, or that is not UTF-8")

// storable is nil if both engines take the arguments.
func storable(args []driver.NamedValue) error {
	for _, a := range args {
		if s, ok := a.Value.(string); ok && (strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s)) {
			return errText
		}
	}
	return nil
}

// unstorable reports whether a text of the caller's can be in no store.
func unstorable(err error) bool {
	var pg *pgconn.PgError
	return errors.Is(err, errText) || errors.As(err, &pg) && (pg.Code == "22021" || pg.Code == "22P05") // character_not_in_repertoire, untranslatable_character
}

// explain gives an error of the engine its code: SERVICE_DEGRADED when the
// store is away, INVALID_ARGUMENT for a text that it cannot hold; anything
// else keeps what it has.
func (d dialect) explain(op string, err error) error {
	if err == nil {
		return nil
	}
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return fmt.Errorf("%s: %w", op, err)
	case unstorable(err):
		return &fault.Error{Code: fault.InvalidArgument, Op: op, Err: err, Msg: "a text in the request has a NUL character or is not UTF-8: nothing has such a name"}
	case !d.away(err):
		return fmt.Errorf("%s: %w", op, err)
	}
	return &fault.Error{Code: fault.ServiceDegraded, Op: op, Err: err,
		Msg: "the store cannot do this now: it is away, read-only, full or overloaded. If this was a change, read it back before you repeat it, or repeat it with the same Idempotency-Key"}
}
