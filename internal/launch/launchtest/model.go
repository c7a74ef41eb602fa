// Package launchtest tests what decides signups: Random drives a store and a
// naive model side by side, and Memory is a store of plain rows.
package launchtest

import (
	"slices"
	"time"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
)

// row is a reservation as the model keeps it.
type row struct {
	id, day, country, user, email, network, device, invite string
	state                                                  launch.ReservationState
	answered                                               int // 0: never, or revoked
	created, expires                                       time.Time
	account                                                bool // exists, and has no slot for good
}

func (r *row) holds() bool  { return r.state == launch.Open || r.state == launch.Confirmed }
func (r *row) stands() bool { return r.holds() || r.state == launch.Unbacked }

// end is what becomes of an open row: an account is on the list again.
func (r *row) end(s launch.ReservationState) {
	if r.state = s; r.account {
		r.state = launch.Unbacked
	}
}

type code struct {
	id, hash, country, email string
	uses                     int
	expires                  time.Time
	revoked                  bool
}

// model is signups without counters, indexes and batches: rows in a slice,
// every question a walk over it. It is written from system.md section 5, not
// from the code.
type model struct {
	now      time.Time
	mode     launch.Mode
	phases   map[launch.Mode]launch.Phase
	settings launch.Settings
	closed   time.Time // end of the maintenance
	rows     []*row
	codes    []*code
	claims   map[string]*code
	listed   map[string]bool
	events   map[string]*row
	phaseOn  map[string]launch.Phase // the last in force on each day
	granted  int                     // reservations made or retaken
}

// verdict is what a step must come to.
type verdict struct {
	err              fault.Code // "" is success
	row              *row       // as it is after the step; nil after a refusal
	existing, backed bool
}

func refused(c fault.Code) verdict { return verdict{err: c} }

func (m *model) today() string {
	loc, err := time.LoadLocation(m.settings.TimeZone)
	if err != nil {
		panic(err)
	}
	return m.now.In(loc).Format("2006-01-02")
}

func (m *model) phase() launch.Phase { return m.phases[m.mode] }

// tick moves to a moment: what is due ends there.
func (m *model) tick(now time.Time) {
	m.now = now
	m.note()
	for _, r := range m.rows {
		if r.state == launch.Open && !now.Before(r.expires) {
			r.end(launch.Expired)
		}
	}
}

func (m *model) note() { m.phaseOn[m.today()] = m.phase() }

func (m *model) blocked(country string) bool { return slices.Contains(m.settings.Blocked, country) }

// holders counts the rows that hold a slot and meet a condition.
func (m *model) holders(cond func(*row) bool) (n int64) {
	for _, r := range m.rows {
		if r.holds() && cond(r) {
			n++
		}
	}
	return n
}

func (m *model) uses(c *code) int64 { return m.holders(func(r *row) bool { return r.invite == c.id }) }

// full reports whether a day has no slot for a country under a phase.
func (m *model) full(p launch.Phase, day, country string) bool {
	if p.DailyCap != nil && m.holders(func(r *row) bool { return r.day == day }) >= *p.DailyCap {
		return true
	}
	limit, ok := p.CountryCaps[country]
	return ok && m.holders(func(r *row) bool { return r.day == day && r.country == country }) >= limit
}

// squats reports whether a network or device holds its share.
func (m *model) squats(a launch.Applicant) bool {
	over := func(limit int64, same func(*row) bool) bool {
		return m.holders(func(r *row) bool { return r.state == launch.Open && r.day == m.today() && same(r) }) >= max(1, limit*5/100)
	}
	for _, same := range [...]func(*row) bool{
		func(r *row) bool { return a.Network != "" && r.network == a.Network },
		func(r *row) bool { return a.Device != "" && r.device == a.Device },
	} {
		if p := m.phase(); p.DailyCap != nil && over(*p.DailyCap, same) {
			return true
		}
		if limit, ok := m.phase().CountryCaps[a.Country]; ok && over(limit, func(r *row) bool { return r.country == a.Country && same(r) }) {
			return true
		}
	}
	return false
}

// find walks all rows for the best of a key: who holds, who waits, who is
// newest.
func (m *model) find(has func(*row) bool) *row {
	var found []*row
	for _, r := range m.rows {
		if has(r) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *row) int {
		rank := func(r *row) int {
			switch {
			case r.holds():
				return 2
			case r.stands():
				return 1
			}
			return 0
		}
		if d := rank(b) - rank(a); d != 0 {
			return d
		}
		if d := b.created.Compare(a.created); d != 0 {
			return d
		}
		if a.id > b.id {
			return -1
		}
		return 1
	})
	if len(found) == 0 {
		return nil
	}
	return found[0]
}

