package incident

import (
	"slices"
	"time"
)

// Config is how incidents are routed. Contacts have no default.
type Config struct {
	Installation string // names this Gantry in messages and dedup keys; required
	Contacts     []Contact
	Rules        map[string]Override
	// Delays is how long a class waits before it is sent first: none for P0, at
	// most 15 min for P1 and 1 h for P2. P3 waits for the morning.
	Delays map[Class]time.Duration
	// Ladder is, for P0 and P1, how long after the first message the contacts
	// of level 1, 2, … are told while nobody acknowledged.
	Ladder map[Class][]time.Duration
	// Zone, Morning (since midnight) and Days say when P3 is sent.
	Zone    *time.Location
	Morning time.Duration
	Days    []time.Weekday
	// Heartbeats go out through these receivers, so often.
	Heartbeats map[string]time.Duration
	// Link is put before an incident's id in messages; "" for none.
	Link string
}

// Bounds of a Config.
const (
	maxP1Delay   = 15 * time.Minute
	maxP2Delay   = time.Hour
	maxEscalate  = 24 * time.Hour
	minHeartbeat = 10 * time.Second
	minRepeat    = time.Minute
)

// DefaultConfig returns what holds unless configured: at once for P1 and P2,
// escalation of P0 after 10 and 20 and of P1 after 30 and 60 minutes, P3 at
// 9:00 UTC on weekdays.
func DefaultConfig() Config {
	return Config{
		Delays:  map[Class]time.Duration{},
		Ladder:  map[Class][]time.Duration{P0: {10 * time.Minute, 20 * time.Minute}, P1: {30 * time.Minute, time.Hour}},
		Zone:    time.UTC,
		Morning: 9 * time.Hour,
		Days:    []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday},
	}
}

// Validate returns the first thing wrong, with the bound and what to set.
func (c *Config) Validate() error {
	if c.Installation == "" || len(c.Installation) > maxName {
		return invalid("installation", "1 to 200 bytes", len(c.Installation), "name this installation, in 1 to %d bytes: receivers show it, and dedup keys are made of it", maxName)
	}
	if _, err := NewTable(c.Rules); err != nil {
		return err
	}
	names := map[string]bool{}
	for _, k := range c.Contacts {
		if k.Name == "" || names[k.Name] {
			return invalid("contacts", "a name of its own", k.Name, "every contact needs a name of its own; %q is empty or twice there", k.Name)
		}
		names[k.Name] = true
		if k.Level < 0 || k.Level > 9 {
			return invalid("contacts."+k.Name+".level", "0 to 9", k.Level, "the level of %s must be 0 (told first) to 9, not %d", k.Name, k.Level)
		}
		if k.Repeat != 0 && k.Repeat < minRepeat {
			return invalid("contacts."+k.Name+".repeat", minRepeat.String(), k.Repeat.String(), "what still fails is told to %s at most every %v, not every %v", k.Name, minRepeat, k.Repeat)
		}
		for _, ch := range k.Channels {
			if !ch.known() {
				return invalid("contacts."+k.Name+".channels", Channels(), ch, "a channel of %s must be one of %v, not %q", k.Name, Channels(), ch)
			}
		}
	}
	if err := c.validateTimes(); err != nil {
		return err
	}
	for name, every := range c.Heartbeats {
		if every < minHeartbeat {
			return invalid("heartbeats."+name, minHeartbeat.String(), every.String(), "the heartbeat of %s must be at least %v apart, not %v", name, minHeartbeat, every)
		}
	}
	return nil
}

func (c *Config) validateTimes() error {
	limits := map[Class]time.Duration{P0: 0, P1: maxP1Delay, P2: maxP2Delay, P3: 0}
	for class, d := range c.Delays {
		if limit, ok := limits[class]; !ok || d < 0 || d > limit {
			return invalid("delays."+string(class), limit.String(), d.String(), "the delay of %s must be between 0 and %v, not %v", class, limit, d)
		}
	}
	for class, steps := range c.Ladder {
		if class != P0 && class != P1 {
			return invalid("ladder."+string(class), []Class{P0, P1}, class, "only P0 and P1 escalate, not %s", class)
		}
		for i, d := range steps {
			if d <= 0 || d > maxEscalate || i > 0 && d < steps[i-1] {
				return invalid("ladder."+string(class), maxEscalate.String(), d.String(), "delays of escalation must be above 0, at most %v and rising, not %v", maxEscalate, steps)
			}
		}
	}
	if c.Zone == nil {
		return invalid("zone", "an IANA time zone", "", "name a time zone for the business morning, such as Europe/Warsaw")
	}
	if c.Morning < 0 || c.Morning >= 24*time.Hour {
		return invalid("morning", "0:00 to 23:59", c.Morning.String(), "the business morning must be a time of day, not %v", c.Morning)
	}
	if len(c.Days) == 0 || slices.ContainsFunc(c.Days, func(d time.Weekday) bool { return d < 0 || d > 6 }) {
		return invalid("days", "Sunday (0) to Saturday (6)", c.Days, "name at least one business day, each 0 (Sunday) to 6")
	}
	return nil
}

// Unreached returns the rules of the table whose channels have no contact of
// level 0. Incidents of them go to all contacts of level 0 instead; with none
// at all, nobody is told.
func (c *Config) Unreached() []string {
	t, err := NewTable(c.Rules)
	if err != nil {
		return nil
	}
	var out []string
	for _, r := range Rules() {
		if !slices.ContainsFunc(c.Contacts, func(k Contact) bool { return k.Level == 0 && k.in(t.Rule(r.Name).Channels) }) {
			out = append(out, r.Name)
		}
	}
	return out
}

func (k Contact) in(channels []Channel) bool {
	return slices.ContainsFunc(k.Channels, func(c Channel) bool { return slices.Contains(channels, c) })
}
