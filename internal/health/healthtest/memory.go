// Package healthtest holds what tests of health stand on: a store in memory
// that fails when told to, the suite that every store passes, and checks that
// every prober passes.
package healthtest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/health"
)

// Memory is a health.Store, health.JobStore and health.SourceStore.
type Memory struct {
	Now func() time.Time
	// Audits are the entries of changes.
	Audits []audit.Entry
	Writes map[string]int // by operation
	Rows   int            // results that rounds ever brought

	mu      sync.Mutex
	fail    func(op string, after bool) error
	tokens  map[string]int64
	results map[[2]string]health.Result
	days    map[[2]string]health.Day
	windows map[string]health.Window
	jobs    map[string]health.JobRecord
	sources map[string]health.SourceRecord
}

// NewMemory returns an empty store.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{Now: now, Writes: map[string]int{}, tokens: map[string]int64{}, results: map[[2]string]health.Result{}, days: map[[2]string]health.Day{},
		windows: map[string]health.Window{}, jobs: map[string]health.JobRecord{}, sources: map[string]health.SourceRecord{}}
}

// SetFail sets what is asked before (false) and after (true) each operation;
// an error after it is one that hides a commit. nil: nothing fails.
func (m *Memory) SetFail(fail func(op string, after bool) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

// TakeLease makes a new fence, which refuses all earlier ones of the name.
func (m *Memory) TakeLease(name string) health.Fence {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens[name]++
	return health.Fence{Name: name, Token: m.tokens[name]}
}

func (m *Memory) do(op string, fn func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail(op, false); err != nil {
			return err
		}
	}
	if err := fn(); err != nil {
		return err
	}
	m.Writes[op]++
	if m.fail != nil {
		return m.fail(op, true)
	}
	return nil
}

func (m *Memory) held(f *health.Fence) error {
	if f != nil && m.tokens[f.Name] != f.Token {
		return fault.New(fault.Conflict, "healthtest", "the lease was lost")
	}
	return nil
}

// SaveHealthRound implements health.Store.
func (m *Memory) SaveHealthRound(_ context.Context, r health.Round) error {
	return m.do("SaveHealthRound", func() error {
		if err := m.held(r.Fence); err != nil {
			return err
		}
		m.Rows += len(r.Results)
		for _, res := range r.Results {
			k := [2]string{res.Component, res.Node}
			was, ok := m.results[k]
			if ok && !res.Last.At.After(was.Last.At) {
				continue
			}
			m.results[k] = res
			rose := res.State.Tally.Since(was.State.Tally)
			day := [2]string{res.Component, health.DayOf(res.Last.At)}
			d := m.days[day]
			d.Component, d.Day = day[0], day[1]
			d.Up, d.Degraded, d.Down, d.Maintenance = d.Up+rose.Up, d.Degraded+rose.Degraded, d.Down+rose.Down, d.Maintenance+rose.Maintenance
			if rose != (health.Tally{}) {
				m.days[day] = d
			}
		}
		return nil
	})
}

// HealthSnapshot implements health.Store.
func (m *Memory) HealthSnapshot(context.Context) (s health.Snapshot, err error) {
	err = m.do("HealthSnapshot", func() error {
		s.Results = slices.Collect(maps.Values(m.results))
		for _, w := range m.windows {
			if w.Until.After(m.Now()) && w.EndedAt.IsZero() {
				s.Windows = append(s.Windows, w)
			}
		}
		slices.SortFunc(s.Windows, func(a, b health.Window) int { return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.ID, b.ID)) })
		return nil
	})
	return s, err
}

// SaveHealthWindow implements health.Store.
func (m *Memory) SaveHealthWindow(_ context.Context, w health.Window, e audit.Entry) error {
	return m.do("SaveHealthWindow", func() error {
		m.windows[w.ID] = w
		m.Audits = append(m.Audits, e)
		return nil
	})
}

