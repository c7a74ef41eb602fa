package interop_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"avalo.app/gantry/internal/gantrytest"
	"avalo.app/gantry/internal/media/mediatest"
)

// front is one address for a process that comes back on another port. While
// it is away, connections break.
type front struct {
	to atomic.Pointer[url.URL]
	*httptest.Server
}

func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{}
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(f.to.Load()) },
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	f.Server = httptest.NewServer(proxy)
	t.Cleanup(f.Close)
	return f
}

func (f *front) lead(t *testing.T, p *gantrytest.Process) {
	t.Helper()
	u, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	f.to.Store(u)
}

type tusLine struct {
	Accepted int64
	URL      string
	Upload   string
	Status   int
	Body     string
}

// tusUpload runs the client; each line that it prints goes to say.
func tusUpload(t *testing.T, p *gantrytest.Process, at, file, mime string, chunk int, say func(tusLine)) (last tusLine) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", "tus.mjs", at, p.Key, file, mime, "alice", strconv.Itoa(chunk))
	cmd.Dir, cmd.Stderr = "js", os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		last = tusLine{}
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		say(last)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v (make deps installs the npm modules)", err)
	}
	return last
}

// TestTusClient: the official client uploads a film while the server is
// killed twice; the verdict is that of the film in one piece.
func TestTusClient(t *testing.T) {
	size, chunk := 8<<20, 512<<10
	if os.Getenv("GANTRY_ACCEPT") != "" {
		size, chunk = 100<<20-4096, 4<<20
	}
	film := mediatest.MovieFile{Brands: []string{"isom", "avc1", "mp41"}, Video: true, Audio: true, MoovLast: true, Before: mediatest.Box("free", make([]byte, size))}.Bytes()
	file := filepath.Join(t.TempDir(), "a film.mp4")
	if err := os.WriteFile(file, film, 0o600); err != nil {
		t.Fatal(err)
	}
	dir, f := t.TempDir(), newFront(t)
	p := gantrytest.Start(t, gantrytest.Options{Binary: binary, Dir: dir})
	key := p.Key
	f.lead(t, p)
	kills := 0
	last := tusUpload(t, p, f.URL, file, "video/mp4", chunk, func(l tusLine) {
		if kills < 2 && l.Accepted >= int64(kills+1)*int64(size)/3 {
			kills++
			p.Kill()
			p = gantrytest.Start(t, gantrytest.Options{Binary: binary, Dir: dir})
			p.Key = key
			f.lead(t, p)
		}
	})
	if kills != 2 || last.Upload == "" {
		t.Fatalf("killed %d times: %+v\n%s", kills, last, p.Stderr())
	}
	a := p.Do(t, "POST", "/v1/media/uploads?userId=bob&filename=a%20film.mp4", string(film), "Content-Type", "video/mp4")
	var pieces, whole struct {
		ID, Filename, MIMEType, SHA256 string
		Size, StoredSize               int64
		Verdict                        any
	}
	if err := json.Unmarshal([]byte(last.Body), &pieces); err != nil {
		t.Fatal(err, last.Body)
	}
	a.Decode(t, &whole)
	if pieces.ID != last.Upload || whole.ID == "" {
		t.Error(pieces.ID, last.Upload, whole.ID)
	}
	whole.ID = pieces.ID
	got, err := json.Marshal(pieces)
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("in pieces\n%s\nin one\n%s", got, want)
	}
}

// TestTusClientForbidden: the client learns of a forbidden type from the
// first chunk, and gives up.
func TestTusClientForbidden(t *testing.T) {
	p := gantrytest.Start(t, gantrytest.Options{Binary: binary})
	file := filepath.Join(t.TempDir(), "a.jpg")
	if err := os.WriteFile(file, append([]byte("MZ\x90\x00\x03\x00\x00\x00"), make([]byte, 3<<20)...), 0o600); err != nil {
		t.Fatal(err)
	}
	chunks := 0
	last := tusUpload(t, p, p.URL, file, "image/jpeg", 1<<20, func(l tusLine) {
		if l.Accepted > 0 {
			chunks++
		}
	})
	var problem struct{ Code string }
	if err := json.Unmarshal([]byte(last.Body), &problem); err != nil || problem.Code != "MIME_TYPE_NOT_ALLOWED" || chunks != 0 {
		t.Errorf("%d chunks were accepted; %+v", chunks, last)
	}
	var out struct{ Refusals []any }
	p.Do(t, "GET", "/v1/media/refusals", nil).Decode(t, &out)
	if len(out.Refusals) != 1 {
		t.Errorf("%d entries in the verdict log", len(out.Refusals))
	}
}
