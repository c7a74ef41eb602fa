// Package store keeps Gantry's durable state in SQLite or PostgreSQL behind
// one SQL text: one file per feature, one set of migrations, and every engine
// difference in dialect.go.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"avalo.app/gantry/internal/audit"
)

// Options says where the store is.
type Options struct {
	// URL is "sqlite:PATH" or a PostgreSQL URL ("postgres://…").
	URL string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// MaxConns bounds connections to PostgreSQL. 0 means 8.
	MaxConns int
}

// DB is the store. It is safe for concurrent use.
type DB struct {
	write   *sql.DB // SQLite: exactly one connection, BEGIN IMMEDIATE
	read    *sql.DB
	dialect dialect
	now     func() time.Time

	auditKey atomic.Pointer[audit.Key]    // set once at start; see UseAuditKey
	launch   atomic.Pointer[revisedState] // the last one read; see knownState
}

// Open connects, and brings the schema to this binary's version. It refuses
// a schema that is newer than the binary knows.
func Open(ctx context.Context, o Options) (*DB, error) {
	db, err := connect(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := db.migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// startOnce is what to do where no store is.
const startOnce = "start gantry serve once, or name the configuration that it runs with"

// Inspect connects for reading what is there: it changes nothing, and wants
// the schema of this binary.
func Inspect(ctx context.Context, o Options) (*DB, error) {
	if path, ok := strings.CutPrefix(o.URL, "sqlite:"); ok {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("store: there is no database at %s: %s", path, startOnce)
		}
	}
	db, err := connect(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := db.wantCurrent(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func connect(ctx context.Context, o Options) (*DB, error) {
	db := &DB{now: o.Now}
	if db.now == nil {
		db.now = time.Now
	}
	var err error
	switch {
	case strings.HasPrefix(o.URL, "sqlite:"):
		db.dialect = dialectSQLite
		err = db.openSQLite(strings.TrimPrefix(o.URL, "sqlite:"))
	case strings.HasPrefix(o.URL, "postgres://"), strings.HasPrefix(o.URL, "postgresql://"):
		db.dialect = dialectPostgres
		err = db.openPostgres(o)
	default:
		return nil, errors.New(`store: the URL must start with "sqlite:" or "postgres://"`)
	}
	if err != nil {
		return nil, err
	}
	if err := db.Ping(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (db *DB) openSQLite(path string) error {
	if dir := filepath.Dir(path); dir != "." {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	// The file holds key hashes and subjects: owner only, before SQLite
	// creates it with the process's umask.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	dsn := func(extra string) string {
		return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}).String() +
			"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
			"&_pragma=foreign_keys(ON)" + extra
	}
	db.write = sql.OpenDB(liteConnector{dsn("&_txlock=immediate")})
	db.write.SetMaxOpenConns(1)
	db.read = sql.OpenDB(liteConnector{dsn("&_pragma=query_only(ON)")})
	db.read.SetMaxOpenConns(4)
	return nil
}

func (db *DB) openPostgres(o Options) error {
	// sql.Open would parse the URL only when it connects.
	cfg, err := pgx.ParseConfig(o.URL)
	if err != nil {
		// The parser's error may repeat the URL, and with it a password.
		return errors.New("store: the PostgreSQL URL cannot be parsed; check its user, host, port and options")
	}
	// Errors of connecting name host and database. An @ in either is what an
	// unescaped password leaves there.
	names := cfg.Host + cfg.Database
	for _, f := range cfg.Fallbacks {
		names += f.Host
	}
	if strings.Contains(names, "@") {
		return errors.New("store: the PostgreSQL URL has an @ in its host or database: write an @ or / of a password as %40 or %2F")
	}
	pool := stdlib.OpenDB(*cfg)
	n := o.MaxConns
	if n == 0 {
		n = 8
	}
	pool.SetMaxOpenConns(n)
	pool.SetMaxIdleConns(n)
	pool.SetConnMaxLifetime(30 * time.Minute)
	db.write, db.read = pool, pool
	return nil
}

// Ping reports whether the store answers.
func (db *DB) Ping(ctx context.Context) error {
	return db.dialect.explain("store.Ping", db.write.PingContext(ctx))
}

// Engine returns "sqlite" or "postgres".
func (db *DB) Engine() string { return db.dialect.String() }

// Close releases the connections. Transactions that have not committed are
// rolled back.
func (db *DB) Close() error {
	if db.read == nil || db.read == db.write {
		return db.write.Close()
	}
	return errors.Join(db.write.Close(), db.read.Close())
}

// micros converts a time to the stored form: Unix microseconds, 0 for the
// zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// fromMicros is the inverse of micros.
func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
