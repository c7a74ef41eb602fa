// Package mediabuckettest says what every media.Bucket does.
package mediabuckettest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/media"
)

// Run holds an empty bucket against the interface's promises.
func Run(t *testing.T, b media.Bucket) {
	for _, tt := range []struct {
		name string
		fn   func(*testing.T, media.Bucket)
	}{
		{"put and open", putAndOpen}, {"missing", missing}, {"interrupted put", interrupted}, {"list", list},
		{"away key", awayKey}, {"at once", atOnce}, {"read while written", readWhileWritten}, {"versions", versions}, {"given up", givenUp},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.fn(t, b) })
		for key := range contents(t, b, "") {
			if err := b.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func put(t *testing.T, b media.Bucket, key string, data []byte) {
	t.Helper()
	if err := b.Put(t.Context(), key, "image/jpeg", bytes.NewReader(data)); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func read(t *testing.T, b media.Bucket, key string) []byte {
	t.Helper()
	r, o, err := b.Open(t.Context(), key)
	if err != nil {
		t.Fatalf("open %s: %v", key, err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if o.Key != key || o.Size != int64(len(data)) || time.Since(o.At).Abs() > time.Hour {
		t.Errorf("%s has %d bytes, and is described as %+v", key, len(data), o)
	}
	return data
}

// contents returns the sizes of what lies under a prefix.
func contents(t *testing.T, b media.Bucket, prefix string) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	err := b.List(t.Context(), prefix, func(o media.Blob) error {
		if time.Since(o.At).Abs() > time.Hour {
			t.Errorf("%s is of %s", o.Key, o.At)
		}
		out[o.Key] = o.Size
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func data(n int, seed byte) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(i)*seed + byte(i>>8)
	}
	return out
}

func putAndOpen(t *testing.T, b media.Bucket) {
	for _, n := range []int{0, 1, 64 << 10, 12 << 20} { // the last one is sent in parts
		put(t, b, "media/u-a/x.jpg", data(n, 3))
		if !bytes.Equal(read(t, b, "media/u-a/x.jpg"), data(n, 3)) {
			t.Errorf("%d bytes came back changed", n)
		}
	}
	put(t, b, "media/u-a/x.jpg", []byte("short")) // over a longer one
	if got := read(t, b, "media/u-a/x.jpg"); string(got) != "short" {
		t.Errorf("written over: %d bytes", len(got))
	}
}

func missing(t *testing.T, b media.Bucket) {
	if _, _, err := b.Open(t.Context(), "media/none"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("open: %v", err)
	}
	if err := b.Delete(t.Context(), "media/none"); err != nil {
		t.Errorf("delete: %v", err)
	}
	put(t, b, "media/once", []byte("x"))
	for range 2 {
		if err := b.Delete(t.Context(), "media/once"); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if _, _, err := b.Open(t.Context(), "media/once"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("open after delete: %v", err)
	}
}

// broken breaks off before the size that it says it has, however often it is
// read.
type broken struct {
	r    *bytes.Reader
	at   int64 // where it breaks off
	fail func() error
}

func newBroken(data []byte) *broken {
	return &broken{bytes.NewReader(append(data, make([]byte, 100)...)), int64(len(data)), func() error { return errors.New("broken") }}
}

func (b *broken) Read(p []byte) (int, error) {
	left := b.at - (b.r.Size() - int64(b.r.Len()))
	if left <= 0 {
		return 0, b.fail()
	}
	return b.r.Read(p[:min(int64(len(p)), left)])
}

func (b *broken) Seek(offset int64, whence int) (int64, error) { return b.r.Seek(offset, whence) }

// interrupted: a Put that fails leaves no object, and none changed.
func interrupted(t *testing.T, b media.Bucket) {
	for _, n := range []int{0, 100, 9 << 20} {
		if err := b.Put(t.Context(), "media/new", "image/jpeg", newBroken(data(n, 5))); err == nil {
			t.Errorf("cut after %d bytes: no error", n)
		}
	}
	put(t, b, "media/old", []byte("as it was"))
	if err := b.Put(t.Context(), "media/old", "image/jpeg", newBroken([]byte("changed"))); err == nil {
		t.Error("no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Put(ctx, "media/late", "image/jpeg", strings.NewReader("x")); err == nil {
		t.Error("a put whose caller had gone: no error")
	}
	if diff := cmp.Diff(map[string]int64{"media/old": 9}, contents(t, b, "")); diff != "" {
		t.Error(diff)
	}
	if got := read(t, b, "media/old"); string(got) != "as it was" {
		t.Errorf("%q", got)
	}
}

func list(t *testing.T, b media.Bucket) {
	want := map[string]int64{}
	for i, key := range []string{"a/1", "a/2", "a/b/3", "ab/4", "b/5"} {
		put(t, b, key, make([]byte, i))
		if strings.HasPrefix(key, "a/") {
			want[key] = int64(i)
		}
	}
	if diff := cmp.Diff(want, contents(t, b, "a/")); diff != "" {
		t.Error(diff)
	}
	if got := contents(t, b, "c/"); len(got) != 0 {
		t.Errorf("under a prefix of nothing: %v", got)
	}
	n, stop := 0, errors.New("enough")
	if err := b.List(t.Context(), "", func(media.Blob) error { n++; return stop }); !errors.Is(err, stop) || n != 1 {
		t.Errorf("stopped after %d with %v", n, err)
	}
}

// awayKey: a host's longest key is accepted, and comes back as it was.
func awayKey(t *testing.T, b media.Bucket) {
	key := api.MediaAwayKey(strings.Repeat("ü", 64), strings.Repeat("i", 32), strings.Repeat("ß", 300)+".jpg")
	put(t, b, key, []byte("x"))
	if diff := cmp.Diff(map[string]int64{key: 1}, contents(t, b, media.QuarantineAway)); diff != "" {
		t.Error(diff)
	}
}

// atOnce: two that write one key at once leave the bytes of one of them.
func atOnce(t *testing.T, b media.Bucket) {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if err := b.Put(t.Context(), "media/same", "image/jpeg", bytes.NewReader(data(200_000, byte(i+1)))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got := read(t, b, "media/same")
	if !slices.ContainsFunc([]byte{1, 2, 3, 4}, func(seed byte) bool { return bytes.Equal(got, data(200_000, seed)) }) {
		t.Errorf("%d bytes of nobody", len(got))
	}
	if diff := cmp.Diff([]string{"media/same"}, slices.Collect(maps.Keys(contents(t, b, "")))); diff != "" {
		t.Error(diff)
	}
}

// readWhileWritten: what was opened stays of one version, or fails.
func readWhileWritten(t *testing.T, b media.Bucket) {
	old := data(6<<20, 7)
	put(t, b, "media/x", old)
	r, _, err := b.Open(t.Context(), "media/x")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	head := make([]byte, 1000)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	put(t, b, "media/x", data(6<<20, 9))
	rest, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(append(head, rest...), old) {
		t.Error("a reader was given bytes of two versions")
	}
}

// versions: what a bucket calls a version changes with the bytes, and not
// without a change.
func versions(t *testing.T, b media.Bucket) {
	open := func() string {
		r, o, err := b.Open(t.Context(), "media/v")
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		return o.Version
	}
	put(t, b, "media/v", []byte("first"))
	first, again := open(), open()
	put(t, b, "media/v", []byte("other"))
	if other := open(); first != again || first == other && first != "" {
		t.Errorf("versions %q, %q, and %q of other bytes", first, again, other)
	}
}

// givenUp: a caller that goes while its bytes are on the way leaves no object,
// wherever it is caught.
func givenUp(t *testing.T, b media.Bucket) {
	for _, n := range []int{0, 1, 100_000, 5 << 20, 17 << 20} {
		ctx, cancel := context.WithCancel(t.Context())
		r := newBroken(data(n, 5))
		r.fail = func() error {
			cancel()
			return context.Canceled
		}
		if err := b.Put(ctx, "media/new", "image/jpeg", r); err == nil {
			t.Errorf("gone after %d bytes: no error", n)
		}
	}
	if got := contents(t, b, ""); len(got) != 0 {
		t.Errorf("there are %v", got)
	}
}
