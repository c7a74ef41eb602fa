// Package interop_test holds Gantry against foreign implementations: Debian's
// nginx, the Firebase SDK, OpenFeature's OFREP providers, an OpenAPI linter and
// Tessera's fsck.
package interop_test

import (
	"fmt"
	"os"
	"testing"

	"avalo.app/gantry/internal/gantrytest"
	"avalo.app/gantry/internal/store/storetest"
)

// binary is the released program, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gantry-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if binary, err = gantrytest.Build(dir, ""); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	storetest.Stop()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}
