package ratelimit

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// maxPending bounds the distinct violations that wait for a flush; refusals
// beyond it are counted as dropped, and the check never waits.
const maxPending = 50_000

// maxBatch bounds the rows of one batch, so that its transaction is short.
const maxBatch = 5_000

// violationLog gathers refusals in memory until Flush writes them.
type violationLog struct {
	node string

	mu      sync.Mutex
	pending map[violationKey]*violationSum
	dropped int64

	flush sync.Mutex // one flush at a time
	seq   int64
	queue []Batch // to be written, in order; the first may have been, and is repeated as it was
}

type violationKey struct {
	action      string
	scope       Scope
	sub         Subject // raw, in memory only
	windowStart int64
	shadow      bool
}

type violationSum struct {
	window       time.Duration
	limit, count int64
	first, last  int64
}

func newViolationLog(node string) *violationLog {
	return &violationLog{node: node, pending: map[violationKey]*violationSum{}}
}

// record notes one refusal.
func (l *violationLog) record(p *compiled, sub Subject, v Verdict, now time.Time) {
	if v.Scope&User == 0 {
		sub.User = ""
	}
	if v.Scope&IP == 0 {
		sub.IP = ""
	}
	if v.Scope&Device == 0 {
		sub.Device = ""
	}
	us := now.UnixMicro()
	w := p.Window.Microseconds()
	k := violationKey{p.Action, v.Scope, sub, us - us%w, p.Shadow}
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := l.pending[k]
	if sum == nil {
		if len(l.pending) >= maxPending {
			l.dropped++
			return
		}
		sum = &violationSum{window: p.Window, first: us}
		l.pending[k] = sum
	}
	sum.limit, sum.last = v.Limit, us
	sum.count++
}

// take empties the pending map into the queue, in a fixed order so that two
// nodes lock rows alike.
func (l *violationLog) take(h *Hasher) {
	l.mu.Lock()
	pending := l.pending
	l.pending = make(map[violationKey]*violationSum)
	l.mu.Unlock()
	all := make([]Violation, 0, len(pending))
	for k, sum := range pending {
		v := Violation{
			Action: k.action, Scope: k.scope, User: k.sub.User,
			WindowStart: time.UnixMicro(k.windowStart).UTC(), Window: sum.window, Shadow: k.shadow,
			Limit: sum.limit, Count: sum.count,
			FirstAt: time.UnixMicro(sum.first).UTC(), LastAt: time.UnixMicro(sum.last).UTC(),
		}
		if k.sub.IP != "" {
			v.IPHash = h.Pseudonym(IP, k.sub.IP)
		}
		if k.sub.Device != "" {
			v.DeviceHash = h.Pseudonym(Device, k.sub.Device)
		}
		all = append(all, v)
	}
	slices.SortFunc(all, func(x, y Violation) int {
		return cmp.Or(cmp.Compare(x.Action, y.Action), cmp.Compare(x.Scope, y.Scope), cmp.Compare(x.User, y.User),
			cmp.Compare(x.IPHash, y.IPHash), cmp.Compare(x.DeviceHash, y.DeviceHash), x.WindowStart.Compare(y.WindowStart))
	})
	for rows := range slices.Chunk(all, maxBatch) {
		l.seq++
		l.queue = append(l.queue, Batch{Node: l.node, Seq: l.seq, Violations: rows})
	}
}

// Flush writes the refusals gathered so far. After an error they are kept
// and the next Flush repeats them; the store applies a repeated batch once.
func (s *Service) Flush(ctx context.Context) error {
	l := s.log
	l.flush.Lock()
	defer l.flush.Unlock()
	for range 2 { // what an earlier failure left, then what came since
		if len(l.queue) == 0 {
			l.take(s.o.Hasher)
		}
		for len(l.queue) > 0 {
			if err := s.o.Violations.RecordViolations(ctx, l.queue[0]); err != nil {
				return err
			}
			l.queue = l.queue[1:]
		}
	}
	return nil
}

// DroppedViolations counts the refusals that were not recorded because too
// many distinct ones waited for the store.
func (s *Service) DroppedViolations() int64 {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.dropped
}

// ActionCount is how often an action was refused.
type ActionCount struct {
	Action string
	Count  int64
}
