package memory_test

import (
	"testing"

	"avalo.app/gantry/internal/counters/memory"
	"avalo.app/gantry/internal/ratelimit"
	"avalo.app/gantry/internal/ratelimit/ratelimittest"
)

func TestConformance(t *testing.T) {
	ratelimittest.Run(t, func(*testing.T) ratelimit.Counters { return memory.New(memory.Options{}) })
}

func BenchmarkTakeHotKey(b *testing.B) {
	for _, p := range []ratelimit.Params{
		{Algorithm: ratelimit.SlidingWindow, Window: 3_600_000_000, Limit: 1_000_000_000},
		{Algorithm: ratelimit.WindowCredit, Window: 3_600_000_000, Limit: 1_000_000_000, Burst: 1_000_000_000},
		{Algorithm: ratelimit.GCRA, Window: 3_600_000_000, Limit: 1_000_000_000},
	} {
		b.Run(p.Algorithm.String(), func(b *testing.B) {
			c := memory.New(memory.Options{})
			ds, out := []ratelimit.Demand{{Params: p, Cost: 1}}, make([]ratelimit.Outcome, 1)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := c.Take(b.Context(), int64(i), ds, out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
