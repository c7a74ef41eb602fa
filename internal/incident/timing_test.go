package incident_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
	"avalo.app/gantry/internal/signal"
)

// TestEscalation: nobody acknowledges a P0, and the tech lead and the CTO are
// told at their delays, to the second; of a P1, later; of one acknowledged in
// between, no more.
func TestEscalation(t *testing.T) {
	at := func(w *incidenttest.World, name string) []time.Duration {
		var out []time.Duration
		for _, m := range w.Receivers[name].Accepted() {
			if m.Action == incident.Trigger {
				out = append(out, m.At.Sub(incidenttest.Start()))
			}
		}
		return out
	}
	for name, tt := range map[string]struct {
		rule      string
		ack       time.Duration
		lead, cto []time.Duration
	}{
		"P0":                {"payment_failed", 0, []time.Duration{10 * time.Minute}, []time.Duration{20 * time.Minute}},
		"P1":                {"error_rate", 0, []time.Duration{30 * time.Minute}, []time.Duration{time.Hour}},
		"P0 taken at once":  {"payment_failed", 5 * time.Second, nil, nil},
		"P0 taken by lead":  {"payment_failed", 15 * time.Minute, []time.Duration{10 * time.Minute}, nil},
		"P2":                {"disk_low", 0, nil, nil},
		"P0 taken too late": {"payment_failed", 21 * time.Minute, []time.Duration{10 * time.Minute}, []time.Duration{20 * time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
			w.Fail("x", tt.rule)
			w.MustTurn(0)
			const tick = 5 * time.Second
			for n := range 2 * time.Hour / tick {
				if tt.ack > 0 && n*tick == tt.ack {
					if _, err := w.Acknowledge(t.Context(), "inc-1", "key:a", ""); err != nil {
						t.Fatal(err)
					}
				}
				w.MustTurn(tick)
			}
			if d := cmp.Diff(tt.lead, at(w, "lead")); d != "" {
				t.Errorf("the lead: %s", d)
			}
			if d := cmp.Diff(tt.cto, at(w, "cto")); d != "" {
				t.Errorf("the CTO: %s", d)
			}
			w.Clear("x", tt.rule)
			w.MustTurn(0)
			for name, r := range w.Receivers {
				if heard := r.Actions(); len(heard) > 0 && heard[len(heard)-1][:7] != "resolve" {
					t.Errorf("%s heard %v", name, heard)
				}
			}
		})
	}
}

// TestEscalationBeginsAnew: one that reopens is told to the ops team, and to
// the tech lead only after the delay.
func TestEscalationBeginsAnew(t *testing.T) {
	w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
	w.Fail("x", "payment_failed")
	w.MustTurn(0)
	w.MustTurn(10 * time.Minute)
	w.Clear("x", "payment_failed")
	w.MustTurn(0)
	w.MustTurn(10 * time.Minute)
	w.Fail("x", "payment_failed")
	w.MustTurn(0)
	w.MustTurn(10*time.Minute - time.Second)
	w.Heard("pager", "trigger P0", "resolve P0", "trigger P0")
	w.Heard("lead", "trigger P0", "resolve P0")
	w.MustTurn(time.Second)
	w.Heard("lead", "trigger P0", "resolve P0", "trigger P0")
	w.Heard("cto")
}

// TestEscalationOfARise: one that was slow for an hour and is down now is told
// to the tech lead 10 minutes from then.
func TestEscalationOfARise(t *testing.T) {
	w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
	w.Fail("db", "component_impaired")
	w.MustTurn(0)
	w.MustTurn(time.Hour)
	w.Fail("db", "component_down")
	w.MustTurn(0)
	w.MustTurn(10*time.Minute - time.Second)
	w.Heard("lead")
	i := w.Is("P0 open")[0]
	r := w.Routing()
	at, ok := r.EscalatesAt(&i, 1)
	if want := incidenttest.Start().Add(70 * time.Minute); !ok || !at.Equal(want) {
		t.Errorf("escalates at %v %v, want %v", at, ok, want)
	}
	w.MustTurn(time.Second)
	w.Heard("lead", "trigger P0")
	if _, err := w.Acknowledge(t.Context(), i.ID, "key:a", ""); err != nil {
		t.Fatal(err)
	}
	i = w.Is("P0 acknowledged")[0]
	if at, ok := r.EscalatesAt(&i, 2); ok {
		t.Errorf("escalates at %v though it is acknowledged", at)
	}
}

