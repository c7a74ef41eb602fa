package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"avalo.app/gantry/internal/incident"
)

// Note is what is valid and yet not as it should be.
type Note struct {
	Object string // what it is about, one word: receivers, opsgenie
	Text   string
}

// NoteObjects are all objects that notes may be about.
func NoteObjects() []string { return []string{"receivers", "opsgenie"} }

// opsgenieEnds is the day from which Opsgenie's API no longer answers.
const opsgenieEnds = "2027-04-05"

// Notes returns at most one note for each object. The configuration is valid.
func (c Config) Notes() []Note {
	var out []Note
	if text := c.receiverNote(); text != "" {
		out = append(out, Note{"receivers", text})
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c.Incidents.Receivers)) {
		if c.Incidents.Receivers[name].Opsgenie != nil {
			names = append(names, name)
		}
	}
	if names != nil {
		out = append(out, Note{"opsgenie", fmt.Sprintf("Atlassian ends Opsgenie's API on %s: move the receivers %s to another kind before", opsgenieEnds, strings.Join(names, ", "))})
	}
	return out
}

func (c Config) receiverNote() string {
	in, err := c.Routing()
	if err != nil {
		return "" // it is not valid
	}
	first := slices.DeleteFunc(slices.Clone(in.Contacts), func(k incident.Contact) bool { return k.Level != 0 })
	switch unreached := in.Unreached(); {
	case len(in.Contacts) == 0:
		return "no receiver has channels, so nobody is told of any incident: set incidents.receivers"
	case len(first) == 0:
		return "no receiver has level 0, so nobody is told before an escalation, and of P2 and P3 never: give one of incidents.receivers level 0"
	case len(unreached) > 0:
		return fmt.Sprintf("no receiver of level 0 is in the channels of the rules %s: all receivers of level 0 are told instead; see gantry alerts rules", strings.Join(unreached, ", "))
	case !slices.ContainsFunc(first, func(k incident.Contact) bool { return slices.Contains(k.Channels, incident.Pager) }):
		return "no receiver of level 0 has the channel pager, so P0 wakes nobody: give it to one of incidents.receivers"
	}
	return ""
}

// Kind is the kind of a receiver, as the configuration spells it; "" without.
func (r Receiver) Kind() string {
	if set := kinds(reflect.ValueOf(r)); len(set) > 0 {
		return set[0]
	}
	return ""
}
