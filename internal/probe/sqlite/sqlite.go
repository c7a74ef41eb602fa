// Package sqlite measures whether a SQLite database file can be read.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/probe"
)

// Config says which file.
type Config struct {
	Path string // absolute
}

type prober struct {
	dsn   string
	calls probe.Blocking
}

// New returns a prober. It opens nothing.
func New(cfg Config) (health.Prober, error) {
	if !filepath.IsAbs(cfg.Path) {
		return nil, probe.Invalid("sqlite", "path", "must be an absolute path, such as /var/lib/app/app.db")
	}
	// SQLite waits for a lock until the measurement's context ends.
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(cfg.Path), RawQuery: "mode=ro&_pragma=busy_timeout(3600000)&_pragma=query_only(1)"}
	return &prober{dsn: u.String()}, nil
}

// Probe implements health.Prober.
func (p *prober) Probe(ctx context.Context) (health.Reading, error) {
	var pages, size int64
	err := p.calls.Do(ctx, func(ctx context.Context) error {
		db, err := sql.Open("sqlite", p.dsn)
		if err != nil {
			return err
		}
		defer db.Close()
		// The first page is read, and with it the schema.
		return db.QueryRowContext(ctx, "SELECT p.page_count, s.page_size FROM pragma_page_count p, pragma_page_size s, (SELECT count(*) FROM sqlite_schema)").Scan(&pages, &size)
	})
	if err != nil {
		return health.Reading{}, fail(ctx, err)
	}
	return health.Reading{Message: "can be read", Details: map[string]any{"sizeBytes": pages * size}}, nil
}

func fail(ctx context.Context, err error) error {
	const what = "read the file"
	var e *sqlite.Error
	if ctx.Err() != nil || !errors.As(err, &e) {
		return probe.Fail(ctx, what, err)
	}
	switch e.Code() & 0xff { // the rest is detail
	case sqlite3.SQLITE_BUSY:
		return probe.Failf("%s: it is locked by another process", what)
	case sqlite3.SQLITE_CANTOPEN:
		return probe.Failf("%s: it does not exist or may not be opened", what)
	case sqlite3.SQLITE_NOTADB:
		return probe.Failf("%s: it is not a SQLite database", what)
	case sqlite3.SQLITE_CORRUPT:
		return probe.Failf("%s: the database is damaged; restore it", what)
	case sqlite3.SQLITE_IOERR:
		return probe.Failf("%s: the disk fails (SQLite code %d)", what, e.Code())
	}
	return probe.Failf("%s: SQLite code %d", what, e.Code())
}
