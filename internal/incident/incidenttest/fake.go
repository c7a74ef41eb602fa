// Package incidenttest is what every incident.Store and incident.Receiver
// must pass, and fakes for what happens when they fail.
package incidenttest

import (
	"context"
	"sync"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/incident"
)

// Fake passes calls on to Next. Fail is asked before (false) and after (true)
// each write: an error before is a write that failed, one after is a write
// that failed but is persisted.
type Fake struct {
	Backend
	Fail func(op string, after bool) error
}

func (f *Fake) do(op string, fn func() error) error {
	if err := f.Fail(op, false); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	return f.Fail(op, true)
}

// SaveConditions implements incident.Store.
func (f *Fake) SaveConditions(ctx context.Context, raised []incident.Raised, cleared []incident.ConditionKey) error {
	return f.do("save", func() error { return f.Backend.SaveConditions(ctx, raised, cleared) })
}

// EvaluateIncidents implements incident.Store.
func (f *Fake) EvaluateIncidents(ctx context.Context, h incident.Fence, decide func(*incident.Books, time.Time)) error {
	return f.do("evaluate", func() error { return f.Backend.EvaluateIncidents(ctx, h, decide) })
}

// ChangeIncident implements incident.Store.
func (f *Fake) ChangeIncident(ctx context.Context, id string, decide func(*incident.Books, *incident.Incident, time.Time) error, e audit.Entry) (out incident.Incident, err error) {
	err = f.do("change", func() error {
		out, err = f.Backend.ChangeIncident(ctx, id, decide, e)
		return err
	})
	return out, err
}

// ClaimDelivery implements incident.Store.
func (f *Fake) ClaimDelivery(ctx context.Context, h incident.Fence, receiver string, hold time.Duration) (d incident.Delivery, ok bool, err error) {
	err = f.do("claim", func() error {
		d, ok, err = f.Backend.ClaimDelivery(ctx, h, receiver, hold)
		return err
	})
	if err != nil {
		return incident.Delivery{}, false, err
	}
	return d, ok, nil
}

// FinishDelivery implements incident.Store.
func (f *Fake) FinishDelivery(ctx context.Context, h incident.Fence, d incident.Delivery, r incident.Result) error {
	return f.do("finish", func() error { return f.Backend.FinishDelivery(ctx, h, d, r) })
}

// Receiver is an incident.Receiver made of a callback, which sees every
// message before it is kept among those that were accepted.
type Receiver struct {
	OnDeliver func(ctx context.Context, m incident.Message) error // nil accepts

	mu       sync.Mutex
	accepted []incident.Message
}

// Deliver implements incident.Receiver.
func (r *Receiver) Deliver(ctx context.Context, m incident.Message) (incident.Answer, error) {
	if r.OnDeliver != nil {
		if err := r.OnDeliver(ctx, m); err != nil {
			return incident.Answer{}, err
		}
	}
	r.Keep(m)
	return incident.Answer{Text: "accepted"}, nil
}

// Keep adds a message to those that were accepted: a callback that accepts
// and then fails calls it itself.
func (r *Receiver) Keep(m incident.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accepted = append(r.accepted, m)
}

// Accepted returns the messages in the order of acceptance.
func (r *Receiver) Accepted() []incident.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]incident.Message(nil), r.accepted...)
}

// Actions returns what was accepted, in words: "trigger P0".
func (r *Receiver) Actions() []string {
	var out []string
	for _, m := range r.Accepted() {
		out = append(out, string(m.Action)+" "+string(m.Class))
	}
	return out
}
