// Package self measures the process itself: its goroutines, its memory, and
// whether its clock was set.
package self

import (
	"context"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/probe"
)

// Config says how much is too much. A limit of 0 is none.
type Config struct {
	MaxGoroutines  int    // more degrade
	MaxMemoryBytes uint64 // more degrades
	// MaxClockJump is how far the clock may be set between two measurements,
	// forwards or back, before limits and schedules are in doubt. 0 means
	// DefaultClockJump.
	MaxClockJump time.Duration
	// Readers measure; those that are nil are the process's own.
	Readers Readers
}

// DefaultClockJump is far above what NTP corrects by slewing (0.5 ms a
// second), and below what matters to a limit of a minute.
const DefaultClockJump = 5 * time.Second

// Readers read the process.
type Readers struct {
	Goroutines func() int
	// Memory is what the process holds of the system's, in bytes.
	Memory func() uint64
	Wall   func() time.Time     // the clock that can be set
	Steady func() time.Duration // one that cannot, since any moment
}

type prober struct {
	cfg Config

	mu     sync.Mutex
	wall   time.Time // at the measurement before
	steady time.Duration
}

// New returns a prober. The clock is compared from now on.
func New(cfg Config) (health.Prober, error) {
	switch {
	case cfg.MaxGoroutines < 0:
		return nil, probe.Invalid("self", "max_goroutines", "is %d; give 1 or more, or 0 for no limit", cfg.MaxGoroutines)
	case cfg.MaxClockJump < 0:
		return nil, probe.Invalid("self", "max_clock_jump", "is %s; give more than 0, or 0 for %s", cfg.MaxClockJump, DefaultClockJump)
	case cfg.MaxClockJump == 0:
		cfg.MaxClockJump = DefaultClockJump
	}
	own := process()
	r := &cfg.Readers
	if r.Goroutines == nil {
		r.Goroutines = own.Goroutines
	}
	if r.Memory == nil {
		r.Memory = own.Memory
	}
	if r.Wall == nil {
		r.Wall = own.Wall
	}
	if r.Steady == nil {
		r.Steady = own.Steady
	}
	return &prober{cfg: cfg, wall: r.Wall(), steady: r.Steady()}, nil
}

func process() Readers {
	start := time.Now()
	return Readers{
		Goroutines: runtime.NumGoroutine,
		Memory: func() uint64 {
			s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
			metrics.Read(s)
			return s[0].Value.Uint64() - s[1].Value.Uint64()
		},
		Wall:   func() time.Time { return time.Now().Round(0) }, // without the steady reading
		Steady: func() time.Duration { return time.Since(start) },
	}
}

// Probe implements health.Prober. A jump is told once, by the measurement that
// first sees it. That the steady clock stands still while a machine sleeps
// shows as a jump forwards: the process missed that time.
func (p *prober) Probe(ctx context.Context) (health.Reading, error) {
	if ctx.Err() != nil {
		return health.Reading{}, probe.Fail(ctx, "measure", ctx.Err())
	}
	jump := p.jump()
	goroutines, memory := p.cfg.Readers.Goroutines(), p.cfg.Readers.Memory()
	r := health.Reading{Message: "runs well", Details: map[string]any{"goroutines": goroutines, "memoryBytes": memory, "clockJumpMilliseconds": jump.Milliseconds()}}
	switch {
	case jump.Abs() > p.cfg.MaxClockJump:
		r.Degraded, r.Message = true, "the clock was set, or the machine slept: check NTP"
	case p.cfg.MaxGoroutines > 0 && goroutines > p.cfg.MaxGoroutines:
		r.Degraded, r.Message = true, "more is under way than should be"
	case p.cfg.MaxMemoryBytes > 0 && memory > p.cfg.MaxMemoryBytes:
		r.Degraded, r.Message = true, "it holds more memory than it should"
	}
	return r, nil
}

// jump returns by how much the clock was set since the measurement before.
func (p *prober) jump() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	wall, steady := p.cfg.Readers.Wall(), p.cfg.Readers.Steady()
	by := wall.Sub(p.wall) - (steady - p.steady)
	p.wall, p.steady = wall, steady
	return by
}
