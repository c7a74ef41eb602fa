package main

import (
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"avalo.app/gantry/bench/internal/servers"
)

// row is a contestant and what its turns gave.
type row struct {
	name   string
	server *servers.Process
	load   *load

	perSecond []float64 // a value per round
	cpu       time.Duration
	took      []time.Duration
}

// contest prints the table of checks per second. The servers take turns, so
// that all of them meet the same neighbours on a shared machine; the first
// row is what the others are compared with.
func contest(binary, dir string, turn time.Duration, rounds, workers int) error {
	rows, stop, err := contestants(binary, dir, workers)
	if err != nil {
		return err
	}
	defer stop()
	for _, r := range rows {
		if err := r.load.fill(workers); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if _, err := r.server.Settle(); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	for range rounds {
		for _, r := range rows {
			if err := r.turn(turn, workers); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	fmt.Printf("Checks over HTTP on loopback: %d connections, %s users, %d rounds of %s each; medians of the rounds.\n"+
		"The client is written over net.Conn and shares the cores with the server.\n\n", workers, servers.Thousands(users), rounds, turn)
	if err := printRows(rows); err != nil {
		return err
	}
	return printAfter(rows[len(rows)-1])
}

// contestants starts the servers and sets the policies.
func contestants(binary, dir string, workers int) (rows []*row, stop func(), err error) {
	bare, err := servers.StartSelf("-peer")
	if err != nil {
		return nil, nil, err
	}
	g, err := servers.StartGantry(binary, dir+"/load")
	if err != nil {
		bare.Kill()
		return nil, nil, err
	}
	stop = func() { bare.Kill(); g.Kill() }
	for action, limit := range map[string]int64{"BENCH_ALLOW": 1_000_000_000, "BENCH_REFUSE": 1} {
		body := fmt.Sprintf(`{"window":"24h","rules":[{"scope":"user","limit":%d}]}`, limit)
		if _, err := g.Call(200, "PUT", "/v1/ratelimit/policies/"+action, body); err != nil {
			stop()
			return nil, nil, err
		}
	}
	const path = "/v1/ratelimit/check"
	return []*row{
		{name: "bare net/http + encoding/json", server: bare, load: newLoad(bare, "/", "BENCH_ALLOW", 200, workers)},
		{name: "gantry, all allowed", server: g, load: newLoad(g, path, "BENCH_ALLOW", 200, workers)},
		{name: "gantry, all refused and recorded", server: g, load: newLoad(g, path, "BENCH_REFUSE", 429, workers)},
	}, stop, nil
}

// turn measures for d. What the server still has to write then is part of
// its own processor time, and not of the next server's turn.
func (r *row) turn(d time.Duration, workers int) error {
	before, err := r.server.CPU()
	if err != nil {
		return err
	}
	took, elapsed, err := r.load.run(d, workers)
	if err != nil {
		return err
	}
	after, err := r.server.Settle()
	if err != nil {
		return err
	}
	r.perSecond = append(r.perSecond, float64(len(took))/elapsed.Seconds())
	r.cpu += after - before
	r.took = append(r.took, took...)
	return nil
}

func printRows(rows []*row) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tchecks/s\tmin\tmax\tp50\tp99\tserver CPU/check\t÷ bare\ttarget %s/s\ttarget %.2f of bare\t\n", servers.Thousands(targetPerSecond), targetRatio)
	for i, r := range rows {
		slices.Sort(r.took)
		n := len(r.took)
		ratios := make([]float64, len(r.perSecond))
		for j, v := range r.perSecond {
			ratios[j] = v / rows[0].perSecond[j]
		}
		speed, share := "", ""
		if i > 0 {
			speed, share = servers.Verdict(servers.Median(r.perSecond) >= targetPerSecond), servers.Verdict(servers.Median(ratios) >= targetRatio)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%.1fµs\t%.2f\t%s\t%s\t\n", r.name, servers.Thousands(servers.Median(r.perSecond)),
			servers.Thousands(slices.Min(r.perSecond)), servers.Thousands(slices.Max(r.perSecond)),
			r.took[n/2].Round(10*time.Microsecond), r.took[n*99/100].Round(10*time.Microsecond),
			float64(r.cpu.Nanoseconds())/1e3/float64(n), servers.Median(ratios), speed, share)
	}
	return t.Flush()
}

// printAfter says what the load left behind: refusals that the server could
// not record, and its memory.
func printAfter(refused *row) error {
	dropped, err := refused.server.Metric("gantry_ratelimit_violations_dropped_total")
	if err != nil {
		return err
	}
	m, err := refused.server.Memory()
	if err != nil {
		return err
	}
	fmt.Printf("\nRefusals not recorded, because too many waited for the store: %s of %s.\n", servers.Thousands(dropped), servers.Thousands(float64(len(refused.took))))
	fmt.Printf("Memory after the load, 2 × %s counters: %.1f MB resident, of it %.1f MB anonymous.\n", servers.Thousands(users), m.Resident, m.Anonymous)
	return nil
}
