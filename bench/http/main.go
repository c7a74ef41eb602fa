// Command http measures gantry serve as a process: checks per second over
// HTTP on loopback beside a bare net/http server in the same run, start-up
// to the first answer, and idle memory. Run it from bench/: go run ./http
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	"avalo.app/gantry/bench/internal/servers"
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
	var err error
	if *peer {
		err = servers.ServePeer(bare())
	} else {
		err = run(*binary, *per, *rounds, *workers)
	}
	if err != nil {
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
		if binary, err = servers.Build(dir); err != nil {
			return err
		}
	}
	fmt.Printf("%d cores, load average before the run: %s.\n", runtime.NumCPU(), servers.LoadAverage())
	if err := contest(binary, dir, per/time.Duration(rounds), rounds, workers); err != nil {
		return err
	}
	return starts(binary, dir)
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
	p, err := servers.StartGantry(binary, dir+"/idle")
	if err != nil {
		return err
	}
	defer p.Kill()
	time.Sleep(3 * time.Second)
	m, err := p.Memory()
	if err != nil {
		return err
	}
	fmt.Println("\nFrom exec to the first 200 of /readyz, median of 5:")
	for _, s := range []struct {
		on   string
		took []time.Duration
	}{{"empty data directory", fresh}, {"existing one", again}} {
		mid := servers.Median(s.took)
		fmt.Printf("  %-22s %8s   target %s: %s\n", s.on, mid.Round(time.Millisecond), targetStart, servers.Verdict(mid <= targetStart))
	}
	fmt.Println("\nIdle memory, 3 s after start:")
	fmt.Printf("  %-22s %5.1f MB   target %d MB: %s\n", "resident", m.Resident, targetResident, servers.Verdict(m.Resident <= targetResident))
	fmt.Printf("  %-22s %5.1f MB   target %d MB: %s\n", "anonymous", m.Anonymous, targetAnonymous, servers.Verdict(m.Anonymous <= targetAnonymous))
	return nil
}
