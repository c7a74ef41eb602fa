package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server under test.
type process struct {
	cmd       *exec.Cmd
	addr, key string
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// build makes the binary as it is released.
func build(dir string) (string, error) {
	out := filepath.Join(dir, "gantry")
	cmd := exec.Command("go", "build", "-trimpath", "-o", out, "./cmd/gantry")
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, b)
	}
	return out, nil
}

func startGantry(binary, data string) (*process, error) {
	return startServer(exec.Command(binary, "serve", "--listen", "127.0.0.1:0", "--data", data), "Ready")
}

func startPeer() (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startServer(exec.Command(self, "-peer"), "Ready")
}

// startServer reads standard output until the line that says that the
// server serves.
func startServer(cmd *exec.Cmd, ready string) (*process, error) {
	p := &process{cmd: cmd}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		for word := range strings.FieldsSeq(lines.Text()) {
			if a, ok := strings.CutPrefix(word, "http://"); ok && p.addr == "" {
				p.addr = a
			}
			if p.key == "" && strings.HasPrefix(word, "gk_") {
				p.key = word
			}
		}
		if strings.HasPrefix(lines.Text(), ready) {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return p, nil
		}
	}
	p.kill()
	return nil, errors.New("the server ended before it was ready")
}

func (p *process) putPolicy(action string, limit int64) error {
	body := fmt.Sprintf(`{"window":"24h","rules":[{"scope":"user","limit":%d}]}`, limit)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+p.addr+"/v1/ratelimit/policies/"+action, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+p.key)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(res.Body)
		return fmt.Errorf("policy %s: %d %s", action, res.StatusCode, b)
	}
	return nil
}

// timeStart measures from the start of the process to the first 200 of
// /readyz. The address is found beforehand, so that asking can begin at once.
func timeStart(binary, data string) (time.Duration, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	addr := l.Addr().String()
	_ = l.Close()
	cmd := exec.Command(binary, "serve", "--listen", addr, "--data", data)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() }()
	for time.Since(start) < 30*time.Second {
		res, err := http.Get("http://" + addr + "/readyz")
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return time.Since(start), nil
			}
		}
		time.Sleep(time.Millisecond)
	}
	return 0, errors.New("no answer within 30 s")
}

type memory struct{ resident, anonymous float64 } // MB

// memory reads the kernel's figures.
func (p *process) memory() (memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return memory{}, err
	}
	figure := func(name string) float64 {
		_, rest, _ := strings.Cut(string(b), name+":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			return 0
		}
		kb, _ := strconv.ParseFloat(fields[0], 64)
		return kb / 1024
	}
	return memory{resident: figure("VmRSS"), anonymous: figure("RssAnon")}, nil
}

// cpu is the processor time that the process has used, user and system, in
// the kernel's ticks of 10 ms. Unlike checks per second it says little of
// the client and the neighbours.
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The second field is the name in parentheses; utime and stime are the
	// 14th and 15th of proc(5).
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has no times", p.cmd.Process.Pid)
	}
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err
}

// settle waits until the server has done what it put off, such as recording
// refusals once a second, and returns cpu: 1.2 s in a row with at most 20 ms
// of work, or 20 s at most.
func (p *process) settle() (time.Duration, error) {
	const quiet = 1200 * time.Millisecond
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); {
		before, err := p.cpu()
		if err != nil {
			return 0, err
		}
		time.Sleep(quiet)
		after, err := p.cpu()
		if err != nil {
			return 0, err
		}
		if after-before <= 20*time.Millisecond {
			break
		}
	}
	return p.cpu()
}

// metric reads one series without labels from /metrics.
func (p *process) metric(name string) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+p.key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(v, 64)
		}
	}
	return 0, fmt.Errorf("/metrics (%s) has no %s", res.Status, name)
}
