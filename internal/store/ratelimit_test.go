package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/ratelimit"
	"avalo.app/gantry/internal/store"
	"avalo.app/gantry/internal/store/storetest"
)

// withKey runs fn on each engine with a store whose audit log has started.
func withKey(t *testing.T, fn func(*testing.T, *store.DB)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		secret, _ := newKey(t)
		if err := db.UseAuditKey(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		fn(t, db)
	})
}

func loginPolicy(limit int64) *ratelimit.Policy {
	return &ratelimit.Policy{Action: "LOGIN", Window: 5 * time.Minute, OnFailure: ratelimit.FailOpen, Algorithm: ratelimit.GCRA,
		Rules: []ratelimit.Rule{{Scope: ratelimit.User | ratelimit.IP, Limit: limit, Burst: 7}}, Block: &ratelimit.Block{After: 3, For: time.Minute}}
}

func TestPolicies(t *testing.T) {
	withKey(t, func(t *testing.T, db *store.DB) {
		e := audit.Entry{Kind: audit.PolicySet, Actor: "key:x", Object: "policy:LOGIN"}
		want := ratelimit.StoredPolicy{Action: "LOGIN", Version: 1, Policy: loginPolicy(5), UpdatedAt: testTime, UpdatedBy: "key:x"}
		saved, err := db.SavePolicy(t.Context(), ratelimit.StoredPolicy{Action: "LOGIN", Policy: loginPolicy(5), UpdatedAt: testTime, UpdatedBy: "key:x"}, 0, e)
		if err != nil || saved.Version != 1 {
			t.Fatalf("version %d, %v", saved.Version, err)
		}
		got, err := db.Policies(t.Context())
		if d := cmp.Diff([]ratelimit.StoredPolicy{want}, got); err != nil || d != "" {
			t.Fatalf("%v %s", err, d)
		}
		_, err = db.SavePolicy(t.Context(), ratelimit.StoredPolicy{Action: "LOGIN", Policy: loginPolicy(9)}, 0, e)
		if fault.CodeOf(err) != fault.Conflict {
			t.Fatalf("an old version: %v", err)
		}
		// A reset keeps the version rising, so a compare-and-set holds across it.
		if saved, err = db.SavePolicy(t.Context(), ratelimit.StoredPolicy{Action: "LOGIN"}, 1, e); err != nil || saved.Version != 2 {
			t.Fatalf("version %d, %v", saved.Version, err)
		}
		head, err := db.VerifyAudit(t.Context(), audit.Options{})
		if err != nil || !head.OK() || head.Size != 3 { // the start and two changes; the conflict left none
			t.Fatalf("log: %+v %v", head, err)
		}
	})
}

