package healthtest

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"avalo.app/gantry/internal/health"
)

// Func is a prober of one function.
type Func func(ctx context.Context) (health.Reading, error)

// Probe implements health.Prober.
func (f Func) Probe(ctx context.Context) (health.Reading, error) { return f(ctx) }

// Hangs is a prober that answers nothing, and stops when its context ends.
func Hangs() health.Prober {
	return Func(func(ctx context.Context) (health.Reading, error) {
		<-ctx.Done()
		return health.Reading{}, ctx.Err()
	})
}

// Answers is a prober that the test drives: its answer is what Set said last,
// an error to begin with. The zero Answers is ready.
type Answers struct {
	mu      sync.Mutex
	reading health.Reading
	err     error
	took    time.Duration
	asked   int
}

var errNothing = errors.New("nothing is set")

// Set says what the next probes see, and how long they take.
func (a *Answers) Set(reading health.Reading, err error, took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reading, a.err, a.took = reading, err, took
}

// OK makes the next probes succeed at once.
func (a *Answers) OK() *Answers { a.Set(health.Reading{Message: "fine"}, nil, 0); return a }

// Fail makes the next probes fail at once.
func (a *Answers) Fail() *Answers { a.Set(health.Reading{}, errNothing, 0); return a }

// Asked is how often it was probed.
func (a *Answers) Asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

// Probe implements health.Prober.
func (a *Answers) Probe(ctx context.Context) (health.Reading, error) {
	a.mu.Lock()
	a.asked++
	reading, err, took := a.reading, a.err, a.took
	a.mu.Unlock()
	if took > 0 {
		t := time.NewTimer(took)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return health.Reading{}, ctx.Err()
		case <-t.C:
		}
	}
	return reading, err
}

// CheckProber checks what every prober promises. up probes a dependency that
// works, hung one that takes the request and never answers; nil leaves a check
// out. secrets are texts that no message, error or detail may hold.
func CheckProber(t *testing.T, up, hung health.Prober, secrets ...string) {
	t.Helper()
	if up != nil {
		t.Run("works", func(t *testing.T) { works(t, up, secrets) })
	}
	if hung != nil {
		t.Run("stops", func(t *testing.T) { stops(t, hung, secrets) })
	}
}

// works wants the same answer from many at once.
func works(t *testing.T, p health.Prober, secrets []string) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			r, err := p.Probe(t.Context())
			if err != nil {
				t.Errorf("a dependency that works: %v", err)
			}
			noSecret(t, r.Message, secrets)
			for k, v := range r.Details {
				if s, ok := v.(string); ok {
					noSecret(t, k+s, secrets)
				}
			}
		})
	}
	wg.Wait()
}

// stops wants an error soon after the context ends, and nothing left running.
func stops(t *testing.T, p health.Prober, secrets []string) {
	const soon = 5 * time.Second // generous: this machine may be busy
	before := runtime.NumGoroutine()
	for _, end := range []string{"cancelled", "deadline"} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if end == "cancelled" {
			time.AfterFunc(50*time.Millisecond, cancel)
		}
		returned := make(chan error, 1)
		go func() {
			_, err := p.Probe(ctx)
			returned <- err
		}()
		select {
		case err := <-returned:
			if err == nil {
				t.Errorf("%s: a dependency that never answers is reported as working", end)
			} else {
				noSecret(t, err.Error(), secrets)
			}
		case <-time.After(soon):
			t.Errorf("%s: the probe has not returned %s after its context ended", end, soon)
		}
		cancel()
	}
	for until := time.Now().Add(soon); runtime.NumGoroutine() > before+1; runtime.Gosched() {
		if time.Now().After(until) {
			t.Errorf("%d goroutines, %d before: the probe left something running", runtime.NumGoroutine(), before)
			return
		}
	}
}

func noSecret(t *testing.T, text string, secrets []string) {
	for _, s := range secrets {
		if s != "" && strings.Contains(text, s) {
			t.Errorf("%q holds a secret", strings.ReplaceAll(text, s, "[SECRET]"))
		}
	}
}
