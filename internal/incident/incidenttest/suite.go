package incidenttest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/signal"
)

// RunStore checks that a Backend keeps its promises, and that incidents live
// on it as they should. open returns an empty one for each test.
func RunStore(t *testing.T, open func(*testing.T) Harness) {
	for _, tt := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"conditions keep since, unless they broke", conditionsKeepSince},
		{"an incident's life", life},
		{"a class rises and does not fall", classRises},
		{"nodes speak for themselves", reporters},
		{"nodes take turns at a fact", turns},
		{"many nodes open one incident", oneIncident},
		{"a lost lease writes nothing", fenced},
		{"a holder that was paused pages nobody again", pausedHolder},
		{"a delivery is claimed once", claimedOnce},
		{"deliveries wait for those before them", inOrder},
		{"a stale finish changes nothing", staleFinish},
		{"a refused resolve holds back no page", refusedResolve},
		{"people change incidents in an audited commit", audited},
		{"silences", silences},
		{"heartbeats", heartbeats},
		{"repeats do not pile up", repeats},
		{"lists", lists},
		{"pruning", pruning},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
}

func conditionsKeepSince(t *testing.T, h Harness) {
	at := func(n int) time.Time { return Start().Add(time.Duration(n) * time.Second) }
	c := incident.Condition{Rule: "error_rate", Object: "api", Value: "6 %", Since: at(1), SeenAt: at(1)}
	want := func(what string, want ...incident.Condition) {
		t.Helper()
		got, err := h.Conditions(t.Context())
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || d != "" {
			t.Errorf("%s: %v %s", what, err, d)
		}
	}
	save := func(r []incident.Raised, k ...incident.ConditionKey) {
		t.Helper()
		if err := h.SaveConditions(t.Context(), r, k); err != nil {
			t.Fatal(err)
		}
	}
	save([]incident.Raised{{Condition: c}})
	want("raised", c)
	again := c
	again.Since, again.SeenAt, again.Value = at(5), at(5), "7 %"
	save([]incident.Raised{{Condition: again}})
	kept := again
	kept.Since = at(1)
	want("again", kept)
	save([]incident.Raised{{Condition: again, Broke: true}})
	save([]incident.Raised{{Condition: again, Broke: true}}) // a repeat after an error
	want("broke", again)
	other := c
	other.Reporter = "b"
	save([]incident.Raised{{Condition: other}}, again.Key(), incident.ConditionKey{Rule: "no such", Object: "x"})
	want("cleared, and another reporter's", other)
}

