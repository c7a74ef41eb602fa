package archtest_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Rule 9: a dependency is a decision, written down where the next one shows.
func TestDirectDependenciesHaveAReason(t *testing.T) {
	for _, m := range unexplained(read(t, "go.mod"), read(t, "docs/DEPENDENCIES.md")) {
		t.Errorf("rule 9: go.mod requires %s; say in docs/DEPENDENCIES.md what it does here and why it and not our own", m)
	}
}

// unexplained returns the direct requirements that the document lacks.
func unexplained(goMod, doc string) []string {
	var out []string
	for line := range strings.Lines(goMod) {
		f := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(f) < 2 || !strings.HasPrefix(f[1], "v") || strings.Contains(line, "// indirect") {
			continue
		}
		if !strings.Contains(doc, "`"+f[0]+"`") {
			out = append(out, f[0])
		}
	}
	return out
}

var (
	inBackticks = regexp.MustCompile("`([^`\n]+)`")
	repoPath    = regexp.MustCompile(`^(api|bench|client|cmd|deploy|docs|examples|guard|internal|interop|scripts|sdk|testdata)/[A-Za-z0-9_./*-]*$`)
)

// paths returns what looks like a path of this repository in a document.
func paths(doc string) []string {
	var out []string
	for _, m := range inBackticks.FindAllStringSubmatch(doc, -1) {
		p := strings.TrimSuffix(strings.TrimSuffix(m[1], "..."), "/")
		if repoPath.MatchString(m[1]) && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

func TestPathsInDocumentsExist(t *testing.T) {
	docs := []string{filepath.Join(root, "README.md")}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, found...)
	}
	for _, doc := range docs {
		b, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths(string(b)) {
			if found, err := filepath.Glob(filepath.Join(root, p)); err != nil || len(found) == 0 {
				t.Errorf("%s names %s, which does not exist; a document that names what is gone misleads", strings.TrimPrefix(doc, root+"/"), p)
			}
		}
	}
}

// The program is a value; main only calls it.
func TestMainIsShort(t *testing.T) {
	if n := strings.Count(read(t, "cmd/gantry/main.go"), "\n"); n > 30 {
		t.Errorf("cmd/gantry/main.go has %d lines, at most 30: what it does belongs in internal/cli, where tests reach it", n)
	}
}

// A release build must lack the clock that tests move.
func TestReleaseLacksTheTestClock(t *testing.T) {
	for _, tt := range []struct {
		tags string
		want bool
	}{{"", false}, {"testclock", true}} {
		got := slices.Contains(deps(t, tt.tags), module+"internal/testclock")
		if got != tt.want {
			t.Errorf("cmd/gantry built with -tags %q: internal/testclock linked is %v, want %v", tt.tags, got, tt.want)
		}
	}
}

// deps returns everything that the binary links.
func deps(t *testing.T, tags string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-tags", tags, "./cmd/gantry")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []string
	for s := bufio.NewScanner(strings.NewReader(string(out))); s.Scan(); {
		all = append(all, s.Text())
	}
	return all
}
