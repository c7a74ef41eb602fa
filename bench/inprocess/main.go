// Command inprocess measures a rate-limit check inside one process: Gantry's
// memory counters beside the stores of public Go libraries, in one run, so
// that the ratios hold whatever the machine is doing.
//
//	cd bench && go run ./inprocess
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"text/tabwriter"
	"time"
)

// limit lets everything pass, so that every check of every contestant writes.
const (
	limit  = 1_000_000_000
	window = time.Hour
)

// batch is how many checks pass between two looks at the clock.
const batch = 1024

func main() {
	rounds := flag.Int("rounds", 3, "rounds; the table shows the median")
	each := flag.Duration("time", 600*time.Millisecond, "length of one measurement")
	workers := flag.Int("workers", 2, "goroutines that check at once")
	flag.Parse()
	fmt.Printf("%s %s/%s, %d CPUs, %d goroutines, median of %d × %s\n", runtime.Version(),
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), *workers, *rounds, *each)
	for _, n := range []int{1, 1_000, 1_000_000} {
		if err := compare(n, *workers, *rounds, *each); err != nil {
			fmt.Fprintln(os.Stderr, "inprocess:", err)
			os.Exit(1)
		}
	}
}

// result is one contestant's figures for one number of keys.
type result struct {
	name   string
	check  check
	perKey float64 // heap bytes
	ns     []float64
	allocs float64
	stats  string
}

// compare fills every contestant's store with n keys, then measures all of
// them in turn, rounds times, and prints a table.
func compare(n, workers, rounds int, each time.Duration) error {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = "user-" + strconv.Itoa(1_000_000+i)
	}
	orders := make([][]string, workers)
	for w := range orders {
		orders[w] = arrivals(keys, uint64(w))
	}
	var results []*result
	for _, c := range contestants() {
		r, err := fill(c, keys)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		results = append(results, r)
	}
	for range rounds {
		for _, r := range results {
			ns, allocs, err := measure(r.check, orders, each)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			r.ns, r.allocs = append(r.ns, ns), allocs
		}
	}
	print(n, results)
	return nil
}

// fill opens a store and checks every key once.
func fill(c contestant, keys []string) (*result, error) {
	before := heap()
	check, stats, err := c.open()
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if err := check(k); err != nil {
			return nil, err
		}
	}
	r := &result{name: c.name, check: check, perKey: float64(int64(heap())-int64(before)) / float64(len(keys))}
	if stats != nil {
		r.stats = stats()
	}
	return r, nil
}

// arrivals is a random order of about a million checks. Its texts are copies,
// laid out in that order: like those of requests they come in the processor's
// cache, and are not the very strings that a store keeps.
func arrivals(keys []string, seed uint64) []string {
	rng := rand.New(rand.NewPCG(seed, 7))
	var text []byte
	ends := make([]int, 1<<20)
	for i := range ends {
		text = append(text, keys[rng.IntN(len(keys))]...)
		ends[i] = len(text)
	}
	all, order, from := string(text), make([]string, len(ends)), 0
	for i, end := range ends {
		order[i], from = all[from:end], end
	}
	return order
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// measure runs every order in a goroutine of its own, round and round for about
// d. ns is wall time over checks, as testing.B.RunParallel counts.
func measure(check check, orders [][]string, d time.Duration) (ns, allocs float64, err error) {
	workers := len(orders)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	counts, errs := make([]int, workers), make([]error, workers)
	var wg sync.WaitGroup
	begin := time.Now()
	for w := range workers {
		wg.Go(func() {
			order, at := orders[w], 0
			for time.Since(begin) < d && errs[w] == nil {
				for _, k := range order[at : at+batch] {
					if e := check(k); e != nil {
						errs[w] = e
					}
				}
				counts[w] += batch
				at = (at + batch) % len(order)
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(begin)
	runtime.ReadMemStats(&after)
	total := 0
	for w := range workers {
		total += counts[w]
		if errs[w] != nil {
			err = errs[w]
		}
	}
	return float64(elapsed.Nanoseconds()) / float64(total), float64(after.Mallocs-before.Mallocs) / float64(total), err
}

func (r *result) median() float64 {
	s := slices.Sorted(slices.Values(r.ns))
	return s[len(s)/2]
}

// print writes the table. The last column is the fastest peer's time over the
// contestant's: above 1 it is faster than every peer.
func print(n int, results []*result) {
	fastest := 0.0
	for _, r := range results {
		if m := r.median(); r.name != gantry && (fastest == 0 || m < fastest) {
			fastest = m
		}
	}
	fmt.Printf("\n%d keys\n", n)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tns/op\tmin\tmax\tallocs/op\tbytes/key\tfastest peer ÷ it\t")
	for _, r := range results {
		perKey := "" // with few keys it says what an empty store takes
		if n >= 1_000_000 {
			perKey = fmt.Sprintf("%.1f", r.perKey)
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%.2f\t%s\t%.2f\t\n", r.name, r.median(), slices.Min(r.ns), slices.Max(r.ns), r.allocs, perKey, fastest/r.median())
	}
	w.Flush()
	for _, r := range results {
		if n >= 1_000_000 && r.stats != "" {
			fmt.Println(r.stats)
		}
	}
}