func life(t *testing.T, h Harness) {
	w := NewWorld(t, h, Config(), "a", nil)
	w.MustTurn(0)
	w.Is()
	w.Fail("payments", "component_down")
	w.MustTurn(0)
	w.MustTurn(time.Second)
	i := w.Is("P0 open")[0]
	w.Heard("pager", "trigger P0")
	w.Heard("chat", "trigger P0")
	w.Heard("mail", "trigger P0")
	if _, err := w.Acknowledge(t.Context(), i.ID, "key:ana", "looking"); err != nil {
		t.Fatal(err)
	}
	w.MustTurn(time.Hour) // no escalation
	w.Heard("pager", "trigger P0", "acknowledge P0")
	w.Heard("lead")
	w.Clear("payments", "component_down")
	w.MustTurn(time.Second)
	w.Is("P0 resolved")
	w.Heard("pager", "trigger P0", "acknowledge P0", "resolve P0")
	w.MustTurn(59 * time.Minute)
	w.Fail("payments", "component_impaired")
	w.MustTurn(0)
	if i := w.Is("P2 open")[0]; i.Reopened != 1 || i.AckedBy != "" || !i.AckedAt.IsZero() || i.ResolvedBy != "" || !i.ResolvedAt.IsZero() || i.RaisedAt != h.Clock.Now() || i.OpenedAt != Start() {
		t.Errorf("reopened: %+v", i)
	}
	w.Heard("chat", "trigger P0", "acknowledge P0", "resolve P0", "trigger P2")
	w.Heard("pager", "trigger P0", "acknowledge P0", "resolve P0")
	w.Clear("payments", "component_impaired")
	w.MustTurn(time.Second)
	w.MustTurn(time.Hour + time.Second)
	w.Fail("payments", "component_down")
	w.MustTurn(0)
	is := w.Is("P2 resolved", "P0 open")
	if is[0].Reopened != 1 || is[0].OpenedAt != Start() || is[1].Seq != 2 {
		t.Errorf("incidents %+v", is)
	}
	keys := map[string]bool{}
	for _, m := range w.Receivers["chat"].Accepted() {
		keys[m.DedupKey] = true
		if len(m.DedupKey) > 255 || m.DedupKey != incident.DedupKey("test", m2cause(m), seqOf(m)) {
			t.Errorf("key %q of %+v", m.DedupKey, m)
		}
	}
	if len(keys) != 2 {
		t.Errorf("%d keys for two incidents", len(keys))
	}
	d, err := w.Incident(t.Context(), i.ID)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for n, u := range d.Updates {
		if u.N != n+1 {
			t.Errorf("update %d has number %d", n, u.N)
		}
		if u.Kind != incident.NoteSent {
			kinds = append(kinds, string(u.Kind)+" "+u.By)
		}
	}
	want := []string{"opened system", "acknowledged key:ana", "resolved system", "reopened system", "resolved system"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("timeline: %s", diff)
	}
	for _, o := range d.Deliveries {
		if o.State != incident.Delivered || o.Attempts != 1 || o.Answer != "accepted" || o.DoneAt.IsZero() {
			t.Errorf("delivery %+v", o)
		}
	}
}

func m2cause(m incident.Message) incident.Cause {
	return incident.Cause{Group: m.Group, Object: m.Object}
}

func seqOf(m incident.Message) (n int64) {
	_, _ = fmt.Sscanf(m.Incident, "inc-%d", &n) // 0 fails the comparison
	return n
}

func classRises(t *testing.T, h Harness) {
	w := NewWorld(t, h, Config(), "a", nil)
	w.Fail("db", "component_impaired", "health_degraded")
	w.MustTurn(0)
	i := w.Is("P2 open")[0]
	w.Heard("pager")
	if _, err := w.Acknowledge(t.Context(), i.ID, "key:ana", ""); err != nil {
		t.Fatal(err)
	}
	w.MustTurn(5*time.Minute - time.Second)
	w.Is("P2 acknowledged")
	w.MustTurn(time.Second)
	w.Is("P1 open") // nobody took this one yet
	w.Heard("chat", "trigger P2", "acknowledge P2", "update P1")
	w.Heard("pager", "trigger P1")
	w.Fail("db", "component_down")
	w.MustTurn(time.Second)
	w.Is("P0 open")
	w.Clear("db", "component_down", "health_degraded")
	w.MustTurn(time.Second)
	w.Is("P0 open") // one rule still fails
	w.Clear("db", "component_impaired")
	w.MustTurn(time.Second)
	w.Is("P0 resolved")
	w.Heard("pager", "trigger P1", "update P0", "resolve P0")
	w.Heard("mail", "trigger P0", "resolve P0")
	w.Fail("db", "health_degraded")
	w.MustTurn(5*time.Minute - time.Second)
	w.Clear("db", "health_degraded") // a break
	w.Fail("db", "health_degraded")
	w.MustTurn(time.Second)
	w.MustTurn(4 * time.Minute)
	w.Is("P0 resolved")
}

