package incident_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
	"avalo.app/gantry/internal/signal"
)

// TestSinkNeverBlocksAndIsBounded: a flood of objects costs the least urgent
// facts, not the urgent ones, and is reported.
func TestSinkNeverBlocksAndIsBounded(t *testing.T) {
	w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for n := range 2000 {
				w.Sink(signal.Fact{Rule: "config_minor", Object: fmt.Sprintf("%d/%d", g, n), Failing: true})
			}
		})
	}
	all.Wait()
	w.Fail("x", "payment_failed")
	w.Clear("y", "payment_failed") // of no use: nothing is there
	if err := w.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "4096") {
		t.Errorf("the flood is not reported: %v", err)
	}
	cs, err := w.Conditions(t.Context())
	if err != nil || len(cs) != 4096 {
		t.Errorf("%d conditions, %v", len(cs), err)
	}
	urgent := 0
	for _, c := range cs {
		if c.Rule == "payment_failed" {
			urgent++
		}
	}
	if urgent != 1 {
		t.Errorf("%d urgent conditions, want 1", urgent)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Errorf("without another: %v", err)
	}
}

// TestRoom: what is clear makes room for what fails, and what fails makes none
// for what is no more urgent.
func TestRoom(t *testing.T) {
	for _, failing := range []bool{true, false} {
		w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
		for n := range 4096 {
			w.Sink(signal.Fact{Rule: "payment_failed", Object: fmt.Sprint(n), Failing: failing})
		}
		w.Fail("late", "payment_failed")
		if err := w.Flush(t.Context()); err == nil {
			t.Error("what was dropped is not reported")
		}
		cs, err := w.Conditions(t.Context())
		late := slices.ContainsFunc(cs, func(c incident.Condition) bool { return c.Object == "late" })
		if err != nil || late == failing || failing && len(cs) != 4096 {
			t.Errorf("the others failing=%v: %d conditions, the late one is there: %v, %v", failing, len(cs), late, err)
		}
	}
}

// TestWrittenFailuresLeaveRoom: thousands of objects that stay failing, such
// as signups, keep no fact from being told; each is still ended by its key.
func TestWrittenFailuresLeaveRoom(t *testing.T) {
	w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
	for n := range 3 * 4096 {
		w.Fail(fmt.Sprint(n), "signup_unbacked")
		if n%1000 == 0 {
			if err := w.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.Fail("late", "config_minor")
	w.Clear("7", "signup_unbacked")
	if err := w.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if cs, err := w.Conditions(t.Context()); err != nil || len(cs) != 3*4096 {
		t.Errorf("%d conditions, %v", len(cs), err)
	}
}

// counting counts writes.
func counting(h incidenttest.Harness) (fake *incidenttest.Fake, writes func() int) {
	n := 0
	return &incidenttest.Fake{Backend: h.Backend, Fail: func(op string, after bool) error {
		if op == "save" && !after {
			n++
		}
		return nil
	}}, func() int { return n }
}

// TestFlushWritesSeldom: a level that stands costs nothing, unless it is local
// and its node vouches for it; one that is stated all the time, a write now
// and then.
func TestFlushWritesSeldom(t *testing.T) {
	for name, tt := range map[string]struct {
		rule     string
		stated   bool // every second
		min, max int  // writes in 5 min
	}{
		"a level that stands":        {"error_rate", false, 1, 1},
		"a level that is stated":     {"error_rate", true, 25, 31},
		"a local level that stands":  {"disk_low", false, 9, 11},
		"a local level that is said": {"disk_low", true, 25, 31},
	} {
		h := incidenttest.OnMemory()
		f, writes := counting(h)
		w := incidenttest.NewWorld(t, h, incidenttest.Config(), "a", f)
		for n := range 600 {
			if n == 0 || tt.stated && n%2 == 0 {
				w.Fail("x", tt.rule)
			}
			if err := w.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.Clock.Add(500 * time.Millisecond)
		}
		if got := writes(); got < tt.min || got > tt.max {
			t.Errorf("%s: %d writes, want %d to %d", name, got, tt.min, tt.max)
		}
	}
}

// TestFlushFailure: what could not be written is written by the next, as it is
// then.
func TestFlushFailure(t *testing.T) {
	for _, after := range []bool{false, true} {
		h := incidenttest.OnMemory()
		w := incidenttest.NewWorld(t, h, incidenttest.Config(), "a", &incidenttest.Fake{Backend: h.Backend, Fail: once("save", 1, after)})
		w.Fail("x", "error_rate")
		w.Fail("y", "error_rate")
		if err := w.Flush(t.Context()); err == nil {
			t.Fatal("the failure is hidden")
		}
		w.Clear("y", "error_rate")
		w.Clock.Add(time.Second)
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		cs, err := w.Conditions(t.Context())
		if err != nil || len(cs) != 1 || cs[0].Object != "x" || cs[0].Since != incidenttest.Start() {
			t.Errorf("persisted %v: %+v %v", after, cs, err)
		}
	}
}

// TestFactsDuringFlush: a fact that arrives while the one before is written is
// not lost.
func TestFactsDuringFlush(t *testing.T) {
	for _, failing := range []bool{true, false} {
		h := incidenttest.OnMemory()
		var w *incidenttest.World
		done := false
		f := &incidenttest.Fake{Backend: h.Backend, Fail: func(op string, after bool) error {
			if op == "save" && after && !done {
				done = true
				w.Sink(signal.Fact{Rule: "error_rate", Object: "x", Failing: !failing})
			}
			return nil
		}}
		w = incidenttest.NewWorld(t, h, incidenttest.Config(), "a", f)
		w.Sink(signal.Fact{Rule: "error_rate", Object: "x", Failing: failing})
		for range 2 {
			if err := w.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		cs, err := w.Conditions(t.Context())
		if err != nil || (len(cs) == 1) == failing {
			t.Errorf("last said failing=%v: conditions %v %v", !failing, cs, err)
		}
	}
}

// TestManyObjectsOneIncident: reservations that nothing backs are one incident
// until the last one is backed.
func TestManyObjectsOneIncident(t *testing.T) {
	w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
	for n := range 50 {
		w.Fail(fmt.Sprint("r", n), "signup_unbacked")
	}
	w.MustTurn(0)
	if i := w.Is("P2 open")[0]; i.Object != "signups" {
		t.Errorf("%+v", i)
	}
	for n := range 50 {
		w.Is("P2 open")
		w.Clear(fmt.Sprint("r", n), "signup_unbacked")
		w.MustTurn(0)
	}
	w.Is("P2 resolved")
	w.Heard("chat", "trigger P2", "resolve P2")
}
