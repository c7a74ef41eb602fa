package main_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/gantrytest"
)

// hanging listens at an address where everything is taken and nothing is
// answered, and counts the connections that are open.
func hanging(t *testing.T) (addr string, open, ever *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	open, ever = new(atomic.Int64), new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Add(1)
			ever.Add(1)
			go func() {
				_, _ = io.Copy(io.Discard, c) // until the client closes
				_ = c.Close()
				open.Add(-1)
			}()
		}
	}()
	return l.Addr().String(), open, ever
}

// TestFreshReportsLeakNothing: with every probe hanging, fresh reports answer
// in time and name each; afterwards nothing of them is left, neither here nor
// there.
func TestFreshReportsLeakNothing(t *testing.T) {
	t.Parallel() // most of it waits for timeouts
	addr, open, ever := hanging(t)
	var config strings.Builder
	config.WriteString("health:\n  components:\n")
	var names []string
	for kind, probe := range map[string]string{
		"http":     fmt.Sprintf(`http: {url: "http://%s/"}`, addr),
		"tcp":      fmt.Sprintf(`tcp: {address: "%s", banner: "220"}`, addr),
		"postgres": fmt.Sprintf(`postgres: {url: "postgres://u:p@%s/db?sslmode=disable"}`, addr),
		"redis":    fmt.Sprintf(`redis: {url: "redis://%s/0"}`, addr),
		"tls":      fmt.Sprintf(`tls: {address: "%s", server_name: example.com}`, addr),
	} {
		for i, timeout := range []string{"1s", "4s"} { // below what libraries give up after by themselves; one shorter, one longer than a report
			name := kind + strconv.Itoa(i)
			names = append(names, name)
			fmt.Fprintf(&config, "    %s: {critical: true, interval: 1h, timeout: %s, failure_threshold: 1, %s}\n", name, timeout, probe)
		}
	}
	slices.Sort(names)
	p := gantrytest.Start(t, gantrytest.Options{Binary: command, Config: config.String()})
	last := ""
	defer func() {
		if t.Failed() {
			t.Logf("%s; %d connections are open of %d", last, open.Load(), ever.Load())
		}
	}()
	await(t, "the first measurements are over", func() bool {
		var rep api.HealthReport
		p.Do(t, "GET", "/v1/health", nil).Decode(t, &rep)
		for _, c := range rep.Components {
			if slices.Contains(names, c.Component) && (c.Status != api.HealthDown || c.Message != "timed out") {
				last = c.Component + " is " + c.Status + ": " + c.Message
				return false
			}
		}
		return ever.Load() >= int64(len(names)) && open.Load() == 0
	})
	before, files := goroutines(t, p), descriptors(t, p)
	var slowest time.Duration
	for i := range 20 {
		probes, began := ever.Load(), time.Now()
		var rep api.HealthReport
		p.Do(t, "GET", "/v1/health?fresh=true", nil).Decode(t, &rep)
		took := time.Since(began)
		slowest = max(slowest, took)
		if slices.Sort(rep.TimedOut); !slices.Equal(rep.TimedOut, names) || !rep.Fresh {
			t.Fatalf("report %d: %v timed out, want %v", i, rep.TimedOut, names)
		}
		for _, c := range rep.Components {
			if slices.Contains(names, c.Component) && c.Message != "timed out" {
				t.Fatalf("report %d says of %s: %s %q", i, c.Component, c.Status, c.Message)
			}
		}
		if took > 10*time.Second { // by design less than 2 s; the rest is for slow machines
			t.Errorf("report %d took %s", i, took)
		}
		if ever.Load() == probes {
			t.Fatalf("report %d measured nothing", i)
		}
	}
	await(t, "the connections are closed", func() bool { return open.Load() == 0 })
	const few = 10 // what comes and goes by itself; a leak would be 20 of each
	var after, left int
	await(t, "what measured is gone", func() bool {
		after, left = goroutines(t, p), descriptors(t, p)
		return after <= before+few && left <= files+few
	})
	t.Logf("20 reports of %d hanging components, %d connections: the slowest took %s; goroutines %d to %d, descriptors %d to %d",
		len(names), ever.Load(), slowest.Round(time.Millisecond), before, after, files, left)
}

// goroutines is what the process says of itself.
func goroutines(t *testing.T, p *gantrytest.Process) int {
	t.Helper()
	for line := range strings.Lines(string(p.Do(t, "GET", "/metrics", nil).Body)) {
		if n, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			v, err := strconv.Atoi(strings.TrimSpace(n))
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatal("/metrics has no go_goroutines")
	return 0
}

// descriptors is what the kernel says of the process.
func descriptors(t *testing.T, p *gantrytest.Process) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}
