package self_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"avalo.app/gantry/internal/probe/probetest"
	"avalo.app/gantry/internal/probe/self"
)

// machine is a process as the readers see it.
type machine struct {
	goroutines int
	memory     uint64
	wall       time.Time
	steady     time.Duration
}

func (m *machine) readers() self.Readers {
	return self.Readers{
		Goroutines: func() int { return m.goroutines }, Memory: func() uint64 { return m.memory },
		Wall: func() time.Time { return m.wall }, Steady: func() time.Duration { return m.steady },
	}
}

// pass lets time go by, and sets the clock by as much.
func (m *machine) pass(d, set time.Duration) {
	m.wall, m.steady = m.wall.Add(d+set), m.steady+d
}

func TestReadings(t *testing.T) {
	m := &machine{goroutines: 10, memory: 100, wall: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	p, err := self.New(self.Config{MaxGoroutines: 10, MaxMemoryBytes: 100, Readers: m.readers()})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		change   func()
		degraded bool
		jump     int64 // in milliseconds
	}{
		{"at the limits", func() { m.pass(time.Minute, 0) }, false, 0},
		{"slewed", func() { m.pass(time.Minute, 30*time.Millisecond) }, false, 30},
		{"set by the limit", func() { m.pass(time.Minute, self.DefaultClockJump) }, false, 5000},
		{"set forwards", func() { m.pass(time.Minute, time.Hour) }, true, 3600_000},
		{"told once", func() { m.pass(time.Minute, 0) }, false, 0},
		{"set back", func() { m.pass(0, -6*time.Second) }, true, -6000},
		{"a goroutine more", func() { m.goroutines++ }, true, 0},
		{"a byte more", func() { m.goroutines--; m.memory++ }, true, 0},
	} {
		tt.change()
		r, err := p.Probe(t.Context())
		if err != nil || r.Degraded != tt.degraded || r.Details["clockJumpMilliseconds"] != tt.jump {
			t.Errorf("%s: %+v, %v", tt.name, r, err)
		}
	}
}

// always is the process, which is there while its tests run.
type always struct{}

// Set implements probetest.Dependency.
func (always) Set(testing.TB, probetest.Mode) {}

// Reached implements probetest.Dependency.
func (always) Reached() <-chan struct{} { return nil }

// Open implements probetest.Dependency.
func (always) Open() int { return 0 }

func TestConformance(t *testing.T) {
	p, err := self.New(self.Config{MaxGoroutines: 10_000, MaxMemoryBytes: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	probetest.Run(t, probetest.Kind{Prober: p, Dependency: always{}, Modes: []probetest.Mode{}})
	r, err := p.Probe(t.Context())
	if err != nil || r.Details["goroutines"].(int) < 2 || r.Details["memoryBytes"].(uint64) < 1<<20 {
		t.Errorf("%+v, %v", r, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Probe(ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	for _, cfg := range []self.Config{{MaxGoroutines: -1}, {MaxClockJump: -1}} {
		if _, err := self.New(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}
