// Package probetest is the conformance suite of probers: each kind is shown
// its dependency healthy, gone, hanging and answering nonsense, and must say
// so, keep secrets, end with its context and leave nothing behind.
package probetest

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"avalo.app/gantry/internal/health"
)

// Secret is what a kind plants in every value of its configuration that can
// hold one, and every server in its answers. No error and no reading may
// repeat it.
const Secret = "sk_test_PLANTED7f3a9c"

// Dependency is what a prober measures, in a condition that the suite sets.
type Dependency interface {
	Set(t testing.TB, m Mode)
	// Reached tells that a measurement is under way, since Set.
	Reached() <-chan struct{}
	// Open is how many connections, or the like, a prober holds.
	Open() int
}

// Kind is one kind of prober under test.
type Kind struct {
	Prober     health.Prober
	Dependency Dependency
	// Modes are the faults that can befall the dependency; nil: all.
	Modes []Mode
	// Shared says that the client is not the prober's own: it may keep idle
	// connections, which end when the server ends them.
	Shared bool
}

const (
	patience = 20 * time.Second // of the suite, with what must come soon
	maxText  = 300              // of an error, in bytes
)

// Run shows a prober every condition, each followed by the healthy one.
func Run(t *testing.T, k Kind) {
	t.Helper()
	if k.Modes == nil {
		k.Modes = []Mode{Refusing, Hanging, Stalling, Garbage}
	}
	k.Dependency.Set(t, Healthy)
	t.Run("healthy", k.healthy)
	t.Run("concurrent", k.concurrent)
	t.Run("ended", k.ended)
	for _, m := range k.Modes {
		t.Run(string(m), func(t *testing.T) {
			k.Dependency.Set(t, m)
			left := k.baseline(m)
			switch m {
			case Hanging, Stalling:
				k.cancelled(t, m)
				left(t)
				k.expired(t)
			default:
				k.failing(t)
			}
			left(t)
		})
		k.Dependency.Set(t, Healthy)
		t.Run("recovered from "+string(m), k.healthy)
	}
}

// baseline returns a check that nothing is left of what began since, in a
// mode.
func (k Kind) baseline(m Mode) func(testing.TB) {
	before := runtime.NumGoroutine()
	return func(t testing.TB) {
		t.Helper()
		if k.Shared {
			k.Dependency.Set(t, m) // ends what is idle
		}
		until(t, func() string {
			n, open := runtime.NumGoroutine(), k.Dependency.Open()
			if n <= before && open == 0 {
				return ""
			}
			buf := make([]byte, 1<<16)
			return "goroutines left of those before: " + strconv.Itoa(n) + " of " + strconv.Itoa(before) + ", connections open: " + strconv.Itoa(open) + "\n" + string(buf[:runtime.Stack(buf, true)])
		})
	}
}

// until waits for a check to find nothing wrong.
func until(t testing.TB, wrong func() string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		s := wrong()
		if s == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(s)
		}
		runtime.Gosched()
		<-time.After(time.Millisecond)
	}
}

func (k Kind) healthy(t *testing.T) {
	left := k.baseline(Healthy)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := k.Prober.Probe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r.Degraded {
		t.Errorf("a healthy dependency is degraded: %s", r.Message)
	}
	checkReading(t, r)
	left(t)
}

var detail = regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)

func checkReading(t testing.TB, r health.Reading) {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), Secret) {
		t.Errorf("the reading repeats a secret: %s", b)
	}
	if r.Message == "" || len(r.Message) > maxText || strings.ContainsAny(r.Message, "\r\n") {
		t.Errorf("message %q", r.Message)
	}
	for name, v := range r.Details {
		if k := reflect.ValueOf(v).Kind(); !detail.MatchString(name) || k < reflect.Int || k > reflect.Float64 {
			t.Errorf("detail %s is a %T", name, v)
		}
	}
}

func checkError(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if s := err.Error(); strings.Contains(s, Secret) || len(s) > maxText || strings.ContainsAny(s, "\r\n") {
		t.Errorf("the error repeats a secret, is long, or has several lines: %.1000q", s)
	}
}

func (k Kind) concurrent(t *testing.T) {
	left := k.baseline(Healthy)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := k.Prober.Probe(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	left(t)
}

// ended begins a measurement whose time is over.
func (k Kind) ended(t *testing.T) {
	left := k.baseline(Healthy)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := k.Prober.Probe(ctx)
	if checkError(t, err); !errors.Is(err, context.Canceled) {
		t.Errorf("ended before it began: %v", err)
	}
	left(t)
}

// failing wants an error of the prober's own, before its time is up.
func (k Kind) failing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := k.Prober.Probe(ctx)
	checkError(t, err)
	if ctx.Err() != nil {
		t.Errorf("it took all its time: %v", err)
	}
	t.Log(err)
}

// cancelled ends a measurement that is under way.
func (k Kind) cancelled(t *testing.T, m Mode) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := k.Prober.Probe(ctx)
		ended <- err
	}()
	select {
	case <-k.Dependency.Reached():
	case err := <-ended:
		t.Fatalf("it ended before the dependency was asked: %v", err)
	case <-time.After(patience):
		t.Fatal("the dependency was not asked")
	}
	cancel()
	select {
	case err := <-ended:
		if checkError(t, err); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled while %s: %v", m, err)
		}
	case <-time.After(patience):
		t.Fatal("it does not end with its context")
	}
}

// expired lets a measurement's time run out.
func (k Kind) expired(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := k.Prober.Probe(ctx)
	if checkError(t, err); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("out of time: %v", err)
	}
	t.Log(err)
}
