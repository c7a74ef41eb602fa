// Package servers is what the benchmarks share that measure servers as
// processes of their own: starting and watching them, a client that takes
// little of the cores that it shares with them, and the form of figures.
package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a server under test.
type Process struct {
	Addr string // host:port
	Key  string // the API key that it printed; "" if none

	cmd *exec.Cmd
}

// Kill ends the process and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// Build makes the binary as it is released, in dir. The working directory
// must be that of the module bench.
func Build(dir string) (string, error) {
	out := filepath.Join(dir, "gantry")
	cmd := exec.Command("go", "build", "-trimpath", "-o", out, "./cmd/gantry")
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, b)
	}
	return out, nil
}

// StartGantry runs gantry serve on a free port; args are further arguments.
func StartGantry(binary, data string, args ...string) (*Process, error) {
	return start(exec.Command(binary, append([]string{"serve", "--listen", "127.0.0.1:0", "--data", data}, args...)...))
}

// StartSelf runs this very program with other arguments, with which it
// serves and says so by ServePeer.
func StartSelf(args ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(exec.Command(self, args...))
}

// start reads standard output until the line that says that the server
// serves. Standard error goes to /dev/null: to read a server's log would take
// from the cores.
func start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd}
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
			if a, ok := strings.CutPrefix(word, "http://"); ok && p.Addr == "" {
				p.Addr = a
			}
			if p.Key == "" && strings.HasPrefix(word, "gk_") {
				p.Key = word
			}
		}
		if strings.HasPrefix(lines.Text(), "Ready") {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return p, nil
		}
	}
	p.Kill()
	return nil, errors.New("the server ended before it was ready")
}

// Call sends a request that is not measured, with the key or, if another is
// given, with that one, and returns the body of the answer. Any status but
// want is an error.
func (p *Process) Call(want int, method, path, body string, key ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.Addr+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	auth := p.Key
	if len(key) > 0 {
		auth = key[0]
	}
	req.Header.Set("Authorization", "Bearer "+auth)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != want {
		err = fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, b)
	}
	return b, err
}

// Memory is the kernel's figures of a process, in MB.
type Memory struct{ Resident, Anonymous float64 }

// Memory reads them.
func (p *Process) Memory() (Memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return Memory{}, err
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
	return Memory{Resident: figure("VmRSS"), Anonymous: figure("RssAnon")}, nil
}

// CPU is the processor time that the process has used, user and system, in
// the kernel's ticks of 10 ms. Unlike checks per second it says little of
// the client and the neighbours.
func (p *Process) CPU() (time.Duration, error) {
	_, used, err := stat(strconv.Itoa(p.cmd.Process.Pid))
	return used, err
}

// stat reads the parent and the processor time of a process.
func stat(pid string) (parent int, used time.Duration, err error) {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0, 0, err
	}
	// The second field is the name in parentheses; the parent is the 4th,
	// utime and stime are the 14th and 15th of proc(5).
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, 0, fmt.Errorf("/proc/%s/stat has no times", pid)
	}
	parent, err1 := strconv.Atoi(fields[1])
	user, err2 := strconv.Atoi(fields[11])
	system, err3 := strconv.Atoi(fields[12])
	return parent, time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2, err3)
}

// Settle waits until the server has done what it put off, such as recording
// refusals once a second, and returns CPU: 1.2 s in a row with at most 20 ms
// of work, or 20 s at most.
func (p *Process) Settle() (time.Duration, error) {
	const quiet = 1200 * time.Millisecond
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); {
		before, err := p.CPU()
		if err != nil {
			return 0, err
		}
		time.Sleep(quiet)
		after, err := p.CPU()
		if err != nil {
			return 0, err
		}
		if after-before <= 20*time.Millisecond {
			break
		}
	}
	return p.CPU()
}

// Metric reads one series without labels from /metrics.
func (p *Process) Metric(name string) (float64, error) {
	b, err := p.Call(http.StatusOK, "GET", "/metrics", "")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(v), 64)
		}
	}
	return 0, fmt.Errorf("/metrics has no %s", name)
}

// FamilyCPU is the processor time of a process and its children, but for
// those that have ended.
func FamilyCPU(pid int) (time.Duration, error) {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	_, total, err := stat(strconv.Itoa(pid))
	if err != nil {
		return 0, err
	}
	for _, d := range dirs {
		if _, err := strconv.Atoi(d.Name()); err != nil {
			continue
		}
		// Who has ended meanwhile is left out.
		if parent, used, err := stat(d.Name()); err == nil && parent == pid {
			total += used
		}
	}
	return total, nil
}
