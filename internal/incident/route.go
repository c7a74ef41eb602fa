package incident

import (
	"slices"
	"time"
)

// Routing decides who is told what, and when. It holds no state.
type Routing struct {
	Config *Config
	Table  *Table
}

// Send is a message that is due.
type Send struct {
	Receiver string
	Action   Action
	Level    int // of the contact
}

// Due returns when an incident is to be sent first.
func (r Routing) Due(i *Incident) time.Time {
	if i.Class == P3 {
		return r.Config.NextMorning(i.RaisedAt)
	}
	return i.RaisedAt.Add(r.Config.Delays[i.Class])
}

// NextMorning returns the first business morning after t. Where the clock
// skips the morning, it is as much later; where it has it twice, the first.
func (c *Config) NextMorning(t time.Time) time.Time {
	y, m, d := t.In(c.Zone).Date()
	for n := range 9 {
		morning := time.Date(y, m, d+n, 0, int(c.Morning/time.Minute), 0, 0, c.Zone)
		if first := morning.Add(-time.Hour); first.Hour() == morning.Hour() { // Date may return either
			morning = first
		}
		if morning.After(t) && slices.Contains(c.Days, morning.Weekday()) {
			return morning.UTC()
		}
	}
	return t.Add(24 * time.Hour) // not reached: every week has a business day
}

// EscalatesAt returns when contacts of the level are told; ok is false if
// they are not.
func (r Routing) EscalatesAt(i *Incident, level int) (at time.Time, ok bool) {
	if level == 0 {
		return r.Due(i), true
	}
	steps := r.Config.Ladder[i.Class]
	if i.State != Open || i.FirstSent.IsZero() || level > len(steps) {
		return time.Time{}, false
	}
	return i.FirstSent.Add(steps[level-1]), true
}

// Plan returns the messages that are due now, by what each receiver was told
// last. Nothing is sent of a silenced incident but that it ended, to those who
// know of it. An acknowledged one reaches nobody new. A receiver that failed
// is not told so itself, unless nobody else is there.
func (r Routing) Plan(i *Incident, silences []Silence, now time.Time) []Send {
	var out []Send
	if !i.Active() {
		for name, n := range i.Notices {
			if n.Action != Resolve {
				out = append(out, Send{Receiver: name, Action: Resolve})
			}
		}
		sortSends(out)
		return out
	}
	if i.silenced(silences, now) {
		return nil
	}
	for _, k := range r.contacts(i) {
		n, told := i.Notices[k.Name]
		switch at, ok := r.EscalatesAt(i, k.Level); {
		case told && n.Action != Resolve:
			if i.Class.Over(n.Class) {
				out = append(out, Send{k.Name, UpdateAlert, k.Level})
			} else if i.State == Acknowledged && n.Action != Acknowledge {
				out = append(out, Send{k.Name, Acknowledge, k.Level})
			} else if k.Repeat > 0 && now.Sub(n.At) >= k.Repeat {
				out = append(out, Send{k.Name, Repeat, k.Level})
			}
		case ok && i.State == Open && !now.Before(at):
			out = append(out, Send{k.Name, Trigger, k.Level})
		}
	}
	sortSends(out)
	return out
}

func sortSends(s []Send) {
	slices.SortFunc(s, func(a, b Send) int {
		if a.Level != b.Level {
			return a.Level - b.Level
		}
		if a.Receiver < b.Receiver {
			return -1
		}
		return 1
	})
}

// contacts returns who may hear of an incident: who is in a channel of a rule
// that fails. If that is nobody of level 0, it is all of level 0.
func (r Routing) contacts(i *Incident) []Contact {
	var channels []Channel
	for _, name := range i.Rules {
		channels = append(channels, r.Table.Rule(name).Channels...)
	}
	if i.Cause.Group == ReceiverFailing {
		others := slices.DeleteFunc(slices.Clone(r.Config.Contacts), func(k Contact) bool { return k.Name == i.Object })
		if first := reach(others, channels); slices.ContainsFunc(first, func(k Contact) bool { return k.Level == 0 }) {
			return first
		}
	}
	return reach(r.Config.Contacts, channels)
}

func reach(all []Contact, channels []Channel) []Contact {
	first := false
	var out []Contact
	for _, k := range all {
		if k.in(channels) {
			out = append(out, k)
			first = first || k.Level == 0
		}
	}
	if first {
		return out
	}
	for _, k := range all {
		if k.Level == 0 && len(k.Channels) > 0 { // one without channels carries heartbeats only
			out = append(out, k)
		}
	}
	return out
}
