package main_test

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/gantrytest"
	"avalo.app/gantry/internal/media/mediatest"
)

// killed is a process with media that is killed again and again over one
// data directory. Its clock goes on by more than the lease of its dead
// predecessor at each start.
type killed struct {
	t     *testing.T
	p     *gantrytest.Process
	dir   string
	key   string
	ahead time.Duration
}

func newKilled(t *testing.T) *killed {
	t.Helper()
	k := &killed{t: t, dir: t.TempDir()}
	k.start()
	return k
}

// start kills the process, if there is one, and starts it again.
func (k *killed) start() {
	k.t.Helper()
	if k.p != nil {
		k.p.Kill()
	}
	before := k.files("spool")
	k.ahead += 10 * time.Minute
	if err := os.WriteFile(filepath.Join(k.dir, "clock"), []byte(k.ahead.String()), 0o600); err != nil {
		k.t.Fatal(err)
	}
	k.p = gantrytest.Start(k.t, gantrytest.Options{Binary: command, Dir: k.dir, Config: "media: {sanitise: false}\n"})
	if k.key == "" {
		k.key = k.p.Key
	}
	k.p.Key = k.key
	// What is there now may be of this process: it judges from the start on.
	if left := k.files("spool"); slices.ContainsFunc(left, func(f string) bool { return slices.Contains(before, f) }) {
		k.t.Errorf("the spool held %v at the kill, and %v after a start", before, left)
	}
}

