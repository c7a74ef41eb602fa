package config_test

import (
	"strings"
	"testing"

	"avalo.app/gantry/internal/config"
)

// TestNotes: what is valid and yet reaches nobody is said.
func TestNotes(t *testing.T) {
	t.Parallel()
	at := func(level int, channels ...string) config.Receiver {
		return config.Receiver{Level: level, Channels: channels, Ping: &config.PingReceiver{URL: config.NewSecret("https://example.com")}}
	}
	old := at(0, "pager")
	old.Ping, old.Opsgenie = nil, &config.OpsgenieReceiver{APIKey: config.NewSecret("k")}
	for name, tt := range map[string]struct {
		receivers map[string]config.Receiver
		rules     map[string]config.RuleOverride
		want      []string // parts of the notes
	}{
		"none":                {nil, nil, []string{"receivers: no receiver has channels"}},
		"heartbeats alone":    {map[string]config.Receiver{"a": at(0)}, nil, []string{"receivers: no receiver has channels"}},
		"nobody first":        {map[string]config.Receiver{"a": at(1, "pager", "chat")}, nil, []string{"receivers: no receiver has level 0"}},
		"chat alone":          {map[string]config.Receiver{"a": at(0, "chat")}, nil, []string{"receivers: no receiver of level 0 has the channel pager"}},
		"pager alone":         {map[string]config.Receiver{"a": at(0, "pager")}, nil, []string{"freshness_stale"}},
		"a rule moved away":   {map[string]config.Receiver{"a": at(0, "pager", "chat")}, map[string]config.RuleOverride{"job_failed": {Channels: []string{"email"}}}, []string{"channels of the rules job_failed:"}},
		"all":                 {map[string]config.Receiver{"a": at(0, "pager", "chat")}, nil, nil},
		"opsgenie, and alone": {map[string]config.Receiver{"old": old}, nil, []string{"freshness_stale", "opsgenie: Atlassian ends Opsgenie's API on 2027-04-05: move the receivers old"}},
	} {
		c := config.Default()
		c.Incidents.Receivers, c.Incidents.Rules = tt.receivers, tt.rules
		got := c.Notes()
		if len(got) != len(tt.want) {
			t.Errorf("%s: %+v, want %q", name, got, tt.want)
			continue
		}
		for i, n := range got {
			if !strings.Contains(n.Object+": "+n.Text, tt.want[i]) {
				t.Errorf("%s: %+v, want %q", name, n, tt.want[i])
			}
		}
	}
}

// TestAlertmanagerRepeats: it forgets, so it is told again by default.
func TestAlertmanagerRepeats(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Incidents.Receivers = map[string]config.Receiver{
		"am":   {Channels: []string{"chat"}, Alertmanager: &config.AlertmanagerReceiver{URL: "http://am:9093"}},
		"chat": {Channels: []string{"chat"}, Slack: &config.SlackReceiver{WebhookURL: config.NewSecret("https://example.com")}},
	}
	r, err := c.Routing()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, k := range r.Contacts {
		got[k.Name] = k.Repeat > 0
	}
	if !got["am"] || got["chat"] {
		t.Errorf("repeats: %v", got)
	}
	r.Installation = "test"
	if err := r.Validate(); err != nil {
		t.Errorf("%v", err)
	}
}
