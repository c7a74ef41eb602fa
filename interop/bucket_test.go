package interop_test

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"testing"
	"time"

	"avalo.app/gantry/internal/blob"
	"avalo.app/gantry/internal/media"
)

// bucket is a bucket of a provider, whose server runs as a process of its own.
type bucket struct {
	url  string            // for media.bucket
	env  map[string]string // of its clients
	dir  string            // what lies in it; "": only the provider's API tells
	addr string            // of the server
}

// provider is how a bucket of its kind is started, and what its presigned URLs
// bind. None accepts a PUT over another.
type provider struct {
	name              string
	start             func(*testing.T) bucket
	typed, sized      bool
	accepted, refused int // how it answers the first PUT, and one over it
}

func providers() []provider {
	return []provider{
		{name: "s3", start: startS3, typed: true, sized: true, accepted: 200, refused: 412},
		{name: "gcs", start: startGCS, typed: true, sized: true, accepted: 200, refused: 412},
		{name: "azure", start: startAzure, accepted: 201, refused: 403},
	}
}

// each runs a test with Gantry on a bucket of every provider.
func each(t *testing.T, fn func(*testing.T, provider, uploads)) {
	for _, p := range providers() {
		t.Run(p.name, func(t *testing.T) { fn(t, p, startUploads(t, p.start(t))) })
	}
}

// start runs a server until the test ends, and returns the file of its log.
func start(t *testing.T, env map[string]string, command string, args ...string) string {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	cmd := exec.Command(command, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = os.Environ(), log, log
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return log.Name()
}

// await waits until a server is ready.
func await(t *testing.T, log string, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log)
			t.Fatalf("the server does not answer: %s", said)
		}
	}
}

// address waits until a server has logged where it listens.
func address(t *testing.T, log string) (addr string) {
	t.Helper()
	says := regexp.MustCompile(`listens on http://(\S+)`)
	await(t, log, func() bool {
		said, err := os.ReadFile(log)
		if m := says.FindSubmatch(said); err == nil && m != nil {
			addr = string(m[1])
		}
		return addr != ""
	})
	return addr
}

// open opens the bucket in the test's own process.
func (b bucket) open(t *testing.T) *blob.Bucket {
	t.Helper()
	for k, v := range b.env {
		t.Setenv(k, v)
	}
	opened, err := blob.Open(t.Context(), b.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	return opened
}

// keys returns what lies under a prefix, sorted.
func (b bucket) keys(t *testing.T, prefix string) []string {
	t.Helper()
	var out []string
	if b.dir == "" {
		if err := b.open(t).List(t.Context(), prefix, func(o media.Blob) error { out = append(out, o.Key); return nil }); err != nil {
			t.Fatal(err)
		}
		slices.Sort(out)
		return out
	}
	err := filepath.WalkDir(filepath.Join(b.dir, prefix), func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(b.dir, path)
		out = append(out, filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// object returns the bytes of an object.
func (b bucket) object(t *testing.T, key string) []byte {
	t.Helper()
	if b.dir != "" {
		data, err := os.ReadFile(filepath.Join(b.dir, filepath.FromSlash(key)))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	r, _, err := b.open(t).Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// config is Gantry's configuration with the bucket.
func (b bucket) config() string {
	return fmt.Sprintf("media: {bucket: %q, sanitise: false}\n", b.url)
}
