package app_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"avalo.app/gantry/internal/app"
	"avalo.app/gantry/internal/config"
)

func open(t *testing.T, cfg config.Config, now func() time.Time) (*app.App, error) {
	t.Helper()
	return app.New(t.Context(), cfg, app.Options{Version: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: now})
}

// TestFirstKeyOutlivesFailedStart: a first start that cannot listen has not
// made the one admin key, so the next start still shows it.
func TestFirstKeyOutlivesFailedStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := config.Default()
	cfg.DataDir, cfg.Server.Listen = t.TempDir(), l.Addr().String()
	if _, err := open(t, cfg, time.Now); err == nil || !strings.Contains(err.Error(), "server.listen") {
		t.Fatalf("a busy port: %v", err)
	}
	cfg.Server.Listen = "127.0.0.1:0"
	a, err := open(t, cfg, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Stop(context.Background()) }()
	if a.BootstrapKey() == "" {
		t.Error("the admin key went with the failed start")
	}
}

// TestDeadListener: a program whose socket is gone says so; one that is
// stopped does not.
func TestDeadListener(t *testing.T) {
	for _, dies := range []bool{true, false} {
		cfg := config.Default()
		cfg.DataDir, cfg.Server.Listen = t.TempDir(), "127.0.0.1:0"
		a, err := open(t, cfg, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if dies {
			if err := a.CloseListener(); err != nil {
				t.Fatal(err)
			}
			if err := <-a.Dead(); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		select {
		case err := <-a.Dead():
			t.Errorf("dead after a stop: %v", err)
		default:
		}
	}
}

// TestReadyNeedsFreshKeys: when keys can no longer be checked, every limit
// check is refused, and readiness says so.
func TestReadyNeedsFreshKeys(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir, cfg.Server.Listen = t.TempDir(), "127.0.0.1:0"
	now := time.Now()
	a, err := open(t, cfg, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Stop(context.Background()) }()
	ready := func() int {
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		return w.Code
	}
	if got := ready(); got != http.StatusOK {
		t.Errorf("at start: %d", got)
	}
	now = now.Add(time.Duration(cfg.Access.KeysStaleAfter) + time.Second)
	if got := ready(); got != http.StatusServiceUnavailable {
		t.Errorf("with stale keys: %d", got)
	}
}

// TestLock: another holder is named; any other failure is not taken for one.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if err := os.WriteFile(path, []byte("4711\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for cause, want := range map[syscall.Errno]string{
		syscall.EWOULDBLOCK: "in use by another gantry (pid 4711)", syscall.ENOLCK: "no locks available", syscall.ENOTSUP: "not supported",
	} {
		if err := app.NotLocked(path, cause); !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "in use") != (cause == syscall.EWOULDBLOCK) {
			t.Errorf("%v: %v", cause, err)
		}
	}
}

// TestShortHashKey: a key that can be guessed is refused wherever it stands.
func TestShortHashKey(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir, cfg.Server.Listen = t.TempDir(), "127.0.0.1:0"
	cfg.Secrets.HashKeyFile = filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(cfg.Secrets.HashKeyFile, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, cfg, time.Now); err == nil || !strings.Contains(err.Error(), "hash_key") {
		t.Errorf("an empty hash key file: %v", err)
	}
}
