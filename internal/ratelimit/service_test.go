package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/counters/memory"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/ratelimit"
	"avalo.app/gantry/internal/ratelimit/ratelimittest"
	"avalo.app/gantry/internal/signal"
)

// stores is a PolicyStore and ViolationStore in memory; a non-nil record
// callback takes RecordViolations over.
type stores struct {
	mu        sync.Mutex
	policies  []ratelimit.StoredPolicy
	overrides []ratelimit.Override
	entries   []audit.Entry
	batches   []ratelimit.Batch
	record    func(ratelimit.Batch) error
	down      bool // reads of policies fail
}

func (s *stores) Policies(context.Context) ([]ratelimit.StoredPolicy, error) {
	if s.down {
		return nil, errors.New("the store is down")
	}
	return slices.Clone(s.policies), nil
}

func (s *stores) SavePolicy(_ context.Context, p ratelimit.StoredPolicy, _ int64, e audit.Entry) (ratelimit.StoredPolicy, error) {
	s.policies = slices.DeleteFunc(s.policies, func(o ratelimit.StoredPolicy) bool { return o.Action == p.Action })
	p.Version++
	s.policies, s.entries = append(s.policies, p), append(s.entries, e)
	return p, nil
}

func (s *stores) Overrides(_ context.Context, now time.Time) ([]ratelimit.Override, error) {
	return slices.DeleteFunc(slices.Clone(s.overrides), func(o ratelimit.Override) bool { return !o.ExpiresAt.After(now) }), nil
}

func (s *stores) SaveOverride(_ context.Context, o ratelimit.Override, e audit.Entry) error {
	s.overrides, s.entries = append(s.overrides, o), append(s.entries, e)
	return nil
}

func (s *stores) RemoveOverride(_ context.Context, id string, e audit.Entry) error {
	s.overrides, s.entries = slices.DeleteFunc(s.overrides, func(o ratelimit.Override) bool { return o.ID == id }), append(s.entries, e)
	return nil
}

func (s *stores) RecordViolations(_ context.Context, b ratelimit.Batch) error {
	if s.record != nil {
		return s.record(b)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, b)
	return nil
}

func (s *stores) Violations(context.Context, ratelimit.ViolationFilter) ([]ratelimit.Violation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []ratelimit.Violation
	for _, b := range s.batches {
		out = append(out, b.Violations...)
	}
	return out, nil
}

func (s *stores) Offenders(context.Context, ratelimit.OffenderFilter) ([]ratelimit.Offender, error) {
	return make([]ratelimit.Offender, len(s.batches)), nil
}

// start is when the clock of a bench begins.
var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// bench is a service on memory counters with a clock that the test moves.
type bench struct {
	*ratelimit.Service
	stores  *stores
	now     time.Time
	fake    *ratelimittest.Fake
	signals []signal.Fact
}

func newBench(t *testing.T, base ...ratelimit.Active) *bench {
	t.Helper()
	if base == nil {
		base = config.Default().Policies()
	}
	b := &bench{stores: &stores{}, now: start, fake: &ratelimittest.Fake{Next: memory.New(memory.Options{})}}
	b.Service = ratelimit.New(ratelimit.Options{
		Counters: b.fake, Fallback: memory.New(memory.Options{}), Hasher: ratelimit.NewHasher([16]byte{1}),
		Policies: b.stores, Violations: b.stores, Node: "n1", Now: func() time.Time { return b.now },
		Signals: func(f signal.Fact) { b.signals = append(b.signals, f) },
	}, base)
	return b
}

