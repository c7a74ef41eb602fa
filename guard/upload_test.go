package guard_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
	"avalo.app/gantry/guard"
)

// desk is a Gantry that takes uploads, and a host in front of it.
type desk struct {
	take    func(w http.ResponseWriter, r *http.Request) // of POST /v1/media/uploads
	down    atomic.Bool                                  // its health
	deleted atomic.Value                                 // the path of a DELETE

	mu     sync.Mutex
	hooked []error
	ran    bool
	served api.MediaUpload
	form   map[string][]string
}

func passes(t *testing.T, got *string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		*got = string(b)
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(api.MediaUpload{ID: "u1", UserID: r.URL.Query().Get("userId"), State: "verified", Filename: r.URL.Query().Get("filename"),
			MIMEType: r.Header.Get("Content-Type"), Size: int64(len(b))})
	}
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/healthz" && d.down.Load():
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"status":"fail","health":"DOWN","version":"1"}`)
	case r.URL.Path == "/healthz":
		_, _ = io.WriteString(w, `{"status":"pass","health":"HEALTHY","version":"1"}`)
	case r.Method == http.MethodDelete:
		d.deleted.Store(r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	default:
		d.take(w, r)
	}
}

// host serves uploads behind the guard; the URL of Gantry is gantry's, or one
// where nobody answers.
func (d *desk) host(t *testing.T, away bool, handler http.HandlerFunc, opts ...guard.UploadOption) *httptest.Server {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	gantry := httptest.NewServer(d)
	t.Cleanup(gantry.Close)
	if away {
		gantry.Close()
	}
	c, err := client.New(gantry.URL)
	if err != nil {
		t.Fatal(err)
	}
	g := guard.New(c, guard.WithErrorHook(func(_ *http.Request, err error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.hooked = append(d.hooked, err)
	}))
	owner := func(r *http.Request) string { return r.Header.Get("X-User") }
	s := httptest.NewServer(g.Upload(owner, opts...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || len(b) != 0 {
			t.Errorf("the handler got a body: %q, %v", b, err)
		}
		u, ok := guard.Uploaded(r.Context())
		if !ok {
			t.Error("no upload in the context")
		}
		if left, _ := os.ReadDir(os.TempDir()); len(left) != 0 {
			t.Errorf("temporary files while the handler runs: %v", left)
		}
		d.mu.Lock()
		d.ran, d.served, d.form = true, u, r.Form
		d.mu.Unlock()
		if handler != nil {
			handler(w, r)
			return
		}
		fmt.Fprintf(w, "%s %s", u.State, r.FormValue("caption"))
	})))
	t.Cleanup(func() {
		s.Close()
		if left, _ := os.ReadDir(os.TempDir()); len(left) != 0 {
			t.Errorf("temporary files left: %v", left)
		}
	})
	return s
}

func (d *desk) hooks() []error { d.mu.Lock(); defer d.mu.Unlock(); return d.hooked }

func post(t *testing.T, url, kind string, body io.Reader) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-User", "alice")
	req.Header.Set("Content-Type", kind)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// formOf is a form: fields are name=value, a file is name>content.
func formOf(t *testing.T, parts ...string) (kind string, body *bytes.Buffer) {
	t.Helper()
	body = &bytes.Buffer{}
	w := multipart.NewWriter(body)
	for _, p := range parts {
		if name, content, ok := strings.Cut(p, ">"); ok {
			h := textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"; filename="` + name + `"`}, "Content-Type": {"image/png"}}
			f, err := w.CreatePart(h)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(f, content)
			continue
		}
		name, value, _ := strings.Cut(p, "=")
		if err := w.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), body
}

// TestUploadPasses: the body, or the one file of a form with fields around it,
// goes to Gantry, and the handler learns what became of it.
func TestUploadPasses(t *testing.T) {
	for _, keep := range []bool{false, true} {
		got := ""
		d := &desk{take: passes(t, &got)}
		var opts []guard.UploadOption
		if keep {
			opts = append(opts, guard.WithQuarantine(guard.QuarantineDir(t.TempDir())))
		}
		s := d.host(t, false, nil, opts...)
		if code, body := post(t, s.URL+"?filename=a.jpg", "image/jpeg", strings.NewReader("bytes")); code != 200 || body != "verified " {
			t.Fatalf("%d %s", code, body)
		}
		want := api.MediaUpload{ID: "u1", UserID: "alice", State: "verified", Filename: "a.jpg", MIMEType: "image/jpeg", Size: 5}
		if diff := cmp.Diff(want, d.served); diff != "" || got != "bytes" {
			t.Error(diff, got)
		}
		kind, form := formOf(t, "caption=my cat", `c:\cats\b.png>`+strings.Repeat("picture", 20000), "album=7", "userId=mallory")
		if code, body := post(t, s.URL+"?album=8", kind, form); code != 200 || body != "verified my cat" {
			t.Fatalf("%d %s", code, body)
		}
		want = api.MediaUpload{ID: "u1", UserID: "alice", State: "verified", Filename: `c:\cats\b.png`, MIMEType: "image/png", Size: 140000}
		if diff := cmp.Diff(want, d.served); diff != "" || got != strings.Repeat("picture", 20000) {
			t.Error(diff, len(got))
		}
		if diff := cmp.Diff(map[string][]string{"caption": {"my cat"}, "album": {"7", "8"}, "userId": {"mallory"}}, d.form); diff != "" {
			t.Error(diff)
		}
		if h := d.hooks(); len(h) != 0 {
			t.Error(h)
		}
	}
}

