package app

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/signal"
)

// listReceivers describes the configured receivers, by name. Nothing of it is
// secret.
func (a *App) listReceivers() []api.AlertReceiver {
	cfg := a.config().Incidents.Receivers
	out := []api.AlertReceiver{}
	for _, name := range slices.Sorted(maps.Keys(cfg)) {
		r := cfg[name]
		l := api.AlertReceiver{Name: name, Kind: r.Kind(), Channels: append([]string{}, r.Channels...), Level: r.Level}
		if r.Repeat > 0 {
			l.Repeat = time.Duration(r.Repeat).String()
		}
		if r.Heartbeat > 0 {
			l.Heartbeat = time.Duration(r.Heartbeat).String()
		}
		out = append(out, l)
	}
	return out
}

// testAlerts sends a test message through one receiver, or through all at
// once, by the drivers that real ones go through.
func (a *App) testAlerts(ctx context.Context, r api.AlertTestRequest, by string) ([]api.AlertTest, error) {
	class := incident.Class(r.Class)
	if class == "" {
		class = incident.P3
	}
	if !slices.Contains(incident.Classes(), class) {
		return nil, fault.Invalid("app.testAlerts", fault.Field{Field: "class", Problem: "unknown", Allowed: []string{"P0", "P1", "P2", "P3"}, Actual: r.Class}, "the class must be P0, P1, P2 or P3")
	}
	list := a.listReceivers()
	if r.Receiver != "" {
		list = slices.DeleteFunc(list, func(l api.AlertReceiver) bool { return l.Name != r.Receiver })
	}
	if len(list) == 0 {
		return nil, fault.New(fault.NotFound, "app.testAlerts", "no such receiver is configured: name one of incidents.receivers, or add it there")
	}
	a.o.Log.Info("receivers are tested", "receiver", r.Receiver, "class", class, "by", by)
	out := make([]api.AlertTest, len(list))
	var all sync.WaitGroup
	for n, l := range list {
		all.Go(func() { out[n] = a.testReceiver(ctx, l, class) })
	}
	all.Wait()
	return out, nil
}

// testReceiver sends a trigger and its resolve by one key, and a heartbeat
// where the receiver gets any. The resolve goes out whatever became of the
// trigger: an error says nothing about whether it arrived.
func (a *App) testReceiver(ctx context.Context, l api.AlertReceiver, class incident.Class) api.AlertTest {
	now := a.o.Now()
	cfg := a.incidents.Routing().Config
	m := incident.Message{Class: class, State: incident.Open, Group: "test", Object: l.Name, Rules: []string{"test"}, Source: cfg.Installation, OpenedAt: now, At: now,
		DedupKey: incident.DedupKey(cfg.Installation, incident.Cause{Group: "test", Object: l.Name}, now.UnixMicro()),
		Summary:  "This is a test of Gantry's alerts, nothing is wrong: a resolve follows"}
	var actions []incident.Action
	if len(l.Channels) > 0 {
		actions = append(actions, incident.Trigger, incident.Resolve)
	}
	if l.Heartbeat != "" {
		actions = append(actions, incident.Heartbeat)
	}
	out := api.AlertTest{Receiver: l.Name, Kind: l.Kind, OK: true, DedupKey: m.DedupKey, Steps: []api.AlertTestStep{}}
	for _, action := range actions {
		m.Action, m.Delivery = action, m.DedupKey+"-"+string(action)
		if action == incident.Resolve {
			m.State = incident.Resolved
		}
		step := a.attempt(ctx, l.Name, m)
		out.OK = out.OK && step.Accepted
		out.Steps = append(out.Steps, step)
	}
	return out
}

func (a *App) attempt(ctx context.Context, name string, m incident.Message) api.AlertTestStep {
	// Whoever asked may leave: the resolve must follow the trigger all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), incident.DefaultTimeout)
	defer cancel()
	start := time.Now()
	answer, err := a.receivers[name].Deliver(ctx, m)
	if err == nil && m.Action == incident.Trigger { // who mended it need not wait for the next incident
		a.signal(signal.Fact{Rule: incident.ReceiverFailing, Object: name, Value: "it accepts messages"})
	}
	step := api.AlertTestStep{Action: string(m.Action), Accepted: err == nil, Answer: incident.Clean(answer.Text), TookMillis: time.Since(start).Milliseconds()}
	if err != nil {
		step.Answer = incident.Clean(err.Error())
	}
	return step
}

// noteConfig says what is valid and yet not as it should be, and what no
// longer is.
func (a *App) noteConfig() {
	notes := map[string]string{}
	for _, n := range a.config().Notes() {
		notes[n.Object] = n.Text
		a.o.Log.Warn("configuration: " + n.Text)
	}
	for _, object := range config.NoteObjects() {
		text, failing := notes[object]
		if !failing {
			text = "in order"
		}
		a.incidents.Sink(signal.Fact{Rule: "config_minor", Object: object, Failing: failing, Value: text})
	}
}
