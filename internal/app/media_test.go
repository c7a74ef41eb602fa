package app_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/media/mediatest"
)

// stored is an answer of POST /v1/media/uploads.
type stored struct {
	ID, Path, Filename, SHA256, Code, MIMEType string
	Size, StoredSize                           int64
	Details                                    struct{ Limit, Actual any }
}

// startMedia is a program with its data directory.
func startMedia(t *testing.T) (s started, dir string) {
	t.Helper()
	s = start(t, func(c *config.Config) { dir = c.DataDir })
	return s, dir
}

// send uploads a file as a raw body.
func (s started) send(t *testing.T, path, owner, name, mime string, body io.Reader, headers ...string) (int, stored) {
	t.Helper()
	req, err := http.NewRequest("POST", s.url+path+"?userId="+url.QueryEscape(owner)+"&filename="+url.QueryEscape(name), body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.creds["app"])
	req.Header.Set("Content-Type", mime)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out stored
	b, err := io.ReadAll(res.Body)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return res.StatusCode, out
}

const uploads = "/v1/media/uploads"

// verdictLog reads the verdict log's entries.
func (s started) verdictLog(t *testing.T, query string) []struct{ Code, Flow, Reason string } {
	t.Helper()
	var out struct {
		Refusals []struct{ Code, Flow, Reason string }
	}
	if err := json.Unmarshal([]byte(s.want(t, 200, "GET", "/v1/media/refusals"+query, "")), &out); err != nil {
		t.Fatal(err)
	}
	return out.Refusals
}

