package lease_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/lease"
)

const (
	ttl   = 30 * time.Second
	every = time.Minute
)

// table is a lease.Store in memory; fail, if set, is asked before (false)
// and after (true) each operation.
type table struct {
	mu     sync.Mutex
	token  int64
	until  time.Time
	holder string
	fail   func(op string, after bool) error
}

func (s *table) do(op string, fn func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(op, false); err != nil {
			return err
		}
	}
	fn()
	if s.fail != nil {
		return s.fail(op, true)
	}
	return nil
}

func (s *table) AcquireLease(_ context.Context, name, holder string, ttl time.Duration) (h lease.Held, ok bool, err error) {
	err = s.do("acquire", func() {
		if ok = !time.Now().Before(s.until); ok {
			s.token++
			s.until, s.holder = time.Now().Add(ttl), holder
			h = lease.Held{Name: name, Token: s.token}
		}
	})
	return h, ok, err
}

func (s *table) RenewLease(_ context.Context, h lease.Held, ttl time.Duration) (ok bool, err error) {
	err = s.do("renew", func() {
		if ok = h.Token == s.token && time.Now().Before(s.until); ok {
			s.until = time.Now().Add(ttl)
		}
	})
	return ok, err
}

func (s *table) ReleaseLease(_ context.Context, h lease.Held) error {
	return s.do("release", func() {
		if h.Token == s.token {
			s.until = time.Time{}
		}
	})
}

// node runs fn on a Runner until the returned stop, which waits for it.
func node(ctx context.Context, s lease.Store, name string, fn func(context.Context, lease.Held) error) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error)
	r := &lease.Runner{Store: s, Holder: name, Log: slog.New(slog.DiscardHandler), Report: func(error) {}}
	go func() { done <- r.Run(ctx, "work", ttl, every, fn) }()
	return func() {
		cancel()
		<-done
	}
}

func TestOneNodeWorksAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s table
		var mu sync.Mutex
		calls := map[string]int{}
		start := func(name string) func() {
			return node(t.Context(), &s, name, func(context.Context, lease.Held) error {
				mu.Lock()
				defer mu.Unlock()
				calls[name]++
				return errors.New("an error does not end the work")
			})
		}
		stopA := start("a")
		synctest.Wait()
		stopB := start("b")
		time.Sleep(10*every + time.Second)
		synctest.Wait()
		if calls["a"] != 11 || calls["b"] != 0 {
			t.Fatalf("calls %v, want 11 of a", calls)
		}
		stopA() // released: b takes over at its next try
		time.Sleep(ttl / 3)
		synctest.Wait()
		if calls["b"] != 1 || s.holder != "b" {
			t.Fatalf("calls %v, holder %s", calls, s.holder)
		}
		stopB()
	})
}

func TestWorkIsCancelledWhenTheLeaseIsLost(t *testing.T) {
	for name, tt := range map[string]struct {
		fail func(op string, after bool) error
		want time.Duration // from the start to the cancellation
	}{
		"taken over":                   {nil, ttl / 3},
		"renew fails":                  {failing("renew", false), ttl},
		"renew fails but is persisted": {failing("renew", true), ttl},
		"one renewal fails":            {once("renew"), 0}, // 0: not cancelled
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := table{fail: tt.fail}
				start := time.Now()
				lost := make(chan time.Duration, 1)
				stop := node(t.Context(), &s, "a", func(ctx context.Context, h lease.Held) error {
					if h.Token > 1 {
						return nil
					}
					if tt.fail == nil { // a takeover behind the holder's back
						s.mu.Lock()
						s.token++
						s.mu.Unlock()
					}
					select {
					case <-ctx.Done():
						lost <- time.Since(start)
						return ctx.Err()
					case <-time.After(4 * ttl):
						lost <- 0
						return nil
					}
				})
				if got := <-lost; got != tt.want {
					t.Errorf("cancelled after %v, want %v", got, tt.want)
				}
				stop()
			})
		})
	}
}

// hanging is a table whose renewals never answer.
type hanging struct{ *table }

