package interop_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
	"avalo.app/gantry/internal/notify/alertmanager"
)

// severities returns the severities of the alerts that fire, by object.
func severities(t *testing.T, u *url.URL) []string {
	t.Helper()
	resp, err := http.Get(u.JoinPath("/api/v2/alerts").String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var as []struct {
		Labels map[string]string
		EndsAt time.Time
	}
	if err := json.NewDecoder(resp.Body).Decode(&as); err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, a := range as {
		if a.EndsAt.After(time.Now()) {
			out = append(out, a.Labels["object"]+" "+a.Labels["severity"])
		}
	}
	slices.Sort(out)
	return out
}

// TestAlertmanagerReceiver: a real one shows what fires, at its severity, and no more.
func TestAlertmanagerReceiver(t *testing.T) {
	u := &url.URL{Scheme: "http", Host: runAlertmanager(t)}
	r := alertmanager.New(alertmanager.Options{URL: u})
	deliver := func(a incident.Action, object string, c incident.Class, want ...string) {
		t.Helper()
		m := incidenttest.Sample(a)
		m.Object, m.DedupKey, m.Class = object, object, c
		m.OpenedAt = time.Now().Add(-time.Minute)
		if _, err := r.Deliver(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(append([]string{}, want...), severities(t, u)); d != "" {
			t.Errorf("after %s of %s (-want +got): %s", a, object, d)
		}
	}
	deliver(incident.Trigger, "db", incident.P2, "db warning")
	deliver(incident.Trigger, "web", incident.P1, "db warning", "web error")
	deliver(incident.UpdateAlert, "db", incident.P0, "db critical", "web error")
	deliver(incident.Acknowledge, "db", incident.P0, "db critical", "web error")
	deliver(incident.Repeat, "db", incident.P0, "db critical", "web error")
	deliver(incident.Resolve, "db", incident.P0, "web error")
	deliver(incident.Resolve, "db", incident.P0, "web error") // again
	deliver(incident.Resolve, "web", incident.P1)
}
