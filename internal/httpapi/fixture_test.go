package httpapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/app"
	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/counters/memory"
	"avalo.app/gantry/internal/httpapi"
	"avalo.app/gantry/internal/idempotency"
	"avalo.app/gantry/internal/idempotency/idempotencytest"
	"avalo.app/gantry/internal/ratelimit"
	"avalo.app/gantry/internal/ratelimit/ratelimittest"
	"avalo.app/gantry/internal/signal"
	"avalo.app/gantry/internal/store"
)

// errSecret is a cause that no client may see.
var errSecret = errors.New(`SELECT secret FROM keys: dial tcp 10.1.2.3:5432: connection refused`)

// fixture is the surface over real services on SQLite, whose counters and
// idempotency store fail when a test wants.
type fixture struct {
	handler  http.Handler
	key      string // of an admin
	db       *store.DB
	counters *ratelimittest.Fake
	claims   *idempotencytest.Fake
	log      *logBuffer
}

// newFixture builds it; change may replace what stands behind the routes.
func newFixture(t testing.TB, change func(*httpapi.Deps)) *fixture {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	db, err := app.OpenStore(t.Context(), cfg, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	f := &fixture{db: db, log: &logBuffer{}, counters: &ratelimittest.Fake{Next: memory.New(memory.Options{})}, claims: &idempotencytest.Fake{Next: db}}
	keys := access.New(access.Options{Store: db})
	if f.key, err = keys.EnsureBootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	policies := append(cfg.Policies(), ratelimit.Active{Policy: ratelimit.Policy{Action: "CLOSED", Algorithm: ratelimit.SlidingWindow, Window: time.Minute,
		Rules: []ratelimit.Rule{{Scope: ratelimit.User, Limit: 5}}, OnFailure: ratelimit.FailClosed}})
	limits := ratelimit.New(ratelimit.Options{Counters: f.counters, Hasher: ratelimit.NewHasher([16]byte{}), Policies: db, Violations: db,
		Signals: signal.Discard, Now: time.Now, Node: "test"}, policies)
	if err := limits.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	proxies, err := httpapi.NewProxies(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := httpapi.Deps{
		Limits: limits, Access: keys, Idempotency: idempotency.New(f.claims, idempotency.Options{}), Audit: db, AuditLog: httpapi.NewAuditLog(db),
		Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(f.log, nil)), Now: time.Now, Version: "test",
		StoreErr: func() error { return nil }, Failing: func() int32 { return 0 }, Config: func() string { return "" },
		Proxies: func() *httpapi.Proxies { return proxies }, CORSOrigins: func() []string { return nil }, MaxBody: 1 << 20,
	}
	if change != nil {
		change(&d)
	}
	f.handler = httpapi.New(d).Handler()
	return f
}

// do sends a request with the admin key and further headers in pairs. An
// empty value takes the header away.
func (f *fixture) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+f.key)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return w
}

// problemOf parses an error answer and holds it to what all of them promise.
func problemOf(t *testing.T, w *httptest.ResponseRecorder, status int, code api.Code) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%d %q: %v", w.Code, w.Body, err)
	}
	if w.Code != status || p.Status != status || p.Code != code {
		t.Fatalf("%d (status %d, code %s), want %d %s: %s", w.Code, p.Status, p.Code, status, code, w.Body)
	}
	got := map[string]string{"Content-Type": w.Header().Get("Content-Type"), "Cache-Control": w.Header().Get("Cache-Control"),
		"X-Content-Type-Options": w.Header().Get("X-Content-Type-Options")}
	if want := map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}; !maps.Equal(got, want) {
		t.Errorf("headers %v, want %v", got, want)
	}
	if p.RequestID == "" || p.RequestID != w.Header().Get("X-Request-Id") || p.Message == "" || p.Title == "" {
		t.Errorf("something is missing in %s", w.Body)
	}
	return p
}

// logBuffer gathers log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// line returns the first line that has every word, or "".
func (l *logBuffer) line(words ...string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
lines:
	for line := range strings.Lines(l.b.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue lines
			}
		}
		return line
	}
	return ""
}

var _ io.Writer = (*logBuffer)(nil)
