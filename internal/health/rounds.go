package health

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"avalo.app/gantry/internal/signal"
)

const (
	turn         = time.Second      // results of one turn are one write, and one evaluation
	evaluateIdle = 10 * time.Second // an evaluation when nothing was measured
	saveTimeout  = 5 * time.Second
	startGrace   = 30 * time.Second // of a node that has just begun to lead, to measure everything
	settleEvery  = 15 * time.Second // between measurements that may change a status, however long the interval
)

// rounds measures a set of components on their schedules until its context
// ends. One goroutine owns it.
type rounds struct {
	m       *Monitor
	node    string // of the results: "" for shared components
	fence   *Fence
	cs      map[string]Component
	due     map[string]time.Time // absent while a probe is under way
	results chan measured
	again   map[string]bool // to be measured at once after the probe under way
	flying  int
	pending map[string]Result // measured and not stored yet

	began     time.Time
	evaluated time.Time
	windows   string // which were on at the last evaluation
	levels    *levels
}

type measured struct {
	c     Component
	o     Observation
	ok    bool
	stuck bool
}

func (m *Monitor) newRounds(node string, fence *Fence, cs []Component) *rounds {
	r := &rounds{m: m, node: node, fence: fence, cs: map[string]Component{}, due: map[string]time.Time{},
		results: make(chan measured, len(cs)), again: map[string]bool{}, pending: map[string]Result{}, levels: newLevels(m.o.Signals)}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.o.Now()
	r.began = now
	for _, c := range cs {
		r.cs[c.Name] = c
		// What was measured lately has its next turn at its time.
		wait := max(0, min(c.Interval-now.Sub(m.results[key{c.Name, node}].Last.At), c.Interval))
		r.due[c.Name] = time.Now().Add(wait + rand.N(min(c.Interval/10, time.Second)))
	}
	return r
}

// Run measures what every node measures for itself until ctx ends, and
// returns ctx's error. It waits for no prober that ignores its context. report
// is told, from one goroutine, how each write went: what could not be written
// is with the next one.
func (m *Monitor) Run(ctx context.Context, report func(error)) error {
	if err := m.Refresh(ctx); err != nil { // what this node measured before goes on
		report(err)
	}
	own := slices.DeleteFunc(slices.Clone(m.cs), func(c Component) bool { return !c.PerNode })
	return m.newRounds(m.o.Node, nil, own).run(ctx, report)
}

// Lead measures the shared components and raises facts until ctx ends or the
// lease of the fence is lost, and returns ctx's error or CONFLICT. While the
// store does not take what was measured, it goes on and raises facts from it;
// report is told as by Run. A node that knows no earlier result and cannot
// read any returns that error at once: it would forget what is DOWN.
func (m *Monitor) Lead(ctx context.Context, fence Fence, report func(error)) error {
	if err := m.Refresh(ctx); err != nil {
		m.mu.Lock()
		known := len(m.results) > 0
		m.mu.Unlock()
		if !known {
			return err
		}
		report(err)
	}
	shared := slices.DeleteFunc(slices.Clone(m.cs), func(c Component) bool { return c.PerNode })
	return m.newRounds("", &fence, shared).run(ctx, report)
}

func (r *rounds) run(ctx context.Context, report func(error)) error {
	tick := time.NewTicker(turn)
	defer tick.Stop()
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		t.Reset(time.Until(r.launch(ctx)))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		case got := <-r.results:
			r.take(got)
		case <-tick.C:
			err := r.finish(ctx)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if r.fence != nil && conflict(err) {
				return err
			}
			report(err)
		}
	}
}

