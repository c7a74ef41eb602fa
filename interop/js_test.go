package interop_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"avalo.app/gantry/internal/gantrytest"
)

// node runs a program of interop/js and returns its standard output.
func node(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = "js"
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s%s\n(make deps installs the npm modules)", args, err, out.String(), errs.String())
	}
	return out.String()
}

// TestFirebaseSDK: the real SDK calls callables and receives results, codes
// and details.
func TestFirebaseSDK(t *testing.T) {
	p := gantrytest.Start(t, gantrytest.Options{Binary: binary})
	type call struct {
		Name    string
		OK      bool
		Code    string
		Message string
		Result  map[string]any
		Details map[string]any
	}
	var calls []call
	for line := range strings.Lines(node(t, "node", "callable.mjs", p.URL, p.Key)) {
		var c call
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		calls = append(calls, c)
	}
	if len(calls) != 8 {
		t.Fatalf("%d calls: %+v", len(calls), calls)
	}
	if c := calls[0]; !c.OK || c.Result["status"] != "ok" || c.Result["service"] != "gantry" {
		t.Errorf("health: %+v", c)
	}
	for i, allowed := range []bool{true, true, true, false} {
		c := calls[1+i]
		if !c.OK || c.Result["allowed"] != allowed {
			t.Errorf("check %d: %+v", i+1, c)
		}
		if retry := c.Result["retryAfter"].(float64); (retry > 0) == allowed {
			t.Errorf("check %d: retryAfter %v", i+1, retry)
		}
	}
	if c := calls[5]; !c.OK || c.Result["allowed"] != true || c.Result["remaining"] != 9.0 {
		t.Errorf("by address: %+v", c)
	}
	if c := calls[6]; c.OK || c.Code != "functions/invalid-argument" || c.Details["code"] != "INVALID_ARGUMENT" || c.Details["requestId"] == "" {
		t.Errorf("unknown action: %+v", c)
	}
	if c := calls[7]; c.OK || c.Code != "functions/not-found" || c.Details["code"] != "NOT_FOUND" {
		t.Errorf("unknown function: %+v", c)
	}
}

// TestFirebaseSDKWithoutKey: a refused caller learns it as the SDK's own code.
func TestFirebaseSDKWithoutKey(t *testing.T) {
	p := gantrytest.Start(t, gantrytest.Options{Binary: binary})
	out := node(t, "node", "callable.mjs", p.URL)
	if n := strings.Count(out, `"functions/unauthenticated"`); n != 6 {
		t.Errorf("%d calls were refused as unauthenticated, want 6\n%s", n, out)
	}
}

// TestOpenAPI lints the served document with Spectral's OpenAPI rules.
func TestOpenAPI(t *testing.T) {
	p := gantrytest.Start(t, gantrytest.Options{Binary: binary})
	a := p.Do(t, "GET", "/openapi.json", nil)
	file := filepath.Join(t.TempDir(), "openapi.json")
	if err := os.WriteFile(file, a.Body, 0o600); err != nil {
		t.Fatal(err)
	}
	out := node(t, "npx", "--no-install", "spectral", "lint", "--ruleset", "spectral.yaml", "--fail-severity", "warn", file)
	if !strings.Contains(out, "No results with a severity of 'warn' or higher found") {
		t.Errorf("%s", out)
	}
	// The linter must be able to fail: the same document with a broken reference.
	broken := bytes.ReplaceAll(a.Body, []byte("#/components/schemas/CheckResult"), []byte("#/components/schemas/Missing"))
	if err := os.WriteFile(file, broken, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "npx", "--no-install", "spectral", "lint", "--ruleset", "spectral.yaml", file)
	cmd.Dir = "js"
	if err := cmd.Run(); err == nil {
		t.Error("the linter accepts a document with a broken reference")
	}
}
