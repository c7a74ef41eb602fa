package incident

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ReopenWithin is how long after its resolve an incident reopens when its
// cause fails again; later, it is a new one.
const ReopenWithin = time.Hour

// Expiry is how long a local condition lasts after its node stated it last. A
// node that lives states what it knows every Restate.
const (
	Expiry  = 3 * time.Minute
	Restate = 30 * time.Second
)

// Books are the rows that one decision needs, and what it changed. A store
// loads them, lets the decision run, and writes the changes, in one
// transaction under one lock.
type Books struct {
	// Loaded.
	Conditions []Condition
	Incidents  []*Incident // active ones, and those resolved within ReopenWithin
	Silences   []Silence   // that have not ended
	Beats      map[string]Beat
	LastSeq    int64 // the highest ever

	// Changed.
	Changed    map[string]bool // ids of Incidents
	Updates    []Update
	Deliveries []Delivery // without ids
	Expired    []ConditionKey
}

// Beat is the last heartbeat of a receiver.
type Beat struct {
	At      time.Time // when it went into the outbox
	Waiting bool      // it is there still
}

// Dirty reports whether there is anything to write.
func (b *Books) Dirty() bool {
	return len(b.Changed)+len(b.Updates)+len(b.Deliveries)+len(b.Expired) > 0
}

// change marks an incident.
func (b *Books) change(i *Incident) {
	if b.Changed == nil {
		b.Changed = map[string]bool{}
	}
	if !b.Changed[i.ID] {
		i.Version++
	}
	b.Changed[i.ID] = true
}

func (b *Books) note(i *Incident, now time.Time, kind UpdateKind, by, text string) {
	b.change(i)
	if i.Notes >= maxNotes && by == System {
		return
	}
	i.Notes++
	b.Updates = append(b.Updates, Update{Incident: i.ID, N: i.Notes, At: now, Kind: kind, By: by, Text: text})
}

// failure is what fails of one cause. While anything does, the incident does
// not end; what is past its After counts.
type failure struct {
	matured []Condition // past their After
	rules   []string    // of those
}

// worst returns the most urgent of the matured conditions and its class.
func (f *failure) worst(t *Table) (Condition, Class) {
	c := slices.MinFunc(f.matured, func(a, b Condition) int {
		return cmp.Or(strings.Compare(string(t.Rule(a.Rule).Class), string(t.Rule(b.Rule).Class)), strings.Compare(a.Rule, b.Rule),
			strings.Compare(a.Object, b.Object), strings.Compare(a.Reporter, b.Reporter))
	})
	return c, t.Rule(c.Rule).Class
}

// failures groups the conditions by cause, and drops those of nodes that are
// not heard of.
func (b *Books) failures(t *Table, now time.Time) map[Cause]*failure {
	out := map[Cause]*failure{}
	for _, c := range b.Conditions {
		if c.Reporter != "" && now.Sub(c.SeenAt) > Expiry {
			b.Expired = append(b.Expired, c.Key())
			continue
		}
		cause := t.CauseOf(c.Rule, c.Object)
		f := out[cause]
		if f == nil {
			f = &failure{}
			out[cause] = f
		}
		if now.Sub(c.Since) < t.Rule(c.Rule).After {
			continue
		}
		f.matured = append(f.matured, c)
		if !slices.Contains(f.rules, c.Rule) {
			f.rules = append(f.rules, c.Rule)
		}
	}
	for _, f := range out {
		slices.Sort(f.rules)
	}
	return out
}

// Evaluate opens, updates, reopens and resolves incidents by the conditions,
// and puts what is due into the outbox. Repeated at the same moment, it
// changes nothing.
func (b *Books) Evaluate(r Routing, now time.Time) {
	failing := b.failures(r.Table, now)
	for _, i := range b.Incidents {
		f := failing[i.Cause]
		switch {
		case !i.Active():
		case f == nil:
			b.resolve(i, System, "the cause cleared", now)
		default:
			b.update(i, f, r.Table, now)
		}
	}
	for _, cause := range b.toOpen(failing, r.Table) {
		b.open(cause, failing[cause], r.Table, now)
	}
	for _, i := range b.Incidents {
		b.send(i, r, now)
	}
	b.beat(r.Config, now)
}

// maxOpened bounds what one evaluation opens, so that it ends well before its
// lease. The next one goes on.
const maxOpened = 200

// toOpen returns the causes that have no active incident, the most urgent
// first.
func (b *Books) toOpen(failing map[Cause]*failure, t *Table) []Cause {
	active := map[Cause]bool{}
	for _, i := range b.Incidents {
		if i.Active() {
			active[i.Cause] = true
		}
	}
	classes := map[Cause]Class{}
	for cause, f := range failing {
		if len(f.matured) > 0 && !active[cause] {
			_, classes[cause] = f.worst(t)
		}
	}
	out := slices.SortedFunc(maps.Keys(classes), func(a, b Cause) int {
		return cmp.Or(strings.Compare(string(classes[a]), string(classes[b])), strings.Compare(a.Group, b.Group), strings.Compare(a.Object, b.Object))
	})
	return out[:min(len(out), maxOpened)]
}

// recent returns the incident that a cause reopens, or nil.
func (b *Books) recent(c Cause, now time.Time) *Incident {
	var last *Incident
	for _, i := range b.Incidents {
		if i.Cause == c && !i.Active() && now.Sub(i.ResolvedAt) <= ReopenWithin && (last == nil || i.Seq > last.Seq) {
			last = i
		}
	}
	return last
}