// TestPolicyRace: of many writers that read the same version, one wins.
func TestPolicyRace(t *testing.T) {
	withKey(t, func(t *testing.T, db *store.DB) {
		var wg sync.WaitGroup
		results := make(chan error, 16)
		for i := range 16 {
			wg.Go(func() {
				_, err := db.SavePolicy(t.Context(), ratelimit.StoredPolicy{Action: "LOGIN", Policy: loginPolicy(int64(i + 1))}, 0,
					audit.Entry{Kind: audit.PolicySet, Object: "policy:LOGIN"})
				results <- err
			})
		}
		wg.Wait()
		close(results)
		won := 0
		for err := range results {
			switch {
			case err == nil:
				won++
			case fault.CodeOf(err) != fault.Conflict:
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d writers won", won)
		}
	})
}

func TestOverrides(t *testing.T) {
	withKey(t, func(t *testing.T, db *store.DB) {
		o := ratelimit.Override{ID: "ov1", Dimension: ratelimit.IP, Subject: "hash", Action: "*", Exempt: true,
			ExpiresAt: testTime.Add(time.Hour), Reason: "test", CreatedBy: "key:x", CreatedAt: testTime}
		e := audit.Entry{Kind: audit.OverrideSet, Object: "override:ov1"}
		if err := db.SaveOverride(t.Context(), o, e); err != nil {
			t.Fatal(err)
		}
		next := o
		next.ID, next.Exempt, next.Multiplier = "ov2", false, 1500
		if err := db.SaveOverride(t.Context(), next, e); err != nil { // takes the place of the first
			t.Fatal(err)
		}
		got, err := db.Overrides(t.Context(), testTime)
		if d := cmp.Diff([]ratelimit.Override{next}, got); err != nil || d != "" {
			t.Fatalf("%v %s", err, d)
		}
		if got, err := db.Overrides(t.Context(), next.ExpiresAt); err != nil || len(got) != 0 {
			t.Fatalf("expired: %v %v", got, err)
		}
		if err := db.RemoveOverride(t.Context(), "ov1", e); fault.CodeOf(err) != fault.NotFound {
			t.Fatalf("a replaced override: %v", err)
		}
		if err := db.RemoveOverride(t.Context(), "ov2", audit.Entry{Kind: audit.OverrideRemoved}); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBefore: an audit entry says what its change replaced, as the transaction
// found it; a policy that the API never set replaces the configured one.
func TestBefore(t *testing.T) {
	withKey(t, func(t *testing.T, db *store.DB) {
		save := func(p *ratelimit.Policy) {
			e := audit.Entry{Kind: audit.PolicySet, Object: "policy:LOGIN", Before: "configured"}
			if _, err := db.SavePolicy(t.Context(), ratelimit.StoredPolicy{Action: "LOGIN", Policy: p}, -1, e); err != nil {
				t.Fatal(err)
			}
		}
		save(loginPolicy(5))
		save(loginPolicy(6))
		save(nil)
		save(loginPolicy(7))
		first := ratelimit.Override{ID: "ov1", Dimension: ratelimit.User, Subject: "alice", Action: "*", Multiplier: 2000, ExpiresAt: testTime, Reason: "first"}
		second := first
		second.ID, second.Reason = "ov2", "second"
		for _, o := range []ratelimit.Override{first, second} {
			if err := db.SaveOverride(t.Context(), o, audit.Entry{Kind: audit.OverrideSet}); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.RemoveOverride(t.Context(), "ov2", audit.Entry{Kind: audit.OverrideRemoved}); err != nil {
			t.Fatal(err)
		}
		events, err := db.ListAudit(t.Context(), audit.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(events)
		want := []any{"configured", loginPolicy(5), loginPolicy(6), "configured", nil, first, second}
		if len(events) != len(want)+1 { // the log's own start is 0
			t.Fatalf("%d entries, want %d", len(events), len(want)+1)
		}
		for i, e := range events[1:] {
			if d := cmp.Diff(decoded(t, want[i]), decoded(t, e.Before)); d != "" {
				t.Errorf("%s %d: %s", e.Kind, i, d)
			}
		}
	})
}

// decoded is v as JSON holds it; nil for no JSON at all.
func decoded(t *testing.T, v any) (out any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func violation(user string, count int64) ratelimit.Violation {
	return ratelimit.Violation{Action: "LOGIN", Scope: ratelimit.User, User: user, WindowStart: testTime, Window: 5 * time.Minute,
		Limit: 10, Count: count, FirstAt: testTime, LastAt: testTime.Add(time.Second)}
}

func TestViolations(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		batch := ratelimit.Batch{Node: "n1", Seq: 1, Violations: []ratelimit.Violation{violation("alice", 2), violation("bob", 1)}}
		for range 3 { // repeated as it was: applied once
			if err := db.RecordViolations(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		}
		later := violation("alice", 3)
		later.LastAt, later.FirstAt = testTime.Add(time.Minute), testTime.Add(-time.Second)
		if err := db.RecordViolations(t.Context(), ratelimit.Batch{Node: "n2", Seq: 1, Violations: []ratelimit.Violation{later}}); err != nil {
			t.Fatal(err)
		}
		want := later
		want.Count = 5
		got, err := db.Violations(t.Context(), ratelimit.ViolationFilter{User: "alice", Action: "LOGIN", Since: testTime, Limit: 10})
		if d := cmp.Diff([]ratelimit.Violation{want}, got); err != nil || d != "" {
			t.Fatalf("%v %s", err, d)
		}
		for name, f := range map[string]ratelimit.ViolationFilter{
			"another user":   {User: "carol", Limit: 10},
			"another action": {Action: "X", Limit: 10},
			"too late":       {Since: testTime.Add(time.Hour), Limit: 10},
			"until":          {Until: later.FirstAt, Limit: 10},
		} {
			if got, err := db.Violations(t.Context(), f); err != nil || len(got) != 0 {
				t.Errorf("%s: %v %v", name, got, err)
			}
		}
	})
}

// TestPeriod: who was refused in a period is found, though the last refusal of
// the same window came after it.
func TestPeriod(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		v := violation("alice", 2)
		v.FirstAt, v.LastAt = testTime, testTime.Add(time.Minute)
		if err := db.RecordViolations(t.Context(), ratelimit.Batch{Node: "n", Seq: 1, Violations: []ratelimit.Violation{v}}); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			since, until time.Duration // after the first refusal
			want         int
		}{
			"around":                {-time.Second, time.Hour, 1},
			"the first only":        {-time.Second, time.Second, 1},
			"the last only":         {time.Minute, time.Hour, 1},
			"between them":          {time.Second, 2 * time.Second, 1},
			"ends at the first":     {-time.Second, 0, 0},
			"begins after the last": {time.Minute + time.Microsecond, time.Hour, 0},
		} {
			since, until := testTime.Add(c.since), testTime.Add(c.until)
			os, err := db.Offenders(t.Context(), ratelimit.OffenderFilter{Since: since, Until: until, Limit: 10})
			if err != nil || len(os) != c.want {
				t.Errorf("%s: offenders %v, %v", name, os, err)
			}
			vs, err := db.Violations(t.Context(), ratelimit.ViolationFilter{Since: since, Until: until, Limit: 10})
			if err != nil || len(vs) != c.want {
				t.Errorf("%s: violations %v, %v", name, vs, err)
			}
		}
	})
}

func TestOffenders(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		// An attacker at alice's login: the address is the offender, not alice.
		attack := violation("alice", 50)
		attack.Scope, attack.IPHash = ratelimit.User|ratelimit.IP, "evil"
		other := violation("bob", 4)
		other.Action = "KYC_SUBMIT"
		trial := violation("carol", 900) // in shadow: not refused, so no offender
		trial.Shadow = true
		b := ratelimit.Batch{Node: "n", Seq: 1, Violations: []ratelimit.Violation{attack, violation("bob", 3), trial, other}}
		if err := db.RecordViolations(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		got, err := db.Offenders(t.Context(), ratelimit.OffenderFilter{Since: testTime, Limit: 10})
		want := []ratelimit.Offender{
			{Dimension: ratelimit.IP, Subject: "evil", Count: 50, Actions: []string{"LOGIN"}, LastAt: attack.LastAt},
			{Dimension: ratelimit.User, Subject: "bob", Count: 7, Actions: []string{"KYC_SUBMIT", "LOGIN"}, LastAt: other.LastAt},
		}
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Fatalf("%v %s", err, d)
		}
		got, err = db.Offenders(t.Context(), ratelimit.OffenderFilter{Dimension: ratelimit.User, Limit: 1})
		if d := cmp.Diff(want[1:], got); err != nil || d != "" {
			t.Fatalf("users only: %v %s", err, d)
		}
	})
}

// TestViolationsConcurrent: nodes that write overlapping batches at once lose
// and repeat nothing.
func TestViolationsConcurrent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const nodes, batches, users = 6, 5, 300
		var wg sync.WaitGroup
		errs := make(chan error, nodes)
		for n := range nodes {
			wg.Go(func() {
				for seq := range batches {
					b := ratelimit.Batch{Node: fmt.Sprint("n", n), Seq: int64(seq + 1)}
					for u := range users {
						b.Violations = append(b.Violations, violation(fmt.Sprintf("u%03d", u), 1))
					}
					if err := db.RecordViolations(t.Context(), b); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		wg.Wait()
		close(errs)
		if err := errors.Join(<-errs); err != nil {
			t.Fatal(err)
		}
		got, err := db.Violations(t.Context(), ratelimit.ViolationFilter{Limit: 1000})
		if err != nil || len(got) != users {
			t.Fatalf("%d rows, %v", len(got), err)
		}
		for _, v := range got {
			if v.Count != nodes*batches {
				t.Fatalf("%s: %d, want %d", v.User, v.Count, nodes*batches)
			}
		}
	})
}

// TestViolationsLarge: a full batch is written within a small part of the
// five seconds that a flush has (ten times the slack on a loaded machine).
func TestViolationsLarge(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := ratelimit.Batch{Node: "n", Seq: 1}
		for u := range 5000 {
			b.Violations = append(b.Violations, violation(fmt.Sprintf("u%05d", u), 1))
		}
		start := time.Now()
		if err := db.RecordViolations(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 50*time.Second {
			t.Errorf("5,000 rows took %s", took)
		}
		b.Seq = 2
		if err := db.RecordViolations(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if got, err := db.Violations(t.Context(), ratelimit.ViolationFilter{User: "u04999", Limit: 1}); err != nil || len(got) != 1 || got[0].Count != 2 {
			t.Errorf("%v %v", got, err)
		}
	})
}

func TestPinFact(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for range 2 {
			if err := db.PinFact(t.Context(), "hash_key", "a"); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.PinFact(t.Context(), "hash_key", "b"); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("another key: %v", err)
		}
	})
}

