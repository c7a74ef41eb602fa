package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"avalo.app/gantry/internal/incident"
)

// alertmanagerRepeat is how often Alertmanager is told again unless
// configured: it forgets what nobody repeats.
const alertmanagerRepeat = 3 * time.Minute

// Routing is who hears of incidents, in the words of package incident. The
// caller names the installation.
func (c Config) Routing() (incident.Config, error) {
	in, out := c.Incidents, incident.DefaultConfig()
	out.Link = in.Link
	out.Rules = map[string]incident.Override{}
	for name, r := range in.Rules {
		o := incident.Override{Class: incident.Class(r.Class)}
		for _, ch := range r.Channels {
			o.Channels = append(o.Channels, incident.Channel(ch))
		}
		out.Rules[name] = o
	}
	out.Delays = map[incident.Class]time.Duration{incident.P1: time.Duration(in.Delay.P1), incident.P2: time.Duration(in.Delay.P2)}
	out.Ladder = map[incident.Class][]time.Duration{incident.P0: durations(in.Escalation.P0), incident.P1: durations(in.Escalation.P1)}
	out.Heartbeats = map[string]time.Duration{}
	for _, name := range slices.Sorted(maps.Keys(in.Receivers)) {
		r := in.Receivers[name]
		k := incident.Contact{Name: name, Level: r.Level, Repeat: time.Duration(r.Repeat)}
		if r.Alertmanager != nil && k.Repeat == 0 {
			k.Repeat = alertmanagerRepeat
		}
		for _, ch := range r.Channels {
			k.Channels = append(k.Channels, incident.Channel(ch))
		}
		if len(k.Channels) > 0 { // one without is for heartbeats alone
			out.Contacts = append(out.Contacts, k)
		}
		if r.Heartbeat > 0 {
			out.Heartbeats[name] = time.Duration(r.Heartbeat)
		}
	}
	return out, c.Incidents.BusinessHours.apply(&out)
}

func durations(ds []Duration) (out []time.Duration) {
	for _, d := range ds {
		out = append(out, time.Duration(d))
	}
	return out
}

func weekdays() []string { return []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

func (b BusinessHours) apply(out *incident.Config) error {
	zone, err := time.LoadLocation(b.TimeZone)
	if err != nil || b.TimeZone == "Local" {
		return fmt.Errorf("incidents.business_hours.time_zone: %q is not known: name one such as Europe/Warsaw", b.TimeZone)
	}
	at, err := time.Parse("15:04", b.Morning)
	if err != nil {
		return fmt.Errorf("incidents.business_hours.morning: must be hh:mm, such as 09:00; it is %q", b.Morning)
	}
	out.Zone, out.Morning = zone, time.Duration(at.Hour())*time.Hour+time.Duration(at.Minute())*time.Minute
	out.Days = nil
	for _, d := range b.Days {
		i := slices.Index(weekdays(), strings.ToLower(d))
		if i < 0 {
			return fmt.Errorf("incidents.business_hours.days: must be of %s; one is %q", strings.Join(weekdays(), ", "), d)
		}
		out.Days = append(out.Days, time.Weekday(i))
	}
	return nil
}