func (b *Books) open(cause Cause, f *failure, t *Table, now time.Time) {
	worst, class := f.worst(t)
	kind := NoteReopened
	i := b.recent(cause, now)
	if i == nil {
		kind = NoteOpened
		b.LastSeq++
		i = &Incident{ID: incidentID(b.LastSeq), Seq: b.LastSeq, Cause: cause, OpenedAt: now, Notices: map[string]Notice{}}
		b.Incidents = append(b.Incidents, i)
	} else {
		i.Reopened++
		i.AckedAt, i.AckedBy, i.ResolvedAt, i.ResolvedBy = time.Time{}, "", time.Time{}, ""
	}
	i.State, i.Class, i.Rules = Open, class, f.rules
	i.RaisedAt, i.FirstSent = now, time.Time{}
	i.Summary = t.Rule(worst.Rule).summary(worst.Object, worst.Value)
	b.note(i, now, kind, System, i.Summary)
}

// update follows an active incident's rules, and raises its class. A rise to
// P0 or P1 ends an acknowledgement: whoever took the lesser problem has not
// seen this one.
func (b *Books) update(i *Incident, f *failure, t *Table, now time.Time) {
	if len(f.matured) == 0 {
		return
	}
	if !slices.Equal(i.Rules, f.rules) {
		b.note(i, now, NoteRule, System, "failing: "+strings.Join(f.rules, ", "))
		i.Rules = f.rules
	}
	worst, class := f.worst(t)
	if !class.Over(i.Class) {
		return
	}
	summary := t.Rule(worst.Rule).summary(worst.Object, worst.Value)
	b.note(i, now, NoteRaised, System, string(i.Class)+" to "+string(class)+": "+summary)
	i.Class, i.Summary, i.RaisedAt, i.FirstSent = class, summary, now, time.Time{}
	if i.State == Acknowledged && !class.Over(P2) {
		return
	}
	i.State, i.AckedAt, i.AckedBy = Open, time.Time{}, ""
}

func (b *Books) resolve(i *Incident, by, text string, now time.Time) {
	i.State, i.ResolvedAt, i.ResolvedBy = Resolved, now, by
	b.note(i, now, NoteResolved, by, text)
}

// send puts what is due about an incident into the outbox.
func (b *Books) send(i *Incident, r Routing, now time.Time) {
	due := r.Plan(i, b.Silences, now)
	if i.Active() && i.FirstSent.IsZero() && !now.Before(r.Due(i)) && !i.silenced(b.Silences, now) {
		i.FirstSent = now // also where nobody of level 0 is there: escalation goes on
		b.change(i)
	}
	for _, s := range due {
		b.tell(i, s, now)
		b.Deliveries = append(b.Deliveries, Delivery{Incident: i.ID, Receiver: s.Receiver, Action: s.Action, State: Pending, CreatedAt: now, NextAt: now,
			Message: r.message(i, s.Action, now)})
	}
}

// tell notes what a receiver is told.
func (b *Books) tell(i *Incident, s Send, now time.Time) {
	n := i.Notices[s.Receiver]
	n.At = now
	if s.Action != Repeat {
		n.Action = s.Action
	}
	if s.Action != Resolve {
		n.Class = i.Class
	}
	i.Notices[s.Receiver] = n
	switch {
	case s.Action == Repeat:
		b.change(i) // nothing for the timeline
	case s.Action == Trigger && s.Level > 0:
		b.note(i, now, NoteEscalated, System, string(s.Action)+" to "+s.Receiver)
	default:
		b.note(i, now, NoteSent, System, string(s.Action)+" to "+s.Receiver)
	}
}

func (r Routing) message(i *Incident, a Action, now time.Time) Message {
	m := Message{Action: a, DedupKey: DedupKey(r.Config.Installation, i.Cause, i.Seq), Incident: i.ID, Class: i.Class, State: i.State,
		Group: i.Group, Object: i.Object, Rules: slices.Clone(i.Rules), Summary: i.Summary, Source: r.Config.Installation, OpenedAt: i.OpenedAt, At: now}
	if a == Resolve {
		m.Summary = over(i, now)
	}
	if r.Config.Link != "" {
		m.Link = r.Config.Link + i.ID
	}
	return m
}

// over is the summary of an incident that ended: what was wrong must not read
// as if it were still.
func over(i *Incident, now time.Time) string {
	s := "over"
	if lasted := now.Sub(i.OpenedAt).Round(time.Second); lasted > 0 {
		s += " after " + lasted.String()
	}
	if i.Reopened > 0 {
		s += ", reopened " + strconv.Itoa(i.Reopened) + "×"
	}
	return cut(s+"; it was: "+i.Summary, maxSummary)
}

// beat puts the heartbeats that are due into the outbox. One that waits there
// is not joined by another.
func (b *Books) beat(c *Config, now time.Time) {
	for _, name := range slices.Sorted(maps.Keys(c.Heartbeats)) {
		last, ok := b.Beats[name]
		if ok && (last.Waiting || now.Sub(last.At) < c.Heartbeats[name]) {
			continue
		}
		b.Deliveries = append(b.Deliveries, Delivery{Receiver: name, Action: Heartbeat, State: Pending, CreatedAt: now, NextAt: now,
			Message: Message{Action: Heartbeat, DedupKey: DedupKey(c.Installation, Cause{Group: "heartbeat", Object: name}, 0), Source: c.Installation,
				Summary: "Gantry's alerts work", OpenedAt: now, At: now}})
	}
}
