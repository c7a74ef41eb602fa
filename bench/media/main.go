// Command media measures how fast a file is judged: bytes and processor time
// for each format, beside crypto/sha256 alone and mimetype with crypto/sha256
// over the same bytes in the same run, and the time from a file's last byte to
// its verdict. Every file must pass. Run it from bench/: go run ./media
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/gabriel-vasile/mimetype"

	"avalo.app/gantry/bench/internal/servers"
	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/media/walk"
)

// The targets.
const (
	maxCPU  = 1.0                   // milliseconds a megabyte
	maxWait = 10 * time.Millisecond // p99, from the last byte to the verdict
)

// network is how many bytes arrive at once.
const network = 32 << 10

func main() {
	turn := flag.Duration("d", 150*time.Millisecond, "how long a contestant is measured at a time")
	rounds := flag.Int("rounds", 5, "turns of each contestant at each file")
	reps := flag.Int("reps", 100, "verdicts that are timed of each size")
	only := flag.String("only", "", "measure only formats that contain this `text`")
	profile := flag.String("cpuprofile", "", "write a profile of the throughput part to this `file`")
	flag.Parse()
	if err := run(*turn, *rounds, *reps, *only, *profile); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(turn time.Duration, rounds, reps int, only, profile string) error {
	fmt.Printf("%d cores, load average before the run: %s. %d rounds of %s each, contestants in turns; medians of the rounds. MB = 1,048,576 bytes.\n",
		runtime.NumCPU(), servers.LoadAverage(), rounds, turn)
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
	}
	err := throughput(turn, rounds, only)
	pprof.StopCPUProfile()
	if err != nil || only != "" {
		return err
	}
	return waits(reps)
}

// contestant reads a file to its end.
type contestant func(r io.Reader) error

func inspect(name string) contestant {
	in := inspector()
	return func(r io.Reader) error {
		_, err := in.Inspect(context.Background(), media.Declared{Name: "x." + strings.ToLower(name), Size: -1}, r, io.Discard)
		return err
	}
}

func inspector() *media.Inspector {
	return &media.Inspector{Walk: walk.DefaultLimits(), Policy: media.DefaultPolicy}
}

func hashOnly(r io.Reader) error {
	h := sha256.New()
	_, err := io.Copy(h, r)
	h.Sum(nil)
	return err
}

func sniffAndHash(r io.Reader) error {
	head := make([]byte, 3072)
	n, err := io.ReadFull(r, head)
	if err != nil {
		return err
	}
	mimetype.Detect(head[:n])
	return hashOnly(io.MultiReader(bytes.NewReader(head[:n]), r))
}

// arriving hides what else a reader can do: an upload can only be read.
type arriving struct{ r io.Reader }

func (a arriving) Read(p []byte) (int, error) { return a.r.Read(p[:min(len(p), network)]) }

func throughput(turn time.Duration, rounds int, only string) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\nfile\tMB\tinspect MB/s\tsha256 MB/s\tmimetype + sha256 MB/s\tinspect ÷ sha256\t÷ mimetype + sha256\tCPU ms/MB\tof that sha256\ttarget ≤ 1.0\t")
	for _, f := range files() {
		if !strings.Contains(f.name, only) {
			continue
		}
		mb := float64(len(f.data)) / media.MB
		cs := []contestant{inspect(f.name), hashOnly, sniffAndHash}
		rates, cpus := make([][]float64, len(cs)), make([][]float64, len(cs))
		var toHash, toBoth []float64
		for range rounds {
			var now [3]float64
			for i, c := range cs {
				rate, cpu, err := measure(c, f.data, turn)
				if err != nil {
					return fmt.Errorf("%s: %w", f.name, err)
				}
				rates[i], cpus[i], now[i] = append(rates[i], rate), append(cpus[i], cpu), rate
			}
			toHash, toBoth = append(toHash, now[0]/now[1]), append(toBoth, now[0]/now[2])
		}
		cpu := servers.Median(cpus[0])
		fmt.Fprintf(w, "%s\t%.1f\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%s\t\n", f.name, mb, servers.Median(rates[0]), servers.Median(rates[1]), servers.Median(rates[2]),
			servers.Median(toHash), servers.Median(toBoth), cpu, servers.Median(cpus[1]), servers.Verdict(cpu <= maxCPU))
	}
	return w.Flush()
}

// measure reads the file again and again: megabytes a second, and processor
// milliseconds of the whole process a megabyte.
func measure(c contestant, data []byte, d time.Duration) (rate, cpu float64, err error) {
	before, begin, n := used(), time.Now(), 0
	for time.Since(begin) < d {
		if err := c(arriving{bytes.NewReader(data)}); err != nil {
			return 0, 0, err
		}
		n++
	}
	mb := float64(n) * float64(len(data)) / media.MB
	return mb / time.Since(begin).Seconds(), float64(used()-before) / float64(time.Millisecond) / mb, nil
}

// used is the processor time of the process.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// timed notes when the last byte was handed out.
type timed struct {
	arriving
	left int
	last time.Time
}

func (t *timed) Read(p []byte) (int, error) {
	n, err := t.arriving.Read(p)
	if t.left -= n; t.left == 0 && n > 0 {
		t.last = time.Now()
	}
	return n, err
}

// waits measures how long a verdict takes once everything is there, with the
// file going to a spool as uploads do.
func waits(reps int) error {
	spool, err := os.CreateTemp("", "gantry-bench-")
	if err != nil {
		return err
	}
	defer os.Remove(spool.Name())
	defer spool.Close()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\nlast byte to verdict\tMB\tp50\tp99\ttarget p99 < 10 ms\t")
	audio := files()[9].data
	for _, f := range []file{{"MP4", movie(10*media.MB - 4096)}, {"OGG", audio}, {"MP4", movie(20*media.MB - 4096)}, {"WebM", webm(100*media.MB - 64<<10)}, {"MP4", movie(100*media.MB - 4096)}} {
		in := inspector()
		var took []time.Duration
		for range reps {
			if err := spool.Truncate(0); err != nil {
				return err
			}
			if _, err := spool.Seek(0, io.SeekStart); err != nil {
				return err
			}
			src := &timed{arriving: arriving{bytes.NewReader(f.data)}, left: len(f.data)}
			v, err := in.Inspect(context.Background(), media.Declared{Name: "x." + strings.ToLower(f.name), Size: int64(len(f.data))}, src, spool)
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			for _, p := range v.Info.Patches {
				if err := p.Apply(spool); err != nil {
					return err
				}
			}
			took = append(took, time.Since(src.last))
		}
		p99 := servers.Quantile(took, 0.99)
		fmt.Fprintf(w, "%s\t%.0f\t%s\t%s\t%s\t\n", f.name, float64(len(f.data))/media.MB, servers.Median(took).Round(time.Microsecond), p99.Round(time.Microsecond), servers.Verdict(p99 < maxWait))
	}
	return w.Flush()
}