// launch starts what is due, as far as the bound allows, and returns when the
// next one is.
func (r *rounds) launch(ctx context.Context) time.Time {
	now := time.Now()
	next := now.Add(time.Hour)
	for name, at := range r.due {
		if r.flying >= r.m.o.Concurrency {
			return now.Add(time.Hour) // a result makes room
		}
		if at.After(now) {
			if at.Before(next) {
				next = at
			}
			continue
		}
		delete(r.due, name)
		r.flying++
		go func(run *runner) {
			o, ok, stuck := run.measure(ctx)
			r.results <- measured{run.c, o, ok, stuck} // never blocks: one for each component
		}(r.m.runners[name])
	}
	return next
}

// take absorbs one measurement and plans the next.
func (r *rounds) take(got measured) {
	r.flying--
	c := got.c
	if got.stuck {
		r.m.stuck.Add(1)
	}
	if !got.ok {
		r.due[c.Name] = time.Now().Add(time.Second)
		return
	}
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	res, recovered, fell := r.m.absorb(c, r.node, got.o)
	r.pending[c.Name] = res
	wait := c.Interval
	if res.State.unsettled() {
		wait = min(wait, settleEvery)
	}
	// A tenth of jitter keeps components of one interval apart.
	r.due[c.Name] = time.Now().Add(wait - wait/20 + rand.N(wait/10) - min(got.o.Took, wait/2))
	if r.again[c.Name] {
		r.due[c.Name] = time.Now()
		delete(r.again, c.Name)
	}
	for _, other := range r.cs {
		// A parent's recovery releases its children only when they were measured
		// after it; a child's trouble is its own only when its parents answer.
		if recovered && slices.Contains(other.DependsOn, c.Name) || fell && slices.Contains(c.DependsOn, other.Name) {
			r.soon(other.Name)
		}
	}
}

// soon has a component measured at once.
func (r *rounds) soon(name string) {
	if _, waits := r.due[name]; waits {
		r.due[name] = time.Now()
	} else {
		r.again[name] = true // what is under way began too early
	}
}

// finish ends a turn: what was measured is stored in one write and, on the
// leading node, evaluated. No fact is raised before a write has shown that the
// lease is still held, or that the store does not answer.
func (r *rounds) finish(ctx context.Context) error {
	r.m.mu.Lock()
	now := r.m.o.Now()
	on := windowsOn(r.m.windows, now)
	r.m.mu.Unlock()
	idle := now.Sub(r.evaluated) < evaluateIdle && !now.Before(r.evaluated)
	if len(r.pending) == 0 && on == r.windows && idle {
		return nil
	}
	once, cancel := context.WithTimeout(ctx, saveTimeout)
	err := r.m.o.Store.SaveHealthRound(once, Round{Fence: r.fence, Results: slices.Collect(maps.Values(r.pending))})
	cancel()
	if err == nil {
		clear(r.pending)
	}
	if ctx.Err() != nil || r.fence != nil && conflict(err) {
		return err // another node leads: it raises the facts
	}
	r.m.mu.Lock()
	now = r.m.o.Now()
	rep, gone := r.m.evaluate(now), r.m.gone()
	r.m.mu.Unlock()
	if r.fence != nil {
		r.levels.tell(slices.Concat(rep.facts(now.Sub(r.began) < startGrace), gone), now)
	}
	if err == nil {
		r.evaluated, r.windows = now, on
	}
	return err
}

// gone clears what was raised for components that are no longer configured.
// The caller holds mu.
func (m *Monitor) gone() (out []signal.Fact) {
	for k := range m.results {
		if _, ok := m.runners[k.component]; ok {
			continue
		}
		for _, rule := range []string{RuleComponentDown, RuleComponentImpaired, RuleHealthDegraded} {
			out = append(out, signal.Fact{Rule: rule, Object: k.component, Value: "no longer configured"})
		}
	}
	return out
}

// windowsOn names the windows that are on, so that a begin and an end show.
func windowsOn(ws []Window, now time.Time) string {
	var on string
	for _, w := range ws {
		if !now.Before(w.From) && now.Before(w.Until) && w.EndedAt.IsZero() {
			on += w.ID + " "
		}
	}
	return on
}
