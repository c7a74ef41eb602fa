package app_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/media/mediatest"
)

// film is an MP4 of about n bytes, most of them in a box that is skipped.
func film(n int) []byte {
	return mediatest.MovieFile{Brands: []string{"isom", "iso2", "avc1", "mp41"}, Video: true, Audio: true,
		After: mediatest.Box("free", make([]byte, n))}.Bytes()
}

// tus is a client of the protocol with one credential.
type tus struct {
	started
	cred string
}

type tusAnswer struct {
	status int
	header http.Header
	body   []byte
}

func (a tusAnswer) offset() int {
	n, err := strconv.Atoi(a.header.Get("Upload-Offset"))
	if err != nil {
		return -1
	}
	return n
}

func (a tusAnswer) code() string {
	var p struct{ Code string }
	_ = json.Unmarshal(a.body, &p)
	return p.Code
}

func (c tus) do(t testing.TB, method, url string, body io.Reader, headers ...string) tusAnswer {
	t.Helper()
	if strings.HasPrefix(url, "/") {
		url = c.url + url
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.cred)
	req.Header.Set("Tus-Resumable", "1.0.0")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return tusAnswer{}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return tusAnswer{res.StatusCode, res.Header, b}
}

func (c tus) create(t testing.TB, name, mime, user string, size int, more ...string) tusAnswer {
	t.Helper()
	enc := base64.StdEncoding.EncodeToString
	meta := "filename " + enc([]byte(name)) + ",filetype " + enc([]byte(mime))
	if user != "" {
		meta += ",userId " + enc([]byte(user))
	}
	return c.do(t, "POST", "/v1/media/tus/", nil, append([]string{"Upload-Length", strconv.Itoa(size), "Upload-Metadata", meta}, more...)...)
}

func (c tus) begin(t testing.TB, name, mime, user string, size int) string {
	t.Helper()
	a := c.create(t, name, mime, user, size)
	if at := a.header.Get("Location"); a.status == http.StatusCreated && strings.HasPrefix(at, "/v1/media/tus/") {
		return at
	}
	t.Fatalf("create: %d %v %s", a.status, a.header, a.body)
	return ""
}

func (c tus) patch(t testing.TB, at string, offset int, b []byte) tusAnswer {
	t.Helper()
	return c.do(t, "PATCH", at, bytes.NewReader(b), "Content-Type", "application/offset+octet-stream", "Upload-Offset", strconv.Itoa(offset))
}

// refusals counts the entries of the verdict log.
func (c tus) refusals(t testing.TB) int {
	t.Helper()
	var out struct{ Refusals []any }
	a := tus{c.started, c.creds["admin"]}.do(t, "GET", "/v1/media/refusals", nil)
	if err := json.Unmarshal(a.body, &out); err != nil {
		t.Fatal(err, string(a.body))
	}
	return len(out.Refusals)
}

// startTus is the program, and its data directory.
func startTus(t *testing.T) (tus, string) {
	dir := ""
	s := start(t, func(c *config.Config) { dir = c.DataDir })
	return tus{s, s.creds["app"]}, filepath.Join(dir, "tus")
}

type storedUpload struct {
	ID, State, Filename, MIMEType, SHA256 string
	Size                                  int
}

func (a tusAnswer) stored(t testing.TB) (u storedUpload) {
	t.Helper()
	if err := json.Unmarshal(a.body, &u); err != nil || u.ID == "" || a.header.Get("X-Gantry-Upload") != u.ID {
		t.Fatalf("not an upload: %d %v %s", a.status, a.header, a.body)
	}
	return u
}