func (m *model) ofUser(u string) *row {
	return m.find(func(r *row) bool { return u != "" && r.user == u })
}
func (m *model) ofEmail(e string) *row {
	return m.find(func(r *row) bool { return e != "" && r.email == e })
}
func (m *model) byID(id string) *row { return m.find(func(r *row) bool { return r.id == id }) }

func (m *model) subject(a launch.Applicant) *row {
	u, e := m.ofUser(a.UserID), m.ofEmail(a.EmailHash)
	switch {
	case u == nil:
		return e
	case e == nil || u.holds():
		return u
	case e.holds() || e.stands() && !u.stands():
		return e
	}
	return u
}

// decide returns the code that refuses a newcomer, and the invite that
// admits it.
func (m *model) decide(a launch.Applicant) (fault.Code, *code) {
	open := slices.Contains(m.phase().Countries, a.Country) || slices.Contains(m.phase().Groups, launch.GroupAll)
	if a.Country == "" || m.blocked(a.Country) || !open || m.settings.RequireIPCountry && a.IPCountry != a.Country {
		return fault.CountryNotAllowed, nil
	}
	var with *code
	switch m.mode {
	case launch.InternalTest:
		if !slices.ContainsFunc(a.AllowKeys, func(k string) bool { return m.listed[k] }) {
			return fault.LaunchModeRestricted, nil
		}
	case launch.ClosedBeta:
		for _, c := range m.codes {
			if a.InviteHash != "" && c.hash == a.InviteHash || a.InviteHash == "" && a.EmailHash != "" && m.claims[a.EmailHash] == c {
				with = c
			}
		}
		invalid := with == nil || with.revoked || !with.expires.IsZero() && !m.now.Before(with.expires) || with.country != "" && with.country != a.Country || with.email != "" && with.email != a.EmailHash
		switch {
		case invalid && a.InviteHash == "":
			return fault.InviteCodeRequired, nil
		case invalid:
			return fault.InviteCodeInvalid, nil
		case m.uses(with) >= int64(with.uses):
			return fault.InviteCodeDepleted, nil
		}
	}
	switch {
	case m.full(m.phase(), m.today(), a.Country):
		return fault.DailyLimitReached, nil
	case m.squats(a):
		return fault.RateLimited, nil
	}
	return "", with
}

// eligible is what reserve would answer.
func (m *model) eligible(a launch.Applicant) fault.Code {
	if m.now.Before(m.closed) {
		return fault.SystemMaintenance
	}
	if old := m.subject(a); old != nil && old.holds() {
		return m.serves(old, a)
	}
	c, _ := m.decide(a)
	return c
}

func (m *model) serves(r *row, a launch.Applicant) fault.Code {
	switch {
	case m.blocked(r.country):
		return fault.CountryNotAllowed
	case r.state == launch.Confirmed && r.user != "" && a.UserID != "" && r.user != a.UserID:
		return fault.Conflict
	}
	return ""
}

// reserve performs the step; a new row has the id that the store gave it.
func (m *model) reserve(a launch.Applicant, id string) verdict {
	if m.now.Before(m.closed) {
		return refused(fault.SystemMaintenance)
	}
	old := m.subject(a)
	if r, ok := m.events[a.Event]; ok && a.Event != "" {
		if old = r; r == nil || !r.holds() {
			return refused(fault.Conflict)
		}
	}
	if old != nil && old.holds() {
		if c := m.serves(old, a); c != "" {
			return refused(c)
		}
		old.answered++
		if old.state == launch.Open {
			m.adopt(old, a)
		}
		m.event(a.Event, old)
		return verdict{row: old, existing: true}
	}
	c, with := m.decide(a)
	if c != "" {
		return refused(c)
	}
	r := &row{id: id, created: m.now}
	if old != nil && old.state == launch.Unbacked {
		r = old
	} else {
		m.rows = append(m.rows, r)
	}
	m.identify(r, a)
	ttl := a.TTL
	if ttl == 0 {
		ttl = time.Duration(m.settings.ReservationTTL)
	}
	r.state, r.day, r.country, r.network, r.device, r.invite = launch.Open, m.today(), a.Country, a.Network, a.Device, ""
	r.answered, r.expires = 1, m.now.Add(ttl)
	if with != nil {
		r.invite = with.id
	}
	m.event(a.Event, r)
	m.granted++
	return verdict{row: r}
}

