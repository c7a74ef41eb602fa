package main_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"avalo.app/gantry/internal/gantrytest"
)

// TestHealthSeesTrouble: when counters can no longer be kept, the health word
// says so, and takes it back when they can.
func TestHealthSeesTrouble(t *testing.T) {
	p := gantrytest.Start(t, gantrytest.Options{Binary: binary, Config: "counters: {snapshot_interval: 1s}\n"})
	word := func(want string) {
		t.Helper()
		var got struct{ Health string }
		for range 200 {
			p.Do(t, "GET", "/healthz", nil).Decode(t, &got)
			if got.Health == want {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatalf("health is %s, want %s\n%s", got.Health, want, p.Stderr())
	}
	word("HEALTHY")
	// A directory where the snapshot belongs: it cannot be replaced, not even
	// by root.
	path := filepath.Join(p.Dir, "gantry-data", "counters.snapshot")
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	word("DEGRADED")
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	word("HEALTHY")
}
