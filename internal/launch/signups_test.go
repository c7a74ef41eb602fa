package launch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
	"avalo.app/gantry/internal/launch/launchtest"
	"avalo.app/gantry/internal/signal"
)

// fake is a store of signups made of callbacks; a nil one passes on to the
// rows in memory.
type fake struct {
	*launchtest.Memory
	onApply func(ctx context.Context, ops []launch.Op) ([]launch.Outcome, error)
	onBooks func(ctx context.Context) error

	mu      sync.Mutex
	calls   [][]launch.Op
	overs   map[string]launch.Override
	moves   []launch.Move
	down    error // of LaunchState
	lookups int
	entries []audit.Entry
}

func (f *fake) ApplySignups(ctx context.Context, ops []launch.Op) ([]launch.Outcome, error) {
	f.mu.Lock()
	f.calls = append(f.calls, slices.Clone(ops))
	f.mu.Unlock()
	if f.onApply != nil {
		return f.onApply(ctx, ops)
	}
	return f.Memory.ApplySignups(ctx, ops)
}

func (f *fake) SignupBooks(ctx context.Context, a launch.Applicant) (*launch.Books, error) {
	f.lookups++
	if f.onBooks != nil {
		if err := f.onBooks(ctx); err != nil {
			return nil, err
		}
	}
	return f.Memory.SignupBooks(ctx, a)
}

func (f *fake) sizes() (out []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		out = append(out, len(c))
	}
	return out
}

// limits counts what is taken and given back.
type limits struct {
	mu     sync.Mutex
	counts map[string]int
	refuse string // this action
}

func (l *limits) Take(_ context.Context, action string, _ launch.Application) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if action == l.refuse {
		return fault.New(fault.RateLimited, "test", "too many")
	}
	l.counts[action]++
	return nil
}

func (l *limits) Give(_ context.Context, action string, _ launch.Application) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[action]--
}

type bench struct {
	*launch.Signups
	control *launch.Control
	guests  *launch.Guests
	hasher  *launch.Hasher
	f       *fake
	limits  *limits
	mu      sync.Mutex
	facts   []signal.Fact
	refused bool // what Distinct answers
	gate    launch.Report
	gateErr error
}

func (b *bench) Ready(context.Context, launch.Mode) (launch.Report, error) { return b.gate, b.gateErr }

func (b *bench) signals() (out []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.facts {
		out = append(out, fmt.Sprintf("%s %v", f.Rule, f.Failing))
	}
	return out
}

// newBench runs in a bubble: its clock is time.Now.
func newBench(t *testing.T, mode launch.Mode) *bench {
	t.Helper()
	b := &bench{hasher: launch.NewHasher([]byte("k")), limits: &limits{counts: map[string]int{}}}
	b.f = &fake{Memory: launchtest.NewMemory(launchtest.NewClock(time.Now())), overs: map[string]launch.Override{}}
	if mode != launch.InternalTest {
		if _, err := b.f.Memory.SetMode(t.Context(), launch.Move{To: mode, At: time.Now(), Report: launch.Report{Passed: true, ValidUntil: time.Now().Add(1)}}, audit.Entry{}); err != nil {
			t.Fatal(err)
		}
	}
	raise := func(f signal.Fact) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.facts = append(b.facts, f)
	}
	b.control = launch.NewControl(launch.ControlOptions{Store: b.f, Days: b.f.SignupDays, Gate: b, Signals: raise, Now: time.Now,
		Distinct: func(context.Context, launch.Actor, launch.Actor) (bool, error) { return !b.refused, nil }})
	b.Signups = launch.NewSignups(launch.SignupOptions{Store: b.f, Control: b.control, Hasher: b.hasher, Limits: b.limits, Signals: raise, Now: time.Now})
	b.guests = launch.NewGuests(launch.GuestOptions{Store: b.f, Signups: b.Signups, Hasher: b.hasher, Limits: b.limits, Now: time.Now})
	if err := b.control.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close) // the last transaction waits a moment for more
	return b
}

