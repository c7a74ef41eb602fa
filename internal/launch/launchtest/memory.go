package launchtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
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

// Driver is what Random drives: the part of a store that decides signups.
type Driver interface {
	launch.SignupStore
	LaunchState(ctx context.Context) (launch.State, error)
	SetMode(ctx context.Context, m launch.Move, e audit.Entry) (launch.Transition, error)
	SaveLaunchDoc(ctx context.Context, name string, doc any, ifVersion int64, check func(launch.State) error, e audit.Entry) (int64, error)
	CreateInvites(ctx context.Context, is []launch.Invite, e audit.Entry) error
	RevokeInvites(ctx context.Context, id string, at time.Time, e audit.Entry) (int64, error)
	ClaimInvite(ctx context.Context, codeHash, emailHash string, at time.Time, valid func(*launch.Invite) error) error
	Allow(ctx context.Context, ls []launch.Listed, e audit.Entry) (int64, error)
	Disallow(ctx context.Context, id string, e audit.Entry) error
}

// Memory is a Driver of plain rows: it loads into Books what their comment
// asks for and nothing else, and writes row by row under the unique keys that
// a database has, so that Books are tested without one.
type Memory struct {
	clock *Clock

	mu      sync.Mutex
	state   launch.State
	rows    map[string]launch.Reservation
	days    map[launch.DayKey]launch.Day
	invites map[string]launch.Invite
	claims  map[string]string
	events  map[string]string
	listed  map[string]launch.Listed // by id
}

// NewMemory returns an empty store.
func NewMemory(c *Clock) *Memory {
	return &Memory{clock: c, state: launch.NewState(), rows: map[string]launch.Reservation{}, days: map[launch.DayKey]launch.Day{},
		invites: map[string]launch.Invite{}, claims: map[string]string{}, events: map[string]string{}, listed: map[string]launch.Listed{}}
}

// ApplySignups implements launch.SignupStore.
func (m *Memory) ApplySignups(_ context.Context, ops []launch.Op) ([]launch.Outcome, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.end(m.due, (*launch.Books).ExpireDue); err != nil {
		return nil, err
	}
	b := m.load(ops)
	outs := make([]launch.Outcome, len(ops))
	for i, op := range ops {
		outs[i] = b.Apply(op)
	}
	return outs, m.save(b)
}

// SignupBooks implements launch.SignupStore.
func (m *Memory) SignupBooks(_ context.Context, a launch.Applicant) (*launch.Books, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.load([]launch.Op{{Kind: launch.OpReserve, Applicant: a}})
	m.addRows(b, m.due)
	b.ExpireDue()
	return b, nil
}

func (m *Memory) due(r launch.Reservation) bool {
	return r.State == launch.Open && !m.clock.Now().Before(r.ExpiresAt)
}

// end loads the rows of a kind, lets the books end them, and saves.
func (m *Memory) end(which func(launch.Reservation) bool, how func(*launch.Books)) error {
	b := launch.NewBooks(m.clock.Now(), &m.state)
	m.addRows(b, which)
	how(b)
	return m.save(b)
}

// addRows enters rows, and the days and invites that they name.
func (m *Memory) addRows(b *launch.Books, which func(launch.Reservation) bool) {
	for _, r := range m.rows {
		if !which(r) {
			continue
		}
		b.AddReservation(&r)
		for _, k := range [...]launch.DayKey{{Day: r.Day}, {Day: r.Day, Country: r.Country}} {
			m.addDay(b, k)
		}
		m.addInvite(b, func(i launch.Invite) bool { return i.ID == r.InviteID })
	}
}

func (m *Memory) addDay(b *launch.Books, k launch.DayKey) {
	if d, ok := m.days[k]; ok && b.Days[k] == nil {
		b.Days[k] = &d
	}
}

func (m *Memory) addInvite(b *launch.Books, which func(launch.Invite) bool) {
	for _, i := range m.invites {
		if which(i) {
			b.AddInvite(&i)
		}
	}
}

