package incident_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestNextMorning(t *testing.T) {
	for name, tt := range map[string]struct {
		zone    string
		morning time.Duration
		days    []time.Weekday
		at      string
		want    string
	}{
		"in the night":              {"Europe/Warsaw", 9 * time.Hour, nil, "2026-03-03T02:00:00+01:00", "2026-03-03T09:00:00+01:00"},
		"in the morning itself":     {"Europe/Warsaw", 9 * time.Hour, nil, "2026-03-03T09:00:00+01:00", "2026-03-04T09:00:00+01:00"},
		"during the day":            {"Europe/Warsaw", 9 * time.Hour, nil, "2026-03-03T10:00:00+01:00", "2026-03-04T09:00:00+01:00"},
		"on Friday":                 {"Europe/Warsaw", 9 * time.Hour, nil, "2026-03-06T10:00:00+01:00", "2026-03-09T09:00:00+01:00"},
		"on Sunday":                 {"Europe/Warsaw", 9 * time.Hour, nil, "2026-03-08T23:59:59+01:00", "2026-03-09T09:00:00+01:00"},
		"over the start of summer":  {"Europe/Warsaw", 9 * time.Hour, nil, "2026-03-27T12:00:00+01:00", "2026-03-30T09:00:00+02:00"},
		"over the end of summer":    {"Europe/Warsaw", 9 * time.Hour, nil, "2026-10-23T12:00:00+02:00", "2026-10-26T09:00:00+01:00"},
		"a morning that is skipped": {"Europe/Warsaw", 2*time.Hour + 30*time.Minute, []time.Weekday{time.Sunday}, "2026-03-29T00:00:00+01:00", "2026-03-29T03:30:00+02:00"},
		"a morning that comes twice": {"Europe/Warsaw", 2*time.Hour + 30*time.Minute, []time.Weekday{time.Sunday}, "2026-10-25T00:00:00+02:00",
			"2026-10-25T02:30:00+02:00"},
		"between the two":      {"Europe/Warsaw", 2*time.Hour + 30*time.Minute, []time.Weekday{time.Sunday}, "2026-10-25T02:45:00+02:00", "2026-11-01T02:30:00+01:00"},
		"west of Greenwich":    {"America/Los_Angeles", 9 * time.Hour, nil, "2026-03-03T16:59:00Z", "2026-03-03T17:00:00Z"},
		"the date line":        {"Pacific/Auckland", 9 * time.Hour, nil, "2026-03-01T19:00:00Z", "2026-03-01T20:00:00Z"}, // Monday there
		"one day in the week":  {"UTC", 9 * time.Hour, []time.Weekday{time.Tuesday}, "2026-03-03T09:00:00Z", "2026-03-10T09:00:00Z"},
		"a weekend that works": {"UTC", 0, []time.Weekday{time.Friday}, "2026-03-03T09:00:00Z", "2026-03-06T00:00:00Z"},
	} {
		c := incident.DefaultConfig()
		c.Zone, c.Morning = zone(t, tt.zone), tt.morning
		if tt.days != nil {
			c.Days = tt.days
		}
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		want, err := time.Parse(time.RFC3339, tt.want)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.NextMorning(at); !got.Equal(want) {
			t.Errorf("%s: %v, want %v", name, got.In(c.Zone), want.In(c.Zone))
		}
	}
}

