package ratelimittest

import (
	"context"

	"avalo.app/gantry/internal/ratelimit"
)

// Fake is ratelimit.Counters made of callbacks, for tests of what happens when
// a store fails, is slow, or fails after it charged. A nil callback passes the
// call on to Next.
type Fake struct {
	Next     ratelimit.Counters
	OnTake   func(ctx context.Context, now int64, demands []ratelimit.Demand, out []ratelimit.Outcome) (bool, error)
	OnPeek   func(ctx context.Context, now int64, demands []ratelimit.Demand, out []ratelimit.Outcome) (bool, error)
	OnRefund func(ctx context.Context, now int64, demands []ratelimit.Demand) error
}

var _ ratelimit.Counters = (*Fake)(nil)

// Take implements ratelimit.Counters.
func (f *Fake) Take(ctx context.Context, now int64, demands []ratelimit.Demand, out []ratelimit.Outcome) (bool, error) {
	if f.OnTake != nil {
		return f.OnTake(ctx, now, demands, out)
	}
	return f.Next.Take(ctx, now, demands, out)
}

// Peek implements ratelimit.Counters.
func (f *Fake) Peek(ctx context.Context, now int64, demands []ratelimit.Demand, out []ratelimit.Outcome) (bool, error) {
	if f.OnPeek != nil {
		return f.OnPeek(ctx, now, demands, out)
	}
	return f.Next.Peek(ctx, now, demands, out)
}

// Refund implements ratelimit.Counters.
func (f *Fake) Refund(ctx context.Context, now int64, demands []ratelimit.Demand) error {
	if f.OnRefund != nil {
		return f.OnRefund(ctx, now, demands)
	}
	return f.Next.Refund(ctx, now, demands)
}
