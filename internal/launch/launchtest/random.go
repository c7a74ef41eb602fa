package launchtest

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
)

// run is one random history of a store and the model beside it.
type run struct {
	*rapid.T
	ctx   context.Context
	d     Driver
	clock *Clock
	name  string // makes subjects and codes of this run distinct
	m     *model
	final map[string]string // day of each confirmed reservation
	made  int               // rows of other tables so far
}

// Random drives a store through a random history and holds every outcome
// against the model. The store may have rows of earlier runs of other names:
// their reservations expire before the first step, and their days are past.
func Random(t *rapid.T, d Driver, c *Clock, name string) {
	c.Add(30 * 24 * time.Hour)
	r := &run{T: t, ctx: context.Background(), d: d, clock: c, name: name, final: map[string]string{}, m: &model{now: c.Now(),
		phases: map[launch.Mode]launch.Phase{}, settings: launch.DefaultSettings(), claims: map[string]*code{}, listed: map[string]bool{}, events: map[string]*row{}, phaseOn: map[string]launch.Phase{}}}
	s, err := d.LaunchState(r.ctx)
	r.ok(err)
	r.m.mode = s.Mode
	r.maintain(time.Time{})
	// The zone stays: under another one a day can come back, and which cap was
	// its last is then a matter of taste.
	r.m.settings.TimeZone = pick(r, "zone", "UTC", "Pacific/Kiritimati", "America/Los_Angeles")
	r.set(r.m.settings)
	for _, mode := range launch.Modes() {
		r.setPhase(mode, r.drawPhase())
	}
	for range 3 {
		r.makeInvite()
	}
	actions := map[string]func(){
		"steps": r.steps, "steps again": r.steps, "more steps": r.steps, "time passes": r.pass,
		"mode": r.move, "phase": func() { r.setPhase(r.m.mode, r.drawPhase()) }, "settings": func() { r.set(r.drawSettings()) },
		"maintenance": func() { r.maintain(c.Now().Add(rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(t, "for"))) },
		"invite":      r.makeInvite, "revoke invite": r.revoke, "claim": r.claim, "list": r.list,
	}
	t.Repeat(withCheck(actions, r.check))
}

func withCheck(actions map[string]func(), check func()) map[string]func(*rapid.T) {
	out := map[string]func(*rapid.T){"": func(*rapid.T) { check() }}
	for name, fn := range actions {
		out[name] = func(*rapid.T) { fn() }
	}
	return out
}

func (r *run) ok(err error) {
	if err != nil {
		r.Fatalf("%v", err)
	}
}

func pick[T any](r *run, what string, of ...T) T { return rapid.SampledFrom(of).Draw(r.T, what) }

func (r *run) applicant() launch.Applicant {
	label := func(what, s string) string {
		if s == "" {
			return ""
		}
		return r.name + "-" + what + s
	}
	a := launch.Applicant{Country: pick(r, "country", "PL", "PL", "DE", "US", ""), UserID: label("u", pick(r, "user", "", "1", "2", "3", "4")), EmailHash: label("e", pick(r, "email", "", "1", "2", "3", "4")),
		Network: label("n", pick(r, "network", "", "", "", "1", "2")), Device: label("d", pick(r, "device", "", "", "", "1", "2")),
		Event: label("ev", pick(r, "event", "", "", "", "", "1", "2", "3")), TTL: pick(r, "ttl", 0, time.Minute, 30*time.Hour)}
	if a.UserID == "" && a.EmailHash == "" {
		a.UserID = label("u", "1")
	}
	a.IPCountry = pick(r, "ip country", a.Country, a.Country, "US", "")
	if n := len(r.m.codes); n > 0 {
		a.InviteHash = pick(r, "code", "", "wrong", r.m.codes[n-1].hash, r.m.codes[n-1].hash, r.m.codes[rapid.IntRange(0, n-1).Draw(r.T, "which")].hash)
	}
	for kind, value := range map[string]string{"user:": a.UserID, "email:": a.EmailHash} {
		if value != "" {
			a.AllowKeys = append(a.AllowKeys, kind+value)
		}
	}
	return a
}

func (r *run) op() launch.Op {
	op := launch.Op{Kind: pick(r, "kind", launch.OpReserve, launch.OpReserve, launch.OpReserve, launch.OpConfirm, launch.OpConfirm, launch.OpRelease, launch.OpWithdraw)}
	if op.Kind != launch.OpReserve && pick(r, "by id", true, true, false) {
		op.ID = "none"
		if n := len(r.m.rows); n > 0 {
			op.ID = r.m.rows[max(0, n-1-rapid.IntRange(0, 8).Draw(r.T, "row"))].id
		}
		return op
	}
	op.Applicant = r.applicant()
	return op
}

