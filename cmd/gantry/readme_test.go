package main_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// readmeBlock is the block of README.md that a comment marks.
func readmeBlock(t *testing.T, name string) string {
	t.Helper()
	return docBlock(t, "README.md", name)
}

// docBlock is a marked block of a document.
func docBlock(t *testing.T, path, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)<!-- test:" + name + " -->\n```sh\n(.*?)```").FindSubmatch(b)
	if m == nil {
		t.Fatalf("%s has no block %q", path, name)
	}
	return string(m[1])
}

// TestReadme runs the README's commands as written, from the checkout: the
// first starts Gantry and prints a key, URLs and a curl that gets limited;
// the next ones use it. Only the address and the data directory are moved,
// by environment variables.
func TestReadme(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	env := append(os.Environ(), "GANTRY_LISTEN=127.0.0.1:0", "GANTRY_DATA="+data)
	serve := exec.Command("bash", "-c", readmeBlock(t, "start"))
	serve.Dir, serve.Env, serve.Stderr = filepath.Join("..", ".."), env, os.Stderr
	serve.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-serve.Process.Pid, syscall.SIGINT) // Ctrl-C: go run leaves it to the program, and waits
		_ = serve.Wait()                                     // go run itself exits 1 once interrupted
	})
	key, url, curl := announced(t, out)

	cmd := exec.CommandContext(t.Context(), "bash", "-c", curl)
	got, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	lines := strings.Split(strings.TrimSpace(string(got)), "\n")
	for i, want := range []string{`"allowed":true`, `"allowed":true`, `"allowed":true`, `"status":429,.*"code":"RATE_LIMITED"`} {
		if len(lines) != 4 || !regexp.MustCompile(want).MatchString(lines[i]) {
			t.Fatalf("the printed curl: want %s in line %d of\n%s", want, i+1, got)
		}
	}

	env = append(env, "GANTRY_URL="+url, "GANTRY_KEY="+key)
	printed := func(dir, block string, want ...string) {
		t.Helper()
		use := exec.CommandContext(t.Context(), "bash", "-ec", block)
		use.Dir, use.Env = dir, env
		got, err := use.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		for _, w := range want {
			if !strings.Contains(string(got), w) {
				t.Errorf("no %q in what these print:\n%s\n%s", w, block, got)
			}
		}
	}
	root := filepath.Join("..", "..")
	printed(root, readmeBlock(t, "use"), "allowed", "MESSAGE_SEND", "alice", "is sound")
	printed(root, readmeBlock(t, "signup"), "CLOSED_BETA", "allowed", "COUNTRY_NOT_ALLOWED", "100")
	env = append(env, "PATH="+filepath.Dir(command)+string(os.PathListSeparator)+os.Getenv("PATH"))
	printed(root, `gantry mode set INTERNAL_TEST --reason "back to the first start"`)
	printed(t.TempDir(), docBlock(t, "docs/LAUNCH.md", "launch"), "allowed", `"state":"open"`, "first hundred testers")
	printed(t.TempDir(), docBlock(t, "docs/LAUNCH.md", "phases"), "CH GB", "5000", "Europe/Warsaw", "KP")
	printed(t.TempDir(), docBlock(t, "docs/LAUNCH.md", "guests"), "Added 1", "Nobody waits", "In maintenance until")
	printed(t.TempDir(), docBlock(t, "docs/HEALTH.md", "health"), `"health":"HEALTHY"`, "NOT_CONFIGURED", `"fresh": true`, "UPTIME")
	printed(t.TempDir(), docBlock(t, "docs/HEALTH.md", "signals"), "Reported 10 requests")
	printed(t.TempDir(), docBlock(t, "docs/HEALTH.md", "maintenance"), "PostgreSQL upgrade", "Ended; it would have lasted until")
}

// announced reads what serve prints until it is ready.
func announced(t *testing.T, out interface{ Read([]byte) (int, error) }) (key, url, curl string) {
	t.Helper()
	ready := make(chan bool, 1)
	var lines []string
	go func() {
		sc := bufio.NewScanner(out)
		for sc.Scan() {
			lines = append(lines, sc.Text())
			if strings.HasPrefix(sc.Text(), "Ready") {
				ready <- true
			}
		}
	}()
	select {
	case <-ready:
	case <-time.After(5 * time.Minute): // it may compile everything first
		t.Fatal("serve is not ready after five minutes")
	}
	for _, line := range lines {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "gk_"):
			key = line
		case strings.HasPrefix(line, "API"):
			url = strings.Fields(line)[1]
		case strings.HasPrefix(line, "for i in"):
			curl = line
		}
	}
	if key == "" || url == "" || curl == "" {
		t.Fatalf("serve prints no key, URL or curl:\n%s", strings.Join(lines, "\n"))
	}
	return key, url, curl
}

// TestReadmeTest: the README's test command is what CI runs.
func TestReadmeTest(t *testing.T) {
	ci, err := os.ReadFile("../../.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	cmd := strings.TrimSpace(readmeBlock(t, "all"))
	if !strings.Contains(string(ci), "exec "+cmd+"\n") {
		t.Errorf(".ci/run does not run %q", cmd)
	}
}
