package memory

import (
	"errors"
	"math"
	"math/bits"
	"slices"

	"avalo.app/gantry/internal/ratelimit"
)

// entry is one counter in 32 bytes, two to a cache line.
type entry struct {
	lo, hi uint64 // the key
	when   uint64 // State.Start << kindBits | kind
	count  uint64 // window algorithms: cur | prev << 32; gcra: the level
}

const (
	kindBits = 12
	maxKinds = 1<<kindBits - 1 // kind 0 marks a free slot
	maxTime  = 1<<(64-kindBits) - 1
	noPrev   = math.MaxUint32
)

// clamp puts a time into the range that an entry can hold.
func clamp(now int64) int64 { return min(max(now, 0), maxTime) }

// kind is what many counters have in common. limit is 0 but for gcra, whose
// expiry depends on it: it is the limit the counter was last written under.
type kind struct {
	algorithm     ratelimit.Algorithm
	window, limit int64
}

func kindOf(s *ratelimit.State, p *ratelimit.Params) kind {
	k := kind{algorithm: s.Algorithm, window: s.Window}
	if k.algorithm == ratelimit.GCRA {
		k.limit = p.Limit
	}
	return k
}

// errKinds is the one failure of a table: counters of one shard under more
// rules of distinct algorithm and window than an entry can tell apart.
var errKinds = errors.New("memory: more than 4095 different windows in use at once")

// table is an open-addressing hash table with linear probing. It has no
// deletion: what expired leaves with a rebuild.
type table struct {
	slots []entry
	used  int
	kinds []kind // kinds[i] is kind i+1
}

// The load stays between maxLoad/growth and maxLoad.
const (
	maxLoad  = 0.85
	growth   = 1.25
	minSlots = 8
)

// sizeFor returns the slots of a table for n entries that may grow by growth.
func sizeFor(n int) int {
	if n == 0 {
		return 0
	}
	return max(minSlots, int(math.Ceil(float64(n)*growth/maxLoad)))
}

func (t *table) bytes() int64 { return int64(cap(t.slots))*32 + int64(cap(t.kinds))*24 }

// home is where a key belongs: its first 64 bits scaled to the table's size.
func (t *table) home(lo uint64) int {
	h, _ := bits.Mul64(lo, uint64(len(t.slots)))
	return int(h)
}

// find returns the key's slot, or -1.
func (t *table) find(lo, hi uint64) int {
	slots := t.slots
	if len(slots) == 0 {
		return -1
	}
	for i := t.home(lo); ; {
		e := &slots[i]
		if e.lo == lo && e.hi == hi && e.when&maxKinds != 0 {
			return i
		}
		if e.when&maxKinds == 0 {
			return -1
		}
		if i++; i == len(slots) {
			i = 0
		}
	}
}

// place returns the free slot for a key that find did not find. The table
// must not be full.
func (t *table) place(lo uint64) int {
	i := t.home(lo)
	for t.slots[i].when&maxKinds != 0 {
		if i++; i == len(t.slots) {
			i = 0
		}
	}
	return i
}

// read fills the zero State s from a slot.
func (t *table) read(at int, s *ratelimit.State) { t.unpack(&t.slots[at], s) }

func (t *table) unpack(e *entry, s *ratelimit.State) {
	k := &t.kinds[e.when&maxKinds-1]
	s.Algorithm, s.Window, s.Start = k.algorithm, k.window, int64(e.when>>kindBits)
	if k.algorithm == ratelimit.GCRA {
		s.Cur = int64(e.count)
		return
	}
	s.Cur, s.Prev = int64(uint32(e.count)), int64(e.count>>32)
	if s.Prev == noPrev {
		s.Prev = ratelimit.NoPrev
	}
}

// pack writes s into a slot as a counter of the kind with that number.
func (e *entry) pack(s *ratelimit.State, number int) {
	e.when = uint64(s.Start)<<kindBits | uint64(number)
	if s.Algorithm == ratelimit.GCRA {
		e.count = uint64(s.Cur)
		return
	}
	e.count = uint64(uint32(s.Cur)) | uint64(uint32(s.Prev))<<32 // NoPrev becomes noPrev
}

// room reports whether more kinds can be interned. It first takes back the
// numbers that nobody uses any more; no entry changes its slot.
func (t *table) room(more int) bool {
	if len(t.kinds)+more <= maxKinds {
		return true
	}
	var number [maxKinds + 1]uint64
	var kept []kind
	for i := range t.slots {
		e := &t.slots[i]
		old := e.when & maxKinds
		if old == 0 {
			continue
		}
		if number[old] == 0 {
			kept = append(kept, t.kinds[old-1])
			number[old] = uint64(len(kept))
		}
		e.when = e.when&^maxKinds | number[old]
	}
	t.kinds = kept
	return len(t.kinds)+more <= maxKinds
}

// reserve makes sure that a counter under p, and more kinds in all, can be
// stored.
func (t *table) reserve(p *ratelimit.Params, more int) error {
	if len(t.kinds)+more <= maxKinds {
		return nil
	}
	s := ratelimit.State{Algorithm: p.Algorithm, Window: p.Window}
	if slices.Contains(t.kinds, kindOf(&s, p)) || t.room(more) {
		return nil
	}
	return errKinds
}

// intern returns the number of k.
func (t *table) intern(k kind) (int, error) {
	if i := slices.Index(t.kinds, k); i >= 0 {
		return i + 1, nil
	}
	if !t.room(1) {
		return 0, errKinds
	}
	t.kinds = append(t.kinds, k)
	return len(t.kinds), nil
}

// add makes a slot for a key that find did not find, growing the table (and
// dropping what expired) when it is full. The slot stays free until packed.
func (t *table) add(lo, hi uint64, now int64) (at, dropped int) {
	if float64(t.used+1) > maxLoad*float64(len(t.slots)) {
		dropped = t.rebuild(t.live(now), 1, now)
	}
	at = t.place(lo)
	t.slots[at].lo, t.slots[at].hi = lo, hi
	t.used++
	return at, dropped
}

func (t *table) expired(e *entry, now int64) bool {
	var s ratelimit.State
	t.unpack(e, &s)
	return s.Idle(t.kinds[e.when&maxKinds-1].limit, now)
}

// live counts the entries that have not expired.
func (t *table) live(now int64) (n int) {
	for i := range t.slots {
		if e := &t.slots[i]; e.when&maxKinds != 0 && !t.expired(e, now) {
			n++
		}
	}
	return n
}

// rebuild moves the live entries into a table sized for them and extra more,
// and returns how many expired ones it left out.
func (t *table) rebuild(live, extra int, now int64) (dropped int) {
	old := table{slots: t.slots, kinds: t.kinds}
	dropped = t.used - live
	t.slots, t.used = nil, live
	if n := sizeFor(live + extra); n > 0 {
		t.slots = make([]entry, n)
	}
	for i := range old.slots {
		if e := &old.slots[i]; e.when&maxKinds != 0 && !old.expired(e, now) {
			t.slots[t.place(e.lo)] = *e
		}
	}
	return dropped
}
