package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"avalo.app/gantry/internal/gantrytest"
	"avalo.app/gantry/internal/media/mediatest"
)

// resumable sends one file by tus to a process that is killed and started
// again.
type resumable struct {
	t     *testing.T
	p     *gantrytest.Process
	start func() *gantrytest.Process
	at    string
	data  []byte
}

func (r *resumable) begin(user string) {
	r.t.Helper()
	enc := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	a := r.p.Do(r.t, "POST", "/v1/media/tus/", nil, "Tus-Resumable", "1.0.0", "Upload-Length", strconv.Itoa(len(r.data)),
		"Upload-Metadata", "filename "+enc("a.mp4")+",filetype "+enc("video/mp4")+",userId "+enc(user))
	if r.at = a.Header.Get("Location"); a.Status != http.StatusCreated {
		r.t.Fatalf("create: %d %s", a.Status, a.Body)
	}
}

// offset asks how far the upload is; -1 if it is not there.
func (r *resumable) offset() (int, string) {
	r.t.Helper()
	a := r.p.Do(r.t, "HEAD", r.at, nil, "Tus-Resumable", "1.0.0")
	if a.Status == http.StatusNotFound {
		return -1, ""
	}
	n, err := strconv.Atoi(a.Header.Get("Upload-Offset"))
	if err != nil {
		r.t.Fatalf("head: %d %v", a.Status, a.Header)
	}
	return n, a.Header.Get("X-Gantry-Upload")
}

func (r *resumable) patch(offset int, b []byte) (gantrytest.Answer, error) {
	return r.p.Try("PATCH", r.at, string(b), "Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset", strconv.Itoa(offset))
}

// killWithin sends a piece of which not all comes, and kills the process when
// bytes of it are on the disk.
func (r *resumable) killWithin(offset int, b []byte) {
	r.t.Helper()
	body, in := io.Pipe()
	req, err := http.NewRequestWithContext(r.t.Context(), "PATCH", r.p.URL+r.at, body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.ContentLength = int64(len(b) + 1)
	for _, h := range [][2]string{{"Authorization", "Bearer " + r.p.Key}, {"Tus-Resumable", "1.0.0"}, {"Content-Type", "application/offset+octet-stream"}, {"Upload-Offset", strconv.Itoa(offset)}} {
		req.Header.Set(h[0], h[1])
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if res, err := http.DefaultClient.Do(req); err == nil {
			r.t.Errorf("a piece that did not end was answered: %d", res.StatusCode)
			_ = res.Body.Close()
		}
	})
	if _, err := in.Write(b); err != nil {
		r.t.Fatal(err)
	}
	path := filepath.Join(r.p.Dir, "gantry-data", "tus", filepath.Base(r.at))
	for range tries {
		if i, err := os.Stat(path); err == nil && i.Size() > int64(offset) {
			break
		}
		time.Sleep(patience)
	}
	r.p.Kill()
	_ = in.Close()
	wg.Wait()
	r.p = r.start()
}

// TestTusKilled: an upload goes on where it was after kill -9 within a piece,
// twice; and killed at any instant around its last byte it ends once, stored
// or refused, with one row or one entry.
func TestTusKilled(t *testing.T) {
	dir, key := t.TempDir(), ""
	r := &resumable{t: t, data: mediatest.MovieFile{Brands: []string{"isom", "avc1", "mp41"}, Video: true, After: mediatest.Box("free", make([]byte, 1<<20))}.Bytes()}
	r.start = func() *gantrytest.Process {
		p := gantrytest.Start(t, gantrytest.Options{Binary: binary, Dir: dir})
		if key == "" {
			key = p.Key
		}
		p.Key = key
		return p
	}
	r.p = r.start()
	r.begin("alice")
	acknowledged := 0
	for range 2 {
		if a, err := r.patch(acknowledged, r.data[acknowledged:acknowledged+1000]); err != nil || a.Status != http.StatusNoContent {
			t.Fatal(a, err)
		}
		acknowledged += 1000
		r.killWithin(acknowledged, r.data[acknowledged:acknowledged+300_000])
		n, _ := r.offset()
		if n < acknowledged || n > acknowledged+300_000 {
			t.Fatalf("the offset is %d; %d were acknowledged, %d were sent", n, acknowledged, acknowledged+300_000)
		}
		acknowledged = n
	}
	r.finish()
	for round := range rounds() {
		r.begin("bob" + strconv.Itoa(round))
		r.finish()
	}
	good := r.data
	r.data = bytes.Clone(good[:len(good)-10])
	for round := range rounds() {
		r.begin("carol" + strconv.Itoa(round))
		if r.last(0) {
			t.Error("a file that is cut short was stored")
		}
		var out struct{ Refusals []struct{ Code string } }
		r.p.Do(t, "GET", "/v1/media/refusals", nil).Decode(t, &out)
		if len(out.Refusals) != round+1 {
			t.Errorf("round %d: %d entries in the verdict log: %v", round, len(out.Refusals), out.Refusals)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "gantry-data", "tus", "*[^o]")); err != nil || len(left) != 0 {
		t.Errorf("bytes stayed: %v %v", left, err)
	}
}

// finish sends the rest, kills the process at some instant around it, and
// holds what became of the upload to what it is.
func (r *resumable) finish() {
	r.t.Helper()
	n, _ := r.offset()
	if !r.last(n) {
		r.t.Fatal("an honest file was refused")
	}
	_, id := r.offset()
	a, err := r.patch(len(r.data), nil)
	var got struct{ ID, SHA256, State string }
	if err != nil || json.Unmarshal(a.Body, &got) != nil {
		r.t.Fatal(a.Status, string(a.Body), err)
	}
	sum := sha256.Sum256(r.data)
	if got.ID != id || id != filepath.Base(r.at) || got.State != "verified" || got.SHA256 != hex.EncodeToString(sum[:]) {
		r.t.Errorf("%+v, want %s", got, id)
	}
}

// last sends what is missing until the upload is stored or gone, and kills
// the process the first time.
func (r *resumable) last(offset int) (stored bool) {
	r.t.Helper()
	for try := range 5 {
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = r.patch(offset, r.data[offset:]) }) // what came of it, the next question tells
		if try == 0 {
			time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond) // the instant of the kill, not a wait for anything
			r.p.Kill()
		}
		wg.Wait()
		if try == 0 {
			r.p = r.start()
		}
		// Asked at the end, it is judged if it was not.
		if a := r.p.Do(r.t, "HEAD", r.at, nil, "Tus-Resumable", "1.0.0"); a.Status >= http.StatusBadRequest {
			return false
		}
		n, id := r.offset()
		if id != "" {
			return true
		}
		if n < offset {
			r.t.Fatalf("%d bytes of %d are gone", offset-n, offset)
		}
		offset = n
	}
	r.t.Fatal("it does not end")
	return false
}