func user(n int) launch.Application {
	return launch.Application{UserID: fmt.Sprintf("u%d", n), Country: "PL"}
}

// gated holds the first call until the channel is closed.
func (b *bench) gated() (release func()) {
	open, first := make(chan struct{}), true
	b.f.onApply = func(ctx context.Context, ops []launch.Op) ([]launch.Outcome, error) {
		b.f.mu.Lock()
		wait := first
		first = false
		b.f.mu.Unlock()
		if wait {
			select {
			case <-open:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return b.f.Memory.ApplySignups(ctx, ops)
	}
	return func() { close(open) }
}

// TestWaitingStepsShareACall: while one call is under way the others gather,
// at most 128 to a call, and each gets its own answer.
func TestWaitingStepsShareACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.GlobalLaunch)
		release := b.gated()
		var wg sync.WaitGroup
		for i := range 300 {
			wg.Go(func() {
				r, existing, err := b.Reserve(t.Context(), user(i))
				if err != nil || existing || r.UserID != user(i).UserID {
					t.Errorf("%d: %+v %v", i, r, err)
				}
			})
			if i == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		release()
		wg.Wait()
		b.Wait()
		if got := b.f.sizes(); !slices.Equal(got, []int{1, 128, 128, 43}) {
			t.Errorf("calls of %v", got)
		}
	})
}

// TestSoloStepIsAlone: a step with an idempotency claim has its call alone,
// and that call's context carries the claim and outlives the caller.
func TestSoloStepIsAlone(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.GlobalLaunch)
		release := b.gated()
		next := b.f.onApply
		b.f.onApply = func(ctx context.Context, ops []launch.Op) ([]launch.Outcome, error) {
			if claim, solo := ctx.Value(key{}).(string); solo != (ops[0].Applicant.UserID == "u2") || solo && claim != "claim" {
				t.Errorf("the call of %s has claim %q", ops[0].Applicant.UserID, claim)
			}
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("the call has no deadline")
			}
			return next(ctx, ops)
		}
		var wg sync.WaitGroup
		for i := range 5 {
			ctx := t.Context()
			if i == 2 {
				ctx = launch.Solo(context.WithValue(ctx, key{}, "claim"))
			}
			wg.Go(func() {
				if _, _, err := b.Reserve(ctx, user(i)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		release()
		wg.Wait()
		if got := b.f.sizes(); !slices.Equal(got, []int{1, 1, 1, 2}) {
			t.Errorf("calls of %v", got)
		}
	})
}

func (b *bench) states(t *testing.T) map[string]launch.ReservationState {
	t.Helper()
	out := map[string]launch.ReservationState{}
	rs, err := b.f.Signups(t.Context(), launch.SignupFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rs {
		out[r.UserID] = r.State
	}
	return out
}

// TestCallersThatGo: who goes before the call is left out; who goes during
// it has its new reservation withdrawn, unless another was answered with it
// or it was there before.
func TestCallersThatGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.GlobalLaunch)
		if _, _, err := b.Reserve(t.Context(), user(4)); err != nil {
			t.Fatal(err)
		}
		release := b.gated()
		var wg sync.WaitGroup
		reserve := func(n int) context.CancelFunc {
			ctx, cancel := context.WithCancel(t.Context())
			wg.Go(func() {
				_, _, err := b.Reserve(ctx, user(n))
				if gone := ctx.Err() != nil; gone && fault.CodeOf(err) != fault.ServiceDegraded || !gone && err != nil {
					t.Errorf("%d: %v", n, err)
				}
			})
			synctest.Wait()
			return cancel
		}
		during := reserve(0)
		before := reserve(1)
		shared := reserve(2) // in the second call, together with another of the same subject
		reserve(2)
		before() // while they wait
		during()
		synctest.Wait()
		release()
		wg.Wait()
		b.Wait()
		if got := b.states(t); got["u0"] != launch.Released || got["u1"] != "" || got["u2"] != launch.Open {
			t.Errorf("after the first: %v", got)
		}
		shared()
		// The second call is under way, and one of two callers goes.
		release = b.gated()
		one := reserve(3)
		two := reserve(4) // it has one already
		synctest.Wait()
		release()
		wg.Wait()
		one()
		two()
		b.Wait()
		if got := b.states(t); got["u3"] != launch.Open || got["u4"] != launch.Open {
			t.Errorf("after the second: %v", got)
		}
		drift, err := b.Drift(t.Context())
		if err != nil || len(drift) > 0 {
			t.Errorf("%v %v", drift, err)
		}
	})
}