// TestPlan: who is told what, by state, class and time.
func TestPlan(t *testing.T) {
	c := incidenttest.Config()
	c.Delays = map[incident.Class]time.Duration{incident.P1: 5 * time.Minute, incident.P2: 30 * time.Minute}
	table, err := incident.NewTable(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := incident.Routing{Config: &c, Table: table}
	at := incidenttest.Start()
	told := func(a incident.Action, class incident.Class, names ...string) map[string]incident.Notice {
		m := map[string]incident.Notice{}
		for _, n := range names {
			m[n] = incident.Notice{Action: a, Class: class, At: at}
		}
		return m
	}
	open := func(rule string, class incident.Class, first time.Duration, n map[string]incident.Notice) incident.Incident {
		i := incident.Incident{Cause: incident.Cause{Group: rule, Object: "x"}, Rules: []string{rule}, Class: class, State: incident.Open, RaisedAt: at, Notices: n}
		if first >= 0 {
			i.FirstSent = at.Add(first)
		}
		return i
	}
	acked := func(i incident.Incident) incident.Incident { i.State = incident.Acknowledged; return i }
	resolved := func(i incident.Incident) incident.Incident { i.State = incident.Resolved; return i }
	failing := func(name string) incident.Incident {
		i := open("receiver_failing", incident.P2, -1, nil)
		i.Object = name
		return i
	}
	all := told(incident.Trigger, incident.P0, "pager", "chat", "mail")
	silence := []incident.Silence{{Class: incident.P0, EndsAt: at.Add(time.Minute)}}
	for name, tt := range map[string]struct {
		i        incident.Incident
		silences []incident.Silence
		after    time.Duration
		want     []string
	}{
		"P0 at once":                  {open("payment_failed", incident.P0, -1, nil), nil, 0, []string{"chat trigger", "mail trigger", "pager trigger"}},
		"P1 not before its delay":     {open("error_rate", incident.P1, -1, nil), nil, 5*time.Minute - 1, nil},
		"P1 at its delay":             {open("error_rate", incident.P1, -1, nil), nil, 5 * time.Minute, []string{"chat trigger", "pager trigger"}},
		"P2 not before its delay":     {open("disk_low", incident.P2, -1, nil), nil, 30*time.Minute - 1, nil},
		"P2 at its delay":             {open("disk_low", incident.P2, -1, nil), nil, 30 * time.Minute, []string{"chat trigger"}},
		"P3 not today":                {open("config_minor", incident.P3, -1, nil), nil, 23*time.Hour - 1, nil},
		"P3 in the morning":           {open("config_minor", incident.P3, -1, nil), nil, 23 * time.Hour, []string{"chat trigger", "mail trigger"}},
		"P0 told":                     {open("payment_failed", incident.P0, 0, all), nil, 10*time.Minute - 1, nil},
		"P0 second contact":           {open("payment_failed", incident.P0, 0, all), nil, 10 * time.Minute, []string{"lead trigger"}},
		"P0 third contact":            {open("payment_failed", incident.P0, 0, all), nil, 20 * time.Minute, []string{"lead trigger", "cto trigger"}},
		"the ladder from first word":  {open("payment_failed", incident.P0, time.Hour, all), nil, time.Hour + 10*time.Minute - 1, nil},
		"P1 climbs slower":            {open("error_rate", incident.P1, 0, told(incident.Trigger, incident.P1, "pager", "chat")), nil, 30 * time.Minute, []string{"lead trigger"}},
		"P2 does not climb":           {open("disk_low", incident.P2, 0, told(incident.Trigger, incident.P2, "chat")), nil, 1000 * time.Hour, nil},
		"acknowledged does not climb": {acked(open("payment_failed", incident.P0, 0, told(incident.Acknowledge, incident.P0, "pager", "chat", "mail"))), nil, time.Hour, nil},
		"acknowledged is told":        {acked(open("payment_failed", incident.P0, 0, all)), nil, 0, []string{"chat acknowledge", "mail acknowledge", "pager acknowledge"}},
		"acknowledged before a word":  {acked(open("disk_low", incident.P2, -1, nil)), nil, time.Hour, nil},
		"risen":                       {open("payment_failed", incident.P0, 0, told(incident.Trigger, incident.P2, "chat")), nil, 0, []string{"chat update", "mail trigger", "pager trigger"}},
		"reopened":                    {open("payment_failed", incident.P0, -1, told(incident.Resolve, incident.P0, "chat", "lead")), nil, 0, []string{"chat trigger", "mail trigger", "pager trigger"}},
		"resolved":                    {resolved(open("payment_failed", incident.P0, 0, told(incident.Trigger, incident.P0, "lead", "gone"))), nil, 0, []string{"gone resolve", "lead resolve"}},
		"resolved and told":           {resolved(open("payment_failed", incident.P0, 0, told(incident.Resolve, incident.P0, "chat"))), nil, 0, nil},
		"silenced":                    {open("payment_failed", incident.P0, -1, nil), silence, time.Minute - 1, nil},
		"silence ended":               {open("payment_failed", incident.P0, -1, nil), silence, time.Minute, []string{"chat trigger", "mail trigger", "pager trigger"}},
		"another class is silenced":   {open("error_rate", incident.P1, -1, nil), silence, 10 * time.Minute, []string{"chat trigger", "pager trigger"}},
		"silenced and resolved":       {resolved(open("payment_failed", incident.P0, 0, all)), silence, 0, []string{"chat resolve", "mail resolve", "pager resolve"}},
		"the pager fails":             {failing("pager"), nil, 30 * time.Minute, []string{"chat trigger", "mail trigger"}},
		"the chat fails":              {failing("chat"), nil, 30 * time.Minute, []string{"mail trigger", "pager trigger"}},
	} {
		var got []string
		for _, s := range r.Plan(&tt.i, tt.silences, at.Add(tt.after)) {
			got = append(got, s.Receiver+" "+string(s.Action))
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	c.Contacts = c.Contacts[:1]
	i := failing("pager")
	if got := r.Plan(&i, nil, at.Add(time.Hour)); len(got) != 1 {
		t.Errorf("the only contact fails: %v", got)
	}
	c.Contacts = nil
	if got := r.Plan(&i, nil, at.Add(time.Hour)); got != nil {
		t.Errorf("no contacts: %v", got)
	}
}

// TestSilenceCoversEveryRule: an incident is quiet only while each rule that
// fails is silenced.
func TestSilenceCoversEveryRule(t *testing.T) {
	w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
	if _, err := w.Silence(t.Context(), incident.Silence{Rule: "job_failed", Reason: "x", By: "key:a", EndsAt: w.Clock.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	w.Fail("mail", "job_failed")
	w.MustTurn(0)
	w.Is("P2 open")
	w.Heard("chat")
	w.Fail("mail", "job_overdue")
	w.MustTurn(0)
	w.Is("P2 open")
	w.Heard("chat", "trigger P2")
}

func TestDedupKey(t *testing.T) {
	base := incident.DedupKey("i", incident.Cause{Group: "g", Object: "o"}, 1)
	for name, other := range map[string]string{
		"installation": incident.DedupKey("j", incident.Cause{Group: "g", Object: "o"}, 1),
		"group":        incident.DedupKey("i", incident.Cause{Group: "h", Object: "o"}, 1),
		"object":       incident.DedupKey("i", incident.Cause{Group: "g", Object: "p"}, 1),
		"boundary":     incident.DedupKey("i", incident.Cause{Group: "go", Object: ""}, 1),
		"sequence":     incident.DedupKey("i", incident.Cause{Group: "g", Object: "o"}, 2),
	} {
		if base == other {
			t.Errorf("another %s has the same key", name)
		}
	}
	if base != incident.DedupKey("i", incident.Cause{Group: "g", Object: "o"}, 1) || len(base) > 255 {
		t.Errorf("key %q", base)
	}
	if incident.DedupKey("i", incident.Cause{Group: "store_down", Object: "a"}, 1) != incident.DedupKey("i", incident.Cause{Group: "store_down"}, 0) {
		t.Error("what nodes page for the store without it has another key than its incident")
	}
}

func TestSilenceRefuses(t *testing.T) {
	w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
	good := incident.Silence{Rule: "disk_low", Reason: "why", By: "key:a", EndsAt: w.Clock.Now().Add(time.Hour)}
	if _, err := w.Silence(t.Context(), good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*incident.Silence){
		"no matcher":    func(s *incident.Silence) { s.Rule = "" },
		"a rule":        func(s *incident.Silence) { s.Rule = "no_such" },
		"a class":       func(s *incident.Silence) { s.Class = "P9" },
		"a long object": func(s *incident.Silence) { s.Object = strings.Repeat("x", 201) },
		"no reason":     func(s *incident.Silence) { s.Reason = " " },
		"a long reason": func(s *incident.Silence) { s.Reason = strings.Repeat("x", 501) },
		"no end":        func(s *incident.Silence) { s.EndsAt = time.Time{} },
		"an end before": func(s *incident.Silence) { s.EndsAt = w.Clock.Now() },
		"an end too far": func(s *incident.Silence) {
			s.EndsAt = w.Clock.Now().Add(30*24*time.Hour + time.Second)
		},
	} {
		s := good
		change(&s)
		if _, err := w.Silence(t.Context(), s); fault.CodeOf(err) != fault.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := w.Silences(t.Context()); err != nil || len(got) != 1 {
		t.Errorf("silences %v %v", got, err)
	}
}
