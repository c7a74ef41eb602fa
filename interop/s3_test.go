package interop_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// startS3 starts versitygw, a real S3 server, which the module proxy serves and
// which builds here in a minute; johannesboyne/gofakes3 verifies no signature,
// and a presigned URL's signature is what is tested. Its bucket is a folder, so
// that a test can see what really lies there.
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
		env: map[string]string{"AWS_ACCESS_KEY_ID": "gantry", "AWS_SECRET_ACCESS_KEY": "not-a-secret-of-anyone", "AWS_EC2_METADATA_DISABLED": "true"}, addr: addr,
	}
	if err := os.Mkdir(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	said := start(t, b.env, s3server, addr, root, meta)
	await(t, said, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return b
}
