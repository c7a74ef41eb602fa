package app_test

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"avalo.app/gantry/internal/app"
	"avalo.app/gantry/internal/config"
)

// awaited is a log that sends the first line with a word.
type awaited struct {
	word string
	line chan string
}

func (w awaited) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(w.word)) {
		select {
		case w.line <- string(b):
		default:
		}
	}
	return len(b), nil
}

// TestLeasedWorkFails: leased work that fails degrades the health word, and
// one part of it does not keep the other from its work.
func TestLeasedWorkFails(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir, cfg.Server.Listen = t.TempDir(), "127.0.0.1:0"
	log := awaited{"background work fails", make(chan string, 1)}
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test", Log: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Stop(context.Background()) }()
	db, err := sql.Open("sqlite", filepath.Join(cfg.DataDir, "gantry.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range []string{
		`INSERT INTO idempotency (kind, scope, key, state, token, fingerprint, in_sql, lease_until, expires_at, status, header, body)
			VALUES ('request', 's', 'k', 'committed', 1, x'', 0, 0, 1, 200, '{}', x'')`,
		`DROP TABLE ratelimit_violations`,
	} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if line := <-log.line; !strings.Contains(line, "work=sweep") {
		t.Error(line)
	}
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
	if !strings.Contains(w.Body.String(), "DEGRADED") {
		t.Errorf("health: %s", w.Body)
	}
	var left int
	if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM idempotency`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d expired claims are left, %v", left, err)
	}
}