// TestStorm: thousands of causes at once are opened in turns, the most urgent
// first.
func TestStorm(t *testing.T) {
	w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
	for n := range 450 {
		w.Fail(fmt.Sprint(n), "disk_low")
	}
	w.Fail("z", "payment_failed")
	for turn, want := range []int{200, 400, 451, 451} {
		w.MustTurn(0)
		is, err := w.Incidents(t.Context(), incident.Filter{Limit: 1000})
		if err != nil || len(is) != want || is[len(is)-1].Object != "z" {
			t.Errorf("turn %d: %d incidents, the first of %s, %v", turn, len(is), is[len(is)-1].Object, err)
		}
	}
}

// TestHangingReceiverDelaysNoOther: while the chat hangs until its timeout,
// pages go out within a second, in the real loop.
func TestHangingReceiverDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := incidenttest.NewMemory(time.Now)
		s, err := incident.New(incident.Options{Store: m, Node: "a", Config: incidenttest.Config()})
		if err != nil {
			t.Fatal(err)
		}
		hang := &incidenttest.Receiver{OnDeliver: func(ctx context.Context, _ incident.Message) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		pager := &incidenttest.Receiver{}
		sender := &incident.Sender{Store: m, Stats: m.DeliveryStats, Signals: s.Sink, Receivers: map[string]incident.Receiver{
			"pager": pager, "chat": hang, "mail": &incidenttest.Receiver{}, "lead": &incidenttest.Receiver{}, "cto": &incidenttest.Receiver{}}}
		ctx, cancel := context.WithCancel(t.Context())
		f := m.Take()
		done := make(chan error, 1)
		go func() { done <- sender.Run(ctx, f) }()
		for n := range 5 {
			s.Sink(signal.Fact{Rule: "payment_failed", Object: string(rune('a' + n)), Failing: true})
			if err := errors.Join(s.Flush(ctx), s.Evaluate(ctx, f)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if got := len(pager.Accepted()); got != n+1 {
				t.Errorf("%d pages after %d incidents", got, n+1)
			}
		}
		m.Take() // another node: the next write ends the loop
		s.Sink(signal.Fact{Rule: "payment_failed", Object: "z", Failing: true})
		if err := s.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case err := <-done:
			if err == nil || errors.Is(err, context.Canceled) {
				t.Errorf("the loop ended with %v", err)
			}
		default:
			t.Error("the loop goes on without the lease")
		}
		cancel()
	})
}

