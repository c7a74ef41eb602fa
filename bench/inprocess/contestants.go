package main

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"avalo.app/gantry/internal/counters/memory"
	"avalo.app/gantry/internal/ratelimit"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	"github.com/ulule/limiter/v3"
	ulule "github.com/ulule/limiter/v3/drivers/store/memory"
)

// check takes one unit of a key. It must pass.
type check func(key string) error

var errRefused = errors.New("refused, although the limit is far away")

// contestant is one library, as its own documentation sets it up.
type contestant struct {
	name string
	open func() (check, func() string, error) // the second tells what the store says of itself
}

const gantry = "gantry"

func contestants() []contestant {
	return []contestant{
		{gantry, openGantry},
		{"sethvargo/go-limiter", openSethvargo},
		{"throttled/v2", openThrottled},
		{"ulule/limiter/v3", openUlule},
		{"256 maps, GCRA", openMaps},
	}
}

// openGantry measures what a service does to decide: hash the names into a
// key, read the clock, take. The others do the same inside.
func openGantry() (check, func() string, error) {
	c := memory.New(memory.Options{})
	h := ratelimit.NewHasher([16]byte{1, 2, 3})
	p := ratelimit.Params{Algorithm: ratelimit.SlidingWindow, Window: window.Microseconds(), Limit: limit}
	ctx := context.Background()
	take := func(key string) error {
		demands := [1]ratelimit.Demand{{Key: h.Key("MESSAGE_SEND", ratelimit.User, ratelimit.Subject{User: key}), Params: p, Cost: 1}}
		var out [1]ratelimit.Outcome
		ok, err := c.Take(ctx, time.Now().UnixMicro(), demands[:], out[:])
		if err == nil && !ok {
			err = errRefused
		}
		return err
	}
	return take, func() string {
		s := c.Stats()
		return fmt.Sprintf("gantry says of itself: %d keys, %d slots, %d bytes: %.1f bytes a key", s.Keys, s.Capacity, s.Bytes, float64(s.Bytes)/float64(s.Keys))
	}, nil
}

func openSethvargo() (check, func() string, error) {
	s, err := memorystore.New(&memorystore.Config{Tokens: limit, Interval: window})
	if err != nil {
		return nil, nil, err
	}
	ctx := context.Background()
	return func(key string) error {
		_, _, _, ok, err := s.Take(ctx, key)
		if err == nil && !ok {
			err = errRefused
		}
		return err
	}, nil, nil
}

func openThrottled() (check, func() string, error) {
	store, err := memstore.NewCtx(0) // 0: an unbounded map, its faster form
	if err != nil {
		return nil, nil, err
	}
	l, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{MaxRate: throttled.PerDuration(limit, window), MaxBurst: limit - 1})
	if err != nil {
		return nil, nil, err
	}
	l.SetMaxCASAttemptsLimit(1 << 20) // its default of 10 runs out on a hot key
	ctx := context.Background()
	return func(key string) error {
		limited, _, err := l.RateLimitCtx(ctx, key, 1)
		if err == nil && limited {
			err = errRefused
		}
		return err
	}, nil, nil
}

func openUlule() (check, func() string, error) {
	l := limiter.New(ulule.NewStore(), limiter.Rate{Period: window, Limit: limit})
	ctx := context.Background()
	return func(key string) error {
		c, err := l.Get(ctx, key)
		if err == nil && c.Reached {
			err = errRefused
		}
		return err
	}, nil, nil
}

// openMaps is what one writes in an afternoon: GCRA in int64 nanoseconds, in
// 256 maps with a lock each.
func openMaps() (check, func() string, error) {
	const interval, burst = int64(window) / limit, int64(window)
	type shard struct {
		mu  sync.Mutex
		tat map[string]int64
		_   [112]byte
	}
	seed := maphash.MakeSeed()
	shards := make([]shard, 256)
	for i := range shards {
		shards[i].tat = map[string]int64{}
	}
	return func(key string) error {
		s := &shards[maphash.String(seed, key)&255]
		now := time.Now().UnixNano()
		s.mu.Lock()
		defer s.mu.Unlock()
		tat := max(s.tat[key], now) + interval
		if tat-now > burst {
			return errRefused
		}
		s.tat[key] = tat
		return nil
	}, nil, nil
}
