// Command signups measures gantry serve as a process: signups reserved and
// confirmed per second over HTTP on loopback, refusals of a full day, and
// eligibility checks, on SQLite and on PostgreSQL, beside the server that one
// writes in an afternoon, on the same engine in the same run. Afterwards every
// counter must agree with the rows. Run it from bench/: go run ./signups
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"avalo.app/gantry/bench/internal/servers"
)

func main() {
	peer := flag.String("peer", "", "be the peer on the store at this `URL` (the program starts itself so)")
	per := flag.Duration("d", 3*time.Second, "how long each server is measured at each task, in all rounds together")
	rounds := flag.Int("rounds", 3, "turns of each server at each task")
	workers := flag.Int("workers", 64, "connections, each with one request in flight")
	binary := flag.String("binary", "", "measure this gantry `file` instead of building one")
	engines := flag.String("engines", "sqlite,postgres", "the stores to measure on")
	flag.Parse()
	var err error
	if *peer != "" {
		err = servePeer(*peer)
	} else {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		err = run(ctx, *binary, strings.Split(*engines, ","), contest{turn: *per / time.Duration(*rounds), rounds: *rounds, workers: *workers})
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary string, engines []string, c contest) error {
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
	fmt.Printf("%d cores, load average before the run: %s; a write and fdatasync of 4 KiB takes %s (median).\n"+
		"%d connections, %d rounds of %s each, servers in turns; medians of the rounds. Client, server and database share the cores.\n",
		runtime.NumCPU(), servers.LoadAverage(), syncTime(dir).Round(10*time.Microsecond), c.workers, c.rounds, c.turn)
	for _, e := range engines {
		if err := c.on(ctx, e, binary, dir); err != nil {
			return fmt.Errorf("%s: %w", e, err)
		}
	}
	return nil
}

// on measures both servers on one engine.
func (c contest) on(ctx context.Context, engine, binary, dir string) error {
	var pg *postgres
	urls := []string{"sqlite:" + dir + "/peer.db", "sqlite:" + dir + "/gantry.db"}
	switch engine {
	case "sqlite":
	case "postgres":
		var err error
		if pg, err = startPostgres(ctx); err != nil {
			return err
		}
		defer pg.stop()
		urls = []string{pg.url("peer"), pg.url("gantry")}
	default:
		return errors.New("the engines are sqlite and postgres")
	}
	peer, err := startPeer(urls[0])
	if err != nil {
		return err
	}
	defer peer.Kill()
	gantry, err := startGantry(binary, dir+"/data-"+engine, urls[1])
	if err != nil {
		return err
	}
	defer gantry.Kill()
	return c.run(ctx, engine, []*contestant{peer, gantry}, pg)
}

// syncTime is what durability costs on this disk: the floor of a commit.
func syncTime(dir string) time.Duration {
	f, err := os.CreateTemp(dir, "sync")
	if err != nil {
		return 0
	}
	defer f.Close()
	var took []time.Duration
	for i := range 50 {
		if _, err := f.WriteAt(make([]byte, 4096), int64(i)*4096); err != nil {
			return 0
		}
		start := time.Now()
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0
		}
		took = append(took, time.Since(start))
	}
	return servers.Median(took)
}
