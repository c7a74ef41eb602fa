package ratelimit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"avalo.app/gantry/internal/counters/memory"
	"avalo.app/gantry/internal/ratelimit"
)

// TestBlockRetryAfter: retryAfter of a block is exact: it knows the quota that
// the subject used up before, under the overrides that hold at the block's end.
func TestBlockRetryAfter(t *testing.T) {
	alice := ratelimit.Subject{User: "alice", IP: "203.0.113.7"}
	const block = 30 * time.Second
	for name, c := range map[string]struct {
		used  int                // of two a minute, before the block
		other ratelimit.Override // beside the block
		want  time.Duration
	}{
		"unused":              {0, ratelimit.Override{}, block},
		"used up":             {2, ratelimit.Override{}, 90 * time.Second},
		"raised for longer":   {2, ratelimit.Override{Multiplier: 2000, ExpiresAt: start.Add(time.Hour)}, block},
		"raised, and no more": {2, ratelimit.Override{Multiplier: 2000, ExpiresAt: start.Add(block)}, 90 * time.Second},
		"exempt afterwards":   {2, ratelimit.Override{Exempt: true, ExpiresAt: start.Add(time.Hour)}, block},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, one("X", ratelimit.Policy{}))
			for range c.used {
				b.check(t, "X", alice)
			}
			set := func(o ratelimit.Override, d ratelimit.Scope, subject string) {
				o.ID, o.Reason, o.Dimension = d.String(), "a test", d
				if _, err := b.SetOverride(t.Context(), o, subject); err != nil {
					t.Fatal(err)
				}
			}
			if !c.other.ExpiresAt.IsZero() {
				set(c.other, ratelimit.User, "alice")
			}
			set(ratelimit.Override{BlockUntil: b.now.Add(block), ExpiresAt: b.now.Add(block)}, ratelimit.IP, alice.IP)
			v := b.check(t, "X", alice)
			if got := time.Duration(v.ResetAt-v.DecidedAt) * time.Microsecond; v.Allowed || v.Mode != ratelimit.Blocked || got != c.want {
				t.Fatalf("passes after %s, want %s: %+v", got, c.want, v)
			}
			b.now = time.UnixMicro(v.ResetAt - 1)
			if b.check(t, "X", alice).Allowed {
				t.Error("passes a microsecond before retryAfter")
			}
			b.now = time.UnixMicro(v.ResetAt)
			if v := b.check(t, "X", alice); !v.Allowed {
				t.Errorf("refused at retryAfter: %+v", v)
			}
		})
	}
}

// TestBlockWithoutCounters: a block refuses until its end when the counters
// cannot say what comes after it.
func TestBlockWithoutCounters(t *testing.T) {
	b := newBench(t, one("X", ratelimit.Policy{}))
	o := ratelimit.Override{ID: "ov", Dimension: ratelimit.User, BlockUntil: b.now.Add(time.Minute), ExpiresAt: b.now.Add(time.Minute), Reason: "a test"}
	if _, err := b.SetOverride(t.Context(), o, "alice"); err != nil {
		t.Fatal(err)
	}
	b.fake.OnPeek = func(context.Context, int64, []ratelimit.Demand, []ratelimit.Outcome) (bool, error) {
		return false, errors.New("connection refused")
	}
	if v := b.check(t, "X", ratelimit.Subject{User: "alice"}); v.Allowed || v.RetryAfter() != 60 {
		t.Errorf("%+v", v)
	}
}

// TestBlockForgetsNobody: looking at the end of a block for a newcomer while
// the counters are full does not forget those that have ended only by then.
func TestBlockForgetsNobody(t *testing.T) {
	b := newBench(t, one("X", ratelimit.Policy{}))
	b.fake.Next = memory.New(memory.Options{MaxKeys: 1})
	bob := ratelimit.Subject{User: "bob"}
	for range 2 {
		b.check(t, "X", bob)
	}
	o := ratelimit.Override{ID: "ov", Dimension: ratelimit.User, BlockUntil: b.now.Add(time.Hour), ExpiresAt: b.now.Add(time.Hour), Reason: "a test"}
	if _, err := b.SetOverride(t.Context(), o, "alice"); err != nil {
		t.Fatal(err)
	}
	for range 300 { // however often: a shard is searched at most once a second
		b.check(t, "X", ratelimit.Subject{User: "alice"})
	}
	if b.check(t, "X", bob).Allowed {
		t.Error("bob's count was forgotten")
	}
}