// files are what lies in a folder of the data directory.
func files(t *testing.T, dir, sub string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(filepath.Join(dir, sub), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestUploads is the manual test of pack-100.md: a 15 MB image is refused
// with limit and actual size, an .exe is refused, a JPEG is stored. A refusal
// leaves no object and no upload, and exactly one entry in the verdict log.
func TestUploads(t *testing.T) {
	s, dir := startMedia(t)
	jpeg := mediatest.JPEG(mediatest.Picture(64, 48), mediatest.ExifSegment("II", 6))
	for _, c := range []struct {
		what, name, mime string
		body             []byte
		status           int
		code             string
	}{
		{"15 MB image", "big.jpg", "image/jpeg", append(bytes.Clone(jpeg), make([]byte, 15<<20)...), 413, "FILE_TOO_LARGE"},
		{"program by name", "setup.exe", "application/octet-stream", []byte("MZ\x90\x00not a picture"), 422, "FILENAME_NOT_ALLOWED"},
		{"program by content", "holiday.jpg", "image/jpeg", append([]byte("MZ\x90\x00"), make([]byte, 4096)...), 415, "MIME_TYPE_NOT_ALLOWED"},
		{"double extension", "a.php.jpg", "image/jpeg", jpeg, 422, "FILENAME_NOT_ALLOWED"},
		{"another type than declared", "a.png", "image/png", jpeg, 422, "CONTENT_MISMATCH"},
		{"type that is not allowed", "a.jpg", "application/pdf", jpeg, 415, "MIME_TYPE_NOT_ALLOWED"},
		{"cut off", "a.jpg", "image/jpeg", jpeg[:len(jpeg)-40], 422, "FILE_CORRUPT"},
		{"gigapixels", "a.gif", "image/gif", []byte("GIF89a\xff\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02\x02D\x01\x00;"), 422, "IMAGE_TOO_LARGE"},
	} {
		status, out := s.send(t, uploads, "alice", c.name, c.mime, bytes.NewReader(c.body))
		if status != c.status || out.Code != c.code {
			t.Errorf("%s: %d %s", c.what, status, out.Code)
		}
		got := s.verdictLog(t, "?code="+c.code+"&limit=1&userId=alice")
		if len(got) != 1 || got[0].Flow != "upload" {
			t.Errorf("%s: the log has %+v", c.what, got)
		}
		if c.code == "FILE_TOO_LARGE" && fmt.Sprint(out.Details.Limit) != "1.048576e+07" || len(files(t, dir, "media")) != 0 || len(files(t, dir, "spool")) != 0 {
			t.Errorf("%s: limit %v; left behind: %v %v", c.what, out.Details.Limit, files(t, dir, "media"), files(t, dir, "spool"))
		}
	}
	if n := len(s.verdictLog(t, "")); n != 8 {
		t.Errorf("%d entries in the verdict log, want 8", n)
	}
	// The actual size is told also where nobody says it before.
	big := append(bytes.Clone(jpeg), make([]byte, 15<<20)...)
	for what, body := range map[string]io.Reader{"declared": bytes.NewReader(big), "in chunks": struct{ io.Reader }{bytes.NewReader(big)}} {
		if _, out := s.send(t, "/v1/media/inspect", "alice", "big.jpg", "image/jpeg", body); out.Details.Actual != float64(len(big)) {
			t.Errorf("%s: actual size %v, want %d", what, out.Details.Actual, len(big))
		}
	}
	status, out := s.send(t, uploads, "alice", "../../Mein Foto.JPEG", "image/jpeg", bytes.NewReader(jpeg))
	if status != 201 || out.Filename != "Mein Foto.jpg" || !strings.HasPrefix(out.Path, "media/u-alice/") || out.Size != int64(len(jpeg)) {
		t.Fatalf("a JPEG: %d %+v", status, out)
	}
	if sum := sha256.Sum256(jpeg); out.SHA256 != hex.EncodeToString(sum[:]) {
		t.Error("the hash is not the original's")
	}
	got, err := os.ReadFile(filepath.Join(dir, "media", out.Path))
	if err != nil || int64(len(got)) != out.StoredSize || bytes.Contains(got, mediatest.Coordinates(binary.LittleEndian)) || mediatest.Orientation(got) != 6 {
		t.Errorf("stored %d bytes, orientation %d: %v", len(got), mediatest.Orientation(got), err)
	}
	if status, body := s.do(t, "GET", uploads+"/"+out.ID+"/content", s.creds["app"], ""); status != 200 || body != string(got) {
		t.Errorf("read back: %d, %d bytes", status, len(body))
	}
	if status, _ := s.do(t, "GET", uploads+"/"+out.ID+"/content", "", ""); status != 401 {
		t.Errorf("read by anyone: %d", status)
	}
}

// TestUploadOnce: identical uploads of one owner at once make one object;
// another owner's is another; deleting one reference keeps the other.
func TestUploadOnce(t *testing.T) {
	s, dir := startMedia(t)
	jpeg := mediatest.JPEG(mediatest.Picture(64, 48))
	var mu sync.Mutex
	var wg sync.WaitGroup
	var ids []string
	paths := map[string]bool{}
	for range 8 {
		wg.Go(func() {
			status, out := s.send(t, uploads, "alice", "a.jpg", "image/jpeg", bytes.NewReader(jpeg))
			mu.Lock()
			defer mu.Unlock()
			if status != 201 {
				t.Errorf("%d %s", status, out.Code)
			}
			ids, paths[out.Path] = append(ids, out.ID), true
		})
	}
	wg.Wait()
	if len(paths) != 1 || len(files(t, dir, "media")) != 1 {
		t.Fatalf("paths %v, files %v", paths, files(t, dir, "media"))
	}
	status, other := s.send(t, uploads, "Bob / ../x", "a.jpg", "image/jpeg", bytes.NewReader(jpeg))
	if status != 201 || paths[other.Path] || !strings.HasPrefix(other.Path, "media/h-") || len(files(t, dir, "media")) != 2 {
		t.Errorf("another owner: %d %+v", status, other)
	}
	for i, id := range ids {
		if status, body := s.do(t, "DELETE", uploads+"/"+id, s.creds["app"], ""); status != 204 {
			t.Errorf("%d %s", status, body)
		}
		want := 2
		if i == len(ids)-1 {
			want = 1
		}
		if n := len(files(t, dir, "media")); n != want {
			t.Errorf("after %d of %d deletions: %d files", i+1, len(ids), n)
		}
	}
	if status, _ := s.do(t, "GET", uploads+"/"+ids[0], s.creds["app"], ""); status != 404 {
		t.Errorf("a deleted upload: %d", status)
	}
	// And again: a new object under a new key.
	if status, out := s.send(t, uploads, "alice", "a.jpg", "image/jpeg", bytes.NewReader(jpeg)); status != 201 || paths[out.Path] {
		t.Errorf("after the deletion: %d %+v", status, out)
	}
	// The same request again is one upload.
	_, first := s.send(t, uploads, "carol", "a.jpg", "image/jpeg", bytes.NewReader(jpeg), "Idempotency-Key", "k1")
	_, again := s.send(t, uploads, "carol", "a.jpg", "image/jpeg", bytes.NewReader(jpeg), "Idempotency-Key", "k1")
	if first.ID == "" || first.ID != again.ID {
		t.Errorf("one key made %q and %q", first.ID, again.ID)
	}
	if status, out := s.send(t, uploads, "carol", "b.png", "image/png", bytes.NewReader(mediatest.PNG(mediatest.Picture(9, 9))), "Idempotency-Key", "k1"); status != 422 || out.Code != "IDEMPOTENCY_MISMATCH" {
		t.Errorf("one key, another file: %d %s", status, out.Code)
	}
}

// TestUploadForm: one file of a form, with its owner before it.
func TestUploadForm(t *testing.T) {
	s, dir := startMedia(t)
	jpeg := mediatest.JPEG(mediatest.Picture(64, 48))
	form := func(parts ...func(*multipart.Writer)) (string, *bytes.Buffer) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for _, p := range parts {
			p(w)
		}
		_ = w.Close()
		return w.FormDataContentType(), &b
	}
	user := func(w *multipart.Writer) { _ = w.WriteField("userId", "alice") }
	file := func(disposition string) func(*multipart.Writer) {
		return func(w *multipart.Writer) {
			p, _ := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {disposition}, "Content-Type": {"image/jpeg"}})
			_, _ = p.Write(jpeg)
		}
	}
	for _, c := range []struct {
		what   string
		parts  []func(*multipart.Writer)
		status int
		name   string
	}{
		{"plain", []func(*multipart.Writer){user, file(`form-data; name="file"; filename="a b.jpg"`)}, 201, "a b.jpg"},
		{"traversal", []func(*multipart.Writer){user, file(`form-data; name="file"; filename="..\\..\\boot.jpg"`)}, 201, "boot.jpg"},
		{"twice a name", []func(*multipart.Writer){user, file(`form-data; name="file"; filename="a.jpg"; filename="b.exe"`)}, 400, ""},
		{"no owner", []func(*multipart.Writer){file(`form-data; name="file"; filename="a.jpg"`)}, 400, ""},
		{"endless fields", []func(*multipart.Writer){user, func(w *multipart.Writer) {
			for i := range 2000 {
				_ = w.WriteField(fmt.Sprint("f", i), "x")
			}
		}, file(`form-data; name="file"; filename="a.jpg"`)}, 400, ""},
		{"endless header", []func(*multipart.Writer){user, file(`form-data; name="file"; filename="a.jpg"; x="` + strings.Repeat("y", 1<<20) + `"`)}, 400, ""},
		{"endless header behind", []func(*multipart.Writer){user, file(`form-data; name="file"; filename="a.jpg"`), file(`form-data; x="` + strings.Repeat("y", 1<<20) + `"`)}, 400, ""},
		{"no file", []func(*multipart.Writer){user}, 400, ""},
		{"two files", []func(*multipart.Writer){user, file(`form-data; name="file"; filename="a.jpg"`), file(`form-data; name="file"; filename="b.jpg"`)}, 400, ""},
	} {
		before := len(files(t, dir, "media"))
		mime, body := form(c.parts...)
		status, out := s.send(t, uploads, "", "", mime, body)
		if status != c.status || out.Filename != c.name {
			t.Errorf("%s: %d %+v", c.what, status, out)
		}
		if status != 201 && len(files(t, dir, "media")) != before {
			t.Errorf("%s: left an object behind", c.what)
		}
	}
}

