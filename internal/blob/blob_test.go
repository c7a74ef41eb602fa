package blob_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"avalo.app/gantry/internal/blob"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/media/mediabuckettest"
)

func local(t *testing.T) (*blob.Bucket, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a folder", "ü")
	url, err := blob.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := blob.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b, dir
}

func TestDirectory(t *testing.T) {
	b, dir := local(t)
	mediabuckettest.Run(t, b)
	if s, err := os.Stat(dir); err != nil || s.Mode().Perm() != 0o700 {
		t.Error(s.Mode(), err)
	}
}

// TestPresignDirectory: nobody else can write into a local directory.
func TestPresignDirectory(t *testing.T) {
	b, _ := local(t)
	if _, _, err := b.Presign(t.Context(), "quarantine/presigned/x", "image/jpeg", 1, time.Minute); fault.CodeOf(err) != fault.Conflict || !strings.Contains(err.Error(), "POST /v1/media/uploads") {
		t.Error(err)
	}
}

// TestPresignS3: the signature binds type, length and condition, and needs no
// request.
func TestPresignS3(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	b, err := blob.Open(t.Context(), "s3://bucket?region=eu-central-1&use_path_style=true&endpoint=http://127.0.0.1:1&prefix=gantry/")
	if err != nil {
		t.Fatal(err)
	}
	url, headers, err := b.Presign(t.Context(), "quarantine/presigned/x", "image/jpeg", 17, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(url, "http://127.0.0.1:1/bucket/gantry/quarantine/presigned/x?") || !strings.Contains(url, "X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bif-none-match&") {
		t.Error(url)
	}
	if headers["Content-Type"] != "image/jpeg" || headers["Content-Length"] != "17" || headers["If-None-Match"] != "*" || len(headers) != 3 {
		t.Error(headers)
	}
}

func TestNoBucket(t *testing.T) {
	for _, url := range []string{"", "/var/lib/x", "ftp://x", "s3://b?nonsense=1"} {
		if _, err := blob.Open(t.Context(), url); err == nil {
			t.Errorf("%q was opened", url)
		}
	}
}

// TestSweep: what a kill cut off goes, and what is being written stays.
func TestSweep(t *testing.T) {
	b, dir := local(t)
	if err := b.Put(t.Context(), "media/x", "", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	left := func() []string {
		names, err := filepath.Glob(filepath.Join(dir, ".parts", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if got := left(); len(got) != 0 {
		t.Errorf("a Put left %v", got)
	}
	cut := filepath.Join(dir, ".parts", "put-1")
	for after, want := range map[time.Duration]int{time.Minute: 1, 2 * time.Hour: 0} {
		if err := os.WriteFile(cut, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := b.Sweep(time.Now().Add(after)); err != nil || len(left()) != want {
			t.Errorf("after %s: %v %v", after, left(), err)
		}
	}
}

// TestErrorsHideKeys: a key names its owner, and errors are logged.
func TestErrorsHideKeys(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	l, dir := local(t)
	if err := os.WriteFile(filepath.Join(dir, "media"), nil, 0o600); err != nil { // where a folder belongs
		t.Fatal(err)
	}
	s3, err := blob.Open(t.Context(), "s3://bucket?region=eu-central-1&use_path_style=true&endpoint=http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*blob.Bucket{"directory": l, "S3": s3} {
		_, _, opening := b.Open(t.Context(), "media/u-alice/x.jpg")
		for op, err := range map[string]error{"put": b.Put(t.Context(), "media/u-alice/x.jpg", "image/jpeg", strings.NewReader("x")), "open": opening,
			"delete": b.Delete(t.Context(), "media/u-alice/x.jpg")} {
			if op == "put" && err == nil || err != nil && strings.Contains(err.Error(), "alice") {
				t.Errorf("%s, %s: %v", name, op, err)
			}
			if f, ok := err.(*fault.Error); ok && f.Err != nil && strings.Contains(f.Err.Error(), "alice") {
				t.Errorf("%s, %s: %v", name, op, f.Err)
			}
		}
	}
}
