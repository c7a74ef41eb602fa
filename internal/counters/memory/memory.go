// Package memory keeps counters in this process: a sharded hash table of
// 32-byte entries without pointers, which the garbage collector never scans.
//
// A counter costs 32 bytes over the load of its table (0.68 to 0.85), that is
// 38 to 47 bytes. A check takes one lock for about a hundred nanoseconds and
// allocates nothing.
package memory

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"unsafe"

	"avalo.app/gantry/internal/ratelimit"
)

// DefaultMaxKeys takes at most about 190 MB.
const DefaultMaxKeys = 4_000_000

const shardCount = 256

// Options are what Counters are made of. The zero value is usable.
type Options struct {
	// MaxKeys bounds the counters; 0 means DefaultMaxKeys. While that many are
	// live, a new key shares one counter with all others of its Params: a
	// limited key is never forgotten to make room. The bound may be exceeded
	// by the keys of the calls that run at that moment, and by a snapshot that
	// was saved under a higher one.
	MaxKeys int
	// Fingerprint is the Hasher's, for snapshots.
	Fingerprint [16]byte
}

// Counters is a ratelimit.Counters in memory. Its methods never return an
// error but errKinds, and never wait for anything but a short lock. Times lie
// between 1970 and 2112; a now beyond is taken as the nearer end.
type Counters struct {
	max         int64
	fingerprint [16]byte
	keys        atomic.Int64 // entries in all shards
	expired     atomic.Int64
	cursor      atomic.Uint32 // see makeRoom
	shards      [shardCount]shard
	overflow    overflow
	saving      sync.Mutex // one SaveFile at a time
}

var _ ratelimit.Counters = (*Counters)(nil)

// New returns empty counters.
func New(o Options) *Counters {
	if o.MaxKeys <= 0 {
		o.MaxKeys = DefaultMaxKeys
	}
	return &Counters{max: int64(o.MaxKeys), fingerprint: o.Fingerprint}
}

// shard is one lock's worth of counters, padded so that two locks never share
// a cache line (or the pair of lines that processors fetch together).
type shard struct {
	mu       sync.Mutex
	table    table
	strikes  map[ratelimit.Key]ratelimit.Strikes // nil until a penalty is due
	purgedAt int64                               // Unix µs; see Counters.makeRoom
	_        [128 - (8+unsafe.Sizeof(table{})+8+8)%128]byte
}

// Counter keys are keyed hashes, so any of their bits are as good as random:
// the last byte picks the shard, the first eight the place in its table.
func shardOf(k ratelimit.Key) int { return int(k[len(k)-1]) }

func split(k ratelimit.Key) (lo, hi uint64) {
	return binary.LittleEndian.Uint64(k[:8]), binary.LittleEndian.Uint64(k[8:])
}

func join(lo, hi uint64) (k ratelimit.Key) {
	binary.LittleEndian.PutUint64(k[:8], lo)
	binary.LittleEndian.PutUint64(k[8:], hi)
	return k
}

// Stats describes the counters at one moment, shard by shard.
type Stats struct {
	Keys         int   // counters held, live or not yet swept
	MaxKeys      int   // the bound on Keys
	Capacity     int   // entries that the tables have room for
	Bytes        int64 // memory of tables and penalties, slack included
	Penalties    int   // keys with strikes or a block
	Expired      int64 // counters forgotten after their windows ended, ever
	OverflowHits int64 // demands that shared an overflow counter, ever
}

// strikesBytes is what a map entry of (Key, Strikes) takes, about, with the
// map's own slack.
const strikesBytes = 80

// Stats returns the figures; it locks one shard at a time.
func (c *Counters) Stats() Stats {
	s := Stats{MaxKeys: int(c.max), Expired: c.expired.Load(), OverflowHits: c.overflow.hits.Load()}
	s.Bytes = int64(unsafe.Sizeof(*c))
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		s.Keys += sh.table.used
		s.Capacity += len(sh.table.slots)
		s.Penalties += len(sh.strikes)
		s.Bytes += sh.table.bytes() + int64(len(sh.strikes))*strikesBytes
		sh.mu.Unlock()
	}
	return s
}

// Sweep forgets what has expired and gives memory back. Call it about once a
// minute: a growing table forgets by itself, an idle one does not. It locks
// one shard at a time.
func (c *Counters) Sweep(now int64) {
	now = clamp(now)
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		c.forget(sh, now)
		for k, x := range sh.strikes {
			if x.Idle(now) {
				delete(sh.strikes, k)
			}
		}
		if len(sh.strikes) == 0 {
			sh.strikes = nil // a Go map never shrinks
		}
		sh.mu.Unlock()
	}
	c.overflow.sweep(now)
}

// forget drops sh's expired counters if that is worth a new table: any, while
// the counters are full.
func (c *Counters) forget(sh *shard, now int64) {
	sh.purgedAt = now
	live := sh.table.live(now)
	dead := sh.table.used - live
	full := c.keys.Load() >= c.max
	if dead*8 > sh.table.used || full && dead > 0 || sizeFor(live)*4 < len(sh.table.slots)*3 {
		c.dropped(sh.table.rebuild(live, 0, now))
	}
}

// dropped accounts for n counters that a rebuild left out.
func (c *Counters) dropped(n int) {
	c.keys.Add(int64(-n))
	c.expired.Add(int64(n))
}

const (
	purgeEvery  = 1_000_000 // µs; how often a full shard is searched at most
	purgeShards = 8         // how many other shards one call searches at most
)

// makeRoom reports whether one more key may join sh, which is locked. While
// the counters are full it looks for expired ones, in other shards too.
func (c *Counters) makeRoom(sh *shard, now int64) bool {
	if c.keys.Load() < c.max {
		return true
	}
	c.purge(sh, now)
	for i := 0; i < purgeShards && c.keys.Load() >= c.max; i++ {
		other := &c.shards[c.cursor.Add(1)%shardCount]
		if other.mu.TryLock() { // waiting here could wait for ever: sh is locked
			c.purge(other, now)
			other.mu.Unlock()
		}
	}
	return c.keys.Load() < c.max
}

func (c *Counters) purge(sh *shard, now int64) {
	if age := now - sh.purgedAt; age < 0 || age >= purgeEvery {
		c.forget(sh, now)
	}
}

// Take implements ratelimit.Counters.
func (c *Counters) Take(_ context.Context, now int64, demands []ratelimit.Demand, out []ratelimit.Outcome) (bool, error) {
	if len(demands) == 1 {
		return c.one(clamp(now), &demands[0], &out[0], true)
	}
	return c.all(clamp(now), demands, out, true)
}

// Peek implements ratelimit.Counters.
func (c *Counters) Peek(_ context.Context, now int64, demands []ratelimit.Demand, out []ratelimit.Outcome) (bool, error) {
	if len(demands) == 1 {
		return c.one(clamp(now), &demands[0], &out[0], false)
	}
	return c.all(clamp(now), demands, out, false)
}

// Refund implements ratelimit.Counters. A key that shares an overflow counter
// gets nothing back: the counter does not know whose units it holds.
func (c *Counters) Refund(_ context.Context, now int64, demands []ratelimit.Demand) error {
	now = clamp(now)
	for i := range demands {
		if err := c.refund(now, &demands[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *Counters) refund(now int64, d *ratelimit.Demand) error {
	sh := &c.shards[shardOf(d.Key)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	at := sh.table.find(split(d.Key))
	if at < 0 {
		return nil
	}
	var s ratelimit.State
	sh.table.read(at, &s)
	s.Refund(&d.Params, now, d.Cost)
	return c.store(sh, d, at, &s, now)
}
