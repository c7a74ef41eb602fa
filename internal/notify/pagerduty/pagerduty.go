// Package pagerduty delivers messages to PagerDuty by its Events API v2.
package pagerduty

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/incident"
)

// DefaultURL takes events of accounts in the United States; those in the
// European Union use https://events.eu.pagerduty.com/v2/enqueue.
const DefaultURL = "https://events.pagerduty.com/v2/enqueue"

// Options say where events go.
type Options struct {
	URL        *url.URL
	RoutingKey string // of the service's integration
	Egress     egress.Options
}

// Receiver is an incident.Receiver.
type Receiver struct {
	o      Options
	client *http.Client
}

var _ incident.Receiver = (*Receiver)(nil)

// New returns a receiver.
func New(o Options) *Receiver { return &Receiver{o: o, client: egress.Client(o.Egress, o.URL)} }

type event struct {
	RoutingKey string   `json:"routing_key"`
	Action     string   `json:"event_action"`
	DedupKey   string   `json:"dedup_key"`
	Client     string   `json:"client,omitempty"`
	ClientURL  string   `json:"client_url,omitempty"`
	Payload    *payload `json:"payload,omitempty"`
}

type payload struct {
	Summary   string         `json:"summary"` // at most 1024 characters
	Source    string         `json:"source"`
	Severity  string         `json:"severity"`
	Timestamp time.Time      `json:"timestamp"`
	Component string         `json:"component,omitempty"`
	Group     string         `json:"group,omitempty"`
	Class     string         `json:"class,omitempty"`
	Details   map[string]any `json:"custom_details,omitempty"`
}

// Deliver implements incident.Receiver. A rise of the class is another
// trigger by the same key, which changes the alert's severity.
func (r *Receiver) Deliver(ctx context.Context, m incident.Message) (incident.Answer, error) {
	e := event{RoutingKey: r.o.RoutingKey, DedupKey: m.DedupKey}
	switch m.Action {
	case incident.Acknowledge, incident.Resolve:
		e.Action = string(m.Action)
	case incident.Heartbeat:
		return incident.Answer{}, &incident.DeliveryError{Permanent: true, Text: "a heartbeat would page: send it through a receiver of kind ping"}
	default:
		e.Action, e.Client, e.ClientURL = "trigger", "Gantry", m.Link
		e.Payload = &payload{Summary: m.Summary, Source: m.Source, Severity: severity(m.Class), Timestamp: m.OpenedAt, Component: m.Object, Group: m.Group, Class: string(m.Class),
			Details: map[string]any{"incident": m.Incident, "rules": m.Rules, "opened_at": m.OpenedAt}}
	}
	body, err := json.Marshal(e)
	if err != nil {
		return incident.Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.o.URL.String(), bytes.NewReader(body))
	if err != nil {
		return incident.Answer{}, egress.WithoutURL(err)
	}
	req.Header.Set("Content-Type", "application/json")
	reply, err := egress.Exchange(r.client, req, r.o.RoutingKey)
	if err != nil {
		return incident.Answer{}, err
	}
	if reply.Status != http.StatusAccepted && reply.Status < 300 {
		return incident.Answer{}, &incident.DeliveryError{Permanent: true, Text: "not PagerDuty's answer: " + incident.StatusText(reply.Status, reply.Body)}
	}
	return incident.Answer{Text: incident.StatusText(reply.Status, reply.Body)}, incident.StatusError(reply.Status, reply.RetryAfter, reply.Body, time.Now())
}

func severity(c incident.Class) string {
	switch c {
	case incident.P0:
		return "critical"
	case incident.P1:
		return "error"
	case incident.P2:
		return "warning"
	}
	return "info"
}