// TestUploadRefused: a refusal reaches the caller with its facts, the handler
// does not run, and nothing goes to quarantine.
func TestUploadRefused(t *testing.T) {
	for code, want := range map[api.Code]int{api.CodeFileTooLarge: 413, api.CodeMIMETypeNotAllowed: 415, api.CodeContentMismatch: 422, api.CodeMalwareFound: 422,
		api.CodeInvalidArgument: 400} {
		dir := t.TempDir()
		d := &desk{take: func(w http.ResponseWriter, r *http.Request) {
			info, _ := api.Lookup(code)
			w.WriteHeader(info.HTTPStatus)
			_ = json.NewEncoder(w).Encode(api.Problem{Code: code, Detail: "why", Details: api.InvalidDetails{Limit: 10, Actual: 15}, RequestID: "r1"})
		}}
		s := d.host(t, false, nil, guard.WithQuarantine(guard.QuarantineDir(dir)))
		status, body := post(t, s.URL, "image/jpeg", bytes.NewReader(make([]byte, 1<<20)))
		var p struct {
			Code      api.Code
			Details   api.InvalidDetails
			RequestID string
			Message   string
		}
		if err := json.Unmarshal([]byte(body), &p); err != nil || status != want || p.Code != code || p.Details.Limit != 10.0 || p.RequestID != "r1" || p.Message == "" {
			t.Errorf("%s: %d %s (%v)", code, status, body, err)
		}
		if left, _ := os.ReadDir(dir); d.ran || len(left) != 0 {
			t.Errorf("%s: ran %t, quarantine %v", code, d.ran, left)
		}
	}
}

// quarantined are the files below a directory, by the owner and name that
// their keys carry.
func quarantined(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(filepath.Join(dir, "quarantine", "away"), p)
		parts := strings.Split(filepath.ToSlash(rel), "/")
		if len(parts) != 3 {
			t.Fatalf("%s is no key", rel)
		}
		owner, _ := base64.RawURLEncoding.DecodeString(parts[0])
		name, _ := base64.RawURLEncoding.DecodeString(parts[2])
		b, err := os.ReadFile(p)
		out[string(owner)+" "+string(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestUploadAway: without Gantry uploads go to quarantine, whole, if the host
// wants that; else the answer is 503.
func TestUploadAway(t *testing.T) {
	content := strings.Repeat("a picture ", 50_000)
	cut := func(n int64) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, n)
			panic(http.ErrAbortHandler) // the connection breaks
		}
	}
	answers := func(code api.Code) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			info, _ := api.Lookup(code)
			w.WriteHeader(info.HTTPStatus)
			_ = json.NewEncoder(w).Encode(api.Problem{Code: code})
		}
	}
	for _, tt := range []struct {
		name       string
		away, down bool
		take       func(http.ResponseWriter, *http.Request)
	}{
		{"from the start", true, false, nil},
		{"it says so", false, true, nil},
		{"dies at the first byte", false, false, cut(0)},
		{"dies in the middle", false, false, cut(200_000)},
		{"dies at the end", false, false, cut(1 << 30)},
		{"no room", false, false, answers(api.CodeServiceDegraded)},
		{"a bug", false, false, answers(api.CodeInternal)},
		{"a wrong key", false, false, answers(api.CodeUnauthenticated)},
		{"not Gantry", false, false, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			d := &desk{take: tt.take}
			d.down.Store(tt.down)
			s := d.host(t, tt.away, nil, guard.WithQuarantine(guard.QuarantineDir(dir)))
			kind, form := formOf(t, "caption=cat", "cat.png>"+content, "album=7")
			if code, body := post(t, s.URL, kind, form); code != 200 || body != "quarantined cat" {
				t.Fatalf("%d %s %v", code, body, d.hooks())
			}
			if diff := cmp.Diff(map[string]string{"alice cat.png": content}, quarantined(t, dir)); diff != "" {
				t.Error(diff)
			}
			if u := d.served; u.State != "quarantined" || len(u.ID) != 20 || u.Size != int64(len(content)) || u.UserID != "alice" || u.Filename != "" || u.Path != "" {
				t.Errorf("%+v", u)
			}
			if len(d.hooks()) == 0 {
				t.Error("nobody was told")
			}
		})
		t.Run(tt.name+", no quarantine", func(t *testing.T) {
			d := &desk{take: tt.take}
			d.down.Store(tt.down)
			s := d.host(t, tt.away, nil)
			code, body := post(t, s.URL, "image/png", strings.NewReader(content))
			if code != 503 || !strings.Contains(body, "SERVICE_DEGRADED") || d.ran || len(d.hooks()) == 0 {
				t.Errorf("%d %s, ran %t", code, body, d.ran)
			}
		})
	}
}