func reporters(t *testing.T, h Harness) {
	c := Config()
	a := NewWorld(t, h, c, "a", nil)
	b := NewWorld(t, h, c, "b", nil) // holds the lease
	a.Fail("data", "disk_low")
	a.Fail("clock", "disk_low")
	a.Fail("api", "error_rate")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(a.Flush(t.Context()))
	b.MustTurn(0)
	b.Is("P1 open", "P2 open", "P2 open")
	for range 20 { // b is healthy all the time, a states what it knows
		b.Clear("data", "disk_low")
		b.Clear("clock", "disk_low")
		must(a.Flush(t.Context()))
		b.MustTurn(30 * time.Second)
	}
	b.Is("P1 open", "P2 open", "P2 open")
	b.Clear("api", "error_rate") // what any node may state
	b.MustTurn(0)
	b.Is("P1 resolved", "P2 open", "P2 open")
	b.MustTurn(incident.Expiry - 30*time.Second) // a died 30 s ago
	b.Is("P1 resolved", "P2 open", "P2 open")
	b.MustTurn(time.Second)
	b.Is("P1 resolved", "P2 resolved", "P2 resolved")
	left, err := h.Conditions(t.Context())
	if err != nil || len(left) != 0 {
		t.Errorf("conditions %v %v", left, err)
	}
}

// turns lets a measurement move from node to node and back: the last word
// counts, also that of a node that had said the same before.
func turns(t *testing.T, h Harness) {
	a := NewWorld(t, h, Config(), "a", nil)
	b := NewWorld(t, h, Config(), "b", nil)
	say := func(w *World, failing bool, want string) {
		t.Helper()
		h.Clock.Add(10 * time.Second)
		if w.Clear("x", "error_rate"); failing {
			w.Fail("x", "error_rate")
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.MustTurn(0)
		if got := b.Is("P1 " + want); t.Failed() {
			t.Fatalf("%+v", got)
		}
	}
	state := func(w *World) { // the level as it stands
		h.Clock.Add(10 * time.Second)
		w.Fail("x", "error_rate")
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	say(a, true, "open")
	say(b, false, "resolved")
	state(a)
	b.MustTurn(0)
	b.Is("P1 open")
	say(b, false, "resolved")
	say(a, false, "resolved")
	say(b, true, "open")
}

func oneIncident(t *testing.T, h Harness) {
	w := NewWorld(t, h, Config(), "a", nil)
	w.Fail("x", "payment_failed", "security_event")
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := w.Evaluate(t.Context(), w.Fence); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	w.Is("P0 open", "P0 open")
	w.MustTurn(0)
	w.Heard("pager", "trigger P0", "trigger P0")
}

// pausedHolder pauses a node between its claim and its send, for longer than
// the claim, while another takes the lease.
func audited(t *testing.T, h Harness) {
	w := NewWorld(t, h, Config(), "a", nil)
	w.Fail("x", "payment_failed")
	w.MustTurn(0)
	id := w.Is("P0 open")[0].ID
	i, err := w.Acknowledge(t.Context(), id, "key:ana", "mine")
	if err != nil || i.State != incident.Acknowledged || i.AckedBy != "key:ana" || i.AckedAt != h.Clock.Now() {
		t.Errorf("acknowledged: %+v %v", i, err)
	}
	if _, err := w.Acknowledge(t.Context(), id, "key:bob", ""); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("acknowledged twice: %v", err)
	}
	if _, err := w.Acknowledge(t.Context(), "inc-99", "key:bob", ""); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("acknowledged nothing: %v", err)
	}
	if _, err := w.Acknowledge(t.Context(), id, "key:bob", strings.Repeat("x", 501)); fault.CodeOf(err) != fault.InvalidArgument {
		t.Errorf("a long note: %v", err)
	}
	if i, err = w.Resolve(t.Context(), id, "key:bob", "done"); err != nil || i.State != incident.Resolved || i.ResolvedBy != "key:bob" {
		t.Errorf("resolved: %+v %v", i, err)
	}
	if _, err := w.Resolve(t.Context(), id, "key:bob", ""); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("resolved twice: %v", err)
	}
	w.MustTurn(time.Second) // it still fails
	w.Is("P0 open")
	w.Heard("pager", "trigger P0", "acknowledge P0", "resolve P0", "trigger P0")
}