func (m *Memory) load(ops []launch.Op) *launch.Books {
	b := launch.NewBooks(m.clock.Now(), &m.state)
	stands := func(r launch.Reservation) bool {
		return r.State == launch.Open || r.State == launch.Confirmed || r.State == launch.Unbacked
	}
	named := func(r launch.Reservation) bool {
		return slices.ContainsFunc(ops, func(op launch.Op) bool {
			return r.ID == op.ID || r.ID == m.events[op.Applicant.Event] || one(r, op.Applicant.UserID, op.Applicant.EmailHash)
		})
	}
	m.addRows(b, func(r launch.Reservation) bool {
		if named(r) || !stands(r) {
			return named(r)
		}
		for _, o := range m.rows {
			if named(o) && one(r, o.UserID, o.EmailHash) {
				return true
			}
		}
		return false
	})
	for _, op := range ops {
		a := op.Applicant
		for _, k := range [...]launch.DayKey{{Day: b.Today()}, {Day: b.Today(), Country: a.Country}} {
			m.addDay(b, k)
		}
		m.addInvite(b, func(i launch.Invite) bool { return i.Hash == a.InviteHash || i.ID == m.claims[a.EmailHash] })
		if id, ok := m.claims[a.EmailHash]; ok {
			b.Claims[a.EmailHash] = id
		}
		if id, ok := m.events[a.Event]; ok {
			b.Events[a.Event] = id
		}
		for _, l := range m.listed {
			b.Listed[l.Key()] = b.Listed[l.Key()] || slices.Contains(a.AllowKeys, l.Key())
		}
	}
	m.addHolders(b, ops)
	return b
}

func one(r launch.Reservation, user, email string) bool {
	return user != "" && r.UserID == user || email != "" && r.EmailHash == email
}

func (m *Memory) addHolders(b *launch.Books, ops []launch.Op) {
	found := map[launch.HolderKey]launch.Holder{}
	for _, r := range m.rows {
		for _, hash := range [...]string{r.Network, r.Device} {
			if hash == "" || r.State != launch.Open || r.Day != b.Today() || !slices.ContainsFunc(ops, func(op launch.Op) bool { return op.Applicant.Network == hash || op.Applicant.Device == hash }) {
				continue
			}
			h, ok := found[launch.HolderKey{Hash: hash, Country: r.Country}]
			if h.Open++; !ok || r.ExpiresAt.Before(h.FirstEnds) {
				h.FirstEnds = r.ExpiresAt
			}
			found[launch.HolderKey{Hash: hash, Country: r.Country}] = h
		}
	}
	for k, h := range found {
		b.AddHolder(k.Hash, k.Country, h)
	}
}

// save writes all that changed, or nothing.
func (m *Memory) save(b *launch.Books) error {
	rows := map[string]launch.Reservation{}
	for id, r := range m.rows {
		rows[id] = r
	}
	for _, r := range b.Moved {
		if old, ok := rows[r.ID]; ok {
			old.UserID = ""
			rows[r.ID] = old
		}
	}
	holds := func(r launch.Reservation) bool { return r.State == launch.Open || r.State == launch.Confirmed }
	for _, hold := range [...]bool{false, true} {
		for _, r := range b.ChangedReservations {
			if holds(*r) != hold {
				continue
			}
			for id, o := range rows {
				if hold && id != r.ID && holds(o) && one(o, r.UserID, r.EmailHash) {
					return fault.New(fault.Internal, "launchtest", "two reservations hold for one subject: %+v and %+v", o, *r)
				}
			}
			rows[r.ID] = *r
		}
	}
	m.rows = rows
	for _, i := range b.ChangedInvites {
		old := m.invites[i.ID]
		old.Used = i.Used
		m.invites[i.ID] = old
	}
	for _, k := range b.ChangedDays {
		m.days[k] = *b.Days[k]
	}
	maps.DeleteFunc(m.events, func(_, id string) bool { return slices.Contains(b.Withdrawn, id) })
	for _, e := range b.NewEvents {
		m.events[e] = b.Events[e]
	}
	return nil
}

// SignupDays implements launch.SignupStore.
func (m *Memory) SignupDays(_ context.Context, day string) (map[launch.DayKey]launch.Day, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[launch.DayKey]launch.Day{}
	for k, d := range m.days {
		if k.Day == day {
			out[k] = d
		}
	}
	return out, nil
}

// Signups implements launch.SignupStore; it orders nothing.
func (m *Memory) Signups(context.Context, launch.SignupFilter) ([]launch.Reservation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []launch.Reservation
	for _, r := range m.rows {
		out = append(out, r)
	}
	return out, nil
}

