package app_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/config"
)

// TestConfigMinor: a configuration that is valid and not as it should be is a
// P3 until a start without it.
func TestConfigMinor(t *testing.T) {
	t.Parallel()
	dir := ""
	r := row{rule: "config_minor", object: "opsgenie", class: "P3", channels: later, source: "the configuration at a start"}
	first := startHost(t, func(h *host, c *config.Config) {
		dir = c.DataDir
		c.Incidents.Receivers["old"] = config.Receiver{Heartbeat: config.Duration(time.Hour), Opsgenie: &config.OpsgenieReceiver{URL: h.broken.url, APIKey: config.NewSecret("an-opsgenie-api-key")}}
	})
	first.opened(t, r)
	if err := first.app.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	next := again(t, dir, first)
	next.over(t, r)
}

// TestRedirectsAreRefused: a probe, a freshness URL and a receiver follow no
// redirect to another host; nothing arrives there, and each is reported.
func TestRedirectsAreRefused(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { arrived.Add(1) }))
	t.Cleanup(inside.Close)
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inside.URL+"/latest/meta-data", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(away.Close)
	s := start(t, func(c *config.Config) {
		c.Health.Components = map[string]config.Component{"stripe": {Slot: "payments", Interval: second, Timeout: second, FailureThreshold: 1, HTTP: &config.HTTPProbe{URL: config.NewSecret(away.URL)}}}
		c.Health.Freshness = map[string]config.Freshness{"index": {MaxAge: second, Every: second, URL: config.NewSecret(away.URL), Field: "at"}}
		c.Incidents.Receivers = map[string]config.Receiver{"hook": {Channels: []string{"pager"}, Webhook: &config.WebhookReceiver{URL: away.URL, Secrets: config.NewSecret("whsec_" + hookKey)}}}
	})
	for _, object := range []string{"stripe", "index"} {
		await(t, object+" is reported", func() (bool, string) {
			got := read[incidentList](t, s, "/v1/incidents?object="+object).Incidents
			return len(got) == 1 && (object == "index" || strings.Contains(got[0].Summary, "not one that the configuration names")), s.want(t, 200, "GET", "/v1/incidents", "")
		})
	}
	await(t, "the receiver's refusal is in the outbox", func() (bool, string) {
		got := read[incidentList](t, s, "/v1/incidents?object=stripe").Incidents
		if len(got) != 1 {
			return false, "no incident"
		}
		d := read[api.IncidentDetail](t, s, "/v1/incidents/"+got[0].ID)
		for _, x := range d.Deliveries {
			if x.Attempts > 0 && x.State != "delivered" && x.Answer != "" {
				return true, ""
			}
		}
		return false, s.want(t, 200, "GET", "/v1/incidents/"+got[0].ID, "")
	})
	if n := arrived.Load(); n != 0 {
		t.Errorf("%d requests followed the redirect", n)
	}
}
