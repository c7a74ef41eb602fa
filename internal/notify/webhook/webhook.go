// Package webhook delivers messages to a URL, signed by the Standard Webhooks
// specification.
package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/incident"
)

// Options say where messages go.
type Options struct {
	URL *url.URL
	// Secrets sign: "whsec_" and base64, several joined by | while one replaces
	// another.
	Secrets string
	Egress  egress.Options
	Now     func() time.Time // nil means time.Now
}

// Receiver is an incident.Receiver.
type Receiver struct {
	o       Options
	keys    []*standardwebhooks.Webhook
	secrets []string
	client  *http.Client
}

var _ incident.Receiver = (*Receiver)(nil)

// New returns a receiver, or INVALID_ARGUMENT if a secret cannot sign.
func New(o Options) (*Receiver, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Receiver{o: o, client: egress.Client(o.Egress, o.URL)}
	for secret := range strings.SplitSeq(o.Secrets, "|") {
		secret = strings.TrimPrefix(strings.TrimSpace(secret), "v1,")
		k, err := standardwebhooks.NewWebhook(secret)
		if err != nil || len(secret) < len("whsec_")+32 { // the specification asks for 24 bytes
			return nil, fault.New(fault.InvalidArgument, "webhook.New", "a signing secret must be whsec_ and the base64 of at least 24 bytes")
		}
		r.keys = append(r.keys, k)
		r.secrets = append(r.secrets, strings.TrimPrefix(secret, "whsec_"))
	}
	return r, nil
}

type body struct {
	Type      string    `json:"type"` // incident.trigger, …
	Timestamp time.Time `json:"timestamp"`
	Data      data      `json:"data"`
}

type data struct {
	Incident string         `json:"incident,omitempty"`
	DedupKey string         `json:"dedupKey"`
	Class    incident.Class `json:"class,omitempty"`
	State    incident.State `json:"state,omitempty"`
	Cause    string         `json:"cause,omitempty"`
	Object   string         `json:"object,omitempty"`
	Rules    []string       `json:"rules,omitempty"`
	Summary  string         `json:"summary"`
	Source   string         `json:"source"`
	Link     string         `json:"link,omitempty"`
	OpenedAt time.Time      `json:"openedAt"`
}

// Deliver implements incident.Receiver. The webhook-id is the delivery's, the
// same at every attempt; the signature is over the time of the attempt.
func (r *Receiver) Deliver(ctx context.Context, m incident.Message) (incident.Answer, error) {
	b, err := json.Marshal(body{Type: "incident." + string(m.Action), Timestamp: m.At, Data: data{Incident: m.Incident, DedupKey: m.DedupKey, Class: m.Class, State: m.State,
		Cause: m.Group, Object: m.Object, Rules: m.Rules, Summary: m.Summary, Source: m.Source, Link: m.Link, OpenedAt: m.OpenedAt}})
	if err != nil {
		return incident.Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.o.URL.String(), bytes.NewReader(b))
	if err != nil {
		return incident.Answer{}, egress.WithoutURL(err)
	}
	at := r.o.Now()
	var signatures []string
	for _, k := range r.keys {
		s, err := k.Sign(m.Delivery, at, b)
		if err != nil {
			return incident.Answer{}, &incident.DeliveryError{Permanent: true, Text: "it cannot be signed: set another secret"}
		}
		signatures = append(signatures, s)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("webhook-id", m.Delivery)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("webhook-signature", strings.Join(signatures, " "))
	reply, err := egress.Exchange(r.client, req, r.secrets...)
	if err != nil {
		return incident.Answer{}, err
	}
	return incident.Answer{Text: incident.StatusText(reply.Status, reply.Body)}, incident.StatusError(reply.Status, reply.RetryAfter, reply.Body, time.Now())
}
