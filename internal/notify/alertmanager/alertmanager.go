// Package alertmanager delivers messages to Prometheus Alertmanager by its
// API v2.
package alertmanager

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/incident"
)

// Options say where alerts go.
type Options struct {
	URL *url.URL // of the server; the API's path is added
	// Lasts is how long an alert fires without another message. Contacts of this
	// receiver repeat at most every third of it.
	Lasts  time.Duration
	Token  string // a bearer token, or ""
	Egress egress.Options
	Now    func() time.Time // nil means time.Now
}

// DefaultLasts suits a contact that repeats every 5 minutes.
const DefaultLasts = 15 * time.Minute

// Receiver is an incident.Receiver.
type Receiver struct {
	o      Options
	client *http.Client
}

var _ incident.Receiver = (*Receiver)(nil)

// New returns a receiver.
func New(o Options) *Receiver {
	if o.Lasts == 0 {
		o.Lasts = DefaultLasts
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Receiver{o: o, client: egress.Client(o.Egress, o.URL)}
}

type alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// Deliver implements incident.Receiver. An alert is its labels, and severity
// is one, so that routes can ask for it: a rise ends the alerts of lesser
// severities. An acknowledgement has no word there; the alert goes on.
func (r *Receiver) Deliver(ctx context.Context, m incident.Message) (incident.Answer, error) {
	now := r.o.Now()
	var alerts []alert
	for _, c := range incident.Classes() {
		a := r.alert(m, c, now)
		switch {
		case c.Over(m.Class):
			continue
		case m.Action == incident.Resolve || c != m.Class && m.Action == incident.UpdateAlert:
			a.EndsAt = now
		case c != m.Class:
			continue
		}
		alerts = append(alerts, a)
	}
	if m.Action == incident.Heartbeat {
		a := r.alert(m, "", now)
		a.Labels = map[string]string{"alertname": "GantryHeartbeat", "installation": m.Source, "severity": "none"}
		alerts = []alert{a}
	}
	body, err := json.Marshal(alerts)
	if err != nil {
		return incident.Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.o.URL.JoinPath("/api/v2/alerts").String(), bytes.NewReader(body))
	if err != nil {
		return incident.Answer{}, egress.WithoutURL(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if r.o.Token != "" {
		req.Header.Set("Authorization", "Bearer "+r.o.Token)
	}
	reply, err := egress.Exchange(r.client, req)
	if err != nil {
		return incident.Answer{}, err
	}
	return incident.Answer{Text: incident.StatusText(reply.Status, reply.Body)}, incident.StatusError(reply.Status, reply.RetryAfter, reply.Body, time.Now())
}

func (r *Receiver) alert(m incident.Message, c incident.Class, now time.Time) alert {
	a := alert{
		Labels: map[string]string{"alertname": "Gantry_" + m.Group, "object": m.Object, "installation": m.Source, "incident": m.DedupKey,
			"severity": map[incident.Class]string{incident.P0: "critical", incident.P1: "error", incident.P2: "warning", incident.P3: "info"}[c], "class": string(c)},
		Annotations: map[string]string{"summary": m.Summary, "rules": strings.Join(m.Rules, ", "), "id": m.Incident, "state": string(m.State)},
		StartsAt:    m.OpenedAt, EndsAt: now.Add(r.o.Lasts), GeneratorURL: m.Link,
	}
	return a
}