// TestUploadBytes: bytes one by one, more or fewer than declared, and a
// connection cut at any offset: a clear error, and nothing left behind.
func TestUploadBytes(t *testing.T) {
	s, dir := startMedia(t)
	jpeg := mediatest.JPEG(mediatest.Picture(16, 16))
	if status, out := s.send(t, uploads, "a", "a.jpg", "image/jpeg", iotest.OneByteReader(bytes.NewReader(jpeg))); status != 201 {
		t.Errorf("one by one: %d %s", status, out.Code)
	}
	kept := len(files(t, dir, "media"))
	raw := func(declared int, sent []byte) string {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST %s?userId=b&filename=a.jpg HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", uploads, s.creds["app"], declared)
		_, _ = c.Write(sent)
		_ = c.(*net.TCPConn).CloseWrite()
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		answer, _ := io.ReadAll(c)
		return string(answer)
	}
	for _, at := range []int{0, 1, 2, 3, 10, 20, 21, 100, len(jpeg) / 2, len(jpeg) - 2, len(jpeg) - 1} {
		if got := raw(len(jpeg), jpeg[:at]); !strings.HasPrefix(got, "HTTP/1.1 4") {
			t.Errorf("cut at %d: %.60q", at, got)
		}
	}
	// What comes after the declared length is not of the body: the file is cut.
	if got := raw(len(jpeg)-1, jpeg); !strings.HasPrefix(got, "HTTP/1.1 4") {
		t.Errorf("more than declared: %.60q", got)
	}
	if n := len(files(t, dir, "media")); n != kept || len(files(t, dir, "spool")) != 0 {
		t.Errorf("left behind: %v %v", files(t, dir, "media"), files(t, dir, "spool"))
	}
}

