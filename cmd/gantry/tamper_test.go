package main_test

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"avalo.app/gantry/internal/gantrytest"
)

// TestTamper: whatever is changed in the database behind Gantry's back,
// gantry audit verify names it and exits 1.
func TestTamper(t *testing.T) {
	p := gantrytest.Start(t, gantrytest.Options{Binary: binary})
	for i := range 6 {
		a := p.Do(t, "PUT", fmt.Sprintf("/v1/ratelimit/policies/P_%d", i), `{"window":"1m","rules":[{"scope":"user","limit":1}]}`)
		if a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	if code := p.Stop(); code != 0 {
		t.Fatal(code)
	}
	sound := filepath.Join(p.Dir, "gantry-data")
	if code, out := verify(t, sound); code != 0 {
		t.Fatalf("untouched: exit %d\n%s", code, out)
	}
	for _, c := range []struct{ name, sql, says string }{
		{"one byte of a leaf", `UPDATE audit_leaves SET leaf = CAST(replace(CAST(leaf AS text), '"v":1', '"v":2') AS blob) WHERE idx = 3`, `entry 3\b`},
		{"one byte of a private part", `UPDATE audit_private SET body = CAST(replace(CAST(body AS text), 'P_2', 'P_9') AS blob) WHERE idx = 4`, `private 4\b`},
		{"one byte of a hash", `UPDATE audit_hashes SET hash = zeroblob(32) WHERE idx = 5`, `hash|entry`},
		{"an entry dropped", `DELETE FROM audit_leaves WHERE idx = 5`, `entry 5\b`},
		{"an entry dropped with all that is its own", `DELETE FROM audit_leaves WHERE idx = 7; DELETE FROM audit_private WHERE idx = 7`, `entry 7\b`},
		{"two entries swapped", `UPDATE audit_leaves SET idx = -1 WHERE idx = 2; UPDATE audit_leaves SET idx = 2 WHERE idx = 6; UPDATE audit_leaves SET idx = 6 WHERE idx = -1`, `entry 2\b.*\n?.*(6|entry 6)`},
		{"the newest checkpoint removed", `DELETE FROM audit_checkpoints WHERE size = (SELECT MAX(size) FROM audit_checkpoints)`, `checkpoint`},
		{"the head moved back", `UPDATE audit_head SET size = size - 1`, `head`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyDir(t, sound)
			db, err := sql.Open("sqlite", filepath.Join(dir, "gantry.db"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.ExecContext(t.Context(), c.sql); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			code, out := verify(t, dir)
			if code != 1 || !regexp.MustCompile(c.says).MatchString(out) {
				t.Errorf("exit %d, want 1 and %q in:\n%s", code, c.says, out)
			}
		})
	}
}

// TestOutsider: over HTTP, with a pinned key and a kept checkpoint, an
// outsider finds a sound log sound, and a rolled-back one rolled back.
func TestOutsider(t *testing.T) {
	p := gantrytest.Start(t, gantrytest.Options{Binary: binary})
	if code := p.Stop(); code != 0 {
		t.Fatal(code)
	}
	dir, key := p.Dir, p.Key
	old := copyDir(t, filepath.Join(dir, "gantry-data"))
	vkey := string(output(t, filepath.Join(dir, "gantry-data"), "audit", "key"))
	vkey = vkey[:len(vkey)-1]

	p = gantrytest.Start(t, gantrytest.Options{Binary: binary, Dir: dir})
	p.Key = key
	if a := p.Do(t, "PUT", "/v1/ratelimit/policies/P_0", `{"window":"1m","rules":[{"scope":"user","limit":1}]}`); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	kept := filepath.Join(t.TempDir(), "kept.checkpoint")
	if err := os.WriteFile(kept, p.Do(t, "GET", "/audit/log/checkpoint", nil).Body, 0o600); err != nil {
		t.Fatal(err)
	}
	outside := func(url string) (int, string) {
		return run(t, "", "audit", "verify", "--url", url, "--verifier-key", vkey, "--since", kept)
	}
	if code, out := outside(p.URL); code != 0 {
		t.Errorf("sound: exit %d\n%s", code, out)
	}
	if code, out := run(t, "", "audit", "verify", "--url", p.URL); code != 2 {
		t.Errorf("without a pinned key: exit %d\n%s", code, out)
	}
	p.Kill()

	// The older copy takes the place of the store: the log is sound in itself,
	// and shorter than what it once signed.
	back := t.TempDir()
	if err := os.Rename(old, filepath.Join(back, "gantry-data")); err != nil {
		t.Fatal(err)
	}
	p = gantrytest.Start(t, gantrytest.Options{Binary: binary, Dir: back})
	if code, out := outside(p.URL); code != 1 || !regexp.MustCompile(`rollback|rolled back`).MatchString(out) {
		t.Errorf("rolled back: exit %d\n%s", code, out)
	}
}

func verify(t *testing.T, data string) (int, string) {
	t.Helper()
	return run(t, data, "audit", "verify")
}

// run runs gantry over a data directory and returns its exit code and
// everything it printed.
func run(t *testing.T, data string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command, args...)
	cmd.Env = append(os.Environ(), "GANTRY_DATA="+data)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func output(t *testing.T, data string, args ...string) []byte {
	t.Helper()
	code, out := run(t, data, args...)
	if code != 0 {
		t.Fatalf("%v: exit %d\n%s", args, code, out)
	}
	return []byte(out)
}

func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}
