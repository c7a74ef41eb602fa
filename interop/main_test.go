// Package interop_test holds Gantry against foreign implementations: Debian's
// nginx, Prometheus and Alertmanager, the versitygw S3 server,
// fake-gcs-server, Azurite, the Firebase SDK, OpenFeature's OFREP providers, an OpenAPI linter and
// Tessera's fsck.
package interop_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"avalo.app/gantry/internal/gantrytest"
	"avalo.app/gantry/internal/store/storetest"
)

// binary is the released program, and s3server, gcsserver and stripeMock the
// commands of those names, built once for all tests.
var binary, s3server, gcsserver, stripeMock string

func TestMain(m *testing.M) {
	if addr := os.Getenv(issuerVar); addr != "" {
		fmt.Fprintln(os.Stderr, serveIssuer(addr))
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "gantry-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if binary, err = gantrytest.Build(dir, ""); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s3server, gcsserver, stripeMock = filepath.Join(dir, "s3server"), filepath.Join(dir, "gcsserver"), filepath.Join(dir, "stripe-mock")
	if out, err := exec.Command("go", "build", "-o", dir, "./s3server", "./gcsserver", "github.com/stripe/stripe-mock").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build ./s3server ./gcsserver stripe-mock: %v: %s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	storetest.Stop()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}