// TestTusInPieces: a file in pieces becomes what it becomes in one, and
// asking again for what it became is answered again.
func TestTusInPieces(t *testing.T) {
	c, dir := startTus(t)
	data := film(300_000)
	at := c.begin(t, "../a film.mp4", "video/mp4", "alice", len(data))
	sent := 0
	for _, n := range []int{1, 7, 1000, 2500, 100_000} {
		if a := c.patch(t, at, sent, data[sent:sent+n]); a.status != http.StatusNoContent || a.offset() != sent+n {
			t.Fatalf("piece: %d %s", a.status, a.body)
		}
		sent += n
		if a := c.do(t, "HEAD", at, nil); a.status != http.StatusOK || a.offset() != sent || strings.Contains(a.header.Get("Upload-Metadata"), "gantry") || a.header.Get("X-Gantry-Upload") != "" {
			t.Fatalf("head: %d %v", a.status, a.header)
		}
	}
	if a := c.patch(t, at, sent+1, data[sent+1:]); a.status != http.StatusConflict || a.code() != "CONFLICT" {
		t.Errorf("a wrong offset: %d %s", a.status, a.body)
	}
	if a := c.patch(t, at, sent, append(bytes.Clone(data[sent:]), 0)); a.status != http.StatusRequestEntityTooLarge || a.code() != "FILE_TOO_LARGE" {
		t.Errorf("a byte too much: %d %s", a.status, a.body)
	}
	last := c.patch(t, at, sent, data[sent:])
	if last.status != http.StatusOK || last.offset() != len(data) {
		t.Fatalf("last piece: %d %s", last.status, last.body)
	}
	got := last.stored(t)
	whole := c.do(t, "POST", "/v1/media/uploads?userId=bob&filename=a%20film.mp4", bytes.NewReader(data), "Content-Type", "video/mp4")
	var want storedUpload
	if err := json.Unmarshal(whole.body, &want); err != nil || whole.status != http.StatusCreated {
		t.Fatal(whole.status, string(whole.body))
	}
	if want.ID = got.ID; got != want {
		t.Errorf("in pieces %+v, in one piece %+v", got, want)
	}
	if a := c.do(t, "HEAD", at, nil); a.status != http.StatusOK || a.offset() != len(data) || a.header.Get("X-Gantry-Upload") != got.ID {
		t.Errorf("head behind the end: %d %v", a.status, a.header)
	}
	if again := c.patch(t, at, len(data), nil).stored(t); again != got {
		t.Errorf("the last piece again: %+v, was %+v", again, got)
	}
	if names := files(t, dir, ""); len(names) != 1 {
		t.Errorf("the bytes stayed: %v", names)
	}
	if a := c.do(t, "GET", at, nil); a.status != http.StatusMethodNotAllowed {
		t.Errorf("a download: %d", a.status)
	}
	c.do(t, "DELETE", "/v1/media/uploads/"+got.ID, nil)
	if a := c.patch(t, at, len(data), nil); a.status != http.StatusNotFound {
		t.Errorf("behind a deletion: %d %s", a.status, a.body)
	}
	if n := c.refusals(t); n != 0 {
		t.Errorf("%d refusals", n)
	}
}

// TestTusRefusedAtOnce: what is no upload is not begun.
func TestTusRefusedAtOnce(t *testing.T) {
	c, dir := startTus(t)
	for name, tt := range map[string]struct {
		name, mime, user string
		size             int
		more             []string
		status           int
		code             string
	}{
		"nobody's":   {"a.jpg", "image/jpeg", "", 10, nil, 400, "INVALID_ARGUMENT"},
		"large":      {"a.jpg", "image/jpeg", "u", 11 << 20, nil, 400, "FILE_TOO_LARGE"},
		"empty":      {"a.jpg", "image/jpeg", "u", 0, nil, 400, "INVALID_ARGUMENT"},
		"type":       {"a.jpg", "application/pdf", "u", 10, nil, 400, "MIME_TYPE_NOT_ALLOWED"},
		"name":       {"a.exe", "image/jpeg", "u", 10, nil, 400, "FILENAME_NOT_ALLOWED"},
		"no length":  {"a.jpg", "image/jpeg", "u", 10, []string{"Upload-Length", "", "Upload-Defer-Length", "1"}, 400, "INVALID_ARGUMENT"},
		"part":       {"a.jpg", "image/jpeg", "u", 10, []string{"Upload-Concat", "partial"}, 400, "INVALID_ARGUMENT"},
		"no version": {"a.jpg", "image/jpeg", "u", 10, []string{"Tus-Resumable", "0.2"}, 412, "INVALID_ARGUMENT"},
	} {
		a := c.create(t, tt.name, tt.mime, tt.user, tt.size, tt.more...)
		if a.code() != tt.code || a.header.Get("Content-Type") != "application/problem+json" || a.status < 400 || a.status >= 500 || tt.status == 412 && a.status != 412 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if names := files(t, dir, ""); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
	if a := c.do(t, "OPTIONS", "/v1/media/tus/", nil, "Origin", "https://example.com"); a.status != http.StatusOK || a.header.Get("Tus-Extension") != "creation,creation-with-upload,termination" ||
		a.header.Get("Tus-Max-Size") != "104857600" || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("options: %d %v", a.status, a.header)
	}
}

