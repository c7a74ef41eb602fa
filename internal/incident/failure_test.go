package incident_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
)

var errAway = errors.New("the store is away")

// once returns a Fail for the n-th call of op, before or after its effect.
func once(op string, n int, after bool) func(string, bool) error {
	return func(got string, a bool) error {
		if got != op || a != after {
			return nil
		}
		if n--; n == 0 {
			return errAway
		}
		return nil
	}
}

// settle takes turns until nothing is pending, and carries on after errors.
func settle(w *incidenttest.World) {
	for range 40 {
		_ = w.Turn() // what failed is what the test is about
		w.Clock.Add(10 * time.Second)
	}
}

// unique drops repeats of a message by its delivery, as receivers do.
func unique(ms []incident.Message) []string {
	seen := map[string]bool{}
	var out []string
	for _, m := range ms {
		if !seen[m.Delivery] {
			out = append(out, string(m.Action)+" "+m.Object)
		}
		seen[m.Delivery] = true
	}
	return out
}

// sameKey fails unless all messages have one dedup key.
func sameKey(t *testing.T, ms []incident.Message) {
	t.Helper()
	for _, m := range ms {
		if m.DedupKey != ms[0].DedupKey {
			t.Errorf("another key: %+v", m)
		}
	}
}

// TestStoreFailures: whichever write fails, with or without its effect, every
// receiver hears the incident's begin and end, in order, by one key.
func TestStoreFailures(t *testing.T) {
	for _, op := range []string{"save", "evaluate", "claim", "finish"} {
		for _, after := range []bool{false, true} {
			for n := 1; n <= 4; n++ {
				t.Run(fmt.Sprintf("%s %d persisted=%v", op, n, after), func(t *testing.T) {
					h := incidenttest.OnMemory()
					f := &incidenttest.Fake{Backend: h.Backend, Fail: once(op, n, after)}
					w := incidenttest.NewWorld(t, h, incidenttest.Config(), "a", f)
					w.Fail("x", "error_rate")
					settle(w)
					w.Clear("x", "error_rate")
					settle(w)
					w.Is("P1 resolved")
					for _, name := range []string{"pager", "chat"} {
						got := w.Receivers[name].Accepted()
						if d := cmp.Diff([]string{"trigger x", "resolve x"}, unique(got)); d != "" {
							t.Errorf("%s: %s", name, d)
						}
						sameKey(t, got)
						if op != "finish" && len(got) != 2 {
							t.Errorf("%s heard %d messages", name, len(got))
						}
					}
				})
			}
		}
	}
}

// TestPersonFails: an acknowledgement whose answer got lost is there, and the
// repeat says so.
func TestPersonFails(t *testing.T) {
	for _, after := range []bool{false, true} {
		h := incidenttest.OnMemory()
		f := &incidenttest.Fake{Backend: h.Backend, Fail: once("change", 1, after)}
		w := incidenttest.NewWorld(t, h, incidenttest.Config(), "a", f)
		w.Fail("x", "payment_failed")
		w.MustTurn(0)
		if _, err := w.Acknowledge(t.Context(), "inc-1", "key:a", ""); !errors.Is(err, errAway) {
			t.Errorf("the failure is hidden: %v", err)
		}
		if _, err := w.Acknowledge(t.Context(), "inc-1", "key:a", ""); (err == nil) == after {
			t.Errorf("persisted %v: the repeat says %v", after, err)
		}
		w.Is("P0 acknowledged")
		w.MustTurn(time.Hour)
		w.Heard("pager", "trigger P0", "acknowledge P0")
	}
}

