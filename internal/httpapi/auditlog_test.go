package httpapi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/httpapi"
)

// fakeTiles answers by functions.
type fakeTiles struct {
	checkpoint func() ([]byte, error)
	tile       func(tlog.Tile) ([]byte, error)
}

func (f fakeTiles) AuditCheckpoint(context.Context) ([]byte, error) { return f.checkpoint() }

func (f fakeTiles) AuditTile(_ context.Context, t tlog.Tile) ([]byte, error) { return f.tile(t) }

func TestAuditLogHandler(t *testing.T) {
	sound := fakeTiles{
		checkpoint: func() ([]byte, error) { return []byte("cp\n"), nil },
		tile: func(t tlog.Tile) ([]byte, error) {
			if t.N > 1234 {
				return nil, fault.New(fault.NotFound, "x", "the log does not have that tile")
			}
			return []byte{byte(t.L), byte(t.N), byte(t.W)}, nil
		},
	}
	down := fakeTiles{
		checkpoint: func() ([]byte, error) { return nil, errors.New("secret cause") },
		tile:       func(tlog.Tile) ([]byte, error) { return nil, errors.New("secret cause") },
	}
	type answer struct {
		Status            int
		Type, Cache, Body string
	}
	const full, partial, octets = "public, max-age=31536000, immutable", "public, max-age=3600", "application/octet-stream"
	for _, c := range []struct {
		tiles        fakeTiles
		method, path string
		want         answer
	}{
		{sound, "GET", "checkpoint", answer{200, "text/plain; charset=utf-8", "no-cache", "cp\n"}},
		{sound, "HEAD", "checkpoint", answer{200, "text/plain; charset=utf-8", "no-cache", ""}},
		{sound, "GET", "tile/0/000", answer{200, octets, full, "\x00\x00\x00"}},
		{sound, "GET", "tile/1/x001/234.p/7", answer{200, octets, partial, "\x01\xd2\x07"}},
		{sound, "GET", "tile/entries/005.p/1", answer{200, octets, partial, "\xff\x05\x01"}},
		{sound, "GET", "tile/0/x001/235", answer{404, "text/plain; charset=utf-8", "no-store", "not part"}},
		{sound, "GET", "tile/0/5", answer{404, "text/plain; charset=utf-8", "no-store", "not part"}},
		{sound, "GET", "", answer{404, "text/plain; charset=utf-8", "no-store", "not part"}},
		{sound, "POST", "checkpoint", answer{405, "text/plain; charset=utf-8", "", "the audit log is read-only"}},
		{down, "GET", "checkpoint", answer{503, "text/plain; charset=utf-8", "no-store", "the audit log cannot"}},
		{down, "GET", "tile/0/000", answer{503, "text/plain; charset=utf-8", "no-store", "the audit log cannot"}},
	} {
		rec := httptest.NewRecorder()
		httpapi.NewAuditLog(c.tiles).ServeHTTP(rec, httptest.NewRequest(c.method, httpapi.AuditLogPath+c.path, http.NoBody))
		body, err := io.ReadAll(rec.Result().Body)
		if err != nil {
			t.Fatal(err)
		}
		got := answer{rec.Code, rec.Header().Get("Content-Type"), rec.Header().Get("Cache-Control"), string(body)}
		if strings.Contains(got.Body, "secret") {
			t.Errorf("%s %s tells the cause", c.method, c.path)
		}
		if rec.Code != 200 {
			got.Body = got.Body[:min(len(got.Body), len(c.want.Body))]
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s %s: %s", c.method, c.path, d)
		}
	}
}
