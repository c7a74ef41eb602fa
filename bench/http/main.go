// Command http measures gantry serve as a process: checks per second over
// HTTP on loopback beside a bare net/http server in the same run, start-up
// to the first answer, and idle memory. Run it from bench/: go run ./http
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

func main() {
	peer := flag.Bool("peer", false, "be the bare server (the program starts itself so)")
	per := flag.Duration("d", 5*time.Second, "length of each measurement, after a second of warm-up")
	workers := flag.Int("workers", 64, "connections, each with one request in flight")
	flag.Parse()
	if *peer {
		servePeer()
		return
	}
	if err := run(*per, *workers); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(per time.Duration, workers int) error {
	dir, err := os.MkdirTemp("", "gantry-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := build(dir)
	if err != nil {
		return err
	}
	if err := loads(binary, dir, per, workers); err != nil {
		return err
	}
	return starts(binary, dir)
}

// loads prints the table of checks per second.
func loads(binary, dir string, per time.Duration, workers int) error {
	bare, err := startPeer(dir)
	if err != nil {
		return err
	}
	defer bare.kill()
	g, err := startGantry(binary, dir+"/load")
	if err != nil {
		return err
	}
	defer g.kill()
	if err := g.putPolicy("BENCH_ALLOW", 1_000_000_000); err != nil {
		return err
	}
	if err := g.putPolicy("BENCH_REFUSE", 1); err != nil {
		return err
	}
	rows := []struct {
		name string
		load load
	}{
		{"bare net/http + encoding/json", load{addr: bare.addr, path: "/", action: "X"}},
		{"gantry, allowed", load{addr: g.addr, path: "/v1/ratelimit/check", action: "BENCH_ALLOW", key: g.key}},
		{"gantry, refused and recorded", load{addr: g.addr, path: "/v1/ratelimit/check", action: "BENCH_REFUSE", key: g.key}},
		{"bare net/http + encoding/json, again", load{addr: bare.addr, path: "/", action: "X"}},
	}
	fmt.Printf("Checks over HTTP on loopback: %d connections, 100,000 users, %s each; client and server share the cores.\n", workers, per)
	results := make([]result, len(rows))
	for i, row := range rows {
		if results[i], err = row.load.run(per, workers); err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
	}
	// The machine drifts: the peer is measured first and last, and the ratio
	// is to the mean of both.
	base := (results[0].perSecond + results[len(results)-1].perSecond) / 2
	t := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "server\tchecks/s\tp50\tp99\tratio to bare\tstatuses")
	for i, row := range rows {
		r := results[i]
		fmt.Fprintf(t, "%s\t%.0f\t%s\t%s\t%.2f\t%v\n", row.name, r.perSecond, r.p50, r.p99, r.perSecond/base, r.statuses)
	}
	fmt.Fprintln(t, "target\t15000\t\t\t\t")
	return t.Flush()
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
	m, err := idleMemory(binary, dir+"/idle")
	if err != nil {
		return err
	}
	fmt.Printf("\nStart to the first answer, median of 5: %s on an empty data directory, %s on an existing one (target 300ms).\n", median(fresh), median(again))
	fmt.Printf("Idle memory 3 s after start: %.1f MB resident (target 60 MB), of it %.1f MB anonymous.\n", m.resident, m.anonymous)
	return nil
}

func median(ds []time.Duration) time.Duration {
	slices.Sort(ds)
	return ds[len(ds)/2].Round(time.Millisecond)
}
