package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
)

// AuditLogPath is where the audit log is mounted: its checkpoint, tiles and
// entry bundles lie below.
const AuditLogPath = "/audit/log/"

// AuditTiles reads the audit log for AuditLog. Both methods answer
// NOT_FOUND for what the log does not have yet; neither writes.
type AuditTiles interface {
	AuditCheckpoint(ctx context.Context) ([]byte, error)
	AuditTile(ctx context.Context, t tlog.Tile) ([]byte, error)
}

// AuditLog serves the audit log as C2SP tlog-tiles, to anyone.
type AuditLog struct{ tiles AuditTiles }

// NewAuditLog returns the handler of AuditLogPath.
func NewAuditLog(t AuditTiles) *AuditLog { return &AuditLog{tiles: t} }

// What caches may do. The checkpoint is the one thing that changes. A full
// tile never does; a partial one neither, but the next entry puts it out of
// use, so it is not worth keeping for long.
const (
	cacheCheckpoint = "no-cache"
	cacheFull       = "public, max-age=31536000, immutable"
	cachePartial    = "public, max-age=3600"
)

// ServeHTTP answers GET and HEAD. Its errors are plain text: tile clients
// read status codes.
func (a *AuditLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the audit log is read-only", http.StatusMethodNotAllowed)
		return
	}
	data, kind, cache, err := a.read(r.Context(), strings.TrimPrefix(r.URL.Path, AuditLogPath))
	switch {
	case err == nil:
	case fault.CodeOf(err) == fault.NotFound:
		w.Header().Set("Cache-Control", "no-store") // it may be there after the next entry
		http.Error(w, "not part of the audit log (yet)", http.StatusNotFound)
		return
	case errors.Is(err, context.Canceled):
		return // nobody is listening
	default:
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "the audit log cannot be read at the moment; try again", http.StatusServiceUnavailable)
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", cache)
	h.Set("Content-Length", strconv.Itoa(len(data)))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Access-Control-Allow-Origin", "*") // public data; a verifier may run in a browser
	if r.Method == http.MethodGet {
		_, _ = w.Write(data) // a client that went away is not our failure
	}
}

func (a *AuditLog) read(ctx context.Context, path string) (data []byte, kind, cache string, err error) {
	if path == "checkpoint" {
		data, err = a.tiles.AuditCheckpoint(ctx)
		return data, "text/plain; charset=utf-8", cacheCheckpoint, err
	}
	t, err := audit.ParseTilePath(path)
	if err != nil {
		return nil, "", "", fault.Wrap(fault.NotFound, "httpapi.AuditLog", err)
	}
	data, err = a.tiles.AuditTile(ctx, t)
	cache = cacheFull
	if t.W < audit.TileWidth {
		cache = cachePartial
	}
	return data, "application/octet-stream", cache, err
}