// TestUploadLimit: twenty uploads an hour, the twenty-first is refused.
func TestUploadLimit(t *testing.T) {
	s, _ := startMedia(t)
	png := mediatest.PNG(mediatest.Picture(4, 4))
	for i := range 21 {
		status, out := s.send(t, uploads, "alice", "a.png", "image/png", bytes.NewReader(png))
		if want := map[bool]int{true: 201, false: 429}[i < 20]; status != want {
			t.Errorf("upload %d: %d %s", i+1, status, out.Code)
		}
	}
	if status, _ := s.send(t, "/v1/media/inspect", "alice", "a.png", "image/png", bytes.NewReader(png)); status != 200 {
		t.Errorf("inspect is not limited: %d", status)
	}
	body := `{"data":{"filename":"a.exe","mimeType":"image/jpeg","size":15728640,"userId":"alice"}}`
	if status, answer := s.do(t, "POST", "/callable/validateMediaUpload", s.creds["app"], body); status != 200 || !strings.Contains(answer, `"reason":"FILENAME_NOT_ALLOWED"`) {
		t.Errorf("%d %s", status, answer)
	}
	body = `{"data":{"filename":"a.jpg","mimeType":"image/jpeg","size":15728640,"userId":"alice"}}`
	if status, answer := s.do(t, "POST", "/callable/validateMediaUpload", s.creds["app"], body); status != 200 || !strings.Contains(answer, `"reason":"FILE_TOO_LARGE"`) ||
		!strings.Contains(answer, `"maxFileSize":10485760`) || !strings.Contains(answer, `"sanitizedFilename":"a.jpg"`) {
		t.Errorf("%d %s", status, answer)
	}
}

// TestMediaPolicy: sizes and types are configuration, and a reload takes them
// over.
func TestMediaPolicy(t *testing.T) {
	var cfg *config.Config
	s := start(t, func(c *config.Config) { cfg = c })
	jpeg := mediatest.JPEG(mediatest.Picture(64, 48))
	try := func(what string, status int, code string) {
		t.Helper()
		if got, out := s.send(t, "/v1/media/inspect", "alice", "a.jpg", "image/jpeg", bytes.NewReader(jpeg)); got != status || out.Code != code {
			t.Errorf("%s: %d %s, want %d %s", what, got, out.Code, status, code)
		}
	}
	try("by default", 200, "")
	cfg.Media.MaxSize.Image = 1024
	jpeg = mediatest.WithSegments(jpeg, mediatest.Segment(0xfe, make([]byte, 2000)))
	s.want(t, 200, "POST", "/v1/config/reload", "")
	try("over the configured size", 413, "FILE_TOO_LARGE")
	cfg.Media.MaxSize.Image, cfg.Media.RefusedTypes = 1<<20, []string{"image/jpeg"}
	s.want(t, 200, "POST", "/v1/config/reload", "")
	try("a type that is refused", 415, "MIME_TYPE_NOT_ALLOWED")
	if types := s.want(t, 200, "GET", "/v1/media/types", ""); strings.Contains(types, "image/jpeg") || !strings.Contains(types, `"maxFileSize":1048576`) {
		t.Errorf("types: %s", types)
	}
}

// TestMediaTypesAreConfigurable: the configuration knows every type by its
// name.
func TestMediaTypesAreConfigurable(t *testing.T) {
	var want []string
	for _, m := range media.Types() {
		want = append(want, m.MIME)
	}
	if diff := cmp.Diff(want, config.MediaTypes()); diff != "" {
		t.Error(diff)
	}
}

// TestUploadKeyFree: an upload that the bucket did not take has had no
// effect: its Idempotency-Key is free for the next attempt.
func TestUploadKeyFree(t *testing.T) {
	s, dir := startMedia(t)
	jpeg := mediatest.JPEG(mediatest.Picture(64, 48))
	block := filepath.Join(dir, "media", "media") // a file where a folder belongs
	if err := os.WriteFile(block, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out := s.send(t, uploads, "alice", "a.jpg", "image/jpeg", bytes.NewReader(jpeg), "Idempotency-Key", "k1"); status != 503 {
		t.Errorf("into a bucket that is away: %d %s", status, out.Code)
	}
	if err := os.Remove(block); err != nil {
		t.Fatal(err)
	}
	if status, out := s.send(t, uploads, "alice", "a.jpg", "image/jpeg", bytes.NewReader(jpeg), "Idempotency-Key", "k1"); status != 201 {
		t.Errorf("again: %d %s", status, out.Code)
	}
	if len(files(t, dir, "spool")) != 0 || len(files(t, dir, "media")) != 1 {
		t.Errorf("left behind: %v %v", files(t, dir, "spool"), files(t, dir, "media"))
	}
}

// TestContentCut: content that breaks off is not taken for whole.
func TestContentCut(t *testing.T) {
	s, dir := startMedia(t)
	_, out := s.send(t, uploads, "alice", "a.jpg", "image/jpeg", bytes.NewReader(mediatest.JPEG(mediatest.Picture(64, 48))))
	if err := os.Truncate(filepath.Join(dir, "media", out.Path), out.StoredSize-1); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("GET", s.url+uploads+"/"+out.ID+"/content", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.creds["app"])
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("%d bytes of %d are taken for whole", len(b), out.StoredSize)
	}
}
