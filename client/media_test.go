package client_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

func serving(t *testing.T, h http.HandlerFunc, opts ...client.Option) *client.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := client.New(s.URL, append([]client.Option{client.WithKey("gk_1_x")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answer(t *testing.T, w http.ResponseWriter, status int, v any) {
	t.Helper()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if v == nil {
		return
	}
	if err := json.NewEncoder(w).Encode(v); err != nil {
		t.Error(err)
	}
}

func refuseFile(t *testing.T, w http.ResponseWriter, code api.Code, d any) {
	t.Helper()
	info, _ := api.Lookup(code)
	answer(t, w, info.HTTPStatus, api.Problem{Status: info.HTTPStatus, Code: code, Detail: "why", Retry: info.Retry, Details: d})
}

// sent is a request as the server saw it.
type sent struct {
	Method, Path, Query, Type, Body string
	Length                          int64
}

// TestMediaRequests: each call asks what the server understands, and reads
// its answer.
func TestMediaRequests(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	upload := api.MediaUpload{ID: "u1", UserID: "alice", State: "verified", Filename: "a.jpg", CreatedAt: at}
	m := api.MediaMetadata{Filename: "a b&c.jpg", MIMEType: "image/jpeg", Size: 5, UserID: "al=ice"}
	const query = "filename=a+b%26c.jpg&userId=al%3Dice"
	for _, tt := range []struct {
		name   string
		call   func(*client.Client) (any, error)
		status int
		answer any
		want   sent
		out    any
	}{
		{"inspect", func(c *client.Client) (any, error) { return c.InspectMedia(t.Context(), m, strings.NewReader("bytes")) },
			200, api.MediaVerdict{SHA256: "ab", MIMEType: "image/jpeg"},
			sent{"POST", "/v1/media/inspect", query, "image/jpeg", "bytes", 5}, api.MediaVerdict{SHA256: "ab", MIMEType: "image/jpeg"}},
		{"upload", func(c *client.Client) (any, error) { return c.UploadMedia(t.Context(), m, strings.NewReader("bytes")) },
			201, upload, sent{"POST", "/v1/media/uploads", query, "image/jpeg", "bytes", 5}, upload},
		{"upload of unknown size and type", func(c *client.Client) (any, error) {
			return c.UploadMedia(t.Context(), api.MediaMetadata{UserID: "alice"}, strings.NewReader("bytes"))
		}, 201, upload, sent{"POST", "/v1/media/uploads", "userId=alice", "application/octet-stream", "bytes", -1}, upload},
		{"get", func(c *client.Client) (any, error) { return c.Upload(t.Context(), "u/1") },
			200, upload, sent{"GET", "/v1/media/uploads/u/1", "", "", "", 0}, upload},
		{"delete", func(c *client.Client) (any, error) { return nil, c.DeleteUpload(t.Context(), "u1") },
			204, nil, sent{"DELETE", "/v1/media/uploads/u1", "", "", "", 0}, nil},
		{"verify", func(c *client.Client) (any, error) { return c.VerifyUpload(t.Context(), "u1") },
			200, upload, sent{"POST", "/v1/media/uploads/u1/verify", "", "", "", 0}, upload},
		{"presign", func(c *client.Client) (any, error) {
			return c.PresignUpload(t.Context(), api.MediaMetadata{Filename: "a.jpg", Size: 3, UserID: "alice"})
		}, 201, api.MediaPresigned{ID: "u1", URL: "https://b/k", ExpiresAt: at},
			sent{"POST", "/v1/media/uploads/presign", "", "application/json", `{"filename":"a.jpg","size":3,"userId":"alice"}`, 46},
			api.MediaPresigned{ID: "u1", URL: "https://b/k", ExpiresAt: at}},
		{"types", func(c *client.Client) (any, error) { return c.MediaTypes(t.Context()) },
			200, map[string]any{"types": []api.MediaType{{MIMEType: "image/png"}}}, sent{"GET", "/v1/media/types", "", "", "", 0}, []api.MediaType{{MIMEType: "image/png"}}},
		{"refusals", func(c *client.Client) (any, error) {
			return c.MediaRefusals(t.Context(), client.RefusalQuery{UserID: "alice", Code: api.CodeFileTooLarge, Since: at, Limit: 7})
		}, 200, map[string]any{"refusals": []api.MediaRefusal{{ID: "r"}}},
			sent{"GET", "/v1/media/refusals", "code=FILE_TOO_LARGE&limit=7&since=2026-11-24T10%3A00%3A00Z&userId=alice", "", "", 0}, []api.MediaRefusal{{ID: "r"}}},
		{"validate", func(c *client.Client) (any, error) { return c.ValidateMedia(t.Context(), api.MediaMetadata{Size: 3}) },
			200, map[string]any{"allowed": false, "code": "FILE_TOO_LARGE", "details": map[string]any{"limit": 1}},
			sent{"POST", "/v1/media/validate", "", "application/json", `{"size":3}`, 10},
			api.MediaValidation{Code: api.CodeFileTooLarge, Details: api.InvalidDetails{Limit: 1.0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got sent
			c := serving(t, func(w http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				if err != nil || r.Header.Get("Authorization") != "Bearer gk_1_x" {
					t.Errorf("%v, %q", err, r.Header.Get("Authorization"))
				}
				got = sent{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("Content-Type"), string(b), r.ContentLength}
				answer(t, w, tt.status, tt.answer)
			})
			out, err := tt.call(c)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.out, out); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestMediaForeignAnswer: what is not Gantry's answer is an error, not a file
// that passed.
func TestMediaForeignAnswer(t *testing.T) {
	t.Parallel()
	c := serving(t, func(w http.ResponseWriter, r *http.Request) { answer(t, w, 200, map[string]any{}) })
	for name, call := range map[string]func() error{
		"validate": func() error { _, err := c.ValidateMedia(t.Context(), api.MediaMetadata{}); return err },
		"inspect": func() error {
			_, err := c.InspectMedia(t.Context(), api.MediaMetadata{}, strings.NewReader("x"))
			return err
		},
		"upload": func() error {
			_, err := c.UploadMedia(t.Context(), api.MediaMetadata{}, strings.NewReader("x"))
			return err
		},
		"verify":  func() error { _, err := c.VerifyUpload(t.Context(), "x"); return err },
		"presign": func() error { _, err := c.PresignUpload(t.Context(), api.MediaMetadata{}); return err },
	} {
		if err := call(); err == nil || errors.Is(err, client.ErrUnavailable) || !strings.Contains(err.Error(), "check the base URL") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUploadRefusal: a refusal is Gantry's problem, and is not sent again.
func TestUploadRefusal(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c := serving(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		refuseFile(t, w, api.CodeFileTooLarge, api.InvalidDetails{Field: "size", Limit: 10, Actual: 15})
	})
	_, err := c.UploadMedia(t.Context(), api.MediaMetadata{UserID: "a"}, strings.NewReader("bytes"))
	var e *client.Error
	var d api.InvalidDetails
	if !errors.As(err, &e) || e.Problem.Code != api.CodeFileTooLarge || e.Details(&d) != nil || d.Limit != 10.0 || calls.Load() != 1 {
		t.Errorf("%v, %+v, %d calls", err, d, calls.Load())
	}
}

// TestUploadOnce: what was read is gone, so that only a request that sent
// nothing is repeated.
func TestUploadOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		reads bool
		calls int32
	}{{"nothing sent", false, 3}, {"bytes sent", true, 1}} {
		var calls atomic.Int32
		c := newClient(t, func(r *http.Request) (*http.Response, error) {
			calls.Add(1)
			if tt.reads {
				_, _ = r.Body.Read(make([]byte, 1))
			}
			return nil, errDial
		})
		_, err := c.UploadMedia(t.Context(), api.MediaMetadata{UserID: "a"}, strings.NewReader("bytes"))
		if !errors.Is(err, client.ErrUnavailable) || calls.Load() != tt.calls {
			t.Errorf("%s: %v, %d calls", tt.name, err, calls.Load())
		}
	}
}

// TestUploadStalls: Gantry that takes no bytes, or gives no verdict, is away;
// a reader that is slow is not.
func TestUploadStalls(t *testing.T) {
	t.Parallel()
	const patience = 150 * time.Millisecond
	hang := make(chan struct{})
	stuck := serving(t, func(http.ResponseWriter, *http.Request) { <-hang }, client.WithTimeout(patience))
	t.Cleanup(func() { close(hang) })
	begin := time.Now()
	_, err := stuck.UploadMedia(t.Context(), api.MediaMetadata{UserID: "a"}, io.LimitReader(zeros{}, 1<<40))
	if took := time.Since(begin); !errors.Is(err, client.ErrUnavailable) || took > 20*patience {
		t.Errorf("stuck: %v after %v", err, took)
	}
	slow := serving(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		answer(t, w, 201, api.MediaUpload{ID: "u", State: "verified", Size: n})
	}, client.WithTimeout(patience))
	u, err := slow.UploadMedia(t.Context(), api.MediaMetadata{UserID: "a"}, &dripping{left: 3, each: 2 * patience})
	if err != nil || u.Size != 3 {
		t.Errorf("slow: %v, %+v", err, u)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := slow.InspectMedia(ctx, api.MediaMetadata{}, &dripping{left: 100, each: patience}); err == nil {
		t.Error("the context's end was not heeded")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// dripping yields a byte at a time, slowly.
type dripping struct {
	left int
	each time.Duration
}

func (d *dripping) Read(p []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(d.each)
	d.left--
	p[0] = 'x'
	return 1, nil
}

// TestUploadReader: a reader that fails or has another size is the caller's
// trouble, not Gantry's.
func TestUploadReader(t *testing.T) {
	t.Parallel()
	c := serving(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answer(t, w, 201, api.MediaUpload{ID: "u", State: "verified"})
	})
	broken := errors.New("broken off")
	for _, tt := range []struct {
		name string
		r    io.Reader
		size int64
		want string
	}{
		{"fails", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)), 0, "after 3 bytes: broken off"},
		{"fails with a size", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)), 9, "broken off"},
		{"too short", strings.NewReader("abc"), 9, "has 3 bytes so far, and its metadata says 9"},
		{"too long", iotest.OneByteReader(strings.NewReader("abcdef")), 3, "metadata says 3"},
	} {
		_, err := c.UploadMedia(t.Context(), api.MediaMetadata{UserID: "a", Size: tt.size}, tt.r)
		if err == nil || errors.Is(err, client.ErrUnavailable) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestUploadType: a type that the uploader chose cannot make a form of the
// file, whose field would name another user, nor a header of its own.
func TestUploadType(t *testing.T) {
	t.Parallel()
	for declared, want := range map[string]string{
		"multipart/form-data; boundary=x":    "application/x-multipart",
		" Multipart/Form-Data; boundary=\"x": "application/x-multipart",
		"image/png\r\nX-Evil: 1":             "application/x-unreadable",
		"image/jpég":                         "application/x-unreadable",
		"image/png; q=1":                     "image/png; q=1",
	} {
		got := ""
		c := serving(t, func(w http.ResponseWriter, r *http.Request) {
			got = r.Header.Get("Content-Type")
			answer(t, w, 201, api.MediaUpload{ID: "u", State: "verified"})
		})
		if _, err := c.UploadMedia(t.Context(), api.MediaMetadata{MIMEType: declared, UserID: "a"}, strings.NewReader("x")); err != nil || got != want {
			t.Errorf("%q became %q (%v), want %q", declared, got, err, want)
		}
	}
}

// TestUploadStreams: a large file passes through without being held.
func TestUploadStreams(t *testing.T) {
	const size = 64 << 20
	var hash string
	c := serving(t, func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		_, _ = io.Copy(h, r.Body)
		hash = hex.EncodeToString(h.Sum(nil))
		answer(t, w, 201, api.MediaUpload{ID: "u", State: "verified"})
	})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	_, err := c.UploadMedia(t.Context(), api.MediaMetadata{UserID: "a", Size: size}, io.LimitReader(zeros{}, size))
	runtime.ReadMemStats(&after)
	want := sha256.New()
	_, _ = io.Copy(want, io.LimitReader(zeros{}, size))
	if err != nil || hash != hex.EncodeToString(want.Sum(nil)) {
		t.Fatalf("%v, %s", err, hash)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("%d bytes allocated for a file of %d", n, size)
	}
}
