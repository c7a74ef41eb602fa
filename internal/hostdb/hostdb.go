// Package hostdb asks the host's database what the configuration declares:
// counts and moments, in transactions that can only read.
package hostdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"avalo.app/gantry/internal/egress"
)

// maxConns bounds the connections to the host's database.
const maxConns = 4

// DB is the host's database. It is safe for concurrent use.
type DB struct{ db *sql.DB }

// Open takes "sqlite:PATH" or a PostgreSQL URL. It makes no connection. The
// error does not show the URL.
func Open(address string) (*DB, error) {
	var db *sql.DB
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
		if !filepath.IsAbs(path) {
			return nil, errors.New("the path of a SQLite database must be absolute")
		}
		u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: "mode=ro&_pragma=busy_timeout(1000)&_pragma=query_only(1)"}
		var err error
		if db, err = sql.Open("sqlite", u.String()); err != nil {
			return nil, errors.New("the path of the SQLite database is not understood")
		}
	} else {
		cfg, err := pgx.ParseConfig(address)
		if err != nil || cfg.Host == "" || !strings.HasPrefix(address, "postgres://") && !strings.HasPrefix(address, "postgresql://") {
			return nil, errors.New(`it must be "sqlite:PATH" or a PostgreSQL URL that pgx understands; the value is not shown`)
		}
		cfg.RuntimeParams["default_transaction_read_only"] = "on"
		cfg.RuntimeParams["application_name"] = "gantry"
		if !strings.HasPrefix(cfg.Host, "/") {
			d := egress.NewDialer(egress.Options{Private: true}, net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port))))
			cfg.DialFunc = d.DialContext
			cfg.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
		}
		db = stdlib.OpenDB(*cfg)
	}
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(1)
	db.SetConnMaxIdleTime(time.Minute)
	return &DB{db}, nil
}

// Close closes the connections.
func (d *DB) Close() error { return d.db.Close() }

// Number runs a query that answers with one whole number. Neither its text
// nor what it read is in an error.
func (d *DB) Number(ctx context.Context, query string) (n int64, err error) {
	return n, d.one(ctx, query, func(v any) error {
		switch v := v.(type) {
		case int64:
			n = v
		case nil:
			return errors.New("the query answers NULL; count with count(*) or coalesce(…, 0)")
		default:
			return fmt.Errorf("the query answers a %T, not a whole number", v)
		}
		return nil
	})
}

// Moment runs a query that answers with one time: a timestamp, an RFC 3339
// text, or Unix seconds or milliseconds. NULL is the zero time.
func (d *DB) Moment(ctx context.Context, query string) (at time.Time, err error) {
	return at, d.one(ctx, query, func(v any) (err error) {
		at, err = Moment(v)
		return err
	})
}

func (d *DB) one(ctx context.Context, query string, take func(any) error) error {
	tx, err := d.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return failed(ctx, err)
	}
	defer func() { _ = tx.Rollback() }() // it only read
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return failed(ctx, err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		return failed(ctx, err)
	}
	if len(cols) != 1 {
		return fmt.Errorf("the query answers %d columns, not one", len(cols))
	}
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return failed(ctx, err)
		}
		return errors.New("the query answers no row")
	}
	var v any
	if err := rows.Scan(&v); err != nil {
		return failed(ctx, err)
	}
	if rows.Next() {
		return errors.New("the query answers more than one row")
	}
	return take(v)
}

// failed says what kind of error it is: a database's own words may quote
// what it stores.
func failed(ctx context.Context, err error) error {
	var pg *pgconn.PgError
	switch {
	case ctx.Err() != nil:
		return errors.New("the query takes too long")
	case errors.As(err, &pg):
		return fmt.Errorf("the query fails with SQLSTATE %s", pg.Code)
	case strings.Contains(err.Error(), "no such table"), strings.Contains(err.Error(), "no such column"):
		return errors.New("the query names a table or column that does not exist")
	}
	return errors.New("the host's database cannot be asked")
}

// Moment reads a time as queries and JSON give it. Numbers above 10^11 are
// milliseconds: as seconds they would lie after the year 5138.
func Moment(v any) (time.Time, error) {
	unix := func(n float64) time.Time {
		if n > 1e11 {
			return time.UnixMilli(int64(n)).UTC()
		}
		return time.Unix(int64(n), 0).UTC()
	}
	switch v := v.(type) {
	case nil:
		return time.Time{}, nil
	case time.Time:
		return v.UTC(), nil
	case int64:
		return unix(float64(v)), nil
	case float64:
		return unix(v), nil
	case []byte:
		return Moment(string(v))
	case string:
		for _, form := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999"} {
			if at, err := time.Parse(form, v); err == nil {
				return at.UTC(), nil
			}
		}
		return time.Time{}, errors.New("the answer is a text that is no time: RFC 3339 is understood")
	}
	return time.Time{}, fmt.Errorf("the answer is a %T, not a time", v)
}
