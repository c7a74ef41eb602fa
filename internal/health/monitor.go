package health

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/signal"
)

// Options are what a Monitor is made of.
type Options struct {
	Components []Component
	Probers    map[string]Prober // one for each component, by its name
	Store      Store
	Signals    signal.Sink
	Now        func() time.Time
	Node       string // names this process in results of its own
	Version    string // of the program, for the public report
	// Concurrency bounds the probes under way; 0: 64.
	Concurrency int
	NewID       func() string // of windows; nil: random
}

// Monitor measures components and tells how they are. It is safe for
// concurrent use. Reports are from memory; the caller runs Run on every node,
// Lead on the one that holds the lease, and Refresh every second or two.
type Monitor struct {
	o       Options
	cs      []Component // parents first
	runners map[string]*runner

	mu      sync.Mutex
	results map[key]Result
	windows []Window

	view  atomic.Pointer[Report] // the last evaluation
	fresh freshRun

	uptime atomic.Pointer[Seen[Day]]

	stuck   atomic.Int64 // probes that were ever given up on
	started atomic.Int64 // probes that were ever started
}

// key names a result.
type key struct{ component, node string }

const (
	defaultConcurrency = 64
	viewAge            = time.Second // an evaluation serves as long as nothing changes
)

// NewMonitor checks the configuration. Nothing is measured before Run or Lead.
func NewMonitor(o Options) (*Monitor, error) {
	cs, err := Components(o.Components)
	if err != nil {
		return nil, err
	}
	o.Concurrency = cmp.Or(o.Concurrency, defaultConcurrency)
	if o.NewID == nil {
		o.NewID = rand.Text
	}
	m := &Monitor{o: o, cs: cs, runners: make(map[string]*runner, len(cs)), results: map[key]Result{}}
	for _, c := range cs {
		p := o.Probers[c.Name]
		if p == nil {
			return nil, fault.New(fault.InvalidArgument, opComponents, "component %q has no prober: its kind %q is not known", c.Name, c.Kind)
		}
		m.runners[c.Name] = &runner{c: c, prober: p, now: o.Now, starts: &m.started}
	}
	return m, nil
}

// Refresh reads what other nodes measured, and the windows. After an error
// the last known serves on, and turns UNKNOWN as it ages.
func (m *Monitor) Refresh(ctx context.Context) error {
	snap, err := m.o.Store.HealthSnapshot(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.o.Now()
	for _, r := range snap.Results {
		k := key{r.Component, r.Node}
		if mine, ok := m.results[k]; !ok || r.Last.At.After(mine.Last.At) {
			m.results[k] = r
		}
	}
	for k, r := range m.results { // of nodes and components that are gone
		if now.Sub(r.Last.At) > ForgetAfter {
			delete(m.results, k)
		}
	}
	m.windows = snap.Windows
	m.evaluate(now)
	return nil
}

// ForgetAfter is how old a result gets before it is of nobody any more: past
// the staleness of any component.
const ForgetAfter = 5 * MaxInterval

// evaluate renews the view. The caller holds mu.
func (m *Monitor) evaluate(now time.Time) *Report {
	rep := Evaluate(m.cs, slices.Collect(maps.Values(m.results)), m.windows, now)
	m.view.Store(&rep)
	return &rep
}

// current is the view, renewed if it is too old: results go stale, and
// windows end, without any event.
func (m *Monitor) current() *Report {
	now := m.o.Now()
	if v := m.view.Load(); v != nil && now.Sub(v.At) < viewAge && !now.Before(v.At) {
		return v
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if v := m.view.Load(); v != nil && now.Sub(v.At) < viewAge && !now.Before(v.At) {
		return v
	}
	return m.evaluate(now)
}

// Public is what anyone may know. It measures nothing.
func (m *Monitor) Public() Public { return m.current().Public(m.o.Version) }

// Probes returns how many probes this node ever started, how many it gave up
// on since they did not return after their context ended, and how many of
// those have not returned yet.
func (m *Monitor) Probes() (started, givenUp, stuck int64) {
	for _, r := range m.runners {
		r.mu.Lock()
		if f := r.flight; f != nil && time.Since(f.began) > f.limit+reapGrace {
			stuck++
		}
		r.mu.Unlock()
	}
	return m.started.Load(), m.stuck.Load(), stuck
}

// absorb steps the state of a component by a measurement and returns the
// result. The caller holds mu.
func (m *Monitor) absorb(c Component, node string, o Observation) (r Result, recovered, fell bool) {
	k := key{c.Name, node}
	r, now := m.results[k], m.o.Now().UTC().Truncate(time.Microsecond)
	if !r.Last.At.IsZero() && !o.At.After(r.Last.At) {
		o.At = r.Last.At.Add(time.Microsecond) // the clock stood still or went back
	}
	o.At = o.At.UTC().Truncate(time.Microsecond)
	was := r.State.Status
	r = Result{Component: c.Name, Node: node, State: Step(r.State, c, o, now), Last: o}
	r.State.Tally.add(r.State.Status, !maintenance(m.windows, c.Name, now).IsZero())
	m.results[k] = r
	is := r.State.Status
	return r, was == Down && is != Down, was != is && (is == Down || is == Degraded)
}

// conflict reports whether an error says that the lease was lost.
func conflict(err error) bool { return errors.Is(err, &fault.Error{Code: fault.Conflict}) }
