package incidenttest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/incident"
)

func fenced(t *testing.T, h Harness) {
	w := NewWorld(t, h, Config(), "a", nil)
	w.Fail("x", "payment_failed")
	w.Fail("y", "payment_failed")
	w.MustTurn(0)
	w.Clear("x", "payment_failed")
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := w.Is("P0 open", "P0 open")
	if err := w.Evaluate(t.Context(), w.Fence); err != nil {
		t.Fatal(err)
	}
	d, ok, err := h.ClaimDelivery(t.Context(), w.Fence, "pager", time.Minute)
	if err != nil || !ok {
		t.Fatalf("claim: %v %v", ok, err)
	}
	w.Clear("y", "payment_failed")
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Take() // another node
	lost := func(what string, err error) {
		t.Helper()
		if fault.CodeOf(err) != fault.Conflict {
			t.Errorf("%s without the lease: %v", what, err)
		}
	}
	lost("evaluate", w.Evaluate(t.Context(), w.Fence))
	lost("finish", h.FinishDelivery(t.Context(), w.Fence, d, incident.Result{State: incident.Delivered}))
	_, _, err = h.ClaimDelivery(t.Context(), w.Fence, "chat", time.Minute)
	lost("claim", err)
	_, err = h.PruneIncidents(t.Context(), w.Fence, Start().Add(time.Hour), 10)
	lost("prune", err)
	w.Is("P0 resolved", "P0 open")
	got, err := w.Incident(t.Context(), before[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range got.Deliveries {
		if o.Action == incident.Resolve && (o.State != incident.Pending || o.Receiver == "chat" && o.Attempts != 0) {
			t.Errorf("changed without the lease: %+v", o)
		}
	}
}

func pausedHolder(t *testing.T, h Harness) {
	a := NewWorld(t, h, Config(), "a", nil)
	a.Fail("x", "payment_failed")
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.Evaluate(t.Context(), a.Fence); err != nil {
		t.Fatal(err)
	}
	var b *World
	paused := false
	a.Sender.Store = &Fake{Backend: h.Backend, Fail: func(op string, after bool) error {
		if op == "claim" && after && !paused {
			paused = true
			h.Clock.Add(time.Minute)
			b = NewWorld(t, h, Config(), "b", nil)
			b.MustTurn(0)
		}
		return nil
	}}
	if _, err := a.Sender.Next(t.Context(), a.Fence, "pager"); err != nil {
		t.Fatal(err)
	}
	a.Heard("pager")
	b.Heard("pager", "trigger P0")
	if _, err := a.Sender.Next(t.Context(), a.Fence, "pager"); err != nil {
		t.Error(err) // nothing is due
	}
	a.Clear("x", "payment_failed")
	if err := a.Flush(t.Context()); err != nil { // facts need no lease
		t.Fatal(err)
	}
	if err := a.Evaluate(t.Context(), a.Fence); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("evaluated without the lease: %v", err)
	}
	b.MustTurn(0)
	b.Heard("pager", "trigger P0", "resolve P0")
	a.Heard("pager")
}

func claimedOnce(t *testing.T, h Harness) {
	w := NewWorld(t, h, Config(), "a", nil)
	for n := range 10 {
		w.Fail(fmt.Sprint(n), "payment_failed")
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Evaluate(t.Context(), w.Fence); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[int64]int{}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 6 {
				d, ok, err := h.ClaimDelivery(t.Context(), w.Fence, "pager", time.Minute)
				if err != nil {
					t.Error(err)
				}
				if ok {
					mu.Lock()
					seen[d.ID]++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	for id, n := range seen {
		if n != 1 {
			t.Errorf("delivery %d was claimed %d times", id, n)
		}
	}
	if len(seen) != 10 {
		t.Errorf("claimed %d of 10", len(seen))
	}
	h.Clock.Add(time.Minute) // the claims end
	d, ok, err := h.ClaimDelivery(t.Context(), w.Fence, "pager", time.Minute)
	if err != nil || !ok || d.Attempts != 2 || d.NextAt != h.Clock.Now().Add(time.Minute) {
		t.Errorf("after its claim: %+v %v %v", d, ok, err)
	}
}

func inOrder(t *testing.T, h Harness) {
	w := NewWorld(t, h, Config(), "a", nil)
	w.Fail("early", "violations_high")
	evaluate := func() {
		t.Helper()
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.Evaluate(t.Context(), w.Fence); err != nil {
			t.Fatal(err)
		}
	}
	evaluate()
	w.Fail("x", "payment_failed")
	evaluate()
	w.Clear("x", "payment_failed")
	evaluate()
	claim := func(want string) incident.Delivery {
		t.Helper()
		d, ok, err := h.ClaimDelivery(t.Context(), w.Fence, "chat", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if ok {
			got = string(d.Action) + " " + d.Message.Object
		}
		if got != want {
			t.Errorf("claimed %q, want %q", got, want)
		}
		return d
	}
	first := claim("trigger x") // the most urgent
	claim("trigger early")
	claim("") // the resolve is behind the trigger
	if err := h.FinishDelivery(t.Context(), w.Fence, first, incident.Result{State: incident.Pending, NextAt: h.Clock.Now().Add(time.Second), Answer: "busy"}); err != nil {
		t.Fatal(err)
	}
	claim("")
	h.Clock.Add(time.Second)
	first = claim("trigger x")
	if first.Attempts != 2 || first.Answer != "busy" {
		t.Errorf("second attempt: %+v", first)
	}
	if err := h.FinishDelivery(t.Context(), w.Fence, first, incident.Result{State: incident.Failed}); err != nil {
		t.Fatal(err)
	}
	claim("resolve x") // not dropped with its trigger
}

func staleFinish(t *testing.T, h Harness) {
	w := NewWorld(t, h, Config(), "a", nil)
	w.Fail("x", "payment_failed")
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Evaluate(t.Context(), w.Fence); err != nil {
		t.Fatal(err)
	}
	old, _, err := h.ClaimDelivery(t.Context(), w.Fence, "pager", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	h.Clock.Add(time.Minute)
	now, ok, err := h.ClaimDelivery(t.Context(), w.Fence, "pager", time.Minute)
	if err != nil || !ok || now.ID != old.ID {
		t.Fatalf("claimed %+v %v %v", now, ok, err)
	}
	finish := func(d incident.Delivery, s incident.DeliveryState, want incident.Stats) {
		t.Helper()
		if err := h.FinishDelivery(t.Context(), w.Fence, d, incident.Result{State: s}); err != nil {
			t.Fatal(err)
		}
		got, err := h.DeliveryStats(t.Context())
		if diff := cmp.Diff(want, got["pager"]); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	}
	finish(old, incident.Failed, incident.Stats{Pending: 1, OldestPending: Start()})
	finish(now, incident.Delivered, incident.Stats{LastDelivered: h.Clock.Now()})
	finish(now, incident.Failed, incident.Stats{LastDelivered: h.Clock.Now()})
}

func heartbeats(t *testing.T, h Harness) {
	c := Config()
	c.Heartbeats = map[string]time.Duration{"switch": time.Minute}
	w := NewWorld(t, h, c, "a", nil)
	for range 4 {
		w.MustTurn(30 * time.Second)
	}
	w.Heard("switch", "heartbeat ", "heartbeat ")
	w.Receivers["switch"].OnDeliver = func(_ context.Context, _ incident.Message) error { return &incident.DeliveryError{Text: "away"} }
	for range 20 {
		w.MustTurn(time.Minute)
	}
	st, err := h.DeliveryStats(t.Context())
	if err != nil || st["switch"].Pending != 1 {
		t.Errorf("while the switch is away: %+v %v", st, err)
	}
	w.Is("P2 open") // the receiver fails
	w.Receivers["switch"].OnDeliver = nil
	w.MustTurn(6 * time.Minute)
	w.MustTurn(0)
	w.Is("P2 resolved")
	w.MustTurn(48 * time.Hour)
	w.MustTurn(time.Minute)
	if _, err := h.PruneIncidents(t.Context(), w.Fence, h.Clock.Now().Add(time.Second), 10); err != nil {
		t.Error(err)
	}
	if st, err = h.DeliveryStats(t.Context()); err != nil || st["switch"] != (incident.Stats{}) {
		t.Errorf("heartbeats after pruning: %+v %v", st["switch"], err)
	}
	w.MustTurn(time.Minute)
	ids := map[string]bool{}
	for _, m := range w.Receivers["switch"].Accepted() {
		if ids[m.Delivery] || m.Delivery == "" {
			t.Errorf("delivery id %q is used twice", m.Delivery)
		}
		ids[m.Delivery] = true
	}
}

func repeats(t *testing.T, h Harness) {
	c := Config()
	c.Contacts[1].Repeat = 5 * time.Minute
	w := NewWorld(t, h, c, "a", nil)
	w.Fail("x", "violations_high")
	w.MustTurn(0)
	w.MustTurn(5 * time.Minute)
	w.Heard("chat", "trigger P2", "repeat P2")
	if err := func() error { _, err := w.Acknowledge(t.Context(), "inc-1", "key:ana", ""); return err }(); err != nil {
		t.Fatal(err)
	}
	w.Receivers["chat"].OnDeliver = func(_ context.Context, _ incident.Message) error { return &incident.DeliveryError{Text: "away"} }
	for range 30 {
		w.MustTurn(5 * time.Minute)
	}
	st, err := h.DeliveryStats(t.Context())
	if err != nil || st["chat"].Pending > 3 {
		t.Errorf("%d wait, %v", st["chat"].Pending, err)
	}
	w.Receivers["chat"].OnDeliver = nil
	w.Clear("x", "violations_high")
	for range 6 {
		w.MustTurn(time.Minute)
	}
	got := w.Receivers["chat"].Actions()
	if n := len(got); got[2] != "acknowledge P2" || got[n-1] != "resolve P2" && got[n-2] != "resolve P2" {
		t.Errorf("heard %v", got)
	}
}

func pruning(t *testing.T, h Harness) {
	w := NewWorld(t, h, Config(), "a", nil)
	w.Receivers["chat"].OnDeliver = func(_ context.Context, m incident.Message) error {
		if m.Object == "stuck" {
			return &incident.DeliveryError{Text: "away"}
		}
		return nil
	}
	w.Fail("old", "payment_failed")
	w.Fail("stuck", "payment_failed")
	w.MustTurn(0)
	w.Clear("old", "payment_failed")
	w.Clear("stuck", "payment_failed")
	w.MustTurn(0)
	w.MustTurn(time.Hour)
	w.MustTurn(time.Hour) // the third attempt: chat fails
	w.MustTurn(0)
	w.Is("P0 resolved", "P0 resolved", "P2 open")
	w.Fail("new", "payment_failed")
	w.MustTurn(0)
	n, err := h.PruneIncidents(t.Context(), w.Fence, h.Clock.Now(), 10)
	if err != nil || n != 1 {
		t.Errorf("pruned %d, %v", n, err)
	}
	w.Is("P0 resolved", "P2 open", "P0 open")
	if _, err := w.Incident(t.Context(), "inc-1"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("the pruned one: %v", err)
	}
	w.Fail("newer", "payment_failed")
	w.MustTurn(0)
	if is := w.Is("P0 resolved", "P2 resolved", "P0 open", "P0 open"); is[3].Seq != 5 {
		t.Errorf("number %d is given again", is[3].Seq)
	}
}

func refusedResolve(t *testing.T, h Harness) {
	w := NewWorld(t, h, Config(), "a", nil)
	w.Fail("x", "payment_failed")
	w.MustTurn(0)
	refuses := true
	w.Receivers["pager"].OnDeliver = func(_ context.Context, m incident.Message) error {
		if refuses && m.Action == incident.Resolve {
			return &incident.DeliveryError{Permanent: true, Text: "no"}
		}
		return nil
	}
	w.Clear("x", "payment_failed")
	w.MustTurn(time.Minute)
	w.Heard("pager", "trigger P0")
	w.Fail("x", "payment_failed")
	w.MustTurn(2 * time.Minute)
	if _, err := w.Sender.Next(t.Context(), w.Fence, "pager"); err != nil {
		t.Fatal(err)
	}
	got := w.Receivers["pager"].Actions()
	if n := len(got); n < 2 || got[1] != "trigger P0" { // minutes before the refused one's hour
		t.Fatalf("heard %v", got)
	}
	refuses = false
	w.Clear("x", "payment_failed", "receiver_failing")
	w.MustTurn(time.Minute)
	before := w.Receivers["pager"].Actions()
	w.MustTurn(2 * time.Hour) // the older one does not end what came later
	if d := cmp.Diff(before, w.Receivers["pager"].Actions()); d != "" {
		t.Errorf("an old resolve arrived (-want +got): %s", d)
	}
}