// TestDeath: the process dies between any two steps, with or without the last
// one's effect, and another node goes on: nothing is lost.
func TestDeath(t *testing.T) {
	for _, after := range []bool{false, true} {
		for dies := 1; ; dies++ {
			h := incidenttest.OnMemory()
			steps := 0
			f := &incidenttest.Fake{Backend: h.Backend, Fail: func(_ string, a bool) error {
				if a == after {
					steps++
				}
				if steps >= dies {
					return errAway
				}
				return nil
			}}
			w := incidenttest.NewWorld(t, h, incidenttest.Config(), "a", f)
			live := func(w *incidenttest.World) {
				w.Fail("x", "payment_failed")
				_ = w.Turn()
				w.Clock.Add(time.Second)
				_ = w.Turn()
				w.Clear("x", "payment_failed")
				_ = w.Turn()
				w.Clock.Add(time.Second)
				_ = w.Turn()
			}
			live(w)
			if steps < dies { // it lived through everything
				if dies < 15 {
					t.Errorf("only %d steps", steps)
				}
				break
			}
			heard := w.Receivers
			b := incidenttest.NewWorld(t, h, incidenttest.Config(), "b", nil)
			for name := range heard { // the same receivers
				b.Receivers[name] = heard[name]
				b.Sender.Receivers[name] = heard[name]
			}
			b.Fail("x", "payment_failed") // facts are levels: the source states it again
			settle(b)
			b.Clear("x", "payment_failed")
			settle(b)
			for _, name := range []string{"pager", "chat", "mail"} {
				got := heard[name].Accepted()
				u := unique(got)
				if len(u) < 2 || len(u)%2 != 0 {
					t.Fatalf("dead at %d (%v): %s heard %v", dies, after, name, u)
				}
				for n, a := range u {
					if want := []string{"trigger x", "resolve x"}[n%2]; a != want {
						t.Fatalf("dead at %d (%v): %s heard %v", dies, after, name, u)
					}
				}
				sameKey(t, got)
			}
		}
	}
}

// TestReceiverFailures: each way in which a receiver fails.
func TestReceiverFailures(t *testing.T) {
	refuse := &incident.DeliveryError{Permanent: true, Text: "HTTP 400"}
	busy := &incident.DeliveryError{RetryAfter: 90 * time.Second, Text: "HTTP 429"}
	for name, tt := range map[string]struct {
		fail func(n int, a incident.Action) error // the n-th attempt
		lost bool                                 // its answers get lost: accepted, and failed
		want []string
	}{
		"once":                   {func(n int, _ incident.Action) error { return first(n, 1, errAway) }, false, []string{"trigger x", "resolve x"}},
		"often":                  {func(n int, _ incident.Action) error { return first(n, 6, errAway) }, false, []string{"trigger x", "resolve x"}},
		"busy":                   {func(n int, _ incident.Action) error { return first(n, 1, busy) }, false, []string{"trigger x", "resolve x"}},
		"an answer is lost":      {func(n int, _ incident.Action) error { return first(n, 2, errAway) }, true, []string{"trigger x", "resolve x"}},
		"the trigger is refused": {func(_ int, a incident.Action) error { return onlyFor(a, incident.Trigger, refuse) }, false, []string{"resolve x"}},
		"the resolve is refused once": {func(n int, a incident.Action) error {
			if a == incident.Resolve && n == 2 {
				return refuse
			}
			return nil
		}, false, []string{"trigger x", "resolve x"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
			n := 0
			pager := w.Receivers["pager"]
			pager.OnDeliver = func(_ context.Context, m incident.Message) error {
				if m.Object != "x" {
					return nil
				}
				n++
				err := tt.fail(n, m.Action)
				if err != nil && tt.lost {
					pager.Keep(m)
				}
				return err
			}
			w.Fail("x", "payment_failed")
			settle(w)
			w.Clear("x", "payment_failed")
			settle(w)
			for range 30 {
				w.MustTurn(5 * time.Minute)
			}
			if d := cmp.Diff(tt.want, unique(pager.Accepted())); d != "" {
				t.Error(d)
			}
			for _, m := range w.Receivers["chat"].Accepted() { // one that fails delays no other
				if m.Object == "x" && m.Action == incident.Trigger && m.At != incidenttest.Start() {
					t.Errorf("chat heard of it at %v", m.At)
				}
			}
		})
	}
}

