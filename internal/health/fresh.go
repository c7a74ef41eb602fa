package health

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// freshLimit is how long a report that measures may measure: the whole answer
// takes less than 2 s.
const (
	freshLimit = 1800 * time.Millisecond
	freshReap  = 100 * time.Millisecond // for probes to return after that
)

// freshRun lets all who ask at once share one round of measurements.
type freshRun struct {
	mu      sync.Mutex
	running chan struct{} // closed when the run ended; nil: none runs
	rep     *Report       // of the last run
}

// Report says how everything is, by the last results; it measures nothing
// then. With fresh it measures every component now, and names those that do
// not answer within 2 s as timed out: each status is then what this one
// measurement shows, without thresholds. It writes nothing and steps no state;
// callers at the same time share one round. The error is ctx's.
func (m *Monitor) Report(ctx context.Context, fresh bool) (Report, error) {
	if !fresh {
		return *m.current(), ctx.Err()
	}
	m.fresh.mu.Lock()
	done := m.fresh.running
	if done == nil {
		done = make(chan struct{})
		m.fresh.running = done
		go m.measureAll(context.WithoutCancel(ctx), done)
	}
	m.fresh.mu.Unlock()
	select {
	case <-ctx.Done():
		return Report{}, ctx.Err()
	case <-done:
	}
	m.fresh.mu.Lock()
	defer m.fresh.mu.Unlock()
	return *m.fresh.rep, nil
}

// measureAll probes every component at once and evaluates what came back.
func (m *Monitor) measureAll(ctx context.Context, done chan struct{}) {
	reap, cancel := context.WithTimeout(ctx, freshLimit+freshReap)
	defer cancel()
	ctx, end := context.WithTimeout(ctx, freshLimit)
	defer end()
	flights, own := make([]*flight, len(m.cs)), make([]bool, len(m.cs))
	for i, c := range m.cs {
		flights[i], own[i] = m.runners[c.Name].begin(ctx, min(c.Timeout, freshLimit))
	}
	m.mu.Lock()
	results := maps.Clone(m.results)
	windows := m.windows
	m.mu.Unlock()
	var timedOut []string
	for i, c := range m.cs {
		node := ""
		if c.PerNode {
			node = m.o.Node
		}
		o, aborted := flights[i].wait(reap, m.o.Now())
		if aborted && !own[i] && ctx.Err() == nil { // a turn's, cancelled: it says nothing
			f, _ := m.runners[c.Name].begin(ctx, min(c.Timeout, freshLimit))
			o, _ = f.wait(reap, m.o.Now())
		}
		r := alone(c, node, o, results[key{c.Name, node}])
		if results[key{c.Name, node}] = r; r.Last.Outcome == TimedOut {
			timedOut = append(timedOut, c.Name)
		}
	}
	rep := Evaluate(m.cs, slices.Collect(maps.Values(results)), windows, m.o.Now())
	rep.Fresh, rep.TimedOut = true, timedOut
	m.fresh.mu.Lock()
	m.fresh.rep, m.fresh.running = &rep, nil
	m.fresh.mu.Unlock()
	close(done)
}

// wait returns what the flight saw, or that it did not answer before ctx ended.
func (f *flight) wait(ctx context.Context, now time.Time) (o Observation, aborted bool) {
	select {
	case <-f.done:
		return f.obs, f.aborted
	case <-ctx.Done():
	}
	select { // both may be ready: an answer counts
	case <-f.done:
		return f.obs, f.aborted
	default:
		return Observation{At: now, Took: time.Since(f.began), Outcome: TimedOut, Message: string(TimedOut)}, false
	}
}

// alone is the result that one measurement shows. A component that did not
// answer although it may take longer than a report is UNKNOWN, not DOWN.
func alone(c Component, node string, o Observation, was Result) Result {
	status := o.alone(c)
	if o.Outcome == TimedOut && c.Timeout > freshLimit {
		status = Unknown
	}
	s := was.State
	if s.Status != status {
		s = State{Status: status, Since: o.At, RecoveredAt: s.RecoveredAt}
	}
	s.LastFailure, s.LastBad = o.At, o.At
	if s.Fails, s.Successes = 0, 0; status == Down {
		s.Fails = 1
	}
	return Result{Component: c.Name, Node: node, State: s, Last: o}
}
