// Package interop holds what proves Gantry against other people's software.
// It is a module of its own, so that their dependencies are not Gantry's.
package interop

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/httpapi"
	"avalo.app/gantry/internal/store"
	"avalo.app/gantry/internal/store/storetest"
)

// TestFsck has Tessera's own verifier read the log that Gantry serves: it
// rebuilds every tile from the entries and compares tiles, root and
// signature.
func TestFsck(t *testing.T) {
	secret, vkey, err := audit.GenerateKey("gantry.test/audit")
	if err != nil {
		t.Fatal(err)
	}
	storetest.EachURL(t, func(t *testing.T, url string) {
		db, err := store.Open(t.Context(), store.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		if err := db.UseAuditKey(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		log := httpapi.NewAuditLog(db)
		for _, size := range []int64{1, 2, 255, 256, 257, 600} {
			for next := int64(1); next < size; {
				at, err := db.RecordAudit(t.Context(), audit.Entry{Kind: audit.ConfigReloaded, Actor: "system", Object: "config"})
				if err != nil {
					t.Fatal(err)
				}
				next = at + 1
			}
			if err := check(t, log, vkey); err != nil {
				t.Errorf("size %d: fsck refuses the log: %v", size, err)
			}
		}
		refuses(t, log, vkey)
	})
}

// refuses shows that the acceptance above means something.
func refuses(t *testing.T, log http.Handler, vkey string) {
	t.Helper()
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	for _, path := range []string{"checkpoint", "tile/entries/000", "tile/entries/002.p/88", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"} {
		seen := false
		err := check(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			log.ServeHTTP(rec, r)
			body := rec.Body.Bytes()
			if strings.TrimPrefix(r.URL.Path, httpapi.AuditLogPath) == path {
				seen = true
				body = flip(bytes.Clone(body))
			}
			w.WriteHeader(rec.Code)
			_, _ = w.Write(body)
		}), vkey)
		if err == nil {
			t.Errorf("fsck accepts the log with one byte of %s changed", path)
		}
		if !seen {
			t.Errorf("fsck does not read %s", path)
		}
	}
}

// check runs fsck over the log that h serves.
func check(t *testing.T, h http.Handler, vkey string) error {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	root, err := url.Parse(srv.URL + httpapi.AuditLogPath)
	if err != nil {
		t.Fatal(err)
	}
	fetcher, err := client.NewHTTPFetcher(root, srv.Client())
	if err != nil {
		t.Fatal(err)
	}
	v, err := audit.ParseVerifierKey(vkey)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// With N: 1 fsck hangs on a damaged log: its only worker has gone with the
	// first error and nobody reads the channel any more.
	return fsck.New(v.Name(), v, fetcher, leafHashes, fsck.Opts{N: 8}).Check(ctx)
}

// leafHashes parses a bundle by Tessera's own parser, not by ours.
func leafHashes(bundle []byte) ([][]byte, error) {
	var b api.EntryBundle
	if err := b.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	hashes := make([][]byte, 0, len(b.Entries))
	for _, e := range b.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(e))
	}
	return hashes, nil
}