func TestOutage(t *testing.T) {
	start := incidenttest.Start()
	for name, tt := range map[string]struct {
		o    incident.Outage
		up   func(s int) bool // at a second
		want map[int]incident.Action
	}{
		"up":              {incident.Outage{}, func(int) bool { return true }, map[int]incident.Action{}},
		"29 s":            {incident.Outage{}, func(s int) bool { return s >= 30 }, map[int]incident.Action{}},
		"31 s":            {incident.Outage{}, func(s int) bool { return s >= 31 }, map[int]incident.Action{30: incident.Trigger, 31: incident.Resolve}},
		"an answer once":  {incident.Outage{}, func(s int) bool { return s == 20 }, map[int]incident.Action{51: incident.Trigger, 351: incident.Trigger, 651: incident.Trigger}},
		"twice":           {incident.Outage{}, func(s int) bool { return s >= 100 && s < 200 }, map[int]incident.Action{30: incident.Trigger, 100: incident.Resolve, 230: incident.Trigger, 530: incident.Trigger}},
		"after a restart": {incident.Paged(start), func(s int) bool { return s >= 5 }, map[int]incident.Action{5: incident.Resolve}},
	} {
		got := map[int]incident.Action{}
		for s := range 700 {
			if a := tt.o.Step(start.Add(time.Duration(s)*time.Second), tt.up(s)); a != "" {
				got[s] = a
			}
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// direct runs a Direct on the bubble's clock.
func direct(t *testing.T, up *atomic.Bool, open bool, marks *[]bool, receivers map[string]incident.Receiver, timeout time.Duration) (stop func()) {
	t.Helper()
	c := incidenttest.Config()
	table, err := incident.NewTable(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &incident.Direct{Routing: func() incident.Routing { return incident.Routing{Config: &c, Table: table} }, Receivers: receivers, Open: open, Timeout: timeout,
		Up: func(context.Context) error {
			if up.Load() {
				return nil
			}
			return errAway
		},
		Mark: func(open bool) error { *marks = append(*marks, open); return nil }}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- d.Run(ctx) }()
	return func() {
		cancel()
		<-done
	}
}

// TestDirect: two nodes page for the store without it, within 31 s, by one
// key, and resolve by it; a receiver that fails is asked until it accepts.
func TestDirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		var marks, marksB []bool
		start := time.Now()
		var paged atomic.Int64
		pager := &incidenttest.Receiver{OnDeliver: func(context.Context, incident.Message) error {
			paged.CompareAndSwap(0, int64(time.Since(start)))
			return nil
		}}
		var fails atomic.Bool
		fails.Store(true)
		chat := &incidenttest.Receiver{OnDeliver: func(context.Context, incident.Message) error {
			if fails.Load() {
				return errAway
			}
			return nil
		}}
		lead := &incidenttest.Receiver{}
		rs := map[string]incident.Receiver{"pager": pager, "chat": chat, "lead": lead}
		stopA := direct(t, &up, false, &marks, rs, 0)
		stopB := direct(t, &up, false, &marksB, rs, 0)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if at := time.Duration(paged.Load()); at < 30*time.Second || at > 31*time.Second {
			t.Errorf("paged after %v", at)
		}
		if d := cmp.Diff([]string{"trigger P0", "trigger P0"}, pager.Actions()); d != "" {
			t.Error(d)
		}
		sameKey(t, pager.Accepted())
		if want := incident.DedupKey("test", incident.Cause{Group: "store_down", Object: "any"}, 7); pager.Accepted()[0].DedupKey != want {
			t.Error("the incident would have another key")
		}
		stopB() // it dies, and comes back when the store is there
		up.Store(true)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if d := cmp.Diff([]string{"trigger P0", "trigger P0", "resolve P0"}, pager.Actions()); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]bool{true}, marks); d != "" { // the chat was not told the end yet
			t.Error(d)
		}
		fails.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if d := cmp.Diff([]string{"resolve P0"}, chat.Actions()); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]bool{true, false}, marks); d != "" {
			t.Error(d)
		}
		stopB = direct(t, &up, true, &marksB, rs, 0) // as it remembers
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if d := cmp.Diff([]string{"trigger P0", "trigger P0", "resolve P0", "resolve P0"}, pager.Actions()); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]bool{true, false}, marksB); d != "" {
			t.Error(d)
		}
		if lead.Actions() != nil {
			t.Errorf("the lead heard %v", lead.Actions())
		}
		stopA()
		stopB()
	})
}

// TestDirectHangs: a receiver that hangs, and a store that hangs, do not keep
// the others from being told.
func TestDirectHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		var marks []bool
		hang := &incidenttest.Receiver{OnDeliver: func(ctx context.Context, _ incident.Message) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		pager := &incidenttest.Receiver{}
		stop := direct(t, &up, false, &marks, map[string]incident.Receiver{"chat": hang, "pager": pager}, 10*time.Minute)
		say := func(answers bool, d time.Duration, want ...string) {
			t.Helper()
			up.Store(answers)
			time.Sleep(d)
			synctest.Wait()
			if diff := cmp.Diff(want, pager.Actions()); diff != "" {
				t.Error(diff)
			}
		}
		say(false, 32*time.Second, "trigger P0")
		say(true, 2*time.Second, "trigger P0", "resolve P0")
		say(false, 32*time.Second, "trigger P0", "resolve P0", "trigger P0")
		say(true, 2*time.Second, "trigger P0", "resolve P0", "trigger P0", "resolve P0")
		stop()
	})
}

// TestStoppedInTheMiddle: an attempt that ends because this node stops, or
// lost its lease, says nothing of the receiver.
func TestStoppedInTheMiddle(t *testing.T) {
	w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
	ctx, cancel := context.WithCancel(t.Context())
	w.Receivers["pager"].OnDeliver = func(ctx context.Context, _ incident.Message) error {
		cancel()
		return ctx.Err()
	}
	w.Fail("x", "payment_failed")
	if err := errors.Join(w.Flush(t.Context()), w.Evaluate(t.Context(), w.Fence)); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if _, err := w.Sender.Next(ctx, w.Fence, "pager"); !errors.Is(err, context.Canceled) {
			t.Errorf("stopped: %v", err)
		}
		w.Clock.Add(time.Minute)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	cs, err := w.Conditions(t.Context())
	if err != nil || len(cs) != 1 {
		t.Errorf("conditions %+v %v", cs, err)
	}
}
