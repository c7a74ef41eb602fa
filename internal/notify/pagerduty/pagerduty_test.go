package pagerduty_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
	"avalo.app/gantry/internal/notify/pagerduty"
)

const key = "R0UT1NGKEY00000000000000000000AB"

// read is PagerDuty's own check of an event, and what Gantry means by it.
func read(r *http.Request, body []byte) (h incidenttest.Heard, err error) {
	if r.Method != http.MethodPost || r.URL.Path != "/v2/enqueue" || r.Header.Get("Content-Type") != "application/json" {
		return h, errors.New("not an event")
	}
	var e struct {
		RoutingKey string `json:"routing_key"`
		Action     string `json:"event_action"`
		DedupKey   string `json:"dedup_key"`
		Client     string `json:"client"`
		ClientURL  string `json:"client_url"`
		Payload    *struct {
			Summary   string         `json:"summary"`
			Source    string         `json:"source"`
			Severity  string         `json:"severity"`
			Timestamp time.Time      `json:"timestamp"`
			Component string         `json:"component"`
			Group     string         `json:"group"`
			Class     string         `json:"class"`
			Details   map[string]any `json:"custom_details"`
		} `json:"payload"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return h, err
	}
	if e.RoutingKey != key || e.DedupKey == "" || len(e.DedupKey) > 255 {
		return h, fmt.Errorf("routing key %q, dedup key %q", e.RoutingKey, e.DedupKey)
	}
	h = incidenttest.Heard{Key: e.DedupKey, Action: incident.Action(e.Action)}
	if e.Action != "trigger" {
		return h, nil
	}
	p := e.Payload
	if p == nil || p.Summary == "" || utf8.RuneCountInString(p.Summary) > 1024 || p.Source == "" || p.Timestamp.IsZero() ||
		!slices.Contains([]string{"critical", "error", "warning", "info"}, p.Severity) {
		return h, fmt.Errorf("payload %+v", p)
	}
	return h, nil
}

func service() incidenttest.Service {
	return incidenttest.Service{
		Open: func(_ *testing.T, server *url.URL) incident.Receiver {
			return pagerduty.New(pagerduty.Options{URL: server.JoinPath("/v2/enqueue"), RoutingKey: key})
		},
		Read: read,
		OK: func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"status":"success","message":"Event processed","dedup_key":"x"}`)
		},
		Actions: []incident.Action{incident.Trigger, incident.Acknowledge, incident.Resolve},
		Secrets: []string{key},
	}
}

func TestReceiver(t *testing.T) { incidenttest.RunReceiver(t, service()) }

// TestSeverity: a rise is another trigger by the same key.
func TestSeverity(t *testing.T) {
	for class, want := range map[incident.Class]string{incident.P0: "critical", incident.P1: "error", incident.P2: "warning", incident.P3: "info"} {
		var got string
		s := service()
		s.Actions = []incident.Action{incident.Trigger}
		s.Read = func(r *http.Request, body []byte) (incidenttest.Heard, error) {
			var e struct {
				Payload struct{ Severity string }
			}
			if err := json.Unmarshal(body, &e); err != nil {
				return incidenttest.Heard{}, err
			}
			got = e.Payload.Severity
			return read(r, body)
		}
		m := incidenttest.Sample(incident.UpdateAlert)
		m.Class = class
		h, err := incidenttest.Once(t, s, m)
		if err != nil || got != want || h.Action != incident.Trigger || h.Key != m.DedupKey {
			t.Errorf("%s: severity %q, %+v, %v", class, got, h, err)
		}
	}
}

// TestHeartbeat: nobody is paged to say that all is well.
func TestHeartbeat(t *testing.T) {
	_, err := incidenttest.Once(t, service(), incidenttest.Sample(incident.Heartbeat))
	var d *incident.DeliveryError
	if !errors.As(err, &d) || !d.Permanent {
		t.Errorf("%v", err)
	}
}
