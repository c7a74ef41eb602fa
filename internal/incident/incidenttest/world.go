package incidenttest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/signal"
)

// Start returns when tests begin: a Tuesday, 10:00 UTC.
func Start() time.Time { return time.Date(2026, 3, 3, 10, 0, 0, 0, time.UTC) }

// Harness is a Backend with what a test needs around it.
type Harness struct {
	Backend
	Clock *Clock
	// Take acquires the lease, whoever has it.
	Take func() incident.Fence
}

// OnMemory returns a harness around a Memory.
func OnMemory() Harness {
	c := NewClock(Start())
	m := NewMemory(c.Now)
	return Harness{Backend: m, Clock: c, Take: m.Take}
}

// Config is the routing of a World: one contact in each channel, and a tech
// lead and a CTO behind the pager.
func Config() incident.Config {
	c := incident.DefaultConfig()
	c.Installation = "test"
	c.Contacts = []incident.Contact{
		{Name: "pager", Channels: []incident.Channel{incident.Pager}},
		{Name: "chat", Channels: []incident.Channel{incident.Chat}},
		{Name: "mail", Channels: []incident.Channel{incident.Email}},
		{Name: "lead", Channels: []incident.Channel{incident.Pager}, Level: 1},
		{Name: "cto", Channels: []incident.Channel{incident.Pager}, Level: 2},
	}
	return c
}

// World is one node with a receiver for each contact.
type World struct {
	Harness
	*incident.Service
	T         *testing.T
	Sender    *incident.Sender
	Receivers map[string]*Receiver
	Fence     incident.Fence
}

// NewWorld returns a node that holds the lease. on replaces the harness's
// Backend, if it is not nil.
func NewWorld(t *testing.T, h Harness, c incident.Config, node string, on Backend) *World {
	t.Helper()
	if on == nil {
		on = h.Backend
	}
	s, err := incident.New(incident.Options{Store: on, Node: node, Config: c, Now: h.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	w := &World{Harness: h, Service: s, T: t, Receivers: map[string]*Receiver{}, Fence: h.Take()}
	w.Sender = &incident.Sender{Store: on, Stats: on.DeliveryStats, Receivers: map[string]incident.Receiver{}, Signals: s.Sink, Now: h.Clock.Now}
	add := func(name string) {
		w.Receivers[name] = &Receiver{}
		w.Sender.Receivers[name] = w.Receivers[name]
	}
	for _, k := range c.Contacts {
		add(k.Name)
	}
	for name := range c.Heartbeats {
		if w.Receivers[name] == nil {
			add(name)
		}
	}
	return w
}

// Fail raises facts about an object.
func (w *World) Fail(object string, rules ...string) {
	for _, r := range rules {
		w.Sink(signal.Fact{Rule: r, Object: object, Failing: true, Value: "it is so"})
	}
}

// Clear clears facts about an object.
func (w *World) Clear(object string, rules ...string) {
	for _, r := range rules {
		w.Sink(signal.Fact{Rule: r, Object: object})
	}
}

// Turn does what a node does in half a second: flush, evaluate, send what is
// due. It returns the first error.
func (w *World) Turn() error {
	ctx := w.T.Context()
	if err := w.Flush(ctx); err != nil {
		return err
	}
	if err := w.Evaluate(ctx, w.Fence); err != nil {
		return err
	}
	names := make([]string, 0, len(w.Sender.Receivers))
	for name := range w.Sender.Receivers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := w.Drain(name); err != nil {
			return err
		}
	}
	return nil
}

// Drain sends all that is due to a receiver now, until it fails.
func (w *World) Drain(name string) error {
	for {
		before := len(w.Receivers[name].Accepted())
		if _, err := w.Sender.Next(w.T.Context(), w.Fence, name); err != nil {
			return err
		}
		if len(w.Receivers[name].Accepted()) == before {
			return nil
		}
	}
}

// MustTurn is Turn at a later moment, without an error.
func (w *World) MustTurn(after time.Duration) {
	w.T.Helper()
	w.Clock.Add(after)
	if err := w.Turn(); err != nil {
		w.T.Fatal(err)
	}
}

// Heard checks what a receiver accepted since the beginning.
func (w *World) Heard(receiver string, want ...string) {
	w.T.Helper()
	if d := cmp.Diff(want, w.Receivers[receiver].Actions()); d != "" {
		w.T.Errorf("%s heard (-want +got): %s", receiver, d)
	}
}

// Is checks class and state of every incident, the first opened first:
// "P0 open".
func (w *World) Is(want ...string) []incident.Incident {
	w.T.Helper()
	is, err := w.Incidents(w.T.Context(), incident.Filter{})
	if err != nil {
		w.T.Fatal(err)
	}
	slices.Reverse(is)
	var got []string
	for _, i := range is {
		got = append(got, string(i.Class)+" "+string(i.State))
	}
	if d := cmp.Diff(want, got); d != "" {
		w.T.Errorf("incidents (-want +got): %s", d)
	}
	return is
}
