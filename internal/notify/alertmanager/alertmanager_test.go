package alertmanager_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
	"avalo.app/gantry/internal/notify/alertmanager"
)

const token = "t0k3n-of-alertmanager"

var now = time.Date(2026, 3, 3, 10, 5, 0, 0, time.UTC)

type alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
}

func parse(body []byte) (as []alert, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return as, d.Decode(&as)
}

// read is Alertmanager's own check of alerts.
func read(r *http.Request, body []byte) (h incidenttest.Heard, err error) {
	if r.Method != http.MethodPost || r.URL.Path != "/prefix/api/v2/alerts" || r.Header.Get("Authorization") != "Bearer "+token {
		return h, errors.New("no such endpoint")
	}
	as, err := parse(body)
	if err != nil || len(as) == 0 {
		return h, fmt.Errorf("%d alerts: %w", len(as), err)
	}
	firing := false
	for _, a := range as {
		for name, v := range a.Labels {
			if !regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`).MatchString(name) || v == "" {
				return h, fmt.Errorf("label %q=%q", name, v)
			}
		}
		if a.Labels["alertname"] == "" || a.StartsAt.IsZero() || !a.EndsAt.After(a.StartsAt) {
			return h, fmt.Errorf("alert %+v", a)
		}
		firing = firing || a.EndsAt.After(now)
	}
	h = incidenttest.Heard{Key: as[0].Labels["incident"], Action: incident.Trigger}
	if !firing {
		h.Action = incident.Resolve
	}
	return h, nil
}

func service() incidenttest.Service {
	return incidenttest.Service{
		Open: func(_ *testing.T, server *url.URL) incident.Receiver {
			return alertmanager.New(alertmanager.Options{URL: server.JoinPath("/prefix"), Token: token, Now: func() time.Time { return now }})
		},
		Read:    read,
		OK:      func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) },
		Actions: []incident.Action{incident.Trigger, incident.Resolve},
		Secrets: []string{token},
	}
}

func TestReceiver(t *testing.T) { incidenttest.RunReceiver(t, service()) }

// TestAlerts: what fires and what ends, by severity.
func TestAlerts(t *testing.T) {
	type state struct{ Severity, State string }
	fires, ends := "fires", "ends"
	for name, tt := range map[string]struct {
		a     incident.Action
		class incident.Class
		want  []state
	}{
		"trigger":     {incident.Trigger, incident.P1, []state{{"error", fires}}},
		"repeat":      {incident.Repeat, incident.P1, []state{{"error", fires}}},
		"acknowledge": {incident.Acknowledge, incident.P1, []state{{"error", fires}}},
		"rise":        {incident.UpdateAlert, incident.P1, []state{{"error", fires}, {"warning", ends}, {"info", ends}}},
		"resolve":     {incident.Resolve, incident.P1, []state{{"error", ends}, {"warning", ends}, {"info", ends}}},
		"heartbeat":   {incident.Heartbeat, "", []state{{"none", fires}}},
	} {
		var got []state
		s := service()
		s.Read = func(r *http.Request, body []byte) (incidenttest.Heard, error) {
			as, err := parse(body)
			for _, a := range as {
				st := ends
				if a.EndsAt.After(now) {
					st = fires
					if a.EndsAt != now.Add(alertmanager.DefaultLasts) {
						t.Errorf("%s: it fires until %v", name, a.EndsAt)
					}
				}
				got = append(got, state{a.Labels["severity"], st})
			}
			return incidenttest.Heard{}, err
		}
		m := incidenttest.Sample(tt.a)
		m.Class = tt.class
		if _, err := incidenttest.Once(t, s, m); err != nil {
			t.Error(err)
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
