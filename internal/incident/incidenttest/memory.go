package incidenttest

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/incident"
)

// Clock is a clock that the test moves.
type Clock struct{ us atomic.Int64 }

// NewClock returns a clock that stands at t.
func NewClock(t time.Time) *Clock {
	c := new(Clock)
	c.us.Store(t.UnixMicro())
	return c
}

// Now returns the time.
func (c *Clock) Now() time.Time { return time.UnixMicro(c.us.Load()).UTC() }

// Add moves the clock.
func (c *Clock) Add(d time.Duration) { c.us.Add(d.Microseconds()) }

// Backend is all that a Service stands on.
type Backend interface {
	incident.Store
	incident.SilenceStore
	incident.Reader
}

// Memory is a Backend in memory, with the promises of a real one.
type Memory struct {
	now func() time.Time

	mu         sync.Mutex
	token      int64
	conditions map[incident.ConditionKey]incident.Condition
	incidents  map[string]incident.Incident
	updates    []incident.Update
	deliveries []incident.Delivery
	silences   map[string]incident.Silence
	lastSeq    int64
	lastID     int64
	audited    []audit.Entry
}

var _ Backend = (*Memory)(nil)

// NewMemory returns an empty Memory.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{now: now, conditions: map[incident.ConditionKey]incident.Condition{}, incidents: map[string]incident.Incident{}, silences: map[string]incident.Silence{}}
}

// Take gives the lease to the caller, and takes it from whoever had it.
func (m *Memory) Take() incident.Fence {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.token++
	return incident.Fence{Name: "incidents", Token: m.token}
}

// Audited returns what was audited.
func (m *Memory) Audited() []audit.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.audited)
}

func (m *Memory) held(f incident.Fence) error {
	if f.Token != m.token {
		return fault.New(fault.Conflict, "memory", "the lease was lost")
	}
	return nil
}

// SaveConditions implements incident.Store.
func (m *Memory) SaveConditions(_ context.Context, raised []incident.Raised, cleared []incident.ConditionKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range cleared {
		delete(m.conditions, k)
	}
	for _, r := range raised {
		if old, ok := m.conditions[r.Key()]; ok && !r.Broke {
			r.Since = old.Since
		}
		m.conditions[r.Key()] = r.Condition
	}
	return nil
}

func (m *Memory) books(now time.Time) *incident.Books {
	b := &incident.Books{Conditions: slices.Collect(maps.Values(m.conditions)), LastSeq: m.lastSeq, Beats: map[string]incident.Beat{}}
	for _, i := range m.incidents {
		if i.Active() || !i.ResolvedAt.Before(now.Add(-incident.ReopenWithin)) {
			b.Incidents = append(b.Incidents, clone(i))
		}
	}
	slices.SortFunc(b.Incidents, func(x, y *incident.Incident) int { return cmp.Compare(x.Seq, y.Seq) })
	for _, s := range m.silences {
		if now.Before(s.EndsAt) {
			b.Silences = append(b.Silences, s)
		}
	}
	for _, d := range m.deliveries {
		if d.Incident == "" {
			beat := b.Beats[d.Receiver]
			b.Beats[d.Receiver] = incident.Beat{At: d.CreatedAt, Waiting: beat.Waiting || d.State == incident.Pending}
		}
	}
	return b
}

// clone copies what a database would copy.
func clone(i incident.Incident) *incident.Incident {
	b, err := json.Marshal(i)
	if err != nil {
		panic(err)
	}
	out := new(incident.Incident)
	if err := json.Unmarshal(b, out); err != nil {
		panic(err)
	}
	return out
}

