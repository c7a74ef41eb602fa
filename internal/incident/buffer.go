package incident

import (
	"sync"
	"time"

	"avalo.app/gantry/internal/signal"
)

// maxLevels bounds what a Buffer holds.
const maxLevels = 4096

// stateEvery is how often a failure is written again that is stated again:
// its value may be another, and another node may have cleared it meanwhile.
const stateEvery = 10 * time.Second

// Buffer keeps the last level of each rule and object in memory until it is
// written. Take never blocks on I/O; what exceeds its bound is counted, the
// least urgent first.
type Buffer struct {
	node string
	now  func() time.Time

	mu      sync.Mutex
	table   *Table
	levels  map[levelKey]*level
	dropped int64
	full    Class // there is no room for this class, nor for one less urgent, until the next write
}

type levelKey struct{ rule, object string }

// level is the last fact of a key, and what of it was written.
type level struct {
	failing bool
	value   string
	since   time.Time
	broke   bool // it cleared since it was written, so that since counts anew
	gen     int64

	written   int64 // the gen that was
	wrote     bool  // as failing
	writtenAt time.Time
}

// Raised is a condition to write. Broke says that it cleared meanwhile:
// Since counts anew, whatever the store has.
type Raised struct {
	Condition
	Broke bool
}

// NewBuffer returns an empty buffer of a node.
func NewBuffer(node string, t *Table, now func() time.Time) *Buffer {
	return &Buffer{node: node, now: now, table: t, levels: map[levelKey]*level{}}
}

// Take is a signal.Sink. Several facts about one object are one.
func (b *Buffer) Take(f signal.Fact) {
	f.Rule, f.Object, f.Value = clean(f.Rule, maxName), clean(f.Object, maxName), Clean(f.Value)
	b.mu.Lock()
	defer b.mu.Unlock()
	k := levelKey{f.Rule, f.Object}
	l := b.levels[k]
	if l == nil {
		if len(b.levels) >= maxLevels && !b.makeRoom(f) {
			b.dropped++
			return
		}
		l = &level{}
		b.levels[k] = l
	}
	if f.Failing && !l.failing {
		l.since = b.now()
	}
	if !f.Failing && l.wrote {
		l.broke = true
	}
	l.failing, l.value = f.Failing, f.Value
	l.gen++
}

// makeRoom drops what matters less than f: a clear one, or a less urgent one.
func (b *Buffer) makeRoom(f signal.Fact) bool {
	if !f.Failing {
		return false
	}
	class := b.table.Rule(f.Rule).Class
	if b.full != "" && !class.Over(b.full) {
		return false // a flood must not look through everything each time
	}
	if b.forget() {
		return true
	}
	for k, l := range b.levels {
		if !l.failing || class.Over(b.table.Rule(k.rule).Class) {
			delete(b.levels, k)
			b.dropped++
			return true
		}
	}
	b.full = class
	return false
}

// forget drops the shared failures that are written and were not stated since:
// the store has them, and whoever ends one need not be this node.
func (b *Buffer) forget() (any bool) {
	for k, l := range b.levels {
		if l.failing && l.wrote && !l.broke && l.gen == l.written && !b.table.Rule(k.rule).Local {
			delete(b.levels, k)
			any = true
		}
	}
	return any
}

// batch is what one flush writes.
type batch struct {
	raised  []Raised
	cleared []ConditionKey
	gens    map[levelKey]int64
	at      time.Time
	dropped int64
}

// take returns what has to be written: what changed, what is stated again,
// and, of local conditions, what stands.
func (b *Buffer) take() batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := batch{gens: map[levelKey]int64{}, at: b.now(), dropped: b.dropped}
	for k, l := range b.levels {
		reporter := ""
		local := b.table.Rule(k.rule).Local
		if local {
			reporter = b.node
		}
		age := out.at.Sub(l.writtenAt)
		switch {
		case !l.failing && l.gen != l.written:
			out.cleared = append(out.cleared, ConditionKey{k.rule, k.object, ""}, ConditionKey{k.rule, k.object, b.node})
		case l.failing && (!l.wrote || l.broke || local && age >= Restate || l.gen != l.written && age >= stateEvery):
			out.raised = append(out.raised, Raised{Condition{k.rule, k.object, reporter, l.value, l.since, out.at}, l.broke})
		default:
			continue
		}
		out.gens[k] = l.gen
	}
	return out
}

// done marks what was written. What changed meanwhile stays to be written.
func (b *Buffer) done(w batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropped -= w.dropped
	b.full = ""
	for _, r := range w.raised {
		k := levelKey{r.Rule, r.Object}
		if l := b.levels[k]; l != nil {
			l.wrote, l.writtenAt, l.written = true, w.at, w.gens[k]
			if l.gen == w.gens[k] {
				l.broke = false
			}
		}
	}
	for _, c := range w.cleared {
		k := levelKey{c.Rule, c.Object}
		switch l := b.levels[k]; {
		case l == nil:
		case l.gen == w.gens[k]:
			delete(b.levels, k)
		default:
			l.wrote, l.broke = false, false // the store has none: the next since counts
		}
	}
}

// use replaces the table.
func (b *Buffer) use(t *Table) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.table = t
}
