package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"avalo.app/gantry/internal/probe/probetest"
	"avalo.app/gantry/internal/probe/sqlite"
)

// file is a database that another connection uses.
type file struct {
	path    string
	content []byte
	db      *sql.DB
	lock    *sql.Conn
	reached chan struct{}
}

func newFile(t *testing.T) *file {
	t.Helper()
	f := &file{path: filepath.Join(t.TempDir(), probetest.Secret+".db"), reached: make(chan struct{})}
	close(f.reached) // a lock is met or not: there is nothing to wait for
	var err error
	if f.db, err = sql.Open("sqlite", "file:"+f.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.db.Close() })
	f.exec(t, "CREATE TABLE t (x)")
	if f.content, err = os.ReadFile(f.path); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *file) exec(t testing.TB, q string) {
	t.Helper()
	if _, err := f.db.ExecContext(context.Background(), q); err != nil {
		t.Fatal(err)
	}
}

// Set implements probetest.Dependency.
func (f *file) Set(t testing.TB, m probetest.Mode) {
	t.Helper()
	if f.lock != nil {
		if _, err := f.lock.ExecContext(context.Background(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		_ = f.lock.Close()
		f.lock = nil
	}
	var err error
	switch m {
	case probetest.Healthy:
		err = os.WriteFile(f.path, f.content, 0o600)
	case probetest.Refusing:
		err = os.Remove(f.path)
	case probetest.Garbage:
		err = os.WriteFile(f.path, bytes.Repeat([]byte(probetest.Secret), 1000), 0o600)
	default:
		if f.lock, err = f.db.Conn(context.Background()); err == nil {
			_, err = f.lock.ExecContext(context.Background(), "BEGIN EXCLUSIVE")
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Reached implements probetest.Dependency.
func (f *file) Reached() <-chan struct{} { return f.reached }

// Open implements probetest.Dependency. While the file is locked by this very
// process, SQLite puts off closing it, since that would end the lock (POSIX):
// what is left shows once the lock is gone.
func (f *file) Open() int {
	if f.lock != nil {
		return 0
	}
	links, err := filepath.Glob("/proc/self/fd/*")
	n := 0
	for _, l := range links {
		if to, _ := os.Readlink(l); to == f.path {
			n++
		}
	}
	if err != nil || len(links) == 0 {
		return -1
	}
	return n - f.db.Stats().OpenConnections
}

func TestConformance(t *testing.T) {
	f := newFile(t)
	p, err := sqlite.New(sqlite.Config{Path: f.path})
	if err != nil {
		t.Fatal(err)
	}
	probetest.Run(t, probetest.Kind{Prober: p, Dependency: f, Modes: []probetest.Mode{probetest.Hanging, probetest.Garbage}})
}

func TestMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), probetest.Secret)
	p, err := sqlite.New(sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Probe(t.Context()); err == nil || err.Error() != "read the file: it does not exist or may not be opened" {
		t.Errorf("missing: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it made the file")
	}
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "PRAGMA journal_mode=WAL; CREATE TABLE t (x)"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Probe(t.Context()); err != nil {
		t.Errorf("there now: %v", err)
	}
}

// A lock that ends in time is waited for.
func TestWaits(t *testing.T) {
	f := newFile(t)
	p, err := sqlite.New(sqlite.Config{Path: f.path})
	if err != nil {
		t.Fatal(err)
	}
	f.Set(t, probetest.Hanging)
	ended := make(chan error)
	go func() {
		_, err := p.Probe(t.Context())
		ended <- err
	}()
	select {
	case err := <-ended:
		t.Errorf("while locked: %v", err)
	case <-time.After(50 * time.Millisecond):
		f.Set(t, probetest.Healthy)
		if err := <-ended; err != nil {
			t.Errorf("once unlocked: %v", err)
		}
	}
}

func TestConfig(t *testing.T) {
	if _, err := sqlite.New(sqlite.Config{Path: "app.db"}); err == nil {
		t.Error("a relative path is taken")
	}
}
