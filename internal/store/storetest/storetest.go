// Package storetest runs a test on every engine of the store: SQLite in a
// temporary folder and a PostgreSQL server that it starts and stops. An
// engine that cannot run fails the test; it never skips.
package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"avalo.app/gantry/internal/store"
)

// server is the PostgreSQL of this test process, started on first use.
var server struct {
	once sync.Once
	url  string // with database postgres
	stop func()
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
	if server.stop != nil {
		server.stop()
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
	server.once.Do(startPostgres)
	if server.err != nil {
		t.Fatalf("PostgreSQL is needed for this test (apt-get install postgresql): %v", server.err)
	}
	server.mu.Lock()
	server.n++
	name := fmt.Sprintf("t%d_%d", os.Getpid(), server.n)
	server.mu.Unlock()
	admin, err := sql.Open("pgx", server.url)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return server.url[:len(server.url)-len("postgres")] + name
}

// startPostgres runs initdb and postgres in a temporary folder, as the
// user postgres when the test runs as root, since the server refuses root.
func startPostgres() {
	server.err = func() error {
		bin, err := binDir()
		if err != nil {
			return err
		}
		dir, err := os.MkdirTemp("", "gantry-pg-")
		if err != nil {
			return err
		}
		attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
		if os.Geteuid() == 0 {
			if attr.Credential, err = postgresUser(); err != nil {
				return err
			}
			if err := os.Chown(dir, int(attr.Credential.Uid), int(attr.Credential.Gid)); err != nil {
				return err
			}
		}
		data := filepath.Join(dir, "data")
		initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "gantry", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")
		initdb.SysProcAttr, initdb.Dir = attr, dir
		if out, err := initdb.CombinedOutput(); err != nil {
			return fmt.Errorf("initdb: %w: %s", err, out)
		}
		port, err := freePort()
		if err != nil {
			return err
		}
		pg := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(port),
			"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off",
			"-c", "full_page_writes=off", "-c", "max_connections=300", "-c", "shared_buffers=64MB")
		pg.SysProcAttr, pg.Dir = attr, dir
		log, err := os.Create(filepath.Join(dir, "log"))
		if err != nil {
			return err
		}
		pg.Stdout, pg.Stderr = log, log
		if err := pg.Start(); err != nil {
			return err
		}
		server.url = fmt.Sprintf("postgres://gantry@127.0.0.1:%d/postgres", port)
		server.stop = func() {
			_ = pg.Process.Signal(syscall.SIGINT)
			_ = pg.Wait()
			_ = os.RemoveAll(dir)
		}
		return ready(server.url)
	}()
}

func ready(url string) error {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func binDir() (string, error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(dirs) == 0 {
		return "", fmt.Errorf("no PostgreSQL server under /usr/lib/postgresql")
	}
	slices.Sort(dirs)
	return dirs[len(dirs)-1], nil
}

func postgresUser() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