// TestTusForbiddenType: the first piece is refused, however it comes, with
// one entry in the log, and no second piece is taken.
func TestTusForbiddenType(t *testing.T) {
	exe := append([]byte("MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00"), make([]byte, 5000)...)
	for name, first := range map[string][]byte{"long": exe[:4000], "short": exe[:16], "pdf": append([]byte("%PDF-1.7\n"), make([]byte, 600)...)} {
		c, dir := startTus(t)
		at := c.begin(t, "a.jpg", "image/jpeg", "alice", 100_000)
		if a := c.patch(t, at, 0, first); a.code() != "MIME_TYPE_NOT_ALLOWED" || a.status != http.StatusUnsupportedMediaType && a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if a := c.patch(t, at, 0, first); a.status != http.StatusNotFound || a.code() != "NOT_FOUND" {
			t.Errorf("%s: another piece: %d %s", name, a.status, a.body)
		}
		if a := c.do(t, "HEAD", at, nil); a.status != http.StatusNotFound {
			t.Errorf("%s: head: %d", name, a.status)
		}
		if n := c.refusals(t); n != 1 {
			t.Errorf("%s: %d entries", name, n)
		}
		if names := files(t, dir, ""); len(names) != 0 {
			t.Errorf("%s: left behind: %v", name, names)
		}
	}
}

// TestTusRefusedAtTheEnd: what only the whole file tells is refused behind
// the last byte, as in one piece.
func TestTusRefusedAtTheEnd(t *testing.T) {
	c, dir := startTus(t)
	data := film(10_000)
	data = data[:len(data)-100]
	at := c.begin(t, "a.mp4", "video/mp4", "alice", len(data))
	c.patch(t, at, 0, data[:5000])
	a := c.patch(t, at, 5000, data[5000:])
	whole := c.do(t, "POST", "/v1/media/uploads?userId=bob&filename=a.mp4", bytes.NewReader(data), "Content-Type", "video/mp4")
	if a.status != whole.status || a.code() != whole.code() || a.code() != "FILE_CORRUPT" {
		t.Errorf("in pieces %d %s, in one piece %d %s", a.status, a.body, whole.status, whole.body)
	}
	if n := c.refusals(t); n != 2 {
		t.Errorf("%d entries", n)
	}
	if names := files(t, dir, ""); len(names) != 0 || c.do(t, "HEAD", at, nil).status != http.StatusNotFound {
		t.Errorf("left behind: %v", names)
	}
}

// TestTusOwners: another owner's upload is not there; another key of the
// same owner goes on with it.
func TestTusOwners(t *testing.T) {
	c, _ := startTus(t)
	key := func(owner string) tus {
		secret, _ := c.key(t, fmt.Sprintf(`{"role":"app","label":"x","owner":%q}`, owner))
		return tus{c.started, secret}
	}
	mine, mineToo, other := key("one"), key("one"), key("two")
	data := film(5000)
	at := mine.begin(t, "a.mp4", "video/mp4", "alice", len(data))
	for _, method := range []string{"HEAD", "PATCH", "DELETE"} {
		if a := other.do(t, method, at, nil, "Content-Type", "application/offset+octet-stream", "Upload-Offset", "0"); a.status != http.StatusNotFound {
			t.Errorf("%s by another: %d", method, a.status)
		}
	}
	if a := mineToo.patch(t, at, 0, data[:100]); a.status != http.StatusNoContent {
		t.Errorf("another key of the owner: %d %s", a.status, a.body)
	}
	if a := mine.do(t, "DELETE", at, nil); a.status != http.StatusNoContent {
		t.Errorf("delete: %d %s", a.status, a.body)
	}
	if a := mine.do(t, "HEAD", at, nil); a.status != http.StatusNotFound {
		t.Errorf("behind a delete: %d", a.status)
	}
	for _, id := range []string{"..%2F..%2Fgantry", "%00", "none", "."} {
		if a := mine.do(t, "HEAD", "/v1/media/tus/"+id, nil); a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", id, a.status)
		}
	}
}