func silences(t *testing.T, h Harness) {
	w := NewWorld(t, h, Config(), "a", nil)
	end := h.Clock.Now().Add(time.Hour)
	s, err := w.Silence(t.Context(), incident.Silence{Rule: "component_down", Object: "db", Reason: "moving it", By: "key:ana", EndsAt: end})
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.Silences(t.Context())
	if d := cmp.Diff([]incident.Silence{s}, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	w.Fail("db", "component_down")
	w.Fail("web", "component_down")
	w.MustTurn(0)
	w.MustTurn(30 * time.Minute)
	w.Heard("pager", "trigger P0")
	w.Heard("lead", "trigger P0") // of web
	w.MustTurn(30 * time.Minute)  // it ended and still fails
	w.Heard("pager", "trigger P0", "trigger P0")
	w.Heard("lead", "trigger P0") // the ladder of db begins with its first message
	w.MustTurn(10 * time.Minute)
	w.Heard("lead", "trigger P0", "trigger P0")
	if s, err = w.Silence(t.Context(), incident.Silence{Object: "db", Reason: "again", By: "key:ana", EndsAt: h.Clock.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	w.Clear("db", "component_down")
	w.MustTurn(0) // whoever was told learns of the end all the same
	w.Heard("pager", "trigger P0", "trigger P0", "resolve P0")
	if err := w.EndSilence(t.Context(), s.ID, "key:bob", "done"); err != nil {
		t.Fatal(err)
	}
	if err := w.EndSilence(t.Context(), s.ID, "key:bob", "done"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("ended twice: %v", err)
	}
	if got, err := w.Silences(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("silences %v %v", got, err)
	}
}

func lists(t *testing.T, h Harness) {
	w := NewWorld(t, h, Config(), "a", nil)
	w.Fail("a", "payment_failed")
	w.Fail("b", "violations_high")
	w.Fail("c", "violations_high")
	w.MustTurn(0)
	w.Clear("c", "violations_high")
	w.MustTurn(0)
	for name, tt := range map[string]struct {
		f    incident.Filter
		want []int64
	}{
		"all":    {incident.Filter{}, []int64{3, 2, 1}},
		"active": {incident.Filter{Active: true}, []int64{2, 1}},
		"class":  {incident.Filter{Class: incident.P2}, []int64{3, 2}},
		"cause":  {incident.Filter{Group: "violations_high", Object: "b"}, []int64{2}},
		"page":   {incident.Filter{Before: 3, Limit: 1}, []int64{2}},
	} {
		is, err := w.Incidents(t.Context(), tt.f)
		var got []int64
		for _, i := range is {
			got = append(got, i.Seq)
		}
		if d := cmp.Diff(tt.want, got); err != nil || d != "" {
			t.Errorf("%s: %v %s", name, err, d)
		}
	}
	if _, err := w.Incidents(t.Context(), incident.Filter{Limit: 1001}); fault.CodeOf(err) != fault.InvalidArgument {
		t.Errorf("a page of 1001: %v", err)
	}
	if _, err := w.Incident(t.Context(), "inc-9"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("no incident: %v", err)
	}
	d, err := w.Incident(t.Context(), "inc-1")
	if err != nil || d.Summary != "payments fail: a: it is so" || len(d.Deliveries) != 3 || d.Deliveries[0].Message.Summary != d.Summary {
		t.Errorf("%+v %v", d, err)
	}
}

// Audits checks that a person's changes are audited, each kind once, by a
// test of the store, which knows how entries are read.
func Audits(t *testing.T, h Harness, w *World) map[audit.Kind]int {
	t.Helper()
	w.Sink(signal.Fact{Rule: "payment_failed", Object: "x", Failing: true})
	w.MustTurn(0)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.Acknowledge(t.Context(), "inc-1", "key:ana", "secretnote")
	must(err)
	_, err = w.Resolve(t.Context(), "inc-1", "key:ana", "secretnote")
	must(err)
	s, err := w.Silence(t.Context(), incident.Silence{Rule: "payment_failed", Reason: "secretnote", By: "key:ana", EndsAt: h.Clock.Now().Add(time.Minute)})
	must(err)
	must(w.EndSilence(t.Context(), s.ID, "key:ana", "secretnote"))
	return map[audit.Kind]int{audit.IncidentAcknowledged: 1, audit.IncidentResolved: 1, audit.SilenceCreated: 1, audit.SilenceEnded: 1}
}