func (b *bench) check(t *testing.T, action string, sub ratelimit.Subject) ratelimit.Verdict {
	t.Helper()
	v, err := b.Check(t.Context(), ratelimit.Request{Action: action, Subject: sub})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestDefaultPolicies walks every default policy and every scope of it: the
// limit passes, one more is refused, and retryAfter holds to the microsecond.
func TestDefaultPolicies(t *testing.T) {
	for _, a := range config.Default().Policies() {
		for i, rule := range a.Rules {
			t.Run(a.Action+"/"+rule.Scope.String(), func(t *testing.T) {
				b := newBench(t)
				// What the rule counts stays; every other dimension is new at each
				// request, so that no other rule refuses first.
				subject := func(n int) ratelimit.Subject {
					s := ratelimit.Subject{}
					if rule.Scope&ratelimit.User != 0 {
						s.User = "alice"
					}
					if rule.Scope&ratelimit.IP != 0 {
						s.IP = "203.0.113.9"
					}
					if rule.Scope&ratelimit.Device != 0 {
						s.Device = "d1"
					}
					if rule.Scope == ratelimit.IP { // user+ip must not refuse first
						s.User = fmt.Sprintf("u%d", n)
					}
					if rule.Scope == ratelimit.User {
						s.IP = fmt.Sprintf("198.51.100.%d", n)
					}
					return s
				}
				for n := range int(rule.Limit) {
					v := b.check(t, a.Action, subject(n))
					if !v.Allowed {
						t.Fatalf("request %d of %d refused: %+v", n+1, rule.Limit, v)
					}
				}
				v := b.check(t, a.Action, subject(250))
				if v.Allowed || v.Limit != rule.Limit || v.Remaining != 0 || v.Policy != a.Action || v.Scope != rule.Scope {
					t.Fatalf("request %d (rule %d): %+v", rule.Limit+1, i, v)
				}
				passes := time.UnixMicro(v.ResetAt)
				b.now = passes.Add(-time.Microsecond)
				if b.check(t, a.Action, subject(251)).Allowed {
					t.Fatal("passes a microsecond before retryAfter")
				}
				b.now = passes
				if v := b.check(t, a.Action, subject(252)); !v.Allowed {
					t.Fatalf("refused at retryAfter: %+v", v)
				}
			})
		}
	}
}

// TestLoginVictim: hammering a victim's login from one address does not lock
// the victim out from another.
func TestLoginVictim(t *testing.T) {
	b := newBench(t)
	refused := 0
	for range 1000 {
		if !b.check(t, "LOGIN", ratelimit.Subject{User: "victim", IP: "203.0.113.66"}).Allowed {
			refused++
		}
	}
	if refused != 990 {
		t.Fatalf("%d of the attacker's attempts were refused, want 990", refused)
	}
	if v := b.check(t, "LOGIN", ratelimit.Subject{User: "victim", IP: "198.51.100.7"}); !v.Allowed {
		t.Fatalf("the victim is locked out: %+v", v)
	}
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := b.stores.batches[0].Violations
	if len(got) != 1 || got[0].Count != 990 || got[0].Scope != ratelimit.User|ratelimit.IP || got[0].IPHash == "" || strings.Contains(got[0].IPHash, "203.0") {
		t.Fatalf("violations: %+v", got)
	}
}

func TestEarnedBurst(t *testing.T) {
	b := newBench(t)
	alice := ratelimit.Subject{User: "alice"}
	pass := func() (n int) {
		for b.check(t, "MESSAGE_SEND", alice).Allowed {
			n++
		}
		return n
	}
	if n := pass(); n != 100 {
		t.Fatalf("a newcomer sent %d, want 100", n)
	}
	b = newBench(t)
	for range 50 {
		b.check(t, "MESSAGE_SEND", alice)
	}
	b.now = b.now.Add(time.Hour)
	if n := pass(); n != 120 {
		t.Fatalf("who sent 50 in the window before sent %d, want 120", n)
	}
}

func one(action string, p ratelimit.Policy) ratelimit.Active {
	p.Action = action
	if p.Window == 0 {
		p.Window = time.Minute
	}
	if p.Rules == nil {
		p.Rules = []ratelimit.Rule{{Scope: ratelimit.User, Limit: 2}}
	}
	if p.OnFailure == "" {
		p.OnFailure = ratelimit.FailOpen
	}
	return ratelimit.Active{Policy: p, Source: ratelimit.FromConfig}
}

func TestModes(t *testing.T) {
	alice := ratelimit.Subject{User: "alice"}
	for _, c := range []struct {
		name   string
		policy ratelimit.Policy
		want   []bool // of four requests
		mode   ratelimit.Mode
		count  int64 // refusals recorded
	}{
		{"enforced", ratelimit.Policy{}, []bool{true, true, false, false}, ratelimit.Enforced, 2},
		{"shadow", ratelimit.Policy{Shadow: true}, []bool{true, true, true, true}, ratelimit.Shadowed, 2},
		{"disabled", ratelimit.Policy{Disabled: true}, []bool{true, true, true, true}, ratelimit.Unlimited, 0},
		{"penalty", ratelimit.Policy{Block: &ratelimit.Block{After: 1, For: time.Hour}}, []bool{true, true, false, false}, ratelimit.Blocked, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, one("X", c.policy))
			var got []bool
			var last ratelimit.Verdict
			for range c.want {
				last = b.check(t, "X", alice)
				got = append(got, last.Allowed)
			}
			if d := cmp.Diff(c.want, got); d != "" || last.Mode != c.mode {
				t.Fatalf("mode %s, %s", last.Mode, d)
			}
			if err := b.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			var count int64
			vs, _ := b.stores.Violations(t.Context(), ratelimit.ViolationFilter{})
			for _, v := range vs {
				count += v.Count
				if v.Shadow != c.policy.Shadow {
					t.Errorf("violation says shadow=%t", v.Shadow)
				}
			}
			if count != c.count {
				t.Errorf("%d refusals recorded, want %d", count, c.count)
			}
		})
	}
}

