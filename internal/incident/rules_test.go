package incident_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
)

// TestRules: the table is what system.md section 8 and pack-100.md ask for.
func TestRules(t *testing.T) {
	want := map[string]string{ // class, cause group, channels
		"component_down":       "P0 component pager,chat,email",
		"payment_failed":       "P0 payment_failed pager,chat,email",
		"integrity_failed":     "P0 integrity_failed pager,chat,email",
		"audit_unverified":     "P0 audit_unverified pager,chat,email",
		"audit_contradicted":   "P0 audit_contradicted pager,chat,email",
		"security_event":       "P0 security_event pager,chat,email",
		"store_down":           "P0 store_down pager,chat,email",
		"health_degraded":      "P1 component pager,chat",
		"error_rate":           "P1 error_rate pager,chat",
		"query_error":          "P1 query_error pager,chat",
		"backup_failed":        "P1 backup pager,chat",
		"backup_overdue":       "P1 backup pager,chat",
		"drill_missed":         "P1 drill_missed pager,chat",
		"ratelimit_degraded":   "P1 ratelimit_degraded pager,chat",
		"component_impaired":   "P2 component chat",
		"violations_high":      "P2 violations_high chat",
		"launch_misconfigured": "P2 launch_misconfigured chat",
		"signup_unbacked":      "P2 signup_unbacked chat",
		"backup_warning":       "P2 backup_warning chat",
		"ops_overdue":          "P2 ops_overdue chat",
		"job_failed":           "P2 job chat",
		"job_overdue":          "P2 job chat",
		"freshness_stale":      "P2 freshness_stale chat",
		"auth_failures":        "P2 auth_failures chat",
		"disk_low":             "P2 disk_low chat",
		"background_failing":   "P2 background_failing chat",
		"receiver_failing":     "P2 receiver_failing pager,chat,email",
		"readiness_warn":       "P3 readiness_warn chat,email",
		"config_minor":         "P3 config_minor chat,email",
	}
	table, err := incident.NewTable(nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range incident.Rules() {
		r = table.Rule(r.Name)
		var channels []string
		for _, c := range r.Channels {
			channels = append(channels, string(c))
		}
		got[r.Name] = string(r.Class) + " " + r.Group + " " + strings.Join(channels, ",")
		after := map[string]time.Duration{"health_degraded": 5 * time.Minute, "background_failing": time.Minute}[r.Name]
		if r.After != after {
			t.Errorf("%s counts after %v, want %v", r.Name, r.After, after)
		}
		if r.Fold == "" && !strings.Contains(r.Text, "{object}") && r.Name != "store_down" {
			t.Errorf("%s does not say what fails: %q", r.Name, r.Text)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("table (-want +got): %s", d)
	}
	if n := len(incident.Rules()); n != len(want) {
		t.Errorf("%d rows for %d rules", n, len(want))
	}
}

// TestEveryRuleRaisesAndClears: each row opens an incident of its class, tells
// its channels and nobody else in time, and ends.
func TestEveryRuleRaisesAndClears(t *testing.T) {
	for _, r := range incident.Rules() {
		t.Run(r.Name, func(t *testing.T) {
			w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
			w.Fail("thing", r.Name)
			w.MustTurn(0)
			if r.After > 0 {
				w.Is()
				w.MustTurn(r.After)
			}
			i := w.Is(string(r.Class) + " open")[0]
			limit := map[incident.Class]time.Duration{incident.P0: 0, incident.P1: 15 * time.Minute, incident.P2: time.Hour, incident.P3: 24 * time.Hour}[r.Class]
			w.MustTurn(0)
			if r.Class == incident.P3 {
				w.Heard("chat")
				w.MustTurn(limit)
			}
			first := "trigger " + string(r.Class)
			heard := map[incident.Channel]string{incident.Pager: "pager", incident.Chat: "chat", incident.Email: "mail"}
			for _, c := range incident.Channels() {
				if slices.Contains(r.Channels, c) {
					w.Heard(heard[c], first)
				} else {
					w.Heard(heard[c])
				}
			}
			w.Clear("thing", r.Name)
			w.MustTurn(0)
			w.Is(string(r.Class) + " resolved")
			w.Heard(heard[r.Channels[0]], first, "resolve "+string(r.Class))
			if i.Summary == "" || i.Object == "" {
				t.Errorf("it does not say what fails: %+v", i)
			}
		})
	}
}

func TestOverrides(t *testing.T) {
	c := incidenttest.Config()
	c.Rules = map[string]incident.Override{
		"disk_low":   {Class: incident.P0, Channels: []incident.Channel{incident.Email}},
		"error_rate": {Class: incident.P2},
	}
	w := incidenttest.NewWorld(t, incidenttest.OnMemory(), c, "a", nil)
	w.Fail("data", "disk_low")
	w.Fail("api", "error_rate")
	w.MustTurn(0)
	w.Is("P0 open", "P2 open")
	w.Heard("mail", "trigger P0")
	w.Heard("pager", "trigger P2")
	w.Heard("chat", "trigger P2")
}

// TestUnknownRule: a rule without a row is refused in the configuration, and
// recorded all the same when a fact names it.
func TestUnknownRule(t *testing.T) {
	if _, err := incident.NewTable(map[string]incident.Override{"no_such": {Class: incident.P0}}); fault.CodeOf(err) != fault.InvalidArgument || !strings.Contains(err.Error(), "disk_low") {
		t.Errorf("an override of no rule: %v", err)
	}
	w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
	w.Fail("thing", "no_such")
	w.MustTurn(0)
	if i := w.Is("P2 open")[0]; i.Summary != "no_such: thing: it is so" || i.Group != "no_such" {
		t.Errorf("%+v", i)
	}
	w.Heard("chat", "trigger P2")
}

func TestConfigRefuses(t *testing.T) {
	for name, change := range map[string]func(*incident.Config){
		"no installation":   func(c *incident.Config) { c.Installation = "" },
		"two of one name":   func(c *incident.Config) { c.Contacts = append(c.Contacts, c.Contacts[0]) },
		"no name":           func(c *incident.Config) { c.Contacts[0].Name = "" },
		"a channel":         func(c *incident.Config) { c.Contacts[0].Channels = []incident.Channel{"fax"} },
		"a level":           func(c *incident.Config) { c.Contacts[0].Level = -1 },
		"repeats too often": func(c *incident.Config) { c.Contacts[0].Repeat = time.Second },
		"a rule":            func(c *incident.Config) { c.Rules = map[string]incident.Override{"x": {}} },
		"a rule's class":    func(c *incident.Config) { c.Rules = map[string]incident.Override{"disk_low": {Class: "P4"}} },
		"a rule's channel": func(c *incident.Config) {
			c.Rules = map[string]incident.Override{"disk_low": {Channels: []incident.Channel{"fax"}}}
		},
		"P0 waits":            func(c *incident.Config) { c.Delays = map[incident.Class]time.Duration{incident.P0: 1} },
		"P1 waits too long":   func(c *incident.Config) { c.Delays = map[incident.Class]time.Duration{incident.P1: 15*time.Minute + 1} },
		"P2 waits too long":   func(c *incident.Config) { c.Delays = map[incident.Class]time.Duration{incident.P2: time.Hour + 1} },
		"P2 escalates":        func(c *incident.Config) { c.Ladder[incident.P2] = []time.Duration{time.Hour} },
		"a falling ladder":    func(c *incident.Config) { c.Ladder[incident.P0] = []time.Duration{2, 1} },
		"a ladder at once":    func(c *incident.Config) { c.Ladder[incident.P0] = []time.Duration{0} },
		"no zone":             func(c *incident.Config) { c.Zone = nil },
		"a morning":           func(c *incident.Config) { c.Morning = 24 * time.Hour },
		"no business day":     func(c *incident.Config) { c.Days = nil },
		"an eighth day":       func(c *incident.Config) { c.Days = []time.Weekday{7} },
		"a heartbeat's hurry": func(c *incident.Config) { c.Heartbeats = map[string]time.Duration{"x": time.Second} },
	} {
		c := incidenttest.Config()
		change(&c)
		if err := c.Validate(); fault.CodeOf(err) != fault.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := incidenttest.Config()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestUnreached(t *testing.T) {
	c := incidenttest.Config()
	if got := c.Unreached(); got != nil {
		t.Errorf("unreached %v", got)
	}
	c.Contacts = c.Contacts[:1] // the pager
	got := c.Unreached()
	if !slices.Contains(got, "disk_low") || slices.Contains(got, "payment_failed") {
		t.Errorf("without a chat: %v", got)
	}
	w := incidenttest.NewWorld(t, incidenttest.OnMemory(), c, "a", nil)
	w.Fail("data", "disk_low")
	w.MustTurn(0)
	w.Heard("pager", "trigger P2") // rather than nobody
}