func (h hanging) RenewLease(ctx context.Context, _ lease.Held, _ time.Duration) (bool, error) {
	<-ctx.Done()
	return false, ctx.Err()
}

// A store that hangs must not let the work go on past the lease's end.
func TestWorkIsCancelledWhenARenewalHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		cancelled := make(chan time.Duration, 10)
		stop := node(t.Context(), hanging{new(table)}, "a", func(ctx context.Context, _ lease.Held) error {
			<-ctx.Done()
			cancelled <- time.Since(start)
			return ctx.Err()
		})
		if got := <-cancelled; got != ttl {
			t.Errorf("cancelled after %v, want %v", got, ttl)
		}
		stop()
	})
}

func TestAcquireFailures(t *testing.T) {
	for name, after := range map[string]bool{"failed": false, "failed but persisted": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				failed := false
				s := table{fail: func(op string, a bool) error {
					if op == "acquire" && a == after && !failed {
						failed = true
						return errors.New("no answer")
					}
					return nil
				}}
				ran := make(chan time.Duration, 10)
				stop := node(t.Context(), &s, "a", func(context.Context, lease.Held) error {
					ran <- time.Since(start)
					return nil
				})
				want := ttl / 3
				if after {
					want = ttl // the lease that nobody holds has to end
				}
				if got := <-ran; got != want {
					t.Errorf("ran after %v, want %v", got, want)
				}
				stop()
			})
		})
	}
}

// TestReports: every turn is reported as it went, also those of a node that
// waits for the lease.
func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s table
		s.until = time.Now().Add(ttl / 2) // somebody else's: free at the second try
		s.fail = once("acquire")
		var mu sync.Mutex
		var got []string
		r := &lease.Runner{Store: &s, Holder: "a", Log: slog.New(slog.DiscardHandler), Report: func(err error) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprint(err))
		}}
		ctx, cancel := context.WithCancel(t.Context())
		turns := 0
		var done sync.WaitGroup
		done.Go(func() {
			_ = r.Run(ctx, "work", ttl, every, func(context.Context, lease.Held) error {
				if turns++; turns == 1 {
					return errors.New("broken")
				}
				return nil
			})
		})
		time.Sleep(ttl + every + time.Second)
		synctest.Wait()
		cancel()
		done.Wait()
		want := []string{"acquire the lease: no answer", "<nil>", "broken", "<nil>"}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

// TestRefusedByTheFence: a write that the fence refuses, since another node took
// over, is no failure of the work, also when it comes before the renewal.
func TestRefusedByTheFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s table
		var got []error
		ctx, cancel := context.WithCancel(t.Context())
		r := &lease.Runner{Store: &s, Holder: "a", Log: slog.New(slog.DiscardHandler), Report: func(err error) { got = append(got, err) }}
		var done sync.WaitGroup
		turns := 0
		done.Go(func() {
			_ = r.Run(ctx, "work", ttl, every, func(context.Context, lease.Held) error {
				if turns++; turns > 1 {
					return nil
				}
				s.mu.Lock()
				s.token++ // taken over, until this ttl ends
				s.mu.Unlock()
				return errors.New("the lease was lost")
			})
		})
		time.Sleep(ttl + ttl/2)
		synctest.Wait()
		cancel()
		done.Wait()
		if turns != 2 {
			t.Errorf("%d turns, want a second when the other's lease ended", turns)
		}
		for _, err := range got {
			if err != nil {
				t.Errorf("reported: %v", err)
			}
		}
	})
}

func TestReleaseFailureEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := table{fail: failing("release", false)}
		stop := node(t.Context(), &s, "a", func(context.Context, lease.Held) error { return nil })
		synctest.Wait()
		stop()
		if s.token != 1 || s.until.IsZero() {
			t.Errorf("token %d, until %v", s.token, s.until)
		}
	})
}

func failing(op string, after bool) func(string, bool) error {
	return func(o string, a bool) error {
		if o == op && a == after {
			return errors.New("no answer")
		}
		return nil
	}
}

func once(op string) func(string, bool) error {
	done := false
	return func(o string, _ bool) error {
		if o == op && !done {
			done = true
			return errors.New("no answer")
		}
		return nil
	}
}
