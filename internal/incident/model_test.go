package incident_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
	"avalo.app/gantry/internal/signal"
)

// model is what incidents should be, said as plainly as possible: one cause,
// the object "x" of the group "component", and nobody silenced.
type model struct {
	since    map[string]time.Time // failing rules
	state    incident.State       // "" before the first
	class    incident.Class
	resolved time.Time
	opened   int // incidents
	reopened int
}

func (m *model) evaluate(now time.Time) {
	class := incident.Class("")
	for rule, after := range map[string]time.Duration{"component_down": 0, "health_degraded": 5 * time.Minute, "component_impaired": 0} {
		c := map[string]incident.Class{"component_down": incident.P0, "health_degraded": incident.P1, "component_impaired": incident.P2}[rule]
		if since, ok := m.since[rule]; ok && now.Sub(since) >= after && c.Over(class) {
			class = c
		}
	}
	active := m.state == incident.Open || m.state == incident.Acknowledged
	switch {
	case active && len(m.since) == 0:
		m.state, m.resolved = incident.Resolved, now
	case active && class.Over(m.class):
		m.class = class
		if class != incident.P2 {
			m.state = incident.Open
		}
	case !active && class != "" && m.state != "" && now.Sub(m.resolved) <= time.Hour:
		m.state, m.class = incident.Open, class
		m.reopened++
	case !active && class != "":
		m.state, m.class, m.reopened = incident.Open, class, 0
		m.opened++
	}
}

// TestModel: over random histories, incidents are what the model says; each
// receiver hears a story that makes sense; and an evaluation repeated changes
// nothing.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
		m := &model{since: map[string]time.Time{}}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			step(rt, w, m)
			check(rt, w, m)
		}
		for _, r := range []string{"component_down", "health_degraded", "component_impaired"} {
			w.Clear("x", r)
		}
		for range 2 {
			if err := w.Turn(); err != nil {
				rt.Fatal(err)
			}
		}
		for name, r := range w.Receivers {
			story(rt, name, r.Accepted(), true)
		}
	})
}

func step(rt *rapid.T, w *incidenttest.World, m *model) {
	w.Clock.Add(rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, 5 * time.Minute, 20 * time.Minute, time.Hour, time.Hour + time.Second}).Draw(rt, "after"))
	now := w.Clock.Now()
	rule := rapid.SampledFrom([]string{"component_down", "health_degraded", "component_impaired"}).Draw(rt, "rule")
	id := fmt.Sprintf("inc-%d", m.opened)
	switch rapid.SampledFrom([]string{"fail", "clear", "break", "acknowledge", "resolve", "nothing", "another node"}).Draw(rt, "what") {
	case "fail":
		w.Fail("x", rule)
		if _, ok := m.since[rule]; !ok {
			m.since[rule] = now
		}
	case "clear":
		w.Clear("x", rule)
		delete(m.since, rule)
	case "break":
		w.Clear("x", rule)
		w.Sink(signal.Fact{Rule: rule, Object: "x", Failing: true})
		m.since[rule] = now
	case "acknowledge":
		_, err := w.Acknowledge(w.T.Context(), id, "key:a", "")
		if (err == nil) != (m.state == incident.Open) {
			rt.Fatalf("acknowledge in state %q: %v", m.state, err)
		}
		if err == nil {
			m.state = incident.Acknowledged
		}
	case "resolve":
		_, err := w.Resolve(w.T.Context(), id, "key:a", "")
		if active := m.state == incident.Open || m.state == incident.Acknowledged; (err == nil) != active {
			rt.Fatalf("resolve in state %q: %v", m.state, err)
		}
		if err == nil {
			m.state, m.resolved = incident.Resolved, now
		}
	case "another node":
		w.Fence = w.Take()
	}
	if err := w.Turn(); err != nil {
		rt.Fatal(err)
	}
	m.evaluate(now)
}

func check(rt *rapid.T, w *incidenttest.World, m *model) {
	is, err := w.Incidents(w.T.Context(), incident.Filter{})
	if err != nil {
		rt.Fatal(err)
	}
	if len(is) != m.opened {
		rt.Fatalf("%d incidents, want %d", len(is), m.opened)
	}
	for n, i := range is {
		if n > 0 && i.Active() {
			rt.Fatalf("two incidents of one cause are active: %+v", is)
		}
	}
	if m.opened > 0 {
		if i := is[0]; i.State != m.state || i.Class != m.class || i.Reopened != m.reopened {
			rt.Fatalf("incident %s %s reopened %d, want %s %s %d", i.State, i.Class, i.Reopened, m.state, m.class, m.reopened)
		}
		v := is[0].Version
		if err := w.Evaluate(w.T.Context(), w.Fence); err != nil {
			rt.Fatal(err)
		}
		if d, err := w.Incident(w.T.Context(), is[0].ID); err != nil || d.Version != v {
			rt.Fatalf("an evaluation at the same moment changed it: %v", err)
		}
	}
}

// story checks that what a receiver heard of each incident could be acted on:
// it begins with a trigger, rises only, and, in the end, is resolved.
func story(rt *rapid.T, name string, ms []incident.Message, ended bool) {
	byKey := map[string][]incident.Message{}
	for _, m := range ms {
		byKey[m.DedupKey] = append(byKey[m.DedupKey], m)
	}
	for _, ms := range byKey {
		knows := false
		var class incident.Class
		for _, m := range ms {
			switch m.Action {
			case incident.Trigger:
				if knows {
					rt.Fatalf("%s is triggered twice: %v", name, actions(ms))
				}
				knows, class = true, m.Class
			case incident.UpdateAlert:
				if !knows || !m.Class.Over(class) {
					rt.Fatalf("%s is told of no rise: %v", name, actions(ms))
				}
				class = m.Class
			case incident.Acknowledge:
				if !knows {
					rt.Fatalf("%s is told of what it does not know: %v", name, actions(ms))
				}
			case incident.Resolve:
				if !knows {
					rt.Fatalf("%s is told of an end without a begin: %v", name, actions(ms))
				}
				knows = false
			}
		}
		if ended && knows {
			rt.Fatalf("%s is not told of the end: %v", name, actions(ms))
		}
		if !slices.IsSortedFunc(ms, func(a, b incident.Message) int { return cmp.Compare(a.At.UnixNano(), b.At.UnixNano()) }) {
			rt.Fatalf("%s is told out of order: %v", name, ms)
		}
	}
}

func actions(ms []incident.Message) (out []string) {
	for _, m := range ms {
		out = append(out, string(m.Action)+" "+string(m.Class))
	}
	return out
}