func TestOverrides(t *testing.T) {
	set := func(t *testing.T, b *bench, o ratelimit.Override, subject string) {
		t.Helper()
		o.ID, o.Reason, o.CreatedBy = "ov", "a test", "key:x"
		if o.ExpiresAt.IsZero() {
			o.ExpiresAt = b.now.Add(time.Hour)
		}
		if _, err := b.SetOverride(t.Context(), o, subject); err != nil {
			t.Fatal(err)
		}
	}
	passed := func(t *testing.T, b *bench, sub ratelimit.Subject) (n int, last ratelimit.Verdict) {
		t.Helper()
		for range 10 {
			if last = b.check(t, "X", sub); last.Allowed {
				n++
			}
		}
		return n, last
	}
	alice := ratelimit.Subject{User: "alice", IP: "2001:db8::1"}
	t.Run("multiplier", func(t *testing.T) {
		b := newBench(t, one("X", ratelimit.Policy{}))
		set(t, b, ratelimit.Override{Dimension: ratelimit.User, Multiplier: 2500}, "alice")
		if n, v := passed(t, b, alice); n != 5 || v.Limit != 5 {
			t.Errorf("%d passed under limit %d, want 5", n, v.Limit)
		}
		if n, _ := passed(t, b, ratelimit.Subject{User: "bob"}); n != 2 {
			t.Errorf("%d of another user's passed, want 2", n)
		}
	})
	t.Run("stacked multipliers stay in range", func(t *testing.T) {
		for _, c := range []struct{ multiplier, want int64 }{{ratelimit.MaxMultiplier, ratelimit.MaxLimit}, {1, 1}} {
			b := newBench(t, one("X", ratelimit.Policy{Rules: []ratelimit.Rule{{Scope: ratelimit.User | ratelimit.IP, Limit: 1_000_000}}}))
			for _, action := range []string{"X", ratelimit.AnyAction} {
				set(t, b, ratelimit.Override{Dimension: ratelimit.User, Action: action, Multiplier: c.multiplier}, "alice")
				set(t, b, ratelimit.Override{Dimension: ratelimit.IP, Action: action, Multiplier: c.multiplier}, alice.IP)
			}
			if v := b.check(t, "X", alice); !v.Allowed || v.Limit != c.want || v.Remaining != c.want-1 {
				t.Errorf("four times %d thousandths: %+v, want a limit of %d", c.multiplier, v, c.want)
			}
		}
	})
	t.Run("exempt until it expires", func(t *testing.T) {
		b := newBench(t, one("X", ratelimit.Policy{}))
		set(t, b, ratelimit.Override{Dimension: ratelimit.User, Exempt: true}, "alice")
		if n, v := passed(t, b, alice); n != 10 || v.Mode != ratelimit.Exempted {
			t.Errorf("%d passed, mode %s", n, v.Mode)
		}
		b.now = b.now.Add(time.Hour)
		if n, _ := passed(t, b, alice); n != 2 {
			t.Errorf("%d passed after its end, want 2", n)
		}
	})
	t.Run("block by address", func(t *testing.T) {
		b := newBench(t, one("X", ratelimit.Policy{}))
		set(t, b, ratelimit.Override{Dimension: ratelimit.IP, BlockUntil: b.now.Add(time.Minute)}, "2001:db8::2") // same /64
		n, v := passed(t, b, alice)
		if n != 0 || v.Mode != ratelimit.Blocked || v.RetryAfter() != 60 {
			t.Errorf("%d passed, %+v", n, v)
		}
		if strings.Contains(b.stores.overrides[0].Subject, "2001") {
			t.Error("the address is stored as it is")
		}
	})
	t.Run("refused", func(t *testing.T) {
		b := newBench(t, one("X", ratelimit.Policy{}))
		for name, o := range map[string]ratelimit.Override{
			"nothing set":   {Dimension: ratelimit.User},
			"two set":       {Dimension: ratelimit.User, Exempt: true, Multiplier: 1},
			"no dimension":  {Exempt: true},
			"two at once":   {Dimension: ratelimit.User | ratelimit.IP, Exempt: true},
			"expired":       {Dimension: ratelimit.User, Exempt: true, ExpiresAt: b.now},
			"too large":     {Dimension: ratelimit.User, Multiplier: ratelimit.MaxMultiplier + 1},
			"no such":       {Dimension: ratelimit.User, Exempt: true, Action: "Y"},
			"block in past": {Dimension: ratelimit.User, BlockUntil: b.now.Add(-1)},
		} {
			if o.ExpiresAt.IsZero() {
				o.ExpiresAt = b.now.Add(time.Hour)
			}
			o.Reason = "a test"
			if _, err := b.SetOverride(t.Context(), o, "alice"); fault.CodeOf(err) != fault.InvalidArgument {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestBadRequests(t *testing.T) {
	b := newBench(t)
	for name, r := range map[string]ratelimit.Request{
		"unknown action": {Action: "NOPE", Subject: ratelimit.Subject{User: "a"}},
		"huge action":    {Action: strings.Repeat("A", 1<<16), Subject: ratelimit.Subject{User: "a"}},
		"no subject":     {Action: "LOGIN"},
		"wrong subject":  {Action: "SIGNUP_RESERVE", Subject: ratelimit.Subject{User: "a"}},
		"long user":      {Action: "LOGIN", Subject: ratelimit.Subject{User: strings.Repeat("a", 257)}},
		"bad UTF-8":      {Action: "LOGIN", Subject: ratelimit.Subject{User: "\xff"}},
		"NUL":            {Action: "LOGIN", Subject: ratelimit.Subject{User: "a\x00b"}},
		"bad ip":         {Action: "LOGIN", Subject: ratelimit.Subject{IP: "300.1.1.1"}},
		"ip with port":   {Action: "LOGIN", Subject: ratelimit.Subject{IP: "1.1.1.1:80"}},
		"cost too high":  {Action: "KYC_SUBMIT", Subject: ratelimit.Subject{User: "a"}, Cost: 4},
		"negative cost":  {Action: "KYC_SUBMIT", Subject: ratelimit.Subject{User: "a"}, Cost: -1},
	} {
		_, err := b.Check(t.Context(), r)
		if fault.CodeOf(err) != fault.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("%s: the error echoes %d bytes", name, len(err.Error()))
		}
	}
	if v := b.check(t, "KYC_SUBMIT", ratelimit.Subject{User: "a"}); v.Remaining != 2 {
		t.Errorf("a bad request left something behind: %+v", v)
	}
}

// TestCountersFail: the failure modes of the counters, and the way back.
func TestCountersFail(t *testing.T) {
	b := newBench(t, one("OPEN", ratelimit.Policy{}), one("CLOSED", ratelimit.Policy{OnFailure: ratelimit.FailClosed}))
	alice := ratelimit.Subject{User: "alice"}
	b.fake.OnTake = func(context.Context, int64, []ratelimit.Demand, []ratelimit.Outcome) (bool, error) {
		return false, errors.New("connection refused")
	}
	var got []bool
	for range 3 {
		v := b.check(t, "OPEN", alice)
		got = append(got, v.Allowed)
		if v.Mode != ratelimit.Degraded {
			t.Errorf("mode %s", v.Mode)
		}
	}
	if d := cmp.Diff([]bool{true, true, false}, got); d != "" {
		t.Errorf("open, limited by the node's own memory: %s", d)
	}
	if _, err := b.Check(t.Context(), ratelimit.Request{Action: "CLOSED", Subject: alice}); fault.CodeOf(err) != fault.ServiceDegraded {
		t.Errorf("closed: %v", err)
	}
	b.fake.OnTake = nil
	if v := b.check(t, "OPEN", alice); v.Mode != ratelimit.Enforced || !v.Allowed {
		t.Errorf("after recovery: %+v", v)
	}
	var raised []bool
	for _, f := range b.signals {
		raised = append(raised, f.Failing)
	}
	if d := cmp.Diff([]bool{true, false}, raised); d != "" {
		t.Errorf("signals: %s", d)
	}
	if now, total, last := b.Degraded(); now || total != 4 || last.IsZero() {
		t.Errorf("degraded: now %t, total %d, last %v", now, total, last)
	}
}

// TestFlushFails: a batch that failed, or failed but was persisted, is
// repeated as it was; what came meanwhile goes into the next.
func TestFlushFails(t *testing.T) {
	for _, persisted := range []bool{false, true} {
		b := newBench(t, one("X", ratelimit.Policy{}))
		refuse := func() {
			for range 3 {
				b.check(t, "X", ratelimit.Subject{User: "alice"})
			}
		}
		var seen []ratelimit.Batch
		fail := true
		b.stores.record = func(batch ratelimit.Batch) error {
			if fail && !persisted {
				return errors.New("disk full")
			}
			seen = append(seen, batch)
			if fail {
				return errors.New("connection lost after commit")
			}
			return nil
		}
		refuse()
		if b.Flush(t.Context()) == nil {
			t.Fatal("the error is swallowed")
		}
		refuse()
		fail = false
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		bySeq := map[int64]int64{} // as the store counts: once per Seq
		for _, batch := range seen {
			bySeq[batch.Seq] = batch.Violations[0].Count
		}
		if d := cmp.Diff(map[int64]int64{1: 1, 2: 3}, bySeq); d != "" {
			t.Errorf("persisted=%t: counts by batch: %s", persisted, d)
		}
	}
}

// TestFlushLarge: what waits is written in batches of at most 5,000 rows, and
// nothing of it twice.
func TestFlushLarge(t *testing.T) {
	b := newBench(t, one("X", ratelimit.Policy{Rules: []ratelimit.Rule{{Scope: ratelimit.User, Limit: 1}}}))
	for u := range 12_000 {
		for range 2 {
			b.check(t, "X", ratelimit.Subject{User: fmt.Sprint("u", u)})
		}
	}
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows := map[string]int64{}
	for i, batch := range b.stores.batches {
		if len(batch.Violations) > 5000 || batch.Seq != int64(i+1) {
			t.Errorf("batch %d: %d rows, seq %d", i, len(batch.Violations), batch.Seq)
		}
		for _, v := range batch.Violations {
			rows[v.User] += v.Count
		}
	}
	if len(rows) != 12_000 || len(b.stores.batches) != 3 || rows["u7"] != 1 {
		t.Errorf("%d subjects in %d batches", len(rows), len(b.stores.batches))
	}
}

// TestQueriesOutliveFlush: a store that takes no writes still answers queries,
// and the failure stays visible to whoever flushes.
func TestQueriesOutliveFlush(t *testing.T) {
	b := newBench(t, one("X", ratelimit.Policy{}))
	refuse := func(user string) {
		for range 3 {
			b.check(t, "X", ratelimit.Subject{User: user})
		}
	}
	refuse("alice")
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	refuse("bob")
	b.stores.record = func(ratelimit.Batch) error { return errors.New("disk full") }
	if vs, err := b.ViolationsOf(t.Context(), ratelimit.Subject{}, ratelimit.ViolationFilter{}); err != nil || len(vs) != 1 {
		t.Errorf("violations: %v, %v", vs, err)
	}
	if os, err := b.Offenders(t.Context(), ratelimit.OffenderFilter{}); err != nil || len(os) != 1 {
		t.Errorf("offenders: %v, %v", os, err)
	}
	if b.Flush(t.Context()) == nil {
		t.Error("the failure is hidden")
	}
	b.stores.record = nil
	if vs, err := b.ViolationsOf(t.Context(), ratelimit.Subject{}, ratelimit.ViolationFilter{}); err != nil || len(vs) != 2 {
		t.Errorf("after the store takes writes again: %v, %v", vs, err)
	}
}

func TestPeekChangesNothing(t *testing.T) {
	b := newBench(t)
	r := ratelimit.Request{Action: "KYC_SUBMIT", Subject: ratelimit.Subject{User: "a"}}
	for range 10 {
		if v, err := b.Peek(t.Context(), r); err != nil || !v.Allowed || v.Remaining != 2 && v.Remaining != 3 {
			t.Fatalf("%+v %v", v, err)
		}
	}
	for range 3 {
		b.check(t, "KYC_SUBMIT", r.Subject)
	}
	if v, err := b.Peek(t.Context(), r); err != nil || v.Allowed {
		t.Fatalf("%+v %v", v, err)
	}
	if err := b.Refund(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if v := b.check(t, "KYC_SUBMIT", r.Subject); !v.Allowed {
		t.Fatal("a refund gives nothing back")
	}
}

// TestFailedConfigure: a reload that fails changes nothing, then or later.
func TestFailedConfigure(t *testing.T) {
	b := newBench(t, one("X", ratelimit.Policy{}))
	b.stores.down = true
	raised := one("X", ratelimit.Policy{Rules: []ratelimit.Rule{{Scope: ratelimit.User, Limit: 9}}})
	if b.Configure(t.Context(), []ratelimit.Active{raised}) == nil {
		t.Fatal("the error is swallowed")
	}
	b.stores.down = false
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := b.check(t, "X", ratelimit.Subject{User: "a"}); v.Limit != 2 {
		t.Errorf("limit %d is in force after a failed reload", v.Limit)
	}
}

// TestBlockedAddressOffends: a blocked address that acts as a victim is the
// offender, not the victim.
func TestBlockedAddressOffends(t *testing.T) {
	b := newBench(t)
	o := ratelimit.Override{ID: "ov", Dimension: ratelimit.IP, BlockUntil: b.now.Add(time.Hour), ExpiresAt: b.now.Add(time.Hour), Reason: "abuse"}
	if _, err := b.SetOverride(t.Context(), o, "203.0.113.66"); err != nil {
		t.Fatal(err)
	}
	b.check(t, "MESSAGE_SEND", ratelimit.Subject{User: "victim", IP: "203.0.113.66"})
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := b.stores.batches[0].Violations[0]; v.User != "" || v.IPHash == "" || v.Scope != ratelimit.IP {
		t.Errorf("the refusal is laid to %+v", v)
	}
}

func TestPoliciesLive(t *testing.T) {
	b := newBench(t)
	alice := ratelimit.Subject{User: "alice"}
	for range 3 {
		b.check(t, "KYC_SUBMIT", alice)
	}
	raised := ratelimit.Policy{Action: "KYC_SUBMIT", Window: 24 * time.Hour, Rules: []ratelimit.Rule{{Scope: ratelimit.User, Limit: 5}}}
	if _, err := b.SetPolicy(t.Context(), raised, -1, "key:x", "more"); err != nil {
		t.Fatal(err)
	}
	if v := b.check(t, "KYC_SUBMIT", alice); !v.Allowed || v.Remaining != 1 {
		t.Fatalf("a raised limit keeps the counts: %+v", v)
	}
	if err := b.ResetPolicy(t.Context(), "KYC_SUBMIT", -1, "key:x", "back"); err != nil {
		t.Fatal(err)
	}
	if v := b.check(t, "KYC_SUBMIT", alice); v.Allowed || v.Limit != 3 {
		t.Fatalf("after the reset: %+v", v)
	}
	var kinds []audit.Kind
	for _, e := range b.stores.entries {
		kinds = append(kinds, e.Kind)
		// What is stored is the store's to say, in the change's transaction.
		if p, ok := e.Before.(ratelimit.Policy); !ok || p.Rules[0].Limit != 3 {
			t.Errorf("%s: before: %+v, want the configured policy", e.Kind, e.Before)
		}
	}
	if d := cmp.Diff([]audit.Kind{audit.PolicySet, audit.PolicyReset}, kinds); d != "" {
		t.Error(d)
	}
	raised.Rules[0].Limit = 0
	if _, err := b.SetPolicy(t.Context(), raised, -1, "key:x", ""); fault.CodeOf(err) != fault.InvalidArgument {
		t.Errorf("a limit of 0: %v", err)
	}
}
