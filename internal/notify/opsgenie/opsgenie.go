// Package opsgenie delivers messages to Opsgenie by its Alert API. Atlassian
// ends that API on 2027-04-05: a new installation should use another receiver.
package opsgenie

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/incident"
)

// DefaultURL is the API for accounts outside the European Union; those inside
// use https://api.eu.opsgenie.com.
const DefaultURL = "https://api.opsgenie.com"

// Ends is the day from which Opsgenie's API no longer answers.
const Ends = "2027-04-05"

// Bounds of texts, in characters.
const (
	maxMessage = 130
	maxSource  = 100
)

// Options say where alerts go.
type Options struct {
	URL    *url.URL // of the API, without a path
	APIKey string
	Egress egress.Options
}

// Receiver is an incident.Receiver.
type Receiver struct {
	o      Options
	client *http.Client
}

var _ incident.Receiver = (*Receiver)(nil)

// New returns a receiver.
func New(o Options) *Receiver { return &Receiver{o: o, client: egress.Client(o.Egress, o.URL)} }

type alert struct {
	Message     string            `json:"message"`
	Alias       string            `json:"alias"` // at most 512 characters
	Description string            `json:"description"`
	Entity      string            `json:"entity"`
	Source      string            `json:"source"`
	Priority    string            `json:"priority"`
	Details     map[string]string `json:"details"`
}

// Deliver implements incident.Receiver. Opsgenie joins alerts by alias; its
// priority rises by a request of its own.
func (r *Receiver) Deliver(ctx context.Context, m incident.Message) (incident.Answer, error) {
	method, path, query, body := http.MethodPost, "/v2/alerts", "", any(map[string]string{"source": short(m.Source, maxSource)})
	switch m.Action {
	case incident.Acknowledge:
		path, query = path+"/"+m.DedupKey+"/acknowledge", "identifierType=alias"
	case incident.Resolve:
		path, query = path+"/"+m.DedupKey+"/close", "identifierType=alias"
	case incident.UpdateAlert:
		method, path, query, body = http.MethodPut, path+"/"+m.DedupKey+"/priority", "identifierType=alias", map[string]string{"priority": priority(m.Class)}
	case incident.Heartbeat:
		return incident.Answer{}, &incident.DeliveryError{Permanent: true, Text: "a heartbeat would page: send it through a receiver of kind ping"}
	default:
		body = alert{Message: short(m.Summary, maxMessage), Alias: m.DedupKey, Description: m.Summary, Entity: m.Object, Source: short(m.Source, maxSource), Priority: priority(m.Class),
			Details: map[string]string{"incident": m.Incident, "class": string(m.Class), "link": m.Link, "opened_at": m.OpenedAt.Format(time.RFC3339)}}
	}
	b, err := json.Marshal(body)
	if err != nil {
		return incident.Answer{}, err
	}
	u := r.o.URL.JoinPath(path)
	u.RawQuery = query
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(b))
	if err != nil {
		return incident.Answer{}, egress.WithoutURL(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "GenieKey "+r.o.APIKey)
	reply, err := egress.Exchange(r.client, req)
	if err != nil {
		return incident.Answer{}, err
	}
	return incident.Answer{Text: incident.StatusText(reply.Status, reply.Body)}, incident.StatusError(reply.Status, reply.RetryAfter, reply.Body, time.Now())
}

// priority maps P0 to P1, Opsgenie's highest, and so on.
func priority(c incident.Class) string {
	switch c {
	case incident.P0:
		return "P1"
	case incident.P1:
		return "P2"
	case incident.P2:
		return "P3"
	}
	return "P5"
}

func short(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}
