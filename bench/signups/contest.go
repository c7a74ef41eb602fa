package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"avalo.app/gantry/bench/internal/servers"
)

// contest is how the servers are measured.
type contest struct {
	turn    time.Duration
	rounds  int
	workers int
}

// row is a contestant at one task and what its turns gave.
type row struct {
	*contestant
	perSecond []float64 // a value per round
	server    time.Duration
	database  time.Duration
	took      [2][]time.Duration
}

// run prints a table per task. The peer is the first contestant, which the
// others are compared with.
func (c contest) run(ctx context.Context, engine string, all []*contestant, pg *postgres) error {
	for _, t := range tasks {
		var rows []*row
		for _, x := range all {
			if err := x.setCap(t.limit); err != nil {
				return err
			}
			rows = append(rows, &row{contestant: x})
		}
		for range c.rounds {
			for _, r := range rows {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := r.turn(t, c, pg); err != nil {
					return fmt.Errorf("%s, %s: %w", t.name, r.name, err)
				}
			}
		}
		fmt.Printf("\n%s on %s\n", t.name, engine)
		if err := printRows(t, rows); err != nil {
			return err
		}
	}
	gantry := all[len(all)-1]
	if err := gantry.audit(); err != nil {
		return err
	}
	fmt.Printf("\nCounters of %s agree with the rows, and with the %s pairs made.\n", gantry.name, servers.Thousands(float64(gantry.pairs.Load())))
	return nil
}

// turn measures once.
func (r *row) turn(t task, c contest, pg *postgres) error {
	server, err := r.CPU()
	if err != nil {
		return err
	}
	database, err := pg.cpu()
	if err != nil {
		return err
	}
	took, elapsed, err := r.load(t, c)
	if err != nil {
		return err
	}
	after, err := r.CPU()
	if err != nil {
		return err
	}
	afterDB, err := pg.cpu()
	if err != nil {
		return err
	}
	r.perSecond = append(r.perSecond, float64(len(took[0]))/elapsed.Seconds())
	r.server += after - server
	r.database += afterDB - database
	for i := range took {
		r.took[i] = append(r.took[i], took[i]...)
	}
	return nil
}

func printRows(t task, rows []*row) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\t%s/s\tmin\tmax\t", t.unit)
	for _, call := range t.calls {
		fmt.Fprintf(w, "%s p50\tp99\t", call)
	}
	fmt.Fprintf(w, "server CPU/%s\tdatabase CPU\t÷ peer\t\n", t.unit)
	for _, r := range rows {
		ratios := make([]float64, len(r.perSecond))
		for i, v := range r.perSecond {
			ratios[i] = v / rows[0].perSecond[i]
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t", r.name, servers.Thousands(servers.Median(r.perSecond)),
			servers.Thousands(servers.Quantile(r.perSecond, 0)), servers.Thousands(servers.Quantile(r.perSecond, 1)))
		for i := range t.calls {
			fmt.Fprintf(w, "%.2fms\t%.2fms\t", ms(servers.Median(r.took[i])), ms(servers.Quantile(r.took[i], 0.99)))
		}
		n := time.Duration(len(r.took[0]))
		fmt.Fprintf(w, "%.0fµs\t%.0fµs\t%.2f\t\n", ms(r.server/n)*1e3, ms(r.database/n)*1e3, servers.Median(ratios))
	}
	return w.Flush()
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