func (m *Memory) save(b *incident.Books) {
	for _, k := range b.Expired {
		delete(m.conditions, k)
	}
	for _, i := range b.Incidents {
		if b.Changed[i.ID] {
			m.incidents[i.ID] = *clone(*i)
		}
	}
	m.updates = append(m.updates, b.Updates...)
	m.lastSeq = b.LastSeq
	for _, d := range b.Deliveries {
		m.lastID++
		d.Number(m.lastID)
		m.deliveries = slices.DeleteFunc(m.deliveries, func(o incident.Delivery) bool {
			return d.Action == incident.Repeat && o.Action == incident.Repeat && o.Incident == d.Incident && o.Receiver == d.Receiver &&
				(o.State != incident.Pending || o.Attempts == 0)
		})
		for n := range m.deliveries {
			if o := &m.deliveries[n]; d.Action == incident.Trigger && o.Action == incident.Resolve && o.Incident == d.Incident && o.Receiver == d.Receiver &&
				o.State == incident.Pending && o.NextAt.After(d.NextAt.Add(incident.LongestClaim)) {
				o.NextAt = d.NextAt
			}
		}
		m.deliveries = append(m.deliveries, d)
	}
}

// EvaluateIncidents implements incident.Store.
func (m *Memory) EvaluateIncidents(_ context.Context, f incident.Fence, decide func(*incident.Books, time.Time)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	b := m.books(now)
	if decide(b, now); !b.Dirty() {
		return nil
	}
	if err := m.held(f); err != nil {
		return err
	}
	m.save(b)
	return nil
}

// ChangeIncident implements incident.Store.
func (m *Memory) ChangeIncident(_ context.Context, id string, decide func(*incident.Books, *incident.Incident, time.Time) error, e audit.Entry) (incident.Incident, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	b := m.books(now)
	n := slices.IndexFunc(b.Incidents, func(i *incident.Incident) bool { return i.ID == id })
	if n < 0 {
		i, ok := m.incidents[id]
		if !ok {
			return incident.Incident{}, fault.New(fault.NotFound, "memory", "there is no such incident")
		}
		n = len(b.Incidents)
		b.Incidents = append(b.Incidents, clone(i))
	}
	i := b.Incidents[n]
	e.Before = map[string]any{"state": i.State, "class": i.Class, "version": i.Version}
	if err := decide(b, i, now); err != nil {
		return incident.Incident{}, err
	}
	e.After = map[string]any{"state": i.State, "class": i.Class, "version": i.Version}
	m.save(b)
	m.audited = append(m.audited, e)
	return *i, nil
}

// ClaimDelivery implements incident.Store.
func (m *Memory) ClaimDelivery(_ context.Context, f incident.Fence, receiver string, hold time.Duration) (incident.Delivery, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	behind := map[string]bool{}
	best := -1
	for n, d := range m.deliveries {
		if d.Receiver != receiver || d.State != incident.Pending || behind[d.Incident] {
			continue
		}
		behind[d.Incident] = true
		if !d.NextAt.After(now) && (best < 0 || d.Message.Class < m.deliveries[best].Message.Class) {
			best = n
		}
	}
	if best < 0 {
		return incident.Delivery{}, false, nil
	}
	if err := m.held(f); err != nil {
		return incident.Delivery{}, false, err
	}
	m.deliveries[best].Attempts++
	m.deliveries[best].NextAt = now.Add(hold)
	return m.deliveries[best], true, nil
}

// FinishDelivery implements incident.Store.
func (m *Memory) FinishDelivery(_ context.Context, f incident.Fence, d incident.Delivery, r incident.Result) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.held(f); err != nil {
		return err
	}
	for n := range m.deliveries {
		if o := &m.deliveries[n]; o.ID == d.ID && o.Attempts == d.Attempts && o.State == incident.Pending {
			if r.Refused && slices.ContainsFunc(m.deliveries, func(b incident.Delivery) bool {
				return b.Incident == d.Incident && b.Receiver == d.Receiver && b.ID > d.ID && b.State == incident.Pending
			}) {
				r.State = incident.Failed
			}
			o.State, o.NextAt, o.Answer, o.DoneAt = r.State, r.NextAt, r.Answer, time.Time{}
			if r.State != incident.Pending {
				o.DoneAt = m.now()
			}
		}
	}
	return nil
}