// steps performs a batch. Some ask the same twice.
func (r *run) steps() {
	var ops []launch.Op
	for range rapid.IntRange(1, 5).Draw(r.T, "steps") {
		op := r.op()
		ops = append(ops, op)
		if pick(r, "twice", false, false, true) {
			ops = append(ops, op)
		}
	}
	if a := ops[0].Applicant; ops[0].Kind == launch.OpReserve {
		r.eligible(a)
	}
	outs, err := r.d.ApplySignups(r.ctx, ops)
	r.ok(err)
	r.m.tick(r.clock.Now())
	for i, op := range ops {
		r.compare(op, outs[i])
	}
}

func (r *run) eligible(a launch.Applicant) {
	b, err := r.d.SignupBooks(r.ctx, a)
	r.ok(err)
	err = b.Eligible(a)
	r.m.tick(r.clock.Now())
	if want := r.m.eligible(a); want == "" && err != nil || want != "" && (err == nil || fault.CodeOf(err) != want) {
		r.Fatalf("eligible %+v: want %q, got %v", a, want, err)
	}
}

func (r *run) compare(op launch.Op, got launch.Outcome) {
	known := r.m.byID(got.Reservation.ID)
	was, grants := launch.ReservationState(""), r.m.granted
	if known != nil {
		was = known.state
	}
	want := r.m.step(op, got.Reservation.ID)
	code := fault.Code("")
	if got.Err != nil {
		code = fault.CodeOf(got.Err)
	}
	g := got.Reservation
	have := row{g.ID, g.Day, g.Country, g.UserID, g.EmailHash, g.Network, g.Device, g.InviteID, g.State, int(g.Grants), g.CreatedAt, g.ExpiresAt, g.Account}
	wanted := row{}
	if want.row != nil {
		wanted = *want.row
	}
	if code != want.err || got.Existing != want.existing || got.Backed != want.backed || have != wanted {
		r.Fatalf("step %+v (was %q)\n got %q existing %v backed %v %+v (%v)\nwant %q existing %v backed %v %+v", op, was, code, got.Existing, got.Backed, have, got.Err, want.err, want.existing, want.backed, wanted)
	}
	if r.m.granted > grants {
		r.withinCap(want.row)
	}
}

// withinCap: who got a slot did not overfill the day.
func (r *run) withinCap(of *row) {
	p := r.m.phaseOn[of.day]
	if n := r.m.holders(func(o *row) bool { return o.day == of.day }); p.DailyCap != nil && n > *p.DailyCap {
		r.Fatalf("%s holds %d over its cap of %d", of.day, n, *p.DailyCap)
	}
	if n := r.m.holders(func(o *row) bool { return o.day == of.day && o.country == of.country }); p.CountryCaps[of.country] > 0 && n > p.CountryCaps[of.country] {
		r.Fatalf("%s holds %d of %s over %v", of.day, n, of.country, p.CountryCaps)
	}
}

// check holds all rows, counters and invites of the store against the model.
func (r *run) check() {
	drift, err := r.d.SignupDrift(r.ctx)
	r.ok(err)
	if len(drift) > 0 {
		r.Fatalf("counters differ from rows: %+v", drift)
	}
	all, err := r.d.Signups(r.ctx, launch.SignupFilter{Limit: 1000})
	r.ok(err)
	there := map[string]launch.Reservation{}
	for _, g := range all {
		there[g.ID] = g
	}
	users, emails := map[string]string{}, map[string]string{}
	for _, w := range r.m.rows {
		g, ok := there[w.id]
		if due := g.State == launch.Open && (w.state == launch.Expired || w.account && w.state == launch.Unbacked); !ok || g.State != w.state && !due || g.UserID != w.user || g.EmailHash != w.email || g.Day != w.day {
			r.Fatalf("row %+v, want %+v", g, *w)
		}
		if day, was := r.final[w.id]; was && (w.state != launch.Confirmed || w.day != day) {
			r.Fatalf("a confirmed reservation changed: %+v", *w)
		}
		if w.state == launch.Confirmed {
			r.final[w.id] = w.day
		}
		for _, k := range [...]struct {
			m   map[string]string
			key string
		}{{users, w.user}, {emails, w.email}} {
			if k.key != "" && w.holds() {
				if k.m[k.key] != "" {
					r.Fatalf("%s holds two: %s and %s", k.key, k.m[k.key], w.id)
				}
				k.m[k.key] = w.id
			}
		}
	}
}

func (r *run) pass() {
	r.clock.Add(pick(r, "passes", time.Microsecond, 59*time.Second, time.Minute, 14*time.Minute, 7*time.Hour, 24*time.Hour))
	r.m.tick(r.clock.Now())
}

func (r *run) drawPhase() launch.Phase {
	p := launch.Phase{Countries: pick(r, "countries", []string{"PL"}, []string{"DE", "PL"}), Groups: []string{}}
	if pick(r, "all", true, false) {
		p = launch.Phase{Countries: []string{}, Groups: []string{launch.GroupAll}}
	}
	if n := rapid.Int64Range(0, 6).Draw(r.T, "cap"); n > 0 {
		p.DailyCap = &n
	}
	switch n := rapid.Int64Range(0, 60).Draw(r.T, "country cap"); {
	case n > 40: // so that a share is more than one
		p.DailyCap = nil
		p.CountryCaps = map[string]int64{"PL": n}
	case n > 0 && n <= 3:
		p.CountryCaps = map[string]int64{"PL": n}
	}
	return p
}

