package httpapi_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/ratelimit"
)

const (
	policyPath = "/v1/ratelimit/policies/MINE"
	policyBody = `{"window":"1m","rules":[{"scope":"user","limit":5}]}`
)

// TestReplayPolicy: the same request under the same key has one effect and
// one answer.
func TestReplayPolicy(t *testing.T) {
	f := newFixture(t, nil)
	first := f.do("PUT", policyPath, policyBody, "Idempotency-Key", "k")
	again := f.do("PUT", policyPath, policyBody, "Idempotency-Key", "k")
	if first.Code != 200 || first.Header().Get("Idempotency-Replayed") != "" {
		t.Fatalf("%d %v", first.Code, first.Header())
	}
	if again.Code != 200 || again.Header().Get("Idempotency-Replayed") != "true" || again.Body.String() != first.Body.String() ||
		again.Header().Get("Content-Type") != first.Header().Get("Content-Type") {
		t.Errorf("replay: %d %v %s, first %s", again.Code, again.Header(), again.Body, first.Body)
	}
	var p api.Policy
	if err := json.Unmarshal(f.do("GET", policyPath, "").Body.Bytes(), &p); err != nil || p.Version != 1 {
		t.Errorf("version %d, %v: it took effect more than once", p.Version, err)
	}
	for _, c := range []struct{ name, path, body string }{
		{"another body", policyPath, strings.Replace(policyBody, "5", "6", 1)},
		{"another path", "/v1/ratelimit/policies/OTHER", policyBody},
		{"another query", policyPath + "?reason=why", policyBody},
	} {
		t.Run(c.name, func(t *testing.T) {
			problemOf(t, f.do("PUT", c.path, c.body, "Idempotency-Key", "k"), 422, api.CodeIdempotencyMismatch)
		})
	}
	// A key is its route's own.
	if w := f.do("POST", "/v1/keys", `{"role":"app","label":"a"}`, "Idempotency-Key", "k"); w.Code != 201 {
		t.Errorf("the same key on another route: %d %s", w.Code, w.Body)
	}
}

// TestReplayKey: the replay of a created key is the answer without its
// secret, which is nowhere in the store either.
func TestReplayKey(t *testing.T) {
	f := newFixture(t, nil)
	const spec = `{"role":"app","label":"once"}`
	var first, again api.CreatedKey
	w := f.do("POST", "/v1/keys", spec, "Idempotency-Key", "k")
	if err := json.Unmarshal(w.Body.Bytes(), &first); err != nil || w.Code != 201 || !strings.HasPrefix(first.Secret, "gk_") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	w = f.do("POST", "/v1/keys", spec, "Idempotency-Key", "k")
	if err := json.Unmarshal(w.Body.Bytes(), &again); err != nil || w.Code != 201 || w.Header().Get("Idempotency-Replayed") != "true" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if again.ID != first.ID || again.Label != "once" || again.Secret != "" || strings.Contains(w.Body.String(), "gk_") {
		t.Errorf("replay %s", w.Body)
	}
	problemOf(t, f.do("POST", "/v1/keys", `{"role":"admin","label":"once","owner":"o"}`, "Idempotency-Key", "k"), 422, api.CodeIdempotencyMismatch)
	if got := strings.Count(f.do("GET", "/v1/keys", "").Body.String(), `"once"`); got != 1 {
		t.Errorf("%d keys were made", got)
	}
}