// PruneIncidents implements incident.Store.
func (m *Memory) PruneIncidents(_ context.Context, f incident.Fence, before time.Time, limit int) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.held(f); err != nil {
		return 0, err
	}
	var n int64
	for id, i := range m.incidents {
		pending := slices.ContainsFunc(m.deliveries, func(d incident.Delivery) bool { return d.Incident == id && d.State == incident.Pending })
		if i.Active() || !i.ResolvedAt.Before(before) || pending || n == int64(limit) {
			continue
		}
		n++
		delete(m.incidents, id)
		m.deliveries = slices.DeleteFunc(m.deliveries, func(d incident.Delivery) bool { return d.Incident == id })
		m.updates = slices.DeleteFunc(m.updates, func(u incident.Update) bool { return u.Incident == id })
	}
	m.deliveries = slices.DeleteFunc(m.deliveries, func(d incident.Delivery) bool {
		return d.Incident == "" && d.State != incident.Pending && d.CreatedAt.Before(before)
	})
	maps.DeleteFunc(m.silences, func(_ string, s incident.Silence) bool { return s.EndsAt.Before(before) })
	return n, nil
}

// CreateSilence implements incident.SilenceStore.
func (m *Memory) CreateSilence(_ context.Context, s incident.Silence, e audit.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silences[s.ID] = s
	m.audited = append(m.audited, e)
	return nil
}

// EndSilence implements incident.SilenceStore.
func (m *Memory) EndSilence(_ context.Context, id string, e audit.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.silences[id]
	if !ok || !m.now().Before(s.EndsAt) {
		return fault.New(fault.NotFound, "memory", "there is no such silence")
	}
	s.EndsAt = m.now()
	m.silences[id] = s
	m.audited = append(m.audited, e)
	return nil
}

// Silences implements incident.SilenceStore.
func (m *Memory) Silences(context.Context) ([]incident.Silence, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []incident.Silence
	for _, s := range m.silences {
		if m.now().Before(s.EndsAt) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b incident.Silence) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

// Incidents implements incident.Reader.
func (m *Memory) Incidents(_ context.Context, f incident.Filter) ([]incident.Incident, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := []incident.Incident{}
	for _, i := range m.incidents {
		if (!f.Active || i.Active()) && (f.Class == "" || f.Class == i.Class) && (f.Group == "" || f.Group == i.Group) &&
			(f.Object == "" || f.Object == i.Object) && (f.Before == 0 || i.Seq < f.Before) {
			out = append(out, *clone(i))
		}
	}
	slices.SortFunc(out, func(a, b incident.Incident) int { return cmp.Compare(b.Seq, a.Seq) })
	return out[:min(len(out), f.Limit)], nil
}

// Incident implements incident.Reader.
func (m *Memory) Incident(_ context.Context, id string) (incident.Detail, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.incidents[id]
	if !ok {
		return incident.Detail{}, fault.New(fault.NotFound, "memory", "there is no such incident")
	}
	d := incident.Detail{Incident: *clone(i)}
	for _, u := range m.updates {
		if u.Incident == id {
			d.Updates = append(d.Updates, u)
		}
	}
	for _, o := range m.deliveries {
		if o.Incident == id {
			d.Deliveries = append(d.Deliveries, o)
		}
	}
	return d, nil
}

// Conditions implements incident.Reader.
func (m *Memory) Conditions(context.Context) ([]incident.Condition, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := slices.Collect(maps.Values(m.conditions))
	slices.SortFunc(out, func(a, b incident.Condition) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Reporter, b.Reporter))
	})
	return out, nil
}

// DeliveryStats implements incident.Reader.
func (m *Memory) DeliveryStats(context.Context) (map[string]incident.Stats, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]incident.Stats{}
	for _, d := range m.deliveries {
		s := out[d.Receiver]
		switch d.State {
		case incident.Pending:
			s.Pending++
			if s.OldestPending.IsZero() || d.CreatedAt.Before(s.OldestPending) {
				s.OldestPending = d.CreatedAt
			}
		case incident.Failed:
			s.Failed++
		case incident.Delivered:
			if d.DoneAt.After(s.LastDelivered) {
				s.LastDelivered = d.DoneAt
			}
		}
		out[d.Receiver] = s
	}
	return out, nil
}