// TestWithdrawSparesTheRetry: the caller went, and its retry was answered
// with the reservation before the withdrawal came.
func TestWithdrawSparesTheRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.GlobalLaunch)
		release := b.gated()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _, _, _ = b.Reserve(ctx, user(0)) })
		synctest.Wait()
		wg.Go(func() {
			if _, existing, err := b.Reserve(t.Context(), user(0)); err != nil || !existing {
				t.Errorf("the retry: %v %v", existing, err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		release()
		wg.Wait()
		b.Wait()
		if got := b.states(t); got["u0"] != launch.Open {
			t.Errorf("%v", got)
		}
		if b.limits.counts[launch.ActionReserve] != 1 {
			t.Errorf("the retry was charged: %v", b.limits.counts)
		}
	})
}

// TestStoreFails: a failure of the store, before or after it committed, is
// SERVICE_DEGRADED for all who shared the call; a retry gets what is there.
func TestStoreFails(t *testing.T) {
	for _, persisted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, launch.GlobalLaunch)
			release := b.gated()
			fine := b.f.onApply
			b.f.onApply = func(ctx context.Context, ops []launch.Op) ([]launch.Outcome, error) {
				if len(ops) > 1 && !persisted {
					return nil, errors.New("disk on fire")
				}
				outs, err := fine(ctx, ops)
				if len(ops) > 1 {
					err = errors.Join(err, errors.New("the connection broke"))
				}
				return outs, err
			}
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					_, _, err := b.Reserve(t.Context(), user(i))
					if i == 0 && err != nil || i > 0 && (fault.CodeOf(err) != fault.ServiceDegraded || !strings.Contains(err.Error(), "repeat it")) {
						t.Errorf("%d: %v", i, err)
					}
				})
				synctest.Wait()
			}
			release()
			wg.Wait()
			if _, existing, err := b.Reserve(t.Context(), user(3)); err != nil || existing != persisted {
				t.Errorf("persisted %v, the retry: %v %v", persisted, existing, err)
			}
		})
	}
}

// TestHangingStore: nobody waits longer than two timeouts, and everybody is
// told that it is the store.
func TestHangingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.GlobalLaunch)
		b.f.onApply = func(ctx context.Context, _ []launch.Op) ([]launch.Outcome, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		b.f.onBooks = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 400 {
			wg.Go(func() {
				_, _, err := b.Reserve(t.Context(), user(i))
				if took := time.Since(start); fault.CodeOf(err) != fault.ServiceDegraded || took > 6*time.Second {
					t.Errorf("%v after %s", err, took)
				}
			})
		}
		wg.Go(func() {
			_, err := b.Eligible(t.Context(), user(1))
			if took := time.Since(start); fault.CodeOf(err) != fault.ServiceDegraded || took > 3*time.Second {
				t.Errorf("eligible: %v after %s", err, took)
			}
		})
		wg.Go(func() {
			_, err := b.Confirm(t.Context(), "id")
			if fault.CodeOf(err) != fault.ServiceDegraded {
				t.Errorf("confirm: %v", err)
			}
		})
		wg.Wait()
		b.Wait()
		if calls := len(b.f.sizes()); calls > 3 { // who has gone is not tried for
			t.Errorf("%d calls", calls)
		}
	})
}

