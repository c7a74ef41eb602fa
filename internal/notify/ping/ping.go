// Package ping delivers heartbeats to a dead man's switch: a service that
// raises the alarm when its URL is no longer called.
package ping

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/incident"
)

// Options say which URL is called.
type Options struct {
	URL    *url.URL // a secret
	Egress egress.Options
}

// Receiver is an incident.Receiver of heartbeats.
type Receiver struct {
	o      Options
	client *http.Client
}

var _ incident.Receiver = (*Receiver)(nil)

// New returns a receiver.
func New(o Options) *Receiver { return &Receiver{o: o, client: egress.Client(o.Egress, o.URL)} }

// Deliver implements incident.Receiver.
func (r *Receiver) Deliver(ctx context.Context, m incident.Message) (incident.Answer, error) {
	if m.Action != incident.Heartbeat {
		return incident.Answer{}, &incident.DeliveryError{Permanent: true, Text: "a receiver of kind ping takes heartbeats only: give its contact no channels"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.o.URL.String(), http.NoBody)
	if err != nil {
		return incident.Answer{}, egress.WithoutURL(err)
	}
	reply, err := egress.Exchange(r.client, req)
	if err != nil {
		return incident.Answer{}, err
	}
	return incident.Answer{Text: incident.StatusText(reply.Status, reply.Body)}, incident.StatusError(reply.Status, reply.RetryAfter, reply.Body, time.Now())
}
