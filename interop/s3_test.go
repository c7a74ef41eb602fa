package interop_test

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// bucket is a bucket of an S3 server: versitygw, a real one, which the module
// proxy serves and which builds here in a minute; johannesboyne/gofakes3
// verifies no signature, and a presigned URL's signature is what is tested.
// The server runs as a process of its own, and its bucket is a folder, so that
// a test can see what really lies there.
type bucket struct {
	url string            // for media.bucket
	dir string            // what lies in it
	env map[string]string // of its clients
}

func startS3(t *testing.T) bucket {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	root, meta := t.TempDir(), t.TempDir()
	b := bucket{
		url: "s3://uploads?region=us-east-1&use_path_style=true&endpoint=http://" + addr, dir: filepath.Join(root, "uploads"),
		env: map[string]string{"AWS_ACCESS_KEY_ID": "gantry", "AWS_SECRET_ACCESS_KEY": "not-a-secret-of-anyone", "AWS_EC2_METADATA_DISABLED": "true"},
	}
	if err := os.Mkdir(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	cmd := exec.Command(s3server, addr, root, meta)
	cmd.Env, cmd.Stdout, cmd.Stderr = os.Environ(), log, log
	for k, v := range b.env {
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
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return b
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name())
			t.Fatalf("the S3 server does not answer: %v: %s", err, said)
		}
	}
}

// keys returns what lies under a prefix, sorted.
func (b bucket) keys(t *testing.T, prefix string) []string {
	t.Helper()
	var out []string
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
	data, err := os.ReadFile(filepath.Join(b.dir, filepath.FromSlash(key)))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// config is Gantry's configuration with the bucket.
func (b bucket) config() string {
	return fmt.Sprintf("media: {bucket: %q, sanitise: false}\n", b.url)
}