// TestUploadBroken: what is wrong with the request is the caller's, and
// nothing of it stays.
func TestUploadBroken(t *testing.T) {
	for _, tt := range []struct {
		name  string
		parts []string
		cut   int // bytes that are missing at the end
		want  string
	}{
		{"no file", []string{"a=b"}, 0, "the form has no file"},
		{"two files", []string{"a.png>x", "b.png>y"}, 0, "send one file a request"},
		{"cut in the file", []string{"a.png>" + strings.Repeat("x", 9000)}, 5000, "broke off"},
		{"cut behind the file", []string{"a.png>x", "caption=" + strings.Repeat("x", 9000)}, 5000, "broke off"},
		{"large fields", []string{"a=" + strings.Repeat("x", 70_000), "a.png>x"}, 0, "more than 65536 bytes"},
	} {
		for _, away := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, away %t", tt.name, away), func(t *testing.T) {
				got := ""
				d := &desk{take: passes(t, &got)}
				dir := t.TempDir()
				s := d.host(t, away, nil, guard.WithQuarantine(guard.QuarantineDir(dir)))
				kind, form := formOf(t, tt.parts...)
				form.Truncate(form.Len() - tt.cut)
				code, body := post(t, s.URL, kind, form)
				if code != 400 || !strings.Contains(body, tt.want) || d.ran {
					t.Errorf("%d %s, ran %t", code, body, d.ran)
				}
				behind := strings.HasPrefix(tt.name, "two") || strings.HasSuffix(tt.name, "behind the file")
				if gave := d.deleted.Load() != nil; gave != (behind && !away) {
					t.Errorf("given back: %t", gave)
				}
				if files := quarantined(t, dir); !(behind && away) && len(files) != 0 {
					t.Errorf("quarantine has %v", files)
				}
			})
		}
	}
}

// TestUploadNobody: without an owner nothing is read.
func TestUploadNobody(t *testing.T) {
	d := &desk{}
	s := d.host(t, false, nil)
	res, err := http.Post(s.URL, "image/png", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 401 || d.ran {
		t.Error(res.Status, d.ran)
	}
}

// TestUploadHandlerPanics: a panic passes through, and no temporary file is
// left behind.
func TestUploadHandlerPanics(t *testing.T) {
	for _, away := range []bool{false, true} {
		got := ""
		d := &desk{take: passes(t, &got)}
		s := d.host(t, away, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, guard.WithQuarantine(guard.QuarantineDir(t.TempDir())))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, strings.NewReader("bytes"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-User", "alice")
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			t.Errorf("away %t: the panic became %s", away, res.Status)
		}
		d.mu.Lock()
		if !d.ran {
			t.Error("the handler did not run")
		}
		d.mu.Unlock()
	}
}

// failing is a quarantine whose disk is full after some bytes.
type failing struct{}

func (failing) Put(_ context.Context, _ string, r io.Reader) error {
	_, _ = io.CopyN(io.Discard, r, 3)
	return errors.New("disk full")
}

// TestUploadQuarantineFails: what nobody took does not pass.
func TestUploadQuarantineFails(t *testing.T) {
	d := &desk{}
	s := d.host(t, true, nil, guard.WithQuarantine(failing{}))
	if code, body := post(t, s.URL, "image/png", strings.NewReader("bytes")); code != 503 || d.ran || len(d.hooks()) != 2 {
		t.Errorf("%d %s, ran %t, %v", code, body, d.ran, d.hooks())
	}
	s = d.host(t, true, nil, guard.WithQuarantine(guard.QuarantineDir(t.TempDir())))
	code, body := post(t, s.URL, "image/png", io.LimitReader(zeros{}, 101<<20))
	if code != 413 || !strings.Contains(body, "FILE_TOO_LARGE") || d.ran {
		t.Errorf("%d %s, ran %t", code, body, d.ran)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestQuarantineDir: all or nothing, and never outside.
func TestQuarantineDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bucket")
	q := guard.QuarantineDir(dir)
	key := api.MediaAwayKey("alice", "abcdefghijklmnop", strings.Repeat("ż", 300)+".jpg")
	if err := q.Put(t.Context(), key, strings.NewReader("bytes")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(key))); err != nil || string(b) != "bytes" {
		t.Errorf("%q, %v", b, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"a reader that fails": q.Put(t.Context(), "quarantine/away/a/b", io.MultiReader(strings.NewReader("x"), failingReader{})),
		"a context that ends": q.Put(ended, "quarantine/away/a/c", strings.NewReader("x")),
		"a key outside":       q.Put(t.Context(), "../b", strings.NewReader("x")),
		"no key":              q.Put(t.Context(), ".", strings.NewReader("x")),
	} {
		if err == nil {
			t.Error(name, "was stored")
		}
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "quarantine", "away", "a")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("broken off") }
