// Package slack delivers messages to a Slack channel by an incoming webhook.
package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/incident"
)

// DefaultInterval is how often a webhook takes a message.
const DefaultInterval = time.Second

// Options say where messages go.
type Options struct {
	URL      *url.URL      // of the webhook: a secret
	Interval time.Duration // between messages; 0: DefaultInterval
	Egress   egress.Options
}

// Receiver is an incident.Receiver. It sends at most one message in an Interval.
type Receiver struct {
	o      Options
	client *http.Client

	mu   sync.Mutex
	next time.Time // when the webhook takes another message
}

var _ incident.Receiver = (*Receiver)(nil)

// New returns a receiver.
func New(o Options) *Receiver {
	if o.Interval == 0 {
		o.Interval = DefaultInterval
	}
	return &Receiver{o: o, client: egress.Client(o.Egress, o.URL)}
}

// Deliver implements incident.Receiver. Slack knows no alerts: each message
// is one more line in the channel, with the incident's id.
func (r *Receiver) Deliver(ctx context.Context, m incident.Message) (incident.Answer, error) {
	if err := r.turn(ctx); err != nil {
		return incident.Answer{}, &incident.DeliveryError{Text: "no turn in time: Slack takes one message a second", RetryAfter: r.o.Interval}
	}
	body, err := json.Marshal(map[string]any{"text": text(m), "unfurl_links": false})
	if err != nil {
		return incident.Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.o.URL.String(), bytes.NewReader(body))
	if err != nil {
		return incident.Answer{}, egress.WithoutURL(err)
	}
	req.Header.Set("Content-Type", "application/json")
	reply, err := egress.Exchange(r.client, req)
	if err != nil {
		return incident.Answer{}, err
	}
	if err := incident.StatusError(reply.Status, reply.RetryAfter, reply.Body, time.Now()); err != nil {
		return incident.Answer{}, err
	}
	if strings.TrimSpace(reply.Body) != "ok" {
		return incident.Answer{}, &incident.DeliveryError{Permanent: true, Text: "not Slack's ok: " + incident.StatusText(reply.Status, reply.Body)}
	}
	return incident.Answer{Text: "ok"}, nil
}

// turn waits until the webhook takes another message.
func (r *Receiver) turn(ctx context.Context) error {
	r.mu.Lock()
	at := r.next
	if now := time.Now(); at.Before(now) {
		at = now
	}
	if end, ok := ctx.Deadline(); ok && at.After(end) {
		r.mu.Unlock()
		return context.DeadlineExceeded
	}
	r.next = at.Add(r.o.Interval)
	r.mu.Unlock()
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func text(m incident.Message) string {
	if m.Action == incident.Heartbeat {
		return escape(m.Source) + ": Gantry's alerts work"
	}
	var b strings.Builder
	b.WriteString("*" + word(m) + "* " + escape(m.Summary) + "\n" + escape(m.Source))
	switch {
	case m.Link != "":
		b.WriteString(" · <" + m.Link + "|" + escape(m.Incident) + ">")
	case m.Incident != "":
		b.WriteString(" · " + escape(m.Incident))
	}
	return b.String()
}

func word(m incident.Message) string {
	switch m.Action {
	case incident.Acknowledge:
		return "acknowledged " + string(m.Class)
	case incident.Resolve:
		return "resolved " + string(m.Class)
	case incident.UpdateAlert:
		return "now " + string(m.Class)
	case incident.Repeat:
		return "still " + string(m.Class)
	}
	return string(m.Class)
}

// escape keeps text from becoming markup: a mention, a link, a command.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