// TestTusConcurrent: of many pieces for one offset one is taken.
func TestTusConcurrent(t *testing.T) {
	c, _ := startTus(t)
	data := film(200_000)
	at := c.begin(t, "a.mp4", "video/mp4", "alice", len(data))
	var wg sync.WaitGroup
	answers := make([]tusAnswer, 4)
	for i := range answers {
		wg.Go(func() { answers[i] = c.patch(t, at, 0, data) })
	}
	wg.Wait()
	won := 0
	for _, a := range answers {
		switch {
		case a.status == http.StatusOK:
			won++
		case a.status != http.StatusConflict && a.status != http.StatusLocked:
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	head := c.do(t, "HEAD", at, nil)
	if won > 1 {
		t.Errorf("%d won", won)
	}
	if o := head.offset(); o < len(data) { // all were interrupted: what they wrote is a beginning of it
		if a := c.patch(t, at, o, data[o:]); a.status != http.StatusOK {
			t.Errorf("the rest: %d %s", a.status, a.body)
		}
	}
	if n := c.refusals(t); n != 0 {
		t.Errorf("%d refusals", n)
	}
}

// TestTusCharged: each upload that begins counts, and no piece does.
func TestTusCharged(t *testing.T) {
	c, _ := startTus(t)
	limited := 0
	for range 100 {
		a := c.create(t, "a.mp4", "video/mp4", "alice", 10)
		if a.status == http.StatusTooManyRequests {
			limited++
			break
		}
		if a.status != http.StatusCreated {
			t.Fatal(a.status, string(a.body))
		}
	}
	if limited == 0 {
		t.Error("uploads are not limited")
	}
}

// TestTusExpires: a day behind its last byte an upload is not there.
func TestTusExpires(t *testing.T) {
	c, _ := startTus(t)
	at := c.begin(t, "a.mp4", "video/mp4", "alice", 10_000)
	c.patch(t, at, 0, film(10_000)[:100])
	// More than some minutes at once outdate keys; the poller renews them.
	for range 2 * 25 {
		c.advance(30 * time.Minute)
	}
	for range 100 {
		if a := c.do(t, "HEAD", at, nil); a.status == http.StatusNotFound {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("it is still there after a day")
}

// TestUploadStalled: an upload that stands still is cut after 30 seconds with
// an answer; in one piece nothing of it stays, by tus what came.
func TestUploadStalled(t *testing.T) {
	t.Parallel() // it stands still for 30 seconds
	c, dir := startTus(t)
	data := film(200_000)
	var plain sync.WaitGroup
	defer plain.Wait()
	plain.Go(func() {
		r, w := io.Pipe()
		go func() { _, _ = w.Write(data[:100_000]) }()
		if status, out := c.send(t, uploads, "bob", "a.mp4", "video/mp4", r); status != http.StatusBadRequest || out.Code != "INVALID_ARGUMENT" {
			t.Errorf("in one piece: %d %s", status, out.Code)
		}
		if left := files(t, filepath.Dir(dir), "spool"); len(left) != 0 {
			t.Errorf("the spool holds %v", left)
		}
	})
	at := c.begin(t, "a.mp4", "video/mp4", "alice", len(data))
	r, w := io.Pipe()
	go func() { _, _ = w.Write(data[:100_000]) }() // and nothing more
	begun := time.Now()
	if a := c.do(t, "PATCH", at, r, "Content-Type", "application/offset+octet-stream", "Upload-Offset", "0"); a.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", a.status, a.body)
	}
	if took := time.Since(begun); took < 29*time.Second || took > 5*time.Minute {
		t.Errorf("cut after %v", took)
	}
	if n := c.do(t, "HEAD", at, nil).offset(); n != 100_000 {
		t.Errorf("the offset is %d", n)
	}
}

// TestTusBucketAway: a whole upload that cannot be stored now is neither lost
// nor refused: whoever asks again when the bucket is back gets it stored.
func TestTusBucketAway(t *testing.T) {
	c, dir := startTus(t)
	bucket := filepath.Join(filepath.Dir(dir), "media")
	data := film(10_000)
	at := c.begin(t, "a.mp4", "video/mp4", "alice", len(data))
	if err := errors.Join(os.Rename(bucket, bucket+".away"), os.WriteFile(bucket, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if a := c.patch(t, at, 0, data); a.status != http.StatusServiceUnavailable || a.code() != "SERVICE_DEGRADED" {
		t.Errorf("the last piece: %d %s", a.status, a.body)
	}
	if a := c.do(t, "HEAD", at, nil); a.status != http.StatusLocked {
		t.Errorf("head: %d", a.status)
	}
	if err := errors.Join(os.Remove(bucket), os.Rename(bucket+".away", bucket)); err != nil {
		t.Fatal(err)
	}
	if a := c.do(t, "HEAD", at, nil); a.status != http.StatusOK || a.header.Get("X-Gantry-Upload") == "" {
		t.Errorf("head when it is back: %d %v", a.status, a.header)
	}
	c.patch(t, at, len(data), nil).stored(t)
	if n := c.refusals(t); n != 0 {
		t.Errorf("%d refusals", n)
	}
}
