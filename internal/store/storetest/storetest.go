// Package storetest runs a test on every engine of the store: SQLite in a
// temporary folder and a PostgreSQL server that it starts and stops. An
// engine that cannot run fails the test; it never skips.
package storetest

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"avalo.app/gantry/internal/store"
)

// shared is the PostgreSQL of this test process, started on first use.
var shared struct {
	once sync.Once
	s    *Server
	err  error
	n    int
	mu   sync.Mutex
}

// Main runs m and stops what the tests started. A package that uses Each
// calls it from TestMain.
func Main(m *testing.M) {
	code := m.Run()
	Stop()
	os.Exit(code)
}

// Stop ends the PostgreSQL server, if a test started it. Main calls it; a
// package whose TestMain does more calls it itself.
func Stop() {
	if shared.s != nil {
		shared.s.Stop()
	}
}

// Each runs fn once per engine with an empty, migrated store.
func Each(t *testing.T, fn func(t *testing.T, db *store.DB)) {
	t.Helper()
	EachURL(t, func(t *testing.T, url string) {
		db, err := store.Open(t.Context(), store.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		fn(t, db)
	})
}

// EachURL runs fn once per engine with the URL of an empty database.
func EachURL(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		fn(t, "sqlite:"+filepath.Join(t.TempDir(), "gantry.db"))
	})
	t.Run("postgres", func(t *testing.T) { fn(t, Postgres(t)) })
}

// Postgres returns the URL of a new, empty PostgreSQL database.
func Postgres(t *testing.T) string {
	t.Helper()
	shared.once.Do(func() { shared.s, shared.err = NewServer() })
	if shared.err != nil {
		t.Fatalf("PostgreSQL is needed for this test (apt-get install postgresql): %v", shared.err)
	}
	shared.mu.Lock()
	shared.n++
	name := fmt.Sprintf("t%d_%d", os.Getpid(), shared.n)
	shared.mu.Unlock()
	admin, err := sql.Open("pgx", shared.s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return shared.s.URL[:len(shared.s.URL)-len("postgres")] + name
}
