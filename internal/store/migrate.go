package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema forward. Nodes that start together take turns:
// on PostgreSQL by an advisory lock, on SQLite by the database's own lock
// around each migration and the retry below.
func (db *DB) migrate(ctx context.Context) error {
	p, err := db.provider()
	if err != nil {
		return err
	}
	if err := refuseNewer(ctx, p); err != nil {
		return err
	}
	for i := 0; ; i++ {
		_, err = p.Up(ctx)
		if err == nil {
			return nil
		}
		// A second process on the same SQLite file may have run the migration
		// between our look and our try; then there is nothing left to do.
		if pending, perr := p.HasPending(ctx); perr == nil && !pending {
			return nil
		}
		if i == 3 {
			return fmt.Errorf("store: migrate: %w", err)
		}
	}
}

func (db *DB) provider() (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	opts := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	gd := goose.DialectSQLite3
	if db.dialect == dialectPostgres {
		gd = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(gd, db.write, dir, opts...)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return p, nil
}

func refuseNewer(ctx context.Context, p *goose.Provider) error {
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("store: read the schema version: %w", err)
	}
	if current > target {
		return fmt.Errorf("store: the database has schema %d, this gantry knows %d: run a newer gantry (migrations only go forward)", current, target)
	}
	return nil
}

// wantCurrent refuses a schema that is not exactly this binary's.
func (db *DB) wantCurrent(ctx context.Context) error {
	// First, since goose makes its table where there is none.
	var n int64
	err := db.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM goose_db_version`).Scan(&n)
	switch {
	case err == nil:
	case db.dialect.away(err):
		return db.dialect.explain("store.Inspect", err)
	default:
		return errors.New("store: this database holds no gantry store: " + startOnce)
	}
	p, err := db.provider()
	if err != nil {
		return err
	}
	if err := refuseNewer(ctx, p); err != nil {
		return err
	}
	pending, err := p.HasPending(ctx)
	if err != nil {
		return fmt.Errorf("store: read the schema version: %w", err)
	}
	if pending {
		return errors.New("store: the database has an older schema: start gantry serve once to bring it forward")
	}
	return nil
}