// TestReserveInput: what cannot be decided is refused before the store.
func TestReserveInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.GlobalLaunch)
		for _, tt := range []struct {
			a    launch.Application
			want string
		}{
			{launch.Application{Country: "PL"}, "userId: missing"}, {launch.Application{Country: "PL", UserID: "a\x00"}, "userId: not printable"},
		} {
			if _, _, err := b.Reserve(t.Context(), tt.a); field(t, err) != tt.want {
				t.Errorf("reserve %+v: %v", tt.a, err)
			}
			if _, err := b.ConfirmSubject(t.Context(), tt.a); field(t, err) != tt.want {
				t.Errorf("confirm %+v: %v", tt.a, err)
			}
			if _, err := b.ReleaseSubject(t.Context(), tt.a); field(t, err) != tt.want {
				t.Errorf("release %+v: %v", tt.a, err)
			}
		}
		// One that an engine may choke on must not reach the steps of others.
		for _, id := range []string{"", "\x00", "\xff", strings.Repeat("x", 65)} {
			if _, err := b.Confirm(t.Context(), id); fault.CodeOf(err) != fault.NotFound {
				t.Errorf("confirm %q: %v", id, err)
			}
			if _, err := b.Release(t.Context(), id); fault.CodeOf(err) != fault.NotFound {
				t.Errorf("release %q: %v", id, err)
			}
		}
		b.limits.refuse = launch.ActionReserve
		if _, _, err := b.Reserve(t.Context(), user(1)); fault.CodeOf(err) != fault.RateLimited {
			t.Errorf("limited: %v", err)
		}
		if len(b.f.sizes()) > 0 {
			t.Error("the store was asked")
		}
		if _, _, err := b.Days(t.Context(), "today"); field(t, err) != "day: not a day" {
			t.Errorf("days: %v", err)
		}
	})
}

// TestUnbackedSignal: an account without a slot raises a signal, and what
// ends that state clears it.
func TestUnbackedSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.GlobalLaunch)
		b.facts = nil // of the modes
		want := func(what string, want ...string) {
			t.Helper()
			if got := b.signals(); !slices.Equal(got, want) {
				t.Errorf("%s: %v", what, got)
			}
			b.facts = nil
		}
		for range 2 { // a hook asks again, and is answered the same
			if _, err := b.ConfirmSubject(t.Context(), user(1)); fault.CodeOf(err) != fault.Conflict {
				t.Fatal(err)
			}
			want("nothing reserved", "signup_unbacked true")
		}
		if _, _, err := b.Reserve(t.Context(), user(1)); err != nil {
			t.Fatal(err)
		}
		want("reserved at last")
		if _, err := b.ConfirmSubject(t.Context(), user(1)); err != nil {
			t.Fatal(err)
		}
		want("confirmed", "signup_unbacked false")
		if _, err := b.ConfirmSubject(t.Context(), user(2)); fault.CodeOf(err) != fault.Conflict {
			t.Fatal(err)
		}
		if _, err := b.ReleaseSubject(t.Context(), user(2)); err != nil {
			t.Fatal(err)
		}
		want("released", "signup_unbacked true", "signup_unbacked false")
	})
}

