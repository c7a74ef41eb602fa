package gantrytest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Memory returns the bytes that the process holds in memory, and the most
// that it held since ForgetPeak.
func (p *Process) Memory(t testing.TB) (now, peak int64) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			now = n << 10
		case "VmHWM":
			peak = n << 10
		}
	}
	if now == 0 || peak == 0 {
		t.Fatalf("no memory in %s", status)
	}
	return now, peak
}

// ForgetPeak makes the peak of Memory what it is now.
func (p *Process) ForgetPeak(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.Pid()), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// UploadMemory demands that n uploads of a film at once take less than 4 MB
// each of the process's memory, and that it stays under 300 MB in all.
func (p *Process) UploadMemory(t testing.TB, n int, film []byte) {
	t.Helper()
	p.uploadAtOnce(t, 1, film) // what is needed once is there from then on
	p.ForgetPeak(t)
	idle, _ := p.Memory(t)
	p.uploadAtOnce(t, n, film)
	_, peak := p.Memory(t)
	t.Logf("%d uploads of %d bytes: %.1f MB at most, %.1f MB before", n, len(film), float64(peak)/(1<<20), float64(idle)/(1<<20))
	if peak-idle > int64(n)*4<<20 || peak > 300<<20 {
		t.Errorf("%d uploads took %d bytes of memory, %d in all", n, peak-idle, peak)
	}
}

// uploadAtOnce uploads a film for each of n users, all at once: none goes on
// before Gantry reads all of them.
func (p *Process) uploadAtOnce(t testing.TB, n int, film []byte) {
	t.Helper()
	var all, arrived sync.WaitGroup
	arrived.Add(n)
	for i := range n {
		all.Go(func() {
			const first = 1 << 20 // more than lies in the buffers of a connection
			body := &barrier{r: bytes.NewReader(film[first:]), wait: sync.OnceFunc(func() { arrived.Done(); arrived.Wait() })}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, "POST", fmt.Sprintf("%s/v1/media/uploads?userId=user%d&filename=a.mp4", p.URL, i), io.MultiReader(bytes.NewReader(film[:first]), body))
			if err != nil {
				t.Error(err)
				return
			}
			req.ContentLength = int64(len(film))
			req.Header.Set("Authorization", "Bearer "+p.Key)
			req.Header.Set("Content-Type", "video/mp4")
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Errorf("upload %d: %v", i, err)
				return
			}
			answer, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || res.StatusCode != http.StatusCreated {
				t.Errorf("upload %d: %d %s %v", i, res.StatusCode, answer, err)
			}
		})
	}
	all.Wait()
}

// barrier waits before its first byte.
type barrier struct {
	r    io.Reader
	wait func()
}

func (b *barrier) Read(p []byte) (int, error) {
	b.wait()
	return b.r.Read(p)
}