func first(n, fails int, err error) error {
	if n <= fails {
		return err
	}
	return nil
}

func onlyFor(a, fails incident.Action, err error) error {
	if a == fails {
		return err
	}
	return nil
}

// TestBackoff: a receiver that is busy is left alone for as long as it asks,
// and one that fails is asked less and less often.
func TestBackoff(t *testing.T) {
	w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
	var at []time.Time
	asks := time.Duration(0)
	w.Receivers["pager"].OnDeliver = func(context.Context, incident.Message) error {
		at = append(at, w.Clock.Now())
		return &incident.DeliveryError{Text: "busy", RetryAfter: asks}
	}
	w.Fail("x", "payment_failed")
	for range 3600 {
		w.MustTurn(time.Second)
	}
	if n := len(at); n < 15 || n > 35 {
		t.Errorf("%d attempts in an hour", n)
	}
	for n := 1; n < len(at); n++ {
		wait, longest := at[n].Sub(at[n-1]), min(2*time.Second<<(n-1), 5*time.Minute)
		if wait < longest/2 || wait > longest+time.Second {
			t.Errorf("attempt %d after %v, want half of %v to all of it", n+1, wait, longest)
		}
	}
	asks, at = 14*time.Minute, nil
	for range 7200 {
		w.MustTurn(time.Second)
	}
	for n := 1; n < len(at); n++ {
		if wait := at[n].Sub(at[n-1]); wait < asks || wait > asks+time.Second {
			t.Errorf("asked to wait %v, waited %v", asks, wait)
		}
	}
}

// TestReceiverFailingIsReported: through others, and until it accepts again.
func TestReceiverFailingIsReported(t *testing.T) {
	w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
	w.Receivers["chat"].OnDeliver = func(context.Context, incident.Message) error {
		return &incident.DeliveryError{Permanent: true, Text: "HTTP 403"}
	}
	w.Fail("x", "violations_high")
	w.MustTurn(0)
	w.MustTurn(0)
	is := w.Is("P2 open", "P2 open")
	if is[1].Object != "chat" || is[1].Summary != "alerts do not get through to the receiver chat: HTTP 403" {
		t.Errorf("%+v", is[1])
	}
	w.Heard("mail", "trigger P2")
	w.Heard("pager", "trigger P2")
	d, err := w.Incident(t.Context(), is[0].ID)
	if err != nil || len(d.Deliveries) != 1 || d.Deliveries[0].State != incident.Failed || d.Deliveries[0].Answer != "refused: HTTP 403" {
		t.Errorf("%+v %v", d.Deliveries, err)
	}
	w.Receivers["chat"].OnDeliver = nil
	w.Clear("x", "violations_high")
	w.MustTurn(0)
	w.Heard("chat", "resolve P2") // whoever may have been told
	w.MustTurn(0)
	w.Is("P2 resolved", "P2 resolved")
}

// TestRemovedReceiver: messages to one that is configured no more are closed.
func TestRemovedReceiver(t *testing.T) {
	h := incidenttest.OnMemory()
	w := incidenttest.NewWorld(t, h, incidenttest.Config(), "a", nil)
	w.Receivers["mail"].OnDeliver = func(context.Context, incident.Message) error { return errAway }
	w.Fail("x", "payment_failed")
	w.MustTurn(0)
	c := incidenttest.Config()
	c.Contacts = append(c.Contacts[:2:2], c.Contacts[3:]...)
	w = incidenttest.NewWorld(t, h, c, "a", nil)
	w.Clear("x", "payment_failed")
	w.MustTurn(time.Minute)
	for range 2 { // one after the other, as always
		if err := w.Sender.CloseUnknown(t.Context(), w.Fence); err != nil {
			t.Fatal(err)
		}
	}
	st, err := h.DeliveryStats(t.Context())
	if err != nil || st["mail"].Pending != 0 || st["mail"].Failed != 2 {
		t.Errorf("%+v %v", st["mail"], err)
	}
}
