package ratelimit_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/ratelimit"
)

const (
	second = int64(1_000_000)
	hour   = 3600 * second
	t0     = int64(1_800_000_000_123_456)
)

func messages() ratelimit.Params {
	return ratelimit.Params{Algorithm: ratelimit.WindowCredit, Window: hour, Limit: 100, Burst: 120}
}

// passes decides single units until one is refused.
func passes(s *ratelimit.State, p ratelimit.Params, now int64) (n int) {
	for s.Decide(&p, now, 1).Allowed {
		n++
	}
	return n
}

// pack-100.md wants both "101 messages are limited" and "burst 120".
func TestWindowCreditEarnsBurst(t *testing.T) {
	tests := []struct {
		name   string
		before int   // units taken in the window before
		after  int64 // when the next window is used
		want   int
	}{
		{"a newcomer has no burst", 0, 0, 100},
		{"a quiet window earns the burst", 50, hour, 120},
		{"a nearly full window earns the rest", 95, hour, 105},
		{"a full window earns nothing", 100, hour, 100},
		{"an idle window earns the burst", 100, 2 * hour, 120},
		{"who was away is a newcomer", 50, 3 * hour, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s ratelimit.State
			p := messages()
			for range tt.before {
				s.Decide(&p, t0, 1)
			}
			if got := passes(&s, p, t0+tt.after); got != tt.want {
				t.Errorf("%d passed, want %d", got, tt.want)
			}
		})
	}
}

