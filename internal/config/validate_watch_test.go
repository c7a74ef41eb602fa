package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/config"
)

// TestWhoIsTold: a receiver that cannot be reached shows before it is needed,
// and no secret shows with it.
func TestWhoIsTold(t *testing.T) {
	const doc = `
incidents:
  receivers:
    a: {channels: [pager], pagerduty: {url: "events.pagerduty.com"}}
    b: {channels: [chat], slack: {webhook_url: "hooks.slack.com/hidden"}}
    c: {channels: [email], email: {server: smtp, username: u, from: nobody, to: [x]}}
    d: {channels: [chat], webhook: {url: "https://x/y", secrets: hidden}}
    e: {heartbeat: 1m, ping: {}}
    f: {channels: [chat]}
    g: {channels: [chat], ping: {url: "https://x/"}, opsgenie: {api_key: k, url: "ftp://x"}}
    h: {ping: {url: "https://x/"}}
    i: {channels: [chat], alertmanager: {url: "http://alertmanager:9093"}}
`
	c, err := config.Decode([]byte(doc), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	if err = c.Validate(); err == nil {
		t.Fatal("it is accepted")
	}
	var got []string
	for line := range strings.Lines(err.Error()) {
		_, line, _ = strings.Cut(line, "incidents.receivers.")
		path, _, _ := strings.Cut(line, ":")
		got = append(got, path)
	}
	want := []string{"a.pagerduty.routing_key", "a.pagerduty.url", "b.slack.webhook_url", "c.email.password", "c.email.server", "c.email.from", "c.email.to[0]",
		"d.webhook.secrets", "e.ping.url", "f", "g", "g.opsgenie.url", "h.channels"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%v", diff, err)
	}
	if strings.Contains(err.Error(), "hidden") {
		t.Errorf("a secret shows: %v", err)
	}
}
