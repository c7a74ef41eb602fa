// Command http measures gantry serve as a process: checks per second over
// HTTP on loopback beside a bare net/http server in the same run, start-up
// to the first answer, and idle memory. Run it from bench/: go run ./http
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The targets, printed beside the figures. Nothing fails when one is missed.
const (
	targetPerSecond = 15_000
	targetRatio     = 0.75 // of the bare server's checks per second
	targetStart     = 300 * time.Millisecond
	targetResident  = 60 // MB
	targetAnonymous = 10 // MB
)

func main() {
	peer := flag.Bool("peer", false, "be the bare server (the program starts itself so)")
	per := flag.Duration("d", 5*time.Second, "how long each server is measured, in all rounds together")
	rounds := flag.Int("rounds", 5, "turns of each server")
	workers := flag.Int("workers", 64, "connections, each with one request in flight")
	binary := flag.String("binary", "", "measure this gantry `file` instead of building one")
	flag.Parse()
	if *peer {
		servePeer()
		return
	}
	if err := run(*binary, *per, *rounds, *workers); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(binary string, per time.Duration, rounds, workers int) error {
	dir, err := os.MkdirTemp("", "gantry-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if binary == "" {
		if binary, err = build(dir); err != nil {
			return err
		}
	}
	fmt.Printf("%d cores, load average before the run: %s.\n", runtime.NumCPU(), loadAverage())
	if err := contest(binary, dir, per/time.Duration(rounds), rounds, workers); err != nil {
		return err
	}
	return starts(binary, dir)
}

// loadAverage says how busy the machine already was: it takes from every
// figure below.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := bytes.Cut(b, []byte(" "))
	return string(first)
}

// starts prints start-up time and idle memory.
func starts(binary, dir string) error {
	var fresh, again []time.Duration
	for i := range 5 {
		data := fmt.Sprintf("%s/start%d", dir, i)
		for _, into := range []*[]time.Duration{&fresh, &again} {
			took, err := timeStart(binary, data)
			if err != nil {
				return err
			}
			*into = append(*into, took)
		}
	}
	p, err := startGantry(binary, dir+"/idle")
	if err != nil {
		return err
	}
	defer p.kill()
	time.Sleep(3 * time.Second)
	m, err := p.memory()
	if err != nil {
		return err
	}
	fmt.Println("\nFrom exec to the first 200 of /readyz, median of 5:")
	for _, s := range []struct {
		on   string
		took []time.Duration
	}{{"empty data directory", fresh}, {"existing one", again}} {
		mid := median(s.took)
		fmt.Printf("  %-22s %8s   target %s: %s\n", s.on, mid.Round(time.Millisecond), targetStart, verdict(mid <= targetStart))
	}
	fmt.Println("\nIdle memory, 3 s after start:")
	fmt.Printf("  %-22s %5.1f MB   target %d MB: %s\n", "resident", m.resident, targetResident, verdict(m.resident <= targetResident))
	fmt.Printf("  %-22s %5.1f MB   target %d MB: %s\n", "anonymous", m.anonymous, targetAnonymous, verdict(m.anonymous <= targetAnonymous))
	return nil
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}

func median[T int64 | float64 | time.Duration](xs []T) T {
	s := slices.Sorted(slices.Values(xs))
	return s[len(s)/2]
}

// thousands writes n with commas.
func thousands(n float64) string {
	s := fmt.Sprintf("%.0f", n)
	var parts []string
	for ; len(s) > 3; s = s[:len(s)-3] {
		parts = append([]string{s[len(s)-3:]}, parts...)
	}
	return strings.Join(append([]string{s}, parts...), ",")
}
