package slack_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
	"avalo.app/gantry/internal/notify/slack"
)

const path = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"

var words = []struct {
	prefix string
	action incident.Action
}{
	{"*P0* ", incident.Trigger}, {"*now P0* ", incident.UpdateAlert}, {"*acknowledged P0* ", incident.Acknowledge},
	{"*resolved P0* ", incident.Resolve}, {"*still P0* ", incident.Repeat}, {"test: Gantry's alerts work", incident.Heartbeat},
}

// read is Slack's own check of a message, and what a person reads in it.
func read(r *http.Request, body []byte) (h incidenttest.Heard, err error) {
	if r.Method != http.MethodPost || r.URL.Path != path || r.Header.Get("Content-Type") != "application/json" {
		return h, errors.New("no such webhook")
	}
	var m struct {
		Text        string `json:"text"`
		UnfurlLinks bool   `json:"unfurl_links"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil || m.Text == "" || len(m.Text) > 40000 {
		return h, fmt.Errorf("text of %d bytes: %w", len(m.Text), err)
	}
	// Outside of our one link, nothing is markup.
	if plain := strings.ReplaceAll(m.Text, "<https://gantry.example/incidents/inc-7|inc-7>", ""); strings.ContainsAny(plain, "<>") {
		return h, fmt.Errorf("markup in %q", plain)
	}
	for _, w := range words {
		if strings.HasPrefix(m.Text, w.prefix) {
			return incidenttest.Heard{Action: w.action}, nil
		}
	}
	return h, fmt.Errorf("what does %q mean?", m.Text)
}

func service(interval time.Duration) incidenttest.Service {
	return incidenttest.Service{
		Open: func(_ *testing.T, server *url.URL) incident.Receiver {
			return slack.New(slack.Options{URL: server.JoinPath(path), Interval: interval})
		},
		Read:    read,
		OK:      func(w http.ResponseWriter) { _, _ = io.WriteString(w, "ok") },
		Actions: []incident.Action{incident.Trigger, incident.UpdateAlert, incident.Acknowledge, incident.Resolve, incident.Repeat, incident.Heartbeat},
		Secrets: []string{"XXXXXXXXXXXXXXXXXXXXXXXX"},
	}
}

func TestReceiver(t *testing.T) { incidenttest.RunReceiver(t, service(time.Nanosecond)) }

// TestOKIsTheBody: a status of 200 is not Slack's acceptance.
func TestOKIsTheBody(t *testing.T) {
	s := service(time.Nanosecond)
	s.OK = func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>a login page</html>") }
	_, err := incidenttest.Once(t, s, incidenttest.Sample(incident.Trigger))
	var d *incident.DeliveryError
	if !errors.As(err, &d) || !d.Permanent {
		t.Errorf("%v", err)
	}
}

// TestInterval: messages are an interval apart, however many are sent at once.
func TestInterval(t *testing.T) {
	const interval = 30 * time.Millisecond
	var mu sync.Mutex
	var at []time.Time
	s := service(interval)
	s.Read = func(r *http.Request, body []byte) (incidenttest.Heard, error) {
		mu.Lock()
		defer mu.Unlock()
		at = append(at, time.Now())
		return read(r, body)
	}
	begin := time.Now()
	incidenttest.Many(t, s, 5)
	if took := time.Since(begin); len(at) != 5 || took < 4*interval {
		t.Errorf("%d messages in %v", len(at), took)
	}
}
