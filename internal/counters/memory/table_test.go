package memory_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/counters/memory"
	"avalo.app/gantry/internal/ratelimit"
	"avalo.app/gantry/internal/ratelimit/ratelimittest"
)

const (
	second = int64(1_000_000)
	hour   = 3600 * second
	t0     = int64(1_800_000_000_123_456)
)

var hasher = ratelimit.NewHasher([16]byte{1})

func key(i int) ratelimit.Key {
	return hasher.Key("TEST", ratelimit.User, ratelimit.Subject{User: fmt.Sprint(i)})
}

func sliding(limit int64) ratelimit.Params {
	return ratelimit.Params{Algorithm: ratelimit.SlidingWindow, Window: hour, Limit: limit}
}

// take takes cost units of one key.
func take(t testing.TB, c ratelimit.Counters, now int64, k ratelimit.Key, p ratelimit.Params, cost int64) ratelimit.Outcome {
	t.Helper()
	var out [1]ratelimit.Outcome
	if _, err := c.Take(t.Context(), now, []ratelimit.Demand{{Key: k, Params: p, Cost: cost}}, out[:]); err != nil {
		t.Fatal(err)
	}
	return out[0]
}

// Tables that grow, forget and shrink answer like one that never does.
func TestManyKeys(t *testing.T) {
	const keys = 20_000
	c, ref := memory.New(memory.Options{}), ratelimittest.NewReference()
	rules := []ratelimit.Params{
		sliding(3),
		{Algorithm: ratelimit.WindowCredit, Window: 5 * hour, Limit: 3, Burst: 5},
		{Algorithm: ratelimit.GCRA, Window: hour, Limit: 3},
		sliding(4),
	}
	now := t0
	for round := range 8 {
		for i := range keys >> (round % 4) {
			p := rules[i%len(rules)]
			cost := int64(1 + (i+round)%3)
			got, want := take(t, c, now, key(i), p, cost), take(t, ref, now, key(i), p, cost)
			if got != want {
				t.Fatalf("round %d, key %d: %+v, want %+v", round, i, got, want)
			}
			now += hour / keys / 2
		}
		if now += hour; round%2 == 1 {
			c.Sweep(now)
		}
	}
	s := c.Stats()
	if s.Expired == 0 || s.Keys == 0 || s.Keys > s.Capacity || s.OverflowHits != 0 {
		t.Errorf("after all that: %+v", s)
	}
	c.Sweep(now + 100*hour)
	if s := c.Stats(); s.Keys != 0 || s.Capacity != 0 {
		t.Errorf("everything has expired, and is still held: %+v", s)
	}
}

// The promise of the package comment, measured as the heap sees it.
func TestMemoryPerKey(t *testing.T) {
	const keys = 1_000_000
	c := memory.New(memory.Options{})
	before := heap()
	d := []ratelimit.Demand{{Params: sliding(100), Cost: 1}}
	out := make([]ratelimit.Outcome, 1)
	worst := 0.0
	for i := range keys {
		d[0].Key = numbered(uint64(i))
		if _, err := c.Take(t.Context(), t0, d, out); err != nil {
			t.Fatal(err)
		}
		if i >= keys/2 && i%(keys/16) == 0 {
			s := c.Stats()
			worst = max(worst, float64(s.Bytes)/float64(s.Keys))
		}
	}
	perKey := float64(heap()-before) / keys
	t.Logf("%.1f bytes of heap a key, at worst %.1f on the way", perKey, worst)
	if s := c.Stats(); s.Keys != keys || max(perKey, worst) > 64 || float64(s.Bytes) < 0.9*perKey*keys {
		t.Errorf("%.1f bytes a key (%.1f on the way), stats say %+v", perKey, worst, s)
	}
	runtime.KeepAlive(c)
}

