// Package sqlite measures whether a SQLite database file can be read.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/probe"
)

// Config says which file.
type Config struct {
	Path string // absolute
}

// again is how often a database that another process has locked is tried.
const again = 20 * time.Millisecond

type prober struct {
	dsn   string
	calls probe.Blocking
}

// New returns a prober. It opens nothing.
func New(cfg Config) (health.Prober, error) {
	if !filepath.IsAbs(cfg.Path) {
		return nil, probe.Invalid("sqlite", "path", "must be an absolute path, such as /var/lib/app/app.db")
	}
	// busy_timeout: SQLite's own wait does not end with a context.
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(cfg.Path), RawQuery: "mode=ro&_pragma=busy_timeout(0)&_pragma=query_only(1)"}
	return &prober{dsn: u.String()}, nil
}

// Probe implements health.Prober. A file that is locked for writing is tried
// until ctx ends.
func (p *prober) Probe(ctx context.Context) (health.Reading, error) {
	var pages, size int64
	err := p.calls.Do(ctx, func(ctx context.Context) error {
		db, err := sql.Open("sqlite", p.dsn)
		if err != nil {
			return err
		}
		defer db.Close()
		for {
			// The first page is read, and with it the schema.
			err := db.QueryRowContext(ctx, "SELECT p.page_count, s.page_size FROM pragma_page_count p, pragma_page_size s, (SELECT count(*) FROM sqlite_schema)").Scan(&pages, &size)
			if !busy(err) {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(again):
			}
		}
	})
	if err != nil {
		return health.Reading{}, fail(ctx, err)
	}
	return health.Reading{Message: "can be read", Details: map[string]any{"sizeBytes": pages * size}}, nil
}

func busy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

func fail(ctx context.Context, err error) error {
	const what = "read the file"
	var e *sqlite.Error
	if ctx.Err() != nil || !errors.As(err, &e) {
		return probe.Fail(ctx, what, err)
	}
	switch e.Code() & 0xff { // the rest is detail
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