// files are what lies in a folder of the data directory, sorted.
func (k *killed) files(sub string) []string {
	k.t.Helper()
	root := filepath.Join(k.dir, "gantry-data", sub)
	var out []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // deleted just now
		}
		if err == nil && !d.IsDir() {
			var rel string
			rel, err = filepath.Rel(root, path)
			out = append(out, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		k.t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// row is what the store says of one object.
type row struct {
	Key, State, SHA256 string
	Refs, Uploads      int
}

// rows reads the store of a process that is not running.
func (k *killed) rows() (out []row) {
	k.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(k.dir, "gantry-data", "gantry.db"))
	if err != nil {
		k.t.Fatal(err)
	}
	defer db.Close()
	rs, err := db.QueryContext(k.t.Context(), `SELECT key, state, sha256, refs, (SELECT count(*) FROM media_uploads u WHERE u.object_id = o.id) FROM media_objects o ORDER BY key`)
	if err != nil {
		k.t.Fatal(err)
	}
	defer rs.Close()
	for rs.Next() {
		var r row
		if err := rs.Scan(&r.Key, &r.State, &r.SHA256, &r.Refs, &r.Uploads); err != nil {
			k.t.Fatal(err)
		}
		out = append(out, r)
	}
	if err := rs.Err(); err != nil {
		k.t.Fatal(err)
	}
	return out
}

// settled lets the collector run, and demands that the bucket holds what the
// store knows and nothing else, byte for byte.
func (k *killed) settled() {
	k.t.Helper()
	k.ahead += 7 * time.Hour // what was begun is given up after 6 h
	k.start()
	var rows []row
	for range tries {
		k.p.Kill()
		if rows = k.rows(); !slices.ContainsFunc(rows, func(r row) bool { return r.State != "live" }) {
			break
		}
		k.start()
		time.Sleep(10 * patience)
	}
	var keys []string
	for _, r := range rows {
		keys = append(keys, r.Key)
		data, err := os.ReadFile(filepath.Join(k.dir, "gantry-data", "media", filepath.FromSlash(r.Key)))
		if sum := sha256.Sum256(data); err != nil || hex.EncodeToString(sum[:]) != r.SHA256 || r.State != "live" || r.Refs != r.Uploads || r.Uploads == 0 {
			k.t.Errorf("%+v has %d bytes, %v", r, len(data), err)
		}
	}
	if diff := cmp.Diff(keys, k.files("media")); diff != "" {
		k.t.Errorf("rows and objects: %s", diff)
	}
}

// TestUploadsKilled: kill -9 at any instant of uploads and deletions loses no
// upload that was acknowledged, and leaves nothing in the bucket or the spool
// that is not an upload.
func TestUploadsKilled(t *testing.T) {
	k := newKilled(t)
	acked := map[string][]byte{} // by id
	var mu sync.Mutex
	for round := range rounds() {
		var wg sync.WaitGroup
		p := k.p
		for worker := range 6 {
			wg.Go(func() {
				for i := 0; ; i++ {
					// Every other worker sends what others send for the same user.
					user, side := fmt.Sprintf("r%d-%d-%d", round, worker, i), 20+rand.IntN(200)
					if worker%2 == 0 {
						user, side = fmt.Sprintf("shared%d-%d", round, i/8), 64
					}
					file := mediatest.JPEG(mediatest.Picture(side, 64))
					a, err := p.Try("POST", "/v1/media/uploads?userId="+user+"&filename=a.jpg", string(file), "Content-Type", "image/jpeg")
					if err != nil {
						return // the process is gone
					}
					if a.Status == http.StatusTooManyRequests {
						continue
					}
					var up api.MediaUpload
					if err := decode(a, &up); err != nil || a.Status != http.StatusCreated {
						t.Errorf("%d %s", a.Status, a.Body)
						return
					}
					if worker%3 == 0 { // it is gone, or may be
						if d, err := p.Try("DELETE", "/v1/media/uploads/"+up.ID, nil); err != nil || d.Status != http.StatusNoContent {
							return
						}
						continue
					}
					mu.Lock()
					acked[up.ID] = file
					mu.Unlock()
				}
			})
		}
		time.Sleep(time.Duration(50+rand.IntN(400)) * time.Millisecond) // the instant of the kill, not a wait for anything
		k.start()
		wg.Wait()
	}
	if len(acked) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	for id, file := range acked {
		if a := k.p.Do(t, "GET", "/v1/media/uploads/"+id+"/content", nil); a.Status != http.StatusOK || !bytes.Equal(a.Body, file) {
			t.Errorf("%s was acknowledged: %d, %d bytes of %d", id, a.Status, len(a.Body), len(file))
		}
	}
	t.Logf("%d uploads were acknowledged", len(acked))
	k.settled()
}

// TestQuarantineKilled: what hosts put into quarantine is judged once, however
// often the process is killed at it.
func TestQuarantineKilled(t *testing.T) {
	k := newKilled(t)
	bucket := filepath.Join(k.dir, "gantry-data", "media")
	files, bad := map[string][]byte{}, 0
	for round := range rounds() {
		for i := range 24 {
			id, file := fmt.Sprintf("%016d%04d", round, i), mediatest.JPEG(mediatest.Picture(20+i, 30+round))
			if i%3 == 0 {
				bad++
				file = file[:len(file)/2]
			} else {
				files[id] = file
			}
			path := filepath.Join(bucket, filepath.FromSlash(api.MediaAwayKey(fmt.Sprint("user", i%5), id, "a.jpg")))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, file, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		k.start()                                                    // its clock is ahead of these files
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond) // the instant of the kill, not a wait for anything
	}
	k.start()
	for range tries {
		if len(k.files("media/quarantine")) == 0 {
			break
		}
		time.Sleep(patience)
	}
	for id, file := range files {
		if a := k.p.Do(t, "GET", "/v1/media/uploads/"+id+"/content", nil); a.Status != http.StatusOK || !bytes.Equal(a.Body, file) {
			t.Errorf("%s: %d, %d bytes of %d", id, a.Status, len(a.Body), len(file))
		}
	}
	var out struct{ Refusals []api.MediaRefusal }
	k.p.Do(t, "GET", "/v1/media/refusals?limit=1000", nil).Decode(t, &out)
	if len(out.Refusals) != bad || slices.ContainsFunc(out.Refusals, func(r api.MediaRefusal) bool { return r.Code != api.CodeFileCorrupt }) {
		t.Errorf("%d refusals of %d: %+v", len(out.Refusals), bad, out.Refusals)
	}
	if strings.Contains(k.p.Stderr(), "user") {
		t.Errorf("the log names users:\n%s", k.p.Stderr())
	}
	k.settled()
}
