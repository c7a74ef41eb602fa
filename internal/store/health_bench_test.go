package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/health/healthtest"
	"avalo.app/gantry/internal/signal"
	"avalo.app/gantry/internal/store"
)

// BenchmarkHealthMonitor leads over 200 components of 10 s in real time, on
// SQLite, and reports the share of a core that it takes. Each iteration is 10 s.
func BenchmarkHealthMonitor(b *testing.B) {
	db, err := store.Open(b.Context(), store.Options{URL: "sqlite:" + filepath.Join(b.TempDir(), "gantry.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	var cs []health.Component
	probers := map[string]health.Prober{}
	for i := range 200 {
		c := health.Component{Name: fmt.Sprintf("c%d", i), Critical: i%5 == 0}
		if i > 0 {
			c.DependsOn = []string{fmt.Sprintf("c%d", i/10)}
		}
		cs = append(cs, c)
		probers[c.Name] = new(healthtest.Answers).OK()
	}
	m, err := health.NewMonitor(health.Options{Components: cs, Probers: probers, Store: db, Signals: signal.Discard, Now: time.Now, Node: "n"})
	if err != nil {
		b.Fatal(err)
	}
	h, ok, err := db.AcquireLease(b.Context(), "health", "n", time.Hour)
	if err != nil || !ok {
		b.Fatal(ok, err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- m.Lead(ctx, health.Fence(h), func(error) {}) }()
	refresh := time.NewTicker(2 * time.Second)
	defer refresh.Stop()
	before, begun := cpu(b), time.Now()
	for b.Loop() {
		for end := time.After(10 * time.Second); end != nil; {
			select {
			case <-end:
				end = nil
			case <-refresh.C:
				if err := m.Refresh(ctx); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.ReportMetric(100*float64(cpu(b)-before)/float64(time.Since(begun)), "%core")
	started, _, _ := m.Probes()
	b.ReportMetric(float64(started)/time.Since(begun).Seconds(), "probes/s")
	cancel()
	<-done
}

// cpu is the processor time of this process so far.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