// The numbers of system.md section 4, worked out by hand.
func TestStateDecide(t *testing.T) {
	sliding := ratelimit.Params{Algorithm: ratelimit.SlidingWindow, Window: 1000, Limit: 10}
	gcra := ratelimit.Params{Algorithm: ratelimit.GCRA, Window: 1000, Limit: 10, Burst: 5}
	credit := ratelimit.Params{Algorithm: ratelimit.WindowCredit, Window: 1000, Limit: 10, Burst: 15}
	window := func(p ratelimit.Params, start, cur, prev int64) ratelimit.State {
		return ratelimit.State{Algorithm: p.Algorithm, Window: p.Window, Start: start, Cur: cur, Prev: prev}
	}
	never := ratelimit.Outcome{RetryAt: ratelimit.Never, ResetAt: ratelimit.Never}
	tests := []struct {
		name      string
		s         ratelimit.State
		p         ratelimit.Params
		now, cost int64
		want      ratelimit.Outcome
	}{
		{"newcomer", ratelimit.State{}, sliding, 5000, 3, ratelimit.Outcome{Allowed: true, Remaining: 7, ResetAt: 6000}},
		{"sliding: a third of 9 counts as 3", window(sliding, 0, 0, 9), sliding, 667, 7, ratelimit.Outcome{Allowed: true, ResetAt: 1000}},
		{"sliding: a little more than 3 counts as 4", window(sliding, 0, 0, 9), sliding, 666, 7, ratelimit.Outcome{Remaining: 6, RetryAt: 667, ResetAt: 667}},
		{"sliding: over the turn of the window", window(sliding, 0, 8, ratelimit.NoPrev), sliding, 500, 4, ratelimit.Outcome{Remaining: 2, RetryAt: 1250, ResetAt: 1250}},
		{"sliding: the full limit waits two windows", window(sliding, 0, 1, 0), sliding, 500, 10, ratelimit.Outcome{Remaining: 9, RetryAt: 2000, ResetAt: 2000}},
		{"credit: refused until the window ends", window(credit, 0, 12, 7), credit, 999, 2, ratelimit.Outcome{Remaining: 1, RetryAt: 1000, ResetAt: 1000}},
		{"credit: L + (L − prev) below B", window(credit, 0, 12, 7), credit, 999, 1, ratelimit.Outcome{Allowed: true, ResetAt: 1000}},
		{"gcra: burst is the bucket", ratelimit.State{}, gcra, 5000, 5, ratelimit.Outcome{Allowed: true, ResetAt: 5500}},
		{"gcra: a unit drains in 100 µs", window(gcra, 5000, 5000, 0), gcra, 5099, 1, ratelimit.Outcome{RetryAt: 5100, ResetAt: 5100}},
		{"gcra: and then passes", window(gcra, 5000, 5000, 0), gcra, 5100, 1, ratelimit.Outcome{Allowed: true, ResetAt: 5600}},
		{"gcra: costs at most the bucket", ratelimit.State{}, gcra, 5000, 6, never},
		{"no cost", ratelimit.State{}, sliding, 5000, 0, never},
		{"more than the limit", ratelimit.State{}, sliding, 5000, 11, never},
		{"no rule", ratelimit.State{}, ratelimit.Params{}, 5000, 1, never},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, tt.s.Decide(&tt.p, tt.now, tt.cost)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestStateLiveChange(t *testing.T) {
	from := ratelimit.Params{Algorithm: ratelimit.SlidingWindow, Window: hour, Limit: 100}
	change := func(f func(*ratelimit.Params)) ratelimit.Params { p := from; f(&p); return p }
	tests := []struct {
		name string
		to   ratelimit.Params
		want int // of 60 counted, how many more pass at once
	}{
		{"nothing", from, 40},
		{"limit up", change(func(p *ratelimit.Params) { p.Limit = 150 }), 90},
		{"limit below the count", change(func(p *ratelimit.Params) { p.Limit = 50 }), 0},
		{"window shorter", change(func(p *ratelimit.Params) { p.Window = second }), 40},
		{"window longer", change(func(p *ratelimit.Params) { p.Window = 24 * hour }), 40},
		{"algorithm to window_credit: the burst is not earned yet", messages(), 40},
		{"algorithm to gcra", change(func(p *ratelimit.Params) { p.Algorithm = ratelimit.GCRA }), 40},
		{"algorithm to gcra with a smaller bucket", change(func(p *ratelimit.Params) { p.Algorithm, p.Burst = ratelimit.GCRA, 30 }), 0},
		{"everything, count above the new limit", ratelimit.Params{Algorithm: ratelimit.WindowCredit, Window: second, Limit: 20}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s ratelimit.State
			s.Decide(&from, t0, 60)
			if got := passes(&s, tt.to, t0+10*second/20); got != tt.want {
				t.Errorf("%d passed, want %d", got, tt.want)
			}
		})
	}
	t.Run("no more than the new limit is carried", func(t *testing.T) {
		to := change(func(p *ratelimit.Params) { p.Window, p.Limit = second, 20 })
		var s ratelimit.State
		s.Decide(&from, t0, 60)
		want := t0 + second + second/20 // 20 in the window before, of which 19 still count
		if o := s.Decide(&to, t0, 1); o.RetryAt != want {
			t.Errorf("passes %d µs later, want %d", o.RetryAt-t0, want-t0)
		}
	})
	t.Run("gcra to a window, rounded up", func(t *testing.T) {
		bucket := change(func(p *ratelimit.Params) { p.Algorithm = ratelimit.GCRA })
		var s ratelimit.State
		s.Decide(&bucket, t0, 60)
		if got := passes(&s, from, t0+1); got != 40 {
			t.Errorf("%d passed, want 40", got)
		}
	})
}

func TestStrikes(t *testing.T) {
	p := ratelimit.Params{Algorithm: ratelimit.SlidingWindow, Window: 60 * second, Limit: 5, BlockAfter: 3, BlockFor: 900 * second}
	refused := func(retry int64) ratelimit.Outcome { return ratelimit.Outcome{RetryAt: retry, ResetAt: retry} }
	passed := ratelimit.Outcome{Allowed: true, Remaining: 4, ResetAt: t0 + 60*second}
	until := t0 + 30*second + 900*second
	steps := []struct {
		name string
		at   int64
		in   ratelimit.Outcome
		want ratelimit.Outcome
	}{
		{"a pass is no strike", 0, passed, passed},
		{"first strike", 0, refused(t0 + 60*second), refused(t0 + 60*second)},
		{"second", second, refused(t0 + 60*second), refused(t0 + 60*second)},
		{"a pass does not forgive", 20 * second, passed, passed},
		{"the third blocks", 30 * second, refused(t0 + 60*second), refused(until)},
		{"blocked though the count passes", 61 * second, passed, ratelimit.Outcome{Blocked: true, RetryAt: until, ResetAt: until}},
		{"blocked while the count refuses for longer", 62 * second, refused(until + 5), ratelimit.Outcome{Blocked: true, RetryAt: until + 5, ResetAt: until + 5}},
		{"blocked to the last moment", 930*second - 1, passed, ratelimit.Outcome{Blocked: true, RetryAt: until, ResetAt: until}},
		{"free", 930 * second, passed, passed},
		{"a first strike again", 930 * second, refused(until + 1), refused(until + 1)},
		{"a second", 989 * second, refused(until + 1), refused(until + 1)},
		{"one window later they are forgotten", 990 * second, refused(until + 1), refused(until + 1)},
		{"an impossible demand is no strike", 990 * second, refused(ratelimit.Never), refused(ratelimit.Never)},
		{"second of the new window", 991 * second, refused(until + 1), refused(until + 1)},
		{"third", 992 * second, refused(until + 1), refused(t0 + 1892*second)},
	}
	var x ratelimit.Strikes
	for _, s := range steps {
		if d := cmp.Diff(s.want, x.Judge(&p, t0+s.at, s.in)); d != "" {
			t.Fatalf("%s (-want +got):\n%s", s.name, d)
		}
	}
	none := p
	none.BlockAfter = 0
	if got := x.Judge(&none, t0+992*second, passed); got != passed {
		t.Errorf("a removed penalty still refuses: %+v", got)
	}
	if x.Idle(t0+1892*second-1) || !x.Idle(t0+1892*second) {
		t.Error("strikes must be kept until the block ends, and no longer")
	}
}

// Numbers at the bounds, and beyond them, neither overflow nor panic.
func TestStateExtremes(t *testing.T) {
	for _, alg := range []ratelimit.Algorithm{ratelimit.SlidingWindow, ratelimit.WindowCredit, ratelimit.GCRA} {
		for _, w := range []int64{1, 3, ratelimit.MaxWindow.Microseconds()} {
			for _, l := range []int64{1, 7, ratelimit.MaxLimit, math.MaxInt64} {
				p := ratelimit.Params{Algorithm: alg, Window: w, Limit: l, Burst: l}
				var s ratelimit.State
				most := p.MaxCost()
				first := s.Decide(&p, t0, most)
				again := s.Decide(&p, t0, most)
				if !first.Allowed || again.Allowed && alg != ratelimit.GCRA || !again.Allowed && again.RetryAt <= t0 {
					t.Fatalf("%s, window %d, limit %d: %+v then %+v", alg, w, l, first, again)
				}
				for _, now := range []int64{0, t0 - 1, t0 + w, t0 + 2*w, math.MaxInt64 / 2} {
					c := s
					c.Decide(&p, now, 1)
					c.Refund(&p, now, math.MaxInt64)
					c.Status(&p, now)
				}
			}
		}
	}
}

func TestParamsValidate(t *testing.T) {
	valid := messages()
	tests := []struct {
		name  string
		spoil func(*ratelimit.Params)
		ok    bool
	}{
		{"the default", func(*ratelimit.Params) {}, true},
		{"no algorithm", func(p *ratelimit.Params) { p.Algorithm = 0 }, false},
		{"no window", func(p *ratelimit.Params) { p.Window = 0 }, false},
		{"too long a window", func(p *ratelimit.Params) { p.Window = ratelimit.MaxWindow.Microseconds() + 1 }, false},
		{"no limit", func(p *ratelimit.Params) { p.Limit = 0 }, false},
		{"too high a limit", func(p *ratelimit.Params) { p.Limit, p.Burst = ratelimit.MaxLimit+1, 0 }, false},
		{"a burst below the limit", func(p *ratelimit.Params) { p.Burst = 99 }, false},
		{"a burst for sliding_window", func(p *ratelimit.Params) { p.Algorithm = ratelimit.SlidingWindow }, false},
		{"gcra below the limit", func(p *ratelimit.Params) { p.Algorithm, p.Burst = ratelimit.GCRA, 1 }, true},
		{"gcra too long", func(p *ratelimit.Params) {
			p.Algorithm, p.Burst, p.Limit, p.Window = ratelimit.GCRA, 0, 1_000_000, ratelimit.MaxWindow.Microseconds()
		}, false},
		{"a block without a time", func(p *ratelimit.Params) { p.BlockAfter = 1 }, false},
		{"a block", func(p *ratelimit.Params) { p.BlockAfter, p.BlockFor = 3, second }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := valid
			tt.spoil(&p)
			if err := p.Validate(); (err == nil) != tt.ok {
				t.Errorf("Validate() = %v, want ok %v", err, tt.ok)
			}
		})
	}
}