// SignupDrift implements launch.SignupStore.
func (m *Memory) SignupDrift(context.Context) ([]launch.Drift, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows, uses := map[launch.DayKey]launch.Day{}, map[string]int64{}
	count := func(k launch.DayKey, r launch.Reservation) {
		d := rows[k]
		switch r.State {
		case launch.Open:
			d.Open++
		case launch.Confirmed:
			d.Confirmed++
		}
		rows[k] = d
	}
	for _, r := range m.rows {
		count(launch.DayKey{Day: r.Day}, r)
		if r.Country != "" {
			count(launch.DayKey{Day: r.Day, Country: r.Country}, r)
		}
		if r.State == launch.Open || r.State == launch.Confirmed {
			uses[r.InviteID]++
		}
	}
	out := []launch.Drift{}
	for k, d := range m.days {
		rows[k] = launch.Day{Open: rows[k].Open - d.Open, Confirmed: rows[k].Confirmed - d.Confirmed}
	}
	for k, d := range rows {
		if d.Open != 0 || d.Confirmed != 0 {
			out = append(out, launch.Drift{Day: k.Day, Country: k.Country, Counted: m.days[k].Open + m.days[k].Confirmed, Rows: d.Open + d.Confirmed})
		}
	}
	for _, i := range m.invites {
		if i.Used != uses[i.ID] {
			out = append(out, launch.Drift{Invite: i.ID, Counted: i.Used, Rows: uses[i.ID]})
		}
	}
	return out, nil
}

// LaunchState implements Driver.
func (m *Memory) LaunchState(context.Context) (launch.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.state
	s.Phases = maps.Clone(s.Phases)
	return s, nil
}

// SetMode implements Driver.
func (m *Memory) SetMode(_ context.Context, mv launch.Move, _ audit.Entry) (launch.Transition, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := mv.Check(&m.state, nil); err != nil {
		return launch.Transition{}, err
	}
	if mv.RevokeOpen {
		if err := m.end(m.due, (*launch.Books).ExpireDue); err != nil {
			return launch.Transition{}, err
		}
		if err := m.end(func(r launch.Reservation) bool { return r.State == launch.Open }, (*launch.Books).RevokeOpen); err != nil {
			return launch.Transition{}, err
		}
	}
	m.state.Mode = mv.To
	m.state.Version++
	return launch.Transition{}, m.noteCaps()
}

func (m *Memory) noteCaps() error {
	b := launch.NewBooks(m.clock.Now(), &m.state)
	for k := range m.days {
		if k.Day == b.Today() {
			m.addDay(b, k)
		}
	}
	b.NoteCaps()
	return m.save(b)
}

// SaveLaunchDoc implements Driver.
func (m *Memory) SaveLaunchDoc(_ context.Context, name string, doc any, _ int64, _ func(launch.State) error, _ audit.Entry) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch doc := doc.(type) {
	case launch.Phase:
		for _, mode := range launch.Modes() {
			if name == launch.DocPhase(mode) {
				m.state.Phases[mode] = doc
			}
		}
	case launch.Settings:
		m.state.Settings, m.state.Calendar = doc, launch.NewCalendar(doc.TimeZone)
	case launch.Maintenance:
		m.state.Maintenance = doc
	default:
		return 0, fmt.Errorf("launchtest: %s of type %T", name, doc)
	}
	return 0, m.noteCaps()
}

// CreateInvites implements Driver.
func (m *Memory) CreateInvites(_ context.Context, is []launch.Invite, _ audit.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, i := range is {
		m.invites[i.ID] = i
	}
	return nil
}

// RevokeInvites implements Driver.
func (m *Memory) RevokeInvites(_ context.Context, id string, at time.Time, _ audit.Entry) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.invites[id]
	if !ok || !i.RevokedAt.IsZero() {
		return 0, nil
	}
	i.RevokedAt = at
	m.invites[id] = i
	return 1, nil
}

// ClaimInvite implements Driver.
func (m *Memory) ClaimInvite(_ context.Context, code, email string, _ time.Time, valid func(*launch.Invite) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, i := range m.invites {
		if i.Hash == code {
			if err := valid(&i); err != nil {
				return err
			}
			m.claims[email] = i.ID
			return nil
		}
	}
	return valid(nil)
}

// Allow implements Driver.
func (m *Memory) Allow(_ context.Context, ls []launch.Listed, _ audit.Entry) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range ls {
		m.listed[l.ID] = l
	}
	return int64(len(ls)), nil
}

// Disallow implements Driver.
func (m *Memory) Disallow(_ context.Context, id string, _ audit.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.listed, id)
	return nil
}
