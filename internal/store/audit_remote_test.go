package store_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/audit/audithttp"
	"avalo.app/gantry/internal/store"
	"avalo.app/gantry/internal/store/storetest"
)

// serve serves the log of db as httpapi does, in short, since a store's tests
// import no transport; interop tests the two together. hook, if set, may
// change any answer, or withhold it by returning nil.
func serve(t *testing.T, db *store.DB, hook func(path string, body []byte) []byte) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/audit/log/")
		var body []byte
		tile, err := audit.ParseTilePath(path)
		if path == "checkpoint" {
			body, err = db.AuditCheckpoint(r.Context())
		} else if err == nil {
			body, err = db.AuditTile(r.Context(), tile)
		}
		if err == nil && hook != nil {
			body = hook(path, body)
		}
		if err != nil || body == nil {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/audit/log/"
}

func verifyRemote(t *testing.T, base string, o audit.Options) *audit.Report {
	t.Helper()
	rep, err := audithttp.Verify(t.Context(), http.DefaultClient, base, o)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestAuditRemote(t *testing.T) {
	secret, vkey := newKey(t)
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := openLog(t, url, secret)
		var since []byte
		for _, size := range []int{1, 2, 255, 256, 257, 600} {
			if size > 1 {
				fill(t, db, size)
			}
			rep := verifyRemote(t, serve(t, db, nil), audit.Options{Key: vkey, Since: since})
			if !rep.OK() || rep.Size != int64(size) {
				t.Errorf("size %d: got size %d, findings %v", size, rep.Size, rep.Findings)
			}
			since = checkpointOf(t, db)
		}
		wantSound(t, db, 600)
		remoteTampering(t, db, vkey)
	})
}

func remoteTampering(t *testing.T, db *store.DB, vkey string) {
	_, strange := newKey(t)
	for _, c := range []struct {
		name string
		key  string
		hook func(path string, body []byte) []byte
		want string
	}{
		{"one byte of an entry", vkey, func(p string, b []byte) []byte {
			if p == "tile/entries/001" {
				b = bytes.Replace(b, []byte(`policy_set`), []byte(`policy_sex`), 1)
			}
			return b
		}, "checkpoint 600: the signed root is not that of the served entries"},
		{"an entry that is no leaf", vkey, func(p string, b []byte) []byte {
			if p == "tile/entries/001" {
				b = bytes.Replace(b, []byte(`"v":1`), []byte(`"v":2`), 1)
			}
			return b
		}, "entry 256: leaf has version 2"},
		{"a bundle cut short", vkey, func(p string, b []byte) []byte {
			if p == "tile/entries/002.p/88" {
				b = b[:len(b)-1]
			}
			return b
		}, "entry 512 to 599: their bundle is damaged or short"},
		{"a bundle withheld", vkey, func(p string, b []byte) []byte {
			if p == "tile/entries/001" {
				return nil
			}
			return b
		}, "entry 256 to 511: the log does not serve them"},
		{"a checkpoint with another size", vkey, func(p string, b []byte) []byte {
			if p == "checkpoint" {
				b = bytes.Replace(b, []byte("\n600\n"), []byte("\n599\n"), 1)
			}
			return b
		}, "checkpoint: checkpoint: invalid signature"},
		{"another key is pinned", strange, nil, "rewrite: checkpoint is not signed by"},
	} {
		rep := verifyRemote(t, serve(t, db, c.hook), audit.Options{Key: c.key})
		if !reports(rep, c.want) {
			t.Errorf("%s: no finding says %q; findings:\n%s", c.name, c.want, lines(rep))
		}
	}
	for name, o := range map[string]audit.Options{"no key": {}, "bad since": {Key: vkey, Since: []byte("x")}} {
		if _, err := audithttp.Verify(t.Context(), http.DefaultClient, serve(t, db, nil), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	huge := serve(t, db, func(_ string, _ []byte) []byte { return make([]byte, audit.MaxCheckpoint+1) })
	if _, err := audithttp.Verify(t.Context(), http.DefaultClient, huge, audit.Options{Key: vkey}); err == nil {
		t.Error("an endless checkpoint is read")
	}
}

func TestAuditRemoteSince(t *testing.T) {
	secret, vkey := newKey(t)
	storetest.EachURL(t, func(t *testing.T, url string) {
		db, raw := openLog(t, url, secret), rawDB(t, url)
		fill(t, db, 300)
		late := checkpointOf(t, db)
		restoreTables(t, raw, tableRows{})
		again := openLog(t, url, secret)
		for _, c := range []struct {
			size int
			want string
		}{
			{200, "rollback: the log has 200 entries, but an earlier checkpoint signed 300"},
			{300, "rewrite: the first 300 entries are not those"},
			{301, "rewrite: the first 300 entries are not those"},
		} {
			fill(t, again, c.size)
			rep := verifyRemote(t, serve(t, again, nil), audit.Options{Key: vkey, Since: late})
			if !reports(rep, c.want) || len(rep.Findings) != 1 {
				t.Errorf("size %d: want just %q; findings:\n%s", c.size, c.want, lines(rep))
			}
		}
	})
}