// TestReplayCheck: one key charges once, alone and in a crowd; its replay
// keeps the limit's headers. A refusal is not kept.
func TestReplayCheck(t *testing.T) {
	f := newFixture(t, nil)
	const body = `{"action":"CLOSED","user":"a"}`
	first := f.do("POST", "/v1/ratelimit/check", body, "Idempotency-Key", "k")
	for range 3 {
		w := f.do("POST", "/v1/ratelimit/check", body, "Idempotency-Key", "k")
		if w.Code != 200 || w.Body.String() != first.Body.String() || w.Header().Get("Idempotency-Replayed") != "true" ||
			w.Header().Get("RateLimit") != first.Header().Get("RateLimit") || w.Header().Get("RateLimit") == "" {
			t.Errorf("replay: %d %v %s", w.Code, w.Header(), w.Body)
		}
	}
	var fresh atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			w := f.do("POST", "/v1/ratelimit/check", body, "Idempotency-Key", "crowd")
			if w.Code == 200 && w.Header().Get("Idempotency-Replayed") == "" {
				fresh.Add(1)
			} else if w.Code != 200 && w.Code != 409 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	wg.Wait()
	var left api.CheckResult
	if err := json.Unmarshal(f.do("POST", "/v1/ratelimit/peek", body).Body.Bytes(), &left); err != nil || left.Remaining != 2 || fresh.Load() != 1 {
		t.Errorf("%d left of 5 after two keys and one more, %d of 16 ran; %v", left.Remaining, fresh.Load(), err)
	}
	for range 3 {
		f.do("POST", "/v1/ratelimit/check", body)
	}
	for range 2 {
		w := f.do("POST", "/v1/ratelimit/check", body, "Idempotency-Key", "late")
		if problemOf(t, w, 429, api.CodeRateLimited); w.Header().Get("Idempotency-Replayed") != "" {
			t.Error("a refusal is replayed")
		}
	}
}

// TestNoReplayOfFailures: after 5xx a repeat is never told of success. Where
// the effect is not in SQL, whether it happened is not known: 409.
func TestNoReplayOfFailures(t *testing.T) {
	f := newFixture(t, nil)
	fail := true
	f.counters.OnTake = func(ctx context.Context, now int64, d []ratelimit.Demand, out []ratelimit.Outcome) (bool, error) {
		if fail {
			return false, errSecret
		}
		return f.counters.Next.Take(ctx, now, d, out)
	}
	f.counters.OnRefund = func(context.Context, int64, []ratelimit.Demand) error { return errSecret }
	for path, body := range map[string]string{
		"/v1/ratelimit/check":  `{"action":"CLOSED","user":"a"}`,
		"/v1/ratelimit/batch":  `{"checks":[{"action":"CLOSED","user":"a"}]}`,
		"/v1/ratelimit/refund": `{"action":"CLOSED","user":"a"}`,
	} {
		fail = true
		problemOf(t, f.do("POST", path, body, "Idempotency-Key", "k"), 503, api.CodeServiceDegraded)
		fail = false
		w := f.do("POST", path, body, "Idempotency-Key", "k")
		if problemOf(t, w, 409, api.CodeConflict); w.Header().Get("Idempotency-Replayed") != "" {
			t.Errorf("%s: replayed", path)
		}
	}
}

// TestClaimFails is the failure table of the claim: without it nothing runs,
// but for a limit check, which fails open.
func TestClaimFails(t *testing.T) {
	away := fault.Wrap(fault.ServiceDegraded, "store", errSecret)
	for _, persisted := range []bool{false, true} {
		f := newFixture(t, nil)
		f.claims.FailNext(1, persisted, away)
		w := f.do("PUT", policyPath, policyBody, "Idempotency-Key", "k")
		problemOf(t, w, 503, api.CodeServiceDegraded)
		hidesCause(t, w.Body.String())
		if w := f.do("GET", policyPath, ""); w.Code != 404 {
			t.Errorf("persisted %t: it ran without a claim: %s", persisted, w.Body)
		}
		if w := f.do("PUT", policyPath, policyBody, "Idempotency-Key", "k"); w.Code != 200 || w.Header().Get("Idempotency-Replayed") != "" {
			t.Errorf("persisted %t: a repeat: %d %s", persisted, w.Code, w.Body)
		}
		f.claims.FailNext(1, persisted, away)
		if w := f.do("POST", "/v1/ratelimit/check", `{"action":"CLOSED","user":"a"}`, "Idempotency-Key", "k"); w.Code != 200 {
			t.Errorf("persisted %t: a check: %d %s", persisted, w.Code, w.Body)
		}
	}
}

// TestKeyIsBounded: a bad Idempotency-Key is refused and named.
func TestKeyIsBounded(t *testing.T) {
	f := newFixture(t, nil)
	for _, key := range []string{strings.Repeat("k", 256), "caf\u00e9", "tab\there"} {
		problemOf(t, f.do("PUT", policyPath, policyBody, "Idempotency-Key", key), 400, api.CodeInvalidArgument)
	}
	if w := f.do("GET", policyPath, ""); w.Code != 404 {
		t.Errorf("it ran: %s", w.Body)
	}
}