// identify gives r the keys of a, and takes those away that others hold for.
func (m *model) identify(r *row, a launch.Applicant) {
	if u := m.ofUser(r.user); u != nil && u != r && u.holds() {
		r.user = ""
	}
	if e := m.ofEmail(r.email); e != nil && e != r && e.holds() {
		r.email = ""
	}
	if a.UserID != "" {
		r.user = a.UserID
	}
	if a.EmailHash != "" {
		r.email = a.EmailHash
	}
}

func (m *model) event(e string, r *row) {
	if _, ok := m.events[e]; e != "" && !ok {
		m.events[e] = r
	}
}

func (m *model) adopt(r *row, a launch.Applicant) {
	if u := m.ofUser(a.UserID); a.UserID != "" && (u == nil || !u.stands()) {
		r.user = a.UserID
	}
	if e := m.ofEmail(a.EmailHash); r.email == "" && (e == nil || !e.stands()) {
		r.email = a.EmailHash
	}
}

func (m *model) confirm(op launch.Op, id string) verdict {
	a, r := op.Applicant, m.byID(op.ID)
	if op.ID == "" {
		r = m.subject(a)
	}
	switch {
	case r == nil && op.ID != "":
		return refused(fault.NotFound)
	case r == nil:
		r = &row{id: id, state: launch.Unbacked, day: m.today(), country: a.Country, user: a.UserID, email: a.EmailHash, created: m.now, expires: m.now, account: true}
		m.rows = append(m.rows, r)
		return verdict{err: fault.Conflict, row: r}
	case r.state == launch.Confirmed:
		if a.UserID != "" && r.user != "" && r.user != a.UserID {
			return refused(fault.Conflict)
		}
		return verdict{row: r, existing: true}
	}
	if m.blocked(r.country) || r.answered == 0 || r.state != launch.Open && !m.retake(r) {
		r.state, r.account = launch.Unbacked, true
		if u := m.ofUser(r.user); u != r && u != nil && u.holds() {
			r.user = ""
		}
		if e := m.ofEmail(r.email); e != r && e != nil && e.holds() {
			r.email = ""
		}
		return verdict{err: fault.Conflict, row: r}
	}
	r.state = launch.Open
	if op.ID == "" {
		m.adopt(r, a)
	}
	backed := r.account
	r.state, r.account = launch.Confirmed, false
	return verdict{row: r, backed: backed}
}

func (m *model) retake(r *row) bool {
	u, e := m.ofUser(r.user), m.ofEmail(r.email)
	if u != nil && u.holds() || e != nil && e.holds() {
		return false
	}
	p := m.phaseOn[r.day]
	if m.full(p, r.day, r.country) {
		return false
	}
	for _, c := range m.codes {
		if c.id == r.invite && (c.revoked || m.uses(c) >= int64(c.uses)) {
			return false
		}
	}
	m.granted++
	return true
}

func (m *model) release(op launch.Op) verdict {
	if r := m.events[op.Applicant.Event]; r != nil && op.Applicant.Event != "" {
		return verdict{row: r, existing: true}
	}
	r := m.byID(op.ID)
	if op.ID == "" {
		r = m.subject(op.Applicant)
	}
	switch {
	case r == nil:
		return refused(fault.NotFound)
	case op.Kind == launch.OpWithdraw && (r.state != launch.Open || r.answered > 1):
		return verdict{row: r, existing: true}
	case r.state == launch.Confirmed:
		return refused(fault.Conflict)
	case op.Kind == launch.OpWithdraw:
		for e, of := range m.events {
			if of == r {
				delete(m.events, e)
			}
		}
		r.end(launch.Released)
		return verdict{row: r}
	}
	backed := r.account
	r.account = false
	if r.state == launch.Open || r.state == launch.Unbacked {
		r.state = launch.Released
	}
	m.event(op.Applicant.Event, r)
	return verdict{row: r, backed: backed}
}

func (m *model) step(op launch.Op, id string) verdict {
	switch op.Kind {
	case launch.OpReserve:
		return m.reserve(op.Applicant, id)
	case launch.OpConfirm:
		return m.confirm(op, id)
	}
	return m.release(op)
}

func (m *model) revokeOpen() {
	for _, r := range m.rows {
		if r.state == launch.Open {
			r.answered = 0
			r.end(launch.Revoked)
		}
	}
}