// EndHealthWindow implements health.Store.
func (m *Memory) EndHealthWindow(_ context.Context, w health.Window, e audit.Entry) (out health.Window, err error) {
	err = m.do("EndHealthWindow", func() error {
		was, ok := m.windows[w.ID]
		switch {
		case !ok:
			return fault.New(fault.NotFound, "healthtest", "no such window")
		case !was.EndedAt.IsZero() || !w.EndedAt.Before(was.Until):
			return fault.New(fault.Conflict, "healthtest", "over already")
		}
		out = was
		out.EndedAt, out.EndedBy = w.EndedAt, w.EndedBy
		m.windows[w.ID] = out
		e.Before, e.After = was, out
		m.Audits = append(m.Audits, e)
		return nil
	})
	return out, err
}

// HealthWindows implements health.Store.
func (m *Memory) HealthWindows(_ context.Context, limit int) (out []health.Window, err error) {
	err = m.do("HealthWindows", func() error {
		out = slices.SortedFunc(maps.Values(m.windows), func(a, b health.Window) int { return cmp.Or(b.From.Compare(a.From), cmp.Compare(a.ID, b.ID)) })
		out = out[:min(limit, len(out))]
		return nil
	})
	return out, err
}

// HealthUptime implements health.Store.
func (m *Memory) HealthUptime(_ context.Context, from string) (out []health.Day, err error) {
	err = m.do("HealthUptime", func() error {
		for _, d := range m.days {
			if d.Day >= from {
				out = append(out, d)
			}
		}
		slices.SortFunc(out, func(a, b health.Day) int {
			return cmp.Or(cmp.Compare(a.Component, b.Component), cmp.Compare(a.Day, b.Day))
		})
		return nil
	})
	return out, err
}

// RegisterJobs implements health.JobStore.
func (m *Memory) RegisterJobs(_ context.Context, plans []health.JobPlan, at time.Time) error {
	return m.do("RegisterJobs", func() error {
		for _, p := range plans {
			if r := m.jobs[p.Job]; r.Plan != p.Plan {
				r.Job, r.Plan, r.PlanSince = p.Job, p.Plan, at
				m.jobs[p.Job] = r
			}
		}
		return nil
	})
}

// UpdateJob implements health.JobStore.
func (m *Memory) UpdateJob(_ context.Context, job string, decide func(*health.JobRecord) (bool, error)) error {
	return m.do("UpdateJob", func() error {
		r := m.jobs[job]
		r.Job = job
		save, err := decide(&r)
		if err == nil && save {
			m.jobs[job] = r
		}
		return err
	})
}

// JobRecords implements health.JobStore.
func (m *Memory) JobRecords(context.Context) (out []health.JobRecord, err error) {
	err = m.do("JobRecords", func() error {
		for _, name := range slices.Sorted(maps.Keys(m.jobs)) {
			out = append(out, m.jobs[name])
		}
		return nil
	})
	return out, err
}

// SaveSources implements health.SourceStore.
func (m *Memory) SaveSources(_ context.Context, f health.Fence, rs []health.SourceRecord) error {
	return m.do("SaveSources", func() error {
		if err := m.held(&f); err != nil {
			return err
		}
		for _, r := range rs {
			m.sources[r.Source] = r
		}
		return nil
	})
}

// SourceRecords implements health.SourceStore.
func (m *Memory) SourceRecords(context.Context) (out []health.SourceRecord, err error) {
	err = m.do("SourceRecords", func() error {
		for _, name := range slices.Sorted(maps.Keys(m.sources)) {
			out = append(out, m.sources[name])
		}
		return nil
	})
	return out, err
}

// After returns what, given to SetFail, fails one operation once, before it takes
// effect or after.
func After(op string, after bool, err error) func(string, bool) error {
	done := false
	return func(o string, a bool) error {
		if o != op || a != after || done {
			return nil
		}
		done = true
		return err
	}
}