func (b *bench) setPhase(t *testing.T, p launch.Phase) {
	t.Helper()
	s, _ := b.f.LaunchState(t.Context())
	if _, err := b.f.SaveLaunchDoc(t.Context(), launch.DocPhase(s.Mode), p, -1, nil, audit.Entry{}); err != nil {
		t.Fatal(err)
	}
	if err := b.control.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestEligibleFromMemory: who names no subject is answered without the store
// where the store could add nothing.
func TestEligibleFromMemory(t *testing.T) {
	for _, tt := range []struct {
		name    string
		mode    launch.Mode
		a       launch.Application
		want    fault.Code // "" is allowed
		lookups int
	}{
		{"a country that is open", launch.SoftLaunch, launch.Application{Country: "PL"}, "", 0},
		{"a country that is not", launch.SoftLaunch, launch.Application{Country: "US", IP: "203.0.113.1"}, fault.CountryNotAllowed, 0},
		{"no country", launch.GlobalLaunch, launch.Application{}, fault.CountryNotAllowed, 0},
		{"no code", launch.ClosedBeta, launch.Application{Country: "PL", IP: "203.0.113.1"}, fault.InviteCodeRequired, 0},
		{"a code", launch.ClosedBeta, launch.Application{Country: "PL", InviteCode: "ABCDE-23456"}, fault.InviteCodeInvalid, 1},
		{"a code and a country that is not open", launch.ClosedBeta, launch.Application{Country: "US", InviteCode: "ABCDE-23456"}, fault.CountryNotAllowed, 0},
		{"nobody and an allowlist", launch.InternalTest, launch.Application{Country: "PL"}, fault.LaunchModeRestricted, 0},
		{"a share of a network", launch.SoftLaunch, launch.Application{Country: "PL", IP: "203.0.113.1"}, "", 1},
		{"a share of a device", launch.SoftLaunch, launch.Application{Country: "PL", Device: "d"}, "", 1},
		{"a user", launch.SoftLaunch, launch.Application{Country: "US", UserID: "u"}, fault.CountryNotAllowed, 1}, // may hold a reservation
		{"an address", launch.SoftLaunch, launch.Application{Country: "PL", Email: "a@b.c"}, "", 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, tt.mode)
			v, err := b.Eligible(t.Context(), tt.a)
			if err != nil || v.Allowed != (tt.want == "") || tt.want != "" && fault.CodeOf(v.Err) != tt.want || b.f.lookups != tt.lookups || v.View.Mode != tt.mode {
				t.Errorf("%s: %+v %v, %d lookups", tt.name, v, err, b.f.lookups)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.SoftLaunch)
		b.setPhase(t, launch.Phase{Countries: []string{"PL"}, DailyCap: capped(1)})
		if _, _, err := b.Reserve(t.Context(), user(1)); err != nil {
			t.Fatal(err)
		}
		if err := b.control.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, a := range []launch.Application{{Country: "PL"}, {Country: "PL", IP: "203.0.113.1"}} {
			if v, err := b.Eligible(t.Context(), a); err != nil || fault.CodeOf(v.Err) != fault.DailyLimitReached || b.f.lookups != 0 {
				t.Errorf("a full day: %+v %v, %d lookups", v, err, b.f.lookups)
			}
		}
		if v, err := b.Eligible(t.Context(), user(1)); err != nil || !v.Allowed {
			t.Errorf("who holds a slot: %+v %v", v, err)
		}
		if _, err := b.f.SaveLaunchDoc(t.Context(), launch.DocMaintenance, launch.Maintenance{Until: time.Now().Add(time.Hour)}, -1, nil, audit.Entry{}); err != nil {
			t.Fatal(err)
		}
		_ = b.control.Refresh(t.Context())
		b.f.lookups = 0
		if v, err := b.Eligible(t.Context(), user(1)); err != nil || fault.CodeOf(v.Err) != fault.SystemMaintenance || b.f.lookups != 0 {
			t.Errorf("maintenance: %+v %v", v, err)
		}
	})
}

// TestStaleView: what was read more than five seconds ago decides nothing:
// the store is asked, and if it does not answer, signups are closed.
func TestStaleView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.GlobalLaunch)
		ask := func(lookups int, want fault.Code) {
			t.Helper()
			b.f.lookups = 0
			_, err := b.Eligible(t.Context(), launch.Application{Country: "PL"})
			if b.f.lookups != lookups || (want == "") != (err == nil) || err != nil && fault.CodeOf(err) != want {
				t.Errorf("%v, %d lookups; want %q and %d", err, b.f.lookups, want, lookups)
			}
		}
		time.Sleep(5 * time.Second)
		ask(0, "")
		time.Sleep(time.Microsecond)
		ask(1, "")
		b.f.down = errors.New("away")
		b.f.onBooks = func(context.Context) error { return b.f.down }
		if err := b.control.Refresh(t.Context()); err == nil {
			t.Error("refreshed from nowhere")
		}
		ask(1, fault.ServiceDegraded)
		if v, age := b.control.View(); v.Mode != launch.GlobalLaunch || age <= 5*time.Second {
			t.Errorf("the last known: %s, %s old", v.Mode, age)
		}
		b.f.down, b.f.onBooks = nil, nil
		if err := b.control.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
		ask(0, "")
	})
}

