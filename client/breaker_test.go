package client_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

func TestBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gantry{}
		c := newClient(t, g.serve)
		check := func(sends int, when string) {
			t.Helper()
			before := g.sent
			if _, err := c.Check(t.Context(), login); err != nil {
				t.Errorf("%s: %v", when, err)
			}
			if got := g.sent - before; got != sends {
				t.Errorf("%s: sent %d times, want %d", when, got, sends)
			}
		}
		for range 4 {
			check(1, "closed")
		}
		g.res = func() *http.Response { return problem(api.CodeUnauthenticated, nil) }
		if _, err := c.Check(t.Context(), login); err == nil {
			t.Error("a wrong key passed")
		}
		g.res = nil
		for range 5 {
			check(1, "closed again by an answer")
		}
		for _, rest := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			check(0, "open")
			time.Sleep(rest*time.Second - 1)
			check(0, "just before the probe")
			time.Sleep(time.Nanosecond)
			check(1, "probe")
		}
		g.res = func() *http.Response { return allowed("LOGIN", "login", 5, 60) }
		time.Sleep(30 * time.Second)
		check(1, "probe that is answered")
		g.res = nil
		for range 5 {
			check(1, "closed by the probe")
		}
		check(0, "open again")
		time.Sleep(time.Second)
		check(1, "the rest starts over")
	})
}

// TestBreakerManyAtOnce: failures that were under way together open the
// circuit once, and one probe at a time is admitted.
func TestBreakerManyAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		sent := 0
		hang := make(chan struct{})
		c := newClient(t, func(*http.Request) (*http.Response, error) {
			mu.Lock()
			sent++
			mu.Unlock()
			<-hang
			return nil, errors.New("reset")
		}, client.WithoutFallback(), client.WithTimeout(time.Hour))
		checks := func(n int) (wait func()) {
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					if _, err := c.Check(t.Context(), login); !errors.Is(err, client.ErrUnavailable) {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
			return wg.Wait
		}
		wait := checks(100)
		close(hang)
		wait()
		hang = make(chan struct{})
		time.Sleep(time.Second) // the first rest: it was not doubled
		wait = checks(100)
		if sent != 101 {
			t.Errorf("%d were sent, want 100 and one probe", sent)
		}
		close(hang)
		wait()
	})
}