func (r *run) setPhase(m launch.Mode, p launch.Phase) {
	_, err := r.d.SaveLaunchDoc(r.ctx, launch.DocPhase(m), p, -1, nil, audit.Entry{Kind: audit.LaunchPhaseSet, Object: "launch:phase"})
	r.ok(err)
	r.m.phases[m] = p
	r.m.note()
}

func (r *run) drawSettings() launch.Settings {
	s := r.m.settings
	s.Blocked = pick(r, "blocked", []string{}, []string{}, []string{"DE"}, []string{"PL"})
	s.RequireIPCountry = pick(r, "agree", false, false, true)
	return s
}

func (r *run) set(s launch.Settings) {
	_, err := r.d.SaveLaunchDoc(r.ctx, launch.DocSettings, s, -1, nil, audit.Entry{Kind: audit.LaunchSettingsSet, Object: "launch:settings"})
	r.ok(err)
	r.m.settings = s
	r.m.note()
}

func (r *run) maintain(until time.Time) {
	_, err := r.d.SaveLaunchDoc(r.ctx, launch.DocMaintenance, launch.Maintenance{Until: until}, -1, nil, audit.Entry{Kind: audit.LaunchMaintenanceSet, Object: "launch:maintenance"})
	r.ok(err)
	r.m.closed = until
}

func (r *run) move() {
	to := pick(r, "to", launch.Modes()...)
	if to == r.m.mode {
		return
	}
	s, err := r.d.LaunchState(r.ctx)
	r.ok(err)
	revoke := pick(r, "revoke open", false, false, true)
	_, err = r.d.SetMode(r.ctx, launch.Move{To: to, IfVersion: s.Version, Reason: "a random move", RevokeOpen: revoke, At: r.clock.Now(),
		Report: launch.Report{Passed: true, ValidUntil: r.clock.Now().Add(time.Hour)}}, audit.Entry{Kind: audit.LaunchModeChanged, Object: "launch:mode"})
	r.ok(err)
	if revoke {
		r.m.revokeOpen()
	}
	r.m.mode = to
	r.m.note()
}

func (r *run) makeInvite() {
	r.made++
	c := &code{id: r.name + "-i" + strconv.Itoa(r.made), hash: r.name + "-c" + strconv.Itoa(r.made), uses: rapid.IntRange(1, 3).Draw(r.T, "uses"),
		country: pick(r, "bound to", "", "", "PL"), email: pick(r, "bound to", "", "", r.name+"-e1")}
	c.expires = pick(r, "until", time.Time{}, time.Time{}, r.clock.Now().Add(14*time.Minute))
	r.ok(r.d.CreateInvites(r.ctx, []launch.Invite{{ID: c.id, Hash: c.hash, MaxUses: int64(c.uses), Country: c.country, EmailHash: c.email, CreatedAt: r.clock.Now(), ExpiresAt: c.expires}},
		audit.Entry{Kind: audit.InvitesCreated, Object: "invites:test"}))
	r.m.codes = append(r.m.codes, c)
}

func (r *run) revoke() {
	c := pick(r, "code", r.m.codes...)
	n, err := r.d.RevokeInvites(r.ctx, c.id, r.clock.Now(), audit.Entry{Kind: audit.InvitesRevoked, Object: "invites:test"})
	r.ok(err)
	if c.revoked != (n == 0) {
		r.Fatalf("revoked %d, was revoked %v", n, c.revoked)
	}
	c.revoked = true
}

func (r *run) claim() {
	c, email := pick(r, "code", r.m.codes...), fmt.Sprintf("%s-e%d", r.name, rapid.IntRange(1, 4).Draw(r.T, "email"))
	r.ok(r.d.ClaimInvite(r.ctx, c.hash, email, r.clock.Now(), func(i *launch.Invite) error {
		if i == nil || i.ID != c.id {
			r.Fatalf("claimed %+v, want %s", i, c.id)
		}
		return nil
	}))
	r.m.claims[email] = c
}

func (r *run) list() {
	l := launch.Listed{Kind: pick(r, "list", launch.ListUser, launch.ListEmail)}
	l.Value = fmt.Sprintf("%s-%s%d", r.name, string(l.Kind[:1]), rapid.IntRange(1, 4).Draw(r.T, "entry"))
	l.ID = "alw-" + l.Value
	if r.m.listed[l.Key()] {
		r.ok(r.d.Disallow(r.ctx, l.ID, audit.Entry{Kind: audit.AllowlistRemoved, Object: "allowlist:test"}))
		delete(r.m.listed, l.Key())
		return
	}
	_, err := r.d.Allow(r.ctx, []launch.Listed{l}, audit.Entry{Kind: audit.AllowlistAdded, Object: "allowlist:test"})
	r.ok(err)
	r.m.listed[l.Key()] = true
}
