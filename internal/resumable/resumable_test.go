package resumable_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tus/tusd/v2/pkg/handler"

	"avalo.app/gantry/internal/resumable"
)

type fixture struct {
	*resumable.Dir
	path string
	now  time.Time
}

func open(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{path: filepath.Join(t.TempDir(), "tus"), now: time.Now()}
	f.open(t)
	return f
}

// open opens the directory anew, as a process does that starts.
func (f *fixture) open(t *testing.T) {
	t.Helper()
	var err error
	if f.Dir, err = resumable.Open(f.path, func() time.Time { return f.now }); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) begin(t *testing.T, id string, size int64) {
	t.Helper()
	if _, err := f.NewUpload(t.Context(), handler.FileInfo{ID: id, Size: size, MetaData: handler.MetaData{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) write(t *testing.T, id string, offset int64, text string) {
	t.Helper()
	u, err := f.GetUpload(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := u.WriteChunk(t.Context(), offset, strings.NewReader(text)); err != nil || n != int64(len(text)) {
		t.Fatal(n, err)
	}
}

// look returns what is known of an upload.
func (f *fixture) look(t *testing.T, id string) (offset int64, content string, err error) {
	t.Helper()
	u, err := f.GetUpload(t.Context(), id)
	if err != nil {
		return -1, "", err
	}
	info, err := u.GetInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(handler.MetaData{"a": "b"}, info.MetaData); d != "" {
		t.Error(d)
	}
	r, err := u.GetReader(t.Context())
	if err != nil {
		return info.Offset, "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return info.Offset, string(b), nil
}

func (f *fixture) files(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(f.path)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestLife: pieces add up over restarts; a finished upload is known without
// its bytes; a terminated one is not.
func TestLife(t *testing.T) {
	f := open(t)
	f.begin(t, "abc", 6)
	f.write(t, "abc", 0, "one")
	f.open(t)
	f.write(t, "abc", 3, "two")
	if n, text, err := f.look(t, "abc"); n != 6 || text != "onetwo" || err != nil {
		t.Error(n, text, err)
	}
	for range 2 {
		if err := f.Finish("abc"); err != nil {
			t.Error(err)
		}
		if n, _, err := f.look(t, "abc"); n != 6 || !errors.Is(err, fs.ErrNotExist) {
			t.Error(n, err)
		}
	}
	f.begin(t, "def", 6)
	for _, id := range []string{"abc", "def"} {
		u, err := f.GetUpload(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.AsTerminatableUpload(u).Terminate(t.Context()); err != nil {
			t.Error(err)
		}
		if _, _, err := f.look(t, id); !errors.Is(err, handler.ErrNotFound) {
			t.Error(id, err)
		}
	}
	if n := f.files(t); n != 0 {
		t.Errorf("%d files stayed", n)
	}
}

// TestCollect: an upload is found for a day behind its last byte, and its
// files go later than that, so that nobody who found it loses them.
func TestCollect(t *testing.T) {
	f := open(t)
	f.begin(t, "abc", 6)
	f.begin(t, "done", 6)
	if err := os.WriteFile(filepath.Join(f.path, "half"), nil, 0o600); err != nil { // a crash within NewUpload
		t.Fatal(err)
	}
	if err := f.Finish("done"); err != nil {
		t.Fatal(err)
	}
	begun := f.now
	for _, step := range []struct {
		after time.Duration
		found bool
		files int
	}{{23 * time.Hour, true, 4}, {24*time.Hour + time.Minute, false, 4}, {25*time.Hour + time.Minute, false, 0}} {
		f.now = begun.Add(step.after)
		if err := f.Collect(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := f.GetUpload(t.Context(), "abc"); (err == nil) != step.found {
			t.Errorf("%v: %v", step.after, err)
		}
		if n := f.files(t); n != step.files {
			t.Errorf("%v: %d files, want %d", step.after, n, step.files)
		}
	}
}

// TestIDs: no id leads out of the directory.
func TestIDs(t *testing.T) {
	f := open(t)
	for _, id := range []string{"", ".", "..", "../x", "a/b", "a.info", "A", "a\x00", strings.Repeat("a", 65)} {
		if _, err := f.GetUpload(t.Context(), id); !errors.Is(err, handler.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
		if _, err := f.NewUpload(t.Context(), handler.FileInfo{ID: id, Size: 1}); err == nil {
			t.Errorf("%q: an upload began", id)
		}
	}
	if n := f.files(t); n != 0 {
		t.Errorf("%d files", n)
	}
}