func TestInspect(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		for range 2 { // the first look has left nothing behind
			if _, err := store.Inspect(t.Context(), store.Options{URL: url}); err == nil || !strings.Contains(err.Error(), "start gantry serve once, or") {
				t.Fatalf("an empty database: %v", err)
			}
		}
		db, err := store.Open(t.Context(), store.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db, err = store.Inspect(t.Context(), store.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		_ = db.Close()
	})
}

// TestTopActions: the most refused first; what was not refused, was refused
// before, or is Gantry's own does not count.
func TestTopActions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		kyc, trial, own := violation("bob", 9), violation("carol", 900), violation("mallory", 70)
		kyc.Action, trial.Shadow, own.Action = "KYC_SUBMIT", true, ratelimit.AuthFailure
		b := ratelimit.Batch{Node: "n", Seq: 1, Violations: []ratelimit.Violation{violation("alice", 4), violation("bob", 3), kyc, trial, own}}
		if err := db.RecordViolations(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			since time.Time
			limit int
			want  []ratelimit.ActionCount
		}{
			{kyc.LastAt, 10, []ratelimit.ActionCount{{Action: "KYC_SUBMIT", Count: 9}, {Action: "LOGIN", Count: 7}}},
			{kyc.LastAt, 1, []ratelimit.ActionCount{{Action: "KYC_SUBMIT", Count: 9}}},
			{kyc.LastAt.Add(time.Microsecond), 10, nil},
		} {
			if got, err := db.TopActions(t.Context(), tt.since, tt.limit); err != nil || cmp.Diff(tt.want, got) != "" {
				t.Errorf("since %s, %d: %v, %v", tt.since, tt.limit, got, err)
			}
		}
	})
}
