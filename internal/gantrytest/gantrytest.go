// Package gantrytest builds the real binary and runs it as a process of its
// own: started on a free port, stopped, killed, and its clock moved.
package gantrytest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Build compiles cmd/gantry with the build tags and returns the binary's
// path. flags are further arguments of go build, such as "-race".
func Build(dir, tags string, flags ...string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "gantry")
	args := append([]string{"build", "-tags", tags, "-o", out}, flags...)
	cmd := exec.Command("go", append(args, "./cmd/gantry")...)
	cmd.Dir = root
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, b)
	}
	return out, nil
}

// moduleRoot is the folder of the module avalo.app/gantry above this test,
// also for the nested modules.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(b, []byte("module avalo.app/gantry\n")) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no go.mod of avalo.app/gantry above the test")
}

// Options say how a process is started.
type Options struct {
	Binary string
	Dir    string            // working directory; the data directory is Dir/gantry-data
	Config string            // YAML; empty: none
	Env    map[string]string // added to the environment
}

// Process is a running gantry serve.
type Process struct {
	URL string // of the API
	Key string // the admin key, if this start printed it
	Dir string

	cmd    *exec.Cmd
	clock  string
	mu     sync.Mutex
	stdout bytes.Buffer
	stderr bytes.Buffer
	done   chan struct{}
}

// Start runs gantry serve on a free port and waits until it answers. The
// process is killed when the test ends.
func Start(t testing.TB, o Options) *Process {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	p := &Process{Dir: o.Dir, clock: filepath.Join(o.Dir, "clock"), done: make(chan struct{})}
	args := []string{"serve", "--listen", "127.0.0.1:0"}
	if o.Config != "" {
		path := filepath.Join(o.Dir, "gantry.yaml")
		if err := os.WriteFile(path, []byte(o.Config), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	p.cmd = exec.Command(o.Binary, args...)
	p.cmd.Dir = o.Dir
	p.cmd.Env = append(os.Environ(), "GANTRY_TESTCLOCK="+p.clock)
	for k, v := range o.Env {
		p.cmd.Env = append(p.cmd.Env, k+"="+v)
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = &lockedWriter{mu: &p.mu, w: &p.stderr}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan bool, 1)
	go p.read(out, ready)
	t.Cleanup(p.Kill)
	select {
	case ok := <-ready:
		if ok {
			return p
		}
		<-p.done
		t.Fatalf("gantry serve ended: %s\n%s%s", p.cmd.ProcessState, p.Stdout(), p.Stderr())
	case <-time.After(60 * time.Second):
		t.Fatalf("gantry serve is not ready after 60 s:\n%s%s", p.Stdout(), p.Stderr())
	}
	return nil
}

// read gathers standard output and finds the URL and the key in it. ready
// receives true at the line that says that it serves, false at the end.
func (p *Process) read(out io.Reader, ready chan<- bool) {
	said := false
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		p.mu.Lock()
		fmt.Fprintln(&p.stdout, line)
		p.mu.Unlock()
		for word := range strings.FieldsSeq(line) {
			switch {
			case p.URL == "" && strings.HasPrefix(word, "http://127.0.0.1:"):
				p.URL = strings.TrimRight(word, "/")
			case p.Key == "" && strings.HasPrefix(word, "gk_"):
				p.Key = word
			}
		}
		if !said && strings.HasPrefix(line, "Ready") {
			said = true
			ready <- true
		}
	}
	_ = p.cmd.Wait() // the state is read from ProcessState
	if !said {
		ready <- false
	}
	close(p.done)
}

// Stdout returns what the process has printed.
func (p *Process) Stdout() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stdout.String()
}

// Stderr returns what the process has logged.
func (p *Process) Stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// Signal sends sig.
func (p *Process) Signal(sig os.Signal) { _ = p.cmd.Process.Signal(sig) }

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Kill ends the process as kill -9 does, and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop ends the process as an operator does and returns its exit code.
func (p *Process) Stop() int {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// SetClock shifts the clock of a binary built with the tag testclock.
func (p *Process) SetClock(t testing.TB, offset time.Duration) {
	t.Helper()
	tmp := p.clock + ".new"
	if err := os.WriteFile(tmp, []byte(offset.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, p.clock); err != nil {
		t.Fatal(err)
	}
}

// Answer is what Do received.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Decode parses the body as JSON.
func (a Answer) Decode(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(a.Body, v); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
}

// Do sends a request with the admin key; body is marshalled unless it is a
// string. Further arguments are header names and values.
func (p *Process) Do(t testing.TB, method, path string, body any, headers ...string) Answer {
	t.Helper()
	a, err := p.Try(method, path, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", method, path, err, p.Stderr())
	}
	return a
}

// Try is Do for a process that may be gone.
func (p *Process) Try(method, path string, body any, headers ...string) (Answer, error) {
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		j, err := json.Marshal(b)
		if err != nil {
			return Answer{}, err
		}
		r = bytes.NewReader(j)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.URL+path, r)
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+p.Key)
	if r != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return Answer{Status: res.StatusCode, Header: res.Header, Body: b}, err
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