// TestGuesses: a wrong code is charged and stays so; every other end gives
// the guess back.
func TestGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, launch.ClosedBeta)
		ni, err := b.guests.Invite(t.Context(), launch.InviteSpec{Count: 2}, launch.Actor{ID: "key:a"})
		if err != nil {
			t.Fatal(err)
		}
		used := ni[1].Code
		if _, _, err := b.Reserve(t.Context(), launch.Application{UserID: "first", Country: "PL", InviteCode: used}); err != nil {
			t.Fatal(err)
		}
		with := func(code, country string) launch.Application {
			return launch.Application{UserID: "u" + code, Email: strings.TrimSpace(code) + country + "@x.y", Country: country, InviteCode: code}
		}
		for _, tt := range []struct {
			name    string
			a       launch.Application
			want    fault.Code // of Reserve and Eligible
			claim   fault.Code
			charged int
		}{
			{"wrong", with("ABCDE-23456", "PL"), fault.InviteCodeInvalid, fault.InviteCodeInvalid, 1},
			{"used up", with(used, "PL"), fault.InviteCodeDepleted, "", 0},
			{"another country", with(ni[0].Code, "US"), fault.CountryNotAllowed, "", 0},
			{"none", with("", "PL"), fault.InviteCodeRequired, fault.InvalidArgument, 0},
			{"blank", with(" - ", "PL"), fault.InviteCodeRequired, fault.InviteCodeInvalid, 0},
			{"right", with(ni[0].Code, "PL"), "", "", 0},
		} {
			check := func(what string, err error, want fault.Code, charged int) {
				t.Helper()
				if want == "" && err != nil || want != "" && (err == nil || fault.CodeOf(err) != want) || b.limits.counts[launch.ActionInvite] != charged {
					t.Errorf("%s, %s: %v, charged %d", tt.name, what, err, b.limits.counts[launch.ActionInvite])
				}
				b.limits.counts[launch.ActionInvite] = 0
			}
			v, err := b.Eligible(t.Context(), tt.a)
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			check("eligible", v.Err, tt.want, tt.charged)
			_, _, err = b.Reserve(t.Context(), tt.a)
			check("reserve", err, tt.want, tt.charged)
			if tt.want == "" {
				continue
			}
			err = b.guests.Claim(t.Context(), tt.a)
			check("claim", err, tt.claim, tt.charged)
		}
		// Once limited a right code is refused, too. The store is asked only
		// whether who reserves holds a reservation.
		b.limits.refuse = launch.ActionInvite
		calls, lookups := len(b.f.sizes()), b.f.lookups
		a := launch.Application{UserID: "late", Email: "late@x.y", Country: "PL", InviteCode: ni[0].Code}
		if _, err := b.Eligible(t.Context(), a); fault.CodeOf(err) != fault.RateLimited {
			t.Errorf("eligible: %v", err)
		}
		if _, _, err := b.Reserve(t.Context(), a); fault.CodeOf(err) != fault.RateLimited {
			t.Errorf("reserve: %v", err)
		}
		if err := b.guests.Claim(t.Context(), a); fault.CodeOf(err) != fault.RateLimited {
			t.Errorf("claim: %v", err)
		}
		if len(b.f.sizes()) != calls || b.f.lookups != lookups+1 {
			t.Errorf("%d steps and %d lookups", len(b.f.sizes())-calls, b.f.lookups-lookups)
		}
		again := launch.Application{UserID: "first", Country: "PL", InviteCode: used}
		for _, action := range []string{launch.ActionInvite, launch.ActionReserve} {
			b.limits.refuse = action
			if _, existing, err := b.Reserve(t.Context(), again); err != nil || !existing {
				t.Errorf("who holds one, limited by %s: %v", action, err)
			}
		}
	})
}
