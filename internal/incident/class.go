package incident

import "slices"

// Class says how urgent an incident is.
type Class string

// The classes of system.md section 8.
const (
	P0 Class = "P0" // page at once
	P1 Class = "P1" // on-call and chat within 15 min
	P2 Class = "P2" // chat within 1 h
	P3 Class = "P3" // next business morning
)

// Classes returns all classes, the most urgent first.
func Classes() []Class { return []Class{P0, P1, P2, P3} }

// Over reports whether c is more urgent than d. Any class is over "".
func (c Class) Over(d Class) bool { return c != "" && (d == "" || c < d) }

func (c Class) known() bool { return slices.Contains(Classes(), c) }

// Channel is a way to reach people: a column of the rule table. Which
// receivers are in it is configuration.
type Channel string

// The channels.
const (
	Pager Channel = "pager" // wakes whoever is on call
	Chat  Channel = "chat"
	Email Channel = "email"
)

// Channels returns all channels.
func Channels() []Channel { return []Channel{Pager, Chat, Email} }

func (c Channel) known() bool { return slices.Contains(Channels(), c) }