// numbered is a key as evenly spread as a hash: SplitMix64, twice.
func numbered(i uint64) (k ratelimit.Key) {
	for half := range 2 {
		z := (2*i + uint64(half) + 1) * 0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		binary.LittleEndian.PutUint64(k[8*half:], z^z>>31)
	}
	return k
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestNoAllocations(t *testing.T) {
	c := memory.New(memory.Options{})
	p := sliding(1000)
	p.BlockAfter, p.BlockFor = 3, hour
	for _, n := range []int{1, 3, 16} {
		ds, out := make([]ratelimit.Demand, n), make([]ratelimit.Outcome, n)
		for i := range ds {
			ds[i] = ratelimit.Demand{Key: key(i), Params: p, Cost: 1}
		}
		now := t0
		check := func() {
			now++
			sub := ratelimit.Subject{User: "5f0c4b9e-8a43-4a51-b8c0-6e6d1a1f4c11", IP: "203.0.113.7"}
			ds[0].Key = hasher.Key("MESSAGE_SEND", ratelimit.User|ratelimit.IP, sub)
			_, _ = c.Take(t.Context(), now, ds, out)
			_, _ = c.Peek(t.Context(), now, ds, out)
			_ = c.Refund(t.Context(), now, ds)
		}
		check() // the first one makes the counters
		if got := testing.AllocsPerRun(2000, check); got != 0 {
			t.Errorf("%d demands: %v allocations", n, got)
		}
	}
}

// A full table never forgets a live key; new keys share one counter a rule.
func TestFull(t *testing.T) {
	const most = 500
	c := memory.New(memory.Options{MaxKeys: most})
	p := sliding(2)
	for i := range most {
		take(t, c, t0, key(i), p, 2)
	}
	for i := most; i < most+3; i++ {
		if got, want := take(t, c, t0, key(i), p, 1).Allowed, i < most+2; got != want {
			t.Errorf("new key %d: allowed %v, want %v: they share a limit of 2", i-most, got, want)
		}
	}
	q := sliding(5)
	if o := take(t, c, t0, key(most+9), q, 1); !o.Allowed || o.Remaining != 4 {
		t.Errorf("another rule has its own shared counter: %+v", o)
	}
	shared := []ratelimit.Demand{{Key: key(2000), Params: q, Cost: 2}, {Key: key(2001), Params: q, Cost: 3}}
	if ok, err := c.Take(t.Context(), t0, shared, make([]ratelimit.Outcome, 2)); ok || err != nil {
		t.Errorf("2 + 3 of 4 shared: %v, %v", ok, err)
	}
	shared[1].Cost = 2
	if ok, err := c.Take(t.Context(), t0, shared, make([]ratelimit.Outcome, 2)); !ok || err != nil {
		t.Errorf("2 + 2 of 4 shared: %v, %v", ok, err)
	}
	for i := range most {
		if o := take(t, c, t0, key(i), p, 1); o.Allowed {
			t.Fatalf("limited key %d was forgotten", i)
		}
	}
	if s := c.Stats(); s.Keys != most || s.MaxKeys != most || s.OverflowHits != 8 {
		t.Errorf("stats: %+v", s)
	}
	later := t0 + 3*hour // everything has expired, and makes room without a sweep
	for i := range 50 {
		if o := take(t, c, later, key(3000+i), p, 1); !o.Allowed || o.Remaining != 1 {
			t.Fatalf("new key %d after the old ones expired: %+v", i, o)
		}
	}
}

// A blocked key stays blocked when its counter has expired and its place is
// taken.
func TestFullAndBlocked(t *testing.T) {
	c := memory.New(memory.Options{MaxKeys: 1})
	p := ratelimit.Params{Algorithm: ratelimit.SlidingWindow, Window: second, Limit: 1, BlockAfter: 1, BlockFor: hour}
	take(t, c, t0, key(0), p, 1)
	take(t, c, t0, key(0), p, 1)
	c.Sweep(t0 + 10*second)
	take(t, c, t0+10*second, key(1), sliding(1), 1)
	if o := take(t, c, t0+11*second, key(0), p, 1); !o.Blocked || o.RetryAt != t0+hour {
		t.Errorf("blocked for an hour: %+v", o)
	}
	for range 3 { // the shared counter refuses, which is nobody's strike
		take(t, c, t0+11*second, key(2), p, 1)
	}
	if s := c.Stats(); s.Penalties != 1 {
		t.Errorf("%d keys with strikes, want 1", s.Penalties)
	}
	c.Sweep(t0 + hour)
	if s := c.Stats(); s.Penalties != 0 {
		t.Errorf("%d keys with strikes after the block", s.Penalties)
	}
}

// An entry names its window by 12 bits. When they run out nothing is decided
// or charged; those of expired counters are used again.
func TestManyWindows(t *testing.T) {
	c := memory.New(memory.Options{})
	demand := func(i int) []ratelimit.Demand {
		k := key(i)
		k[15] = 7 // all in one shard
		return []ratelimit.Demand{{Key: k, Params: ratelimit.Params{Algorithm: ratelimit.SlidingWindow, Window: hour + int64(i), Limit: 1}, Cost: 1}}
	}
	out := make([]ratelimit.Outcome, 1)
	const most = 4095
	for i := range most {
		if ok, err := c.Take(t.Context(), t0, demand(i), out); !ok || err != nil {
			t.Fatalf("window %d: %v, %v", i, ok, err)
		}
	}
	if ok, err := c.Take(t.Context(), t0, demand(most), out); ok || err == nil {
		t.Fatalf("one window too many: %v, %v", ok, err)
	}
	for i := range most {
		if ok, err := c.Peek(t.Context(), t0, demand(i), out); ok || err != nil || out[0].RetryAt != t0+2*(hour+int64(i)) {
			t.Fatalf("window %d lost its count: %+v, %v", i, out[0], err)
		}
	}
	c.Sweep(t0 + 4*hour)
	if ok, err := c.Take(t.Context(), t0+4*hour, demand(most), out); !ok || err != nil {
		t.Fatalf("after a sweep: %v, %v", ok, err)
	}
}

func TestTimesOutOfRange(t *testing.T) {
	c := memory.New(memory.Options{})
	for _, now := range []int64{math.MinInt64, -1, 0, math.MaxInt64} {
		k := key(int(now))
		if o := take(t, c, now, k, sliding(1), 1); !o.Allowed {
			t.Errorf("at %d: %+v", now, o)
		}
		if o := take(t, c, now, k, sliding(1), 1); o.Allowed {
			t.Errorf("at %d a second one passed: %+v", now, o)
		}
	}
}

func TestStatsStart(t *testing.T) {
	got := memory.New(memory.Options{MaxKeys: 7}).Stats()
	got.Bytes = 0
	if d := cmp.Diff(memory.Stats{MaxKeys: 7}, got); d != "" {
		t.Error(d)
	}
}
