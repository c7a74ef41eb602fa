package client_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

// TestCalls checks method, path, query and body of every method, and that
// each reads its answer.
func TestCalls(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 10, 0, 0, 5000, time.UTC)
	spec := api.PolicySpec{Window: "1h", Rules: []api.Rule{{Scope: "user", Limit: 5}}}
	testCalls(t, []callTest{
		{name: "Peek", want: "POST /v1/ratelimit/peek", body: `{"action":"LOGIN","user":"alice"}`, answer: `{"allowed":false,"policy":"LOGIN","mode":"enforced","retryAfter":3}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.Peek(ctx, api.CheckRequest{Action: "LOGIN", User: "alice"})
			}, result: api.CheckResult{Policy: "LOGIN", Mode: "enforced", RetryAfter: 3}},
		{name: "CheckBatch", want: "POST /v1/ratelimit/batch", body: `{"checks":[{"action":"LOGIN","user":"alice"}]}`, answer: `{"results":[{"allowed":true,"policy":"LOGIN","mode":"enforced"}]}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.CheckBatch(ctx, []api.CheckRequest{{Action: "LOGIN", User: "alice"}})
			}, result: []api.CheckResult{{Allowed: true, Policy: "LOGIN", Mode: "enforced"}}},
		{name: "Refund", want: "POST /v1/ratelimit/refund", body: `{"action":"LOGIN","ip":"192.0.2.1","cost":2}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return nil, c.Refund(ctx, api.RefundRequest{Action: "LOGIN", IP: "192.0.2.1", Cost: 2})
			}},
		{name: "Policies", want: "GET /v1/ratelimit/policies", answer: `{"policies":[{"action":"LOGIN","window":"5m0s","rules":null,"source":"default","version":1}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Policies(ctx) },
			result: []api.Policy{{Action: "LOGIN", PolicySpec: api.PolicySpec{Window: "5m0s"}, Source: "default", Version: 1}}},
		{name: "PutPolicy", want: "PUT /v1/ratelimit/policies/A%2FB?reason=why+not", body: `{"window":"1h","rules":[{"scope":"user","limit":5}]}`, answer: `{"action":"A/B","window":"1h","source":"api","version":2}`, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.PutPolicy(ctx, "A/B", spec, "why not")
			}, result: api.Policy{Action: "A/B", PolicySpec: api.PolicySpec{Window: "1h"}, Source: "api", Version: 2}},
		{name: "ReplacePolicy", want: "PUT /v1/ratelimit/policies/LOGIN?ifVersion=0&reason=why", body: `{"window":"1h","rules":[{"scope":"user","limit":5}]}`, answer: `{"action":"LOGIN"}`, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.ReplacePolicy(ctx, api.Policy{Action: "LOGIN", PolicySpec: spec}, "why")
			}, result: api.Policy{Action: "LOGIN"}},
		{name: "ResetPolicy", want: "DELETE /v1/ratelimit/policies/LOGIN?reason=why", keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return nil, c.ResetPolicy(ctx, "LOGIN", "why")
			}},
		{name: "Overrides", want: "GET /v1/ratelimit/overrides", answer: `{"overrides":[{"id":"ov_1"}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Overrides(ctx) },
			result: []api.Override{{ID: "ov_1"}}},
		{name: "SetOverride", want: "POST /v1/ratelimit/overrides", body: `{"dimension":"user","subject":"alice","exempt":true,"expiresAt":"2026-11-24T10:00:00.000005Z","reason":"test"}`, answer: `{"id":"ov_1"}`, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.SetOverride(ctx, api.OverrideSpec{Dimension: "user", Subject: "alice", Exempt: true, ExpiresAt: at, Reason: "test"})
			}, result: api.Override{ID: "ov_1"}},
		{name: "RemoveOverride", want: "DELETE /v1/ratelimit/overrides/ov_1?reason=why", keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return nil, c.RemoveOverride(ctx, "ov_1", "why")
			}},
		{name: "Violations", want: "GET /v1/ratelimit/violations?action=LOGIN&limit=7&since=2026-11-24T10%3A00%3A00.000005Z&user=alice", answer: `{"violations":[{"count":3}]}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.Violations(ctx, client.ViolationQuery{User: "alice", Action: "LOGIN", Since: at, Limit: 7})
			}, result: []api.Violation{{Count: 3}}},
		{name: "Offenders", want: "GET /v1/ratelimit/offenders?dimension=ip&until=2026-11-24T10%3A00%3A00.000005Z", answer: `{"offenders":[{"count":3}]}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.Offenders(ctx, client.OffenderQuery{Dimension: "ip", Until: at})
			}, result: []api.Offender{{Count: 3}}},
		{name: "IdempotencyBegin", want: "POST /v1/idempotency/begin", body: `{"key":"k"}`, answer: `{"state":"new","token":"7"}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.IdempotencyBegin(ctx, api.IdempotencyBeginRequest{Key: "k"})
			}, result: api.IdempotencyBegin{State: "new", Token: "7"}},
		{name: "IdempotencyComplete", want: "POST /v1/idempotency/complete", body: `{"key":"k","token":"7","answer":{"a":1}}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return nil, c.IdempotencyComplete(ctx, api.IdempotencyCompleteRequest{Key: "k", Token: "7", Answer: json.RawMessage(`{"a":1}`)})
			}},
		{name: "Keys", want: "GET /v1/keys", answer: `{"keys":[{"id":"k1"}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Keys(ctx) },
			result: []api.Key{{ID: "k1"}}},
		{name: "CreateKey", want: "POST /v1/keys", body: `{"role":"app","label":"web"}`, answer: `{"id":"k1","secret":"s"}`, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.CreateKey(ctx, api.CreateKeyRequest{Role: "app", Label: "web"})
			}, result: api.CreatedKey{Key: api.Key{ID: "k1"}, Secret: "s"}},
		{name: "RevokeKey", want: "DELETE /v1/keys/k1?reason=why", keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) { return nil, c.RevokeKey(ctx, "k1", "why") }},
		{name: "Health", want: "GET /healthz", answer: `{"status":"pass","health":"HEALTHY","version":"1"}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Health(ctx) },
			result: client.Health{Status: "pass", Health: "HEALTHY", Version: "1"}},
	})
}

// callTest is one method: what it sends, and what it makes of the answer.
type callTest struct {
	name, want, body, answer string
	keyed                    bool
	call                     func(context.Context, *client.Client) (any, error)
	result                   any
}

func testCalls(t *testing.T, tests []callTest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got, body, key, auth string
			srv := httptest.NewServer(http.StripPrefix("/base", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				got, body = r.Method+" "+strings.TrimPrefix(r.RequestURI, "/base"), string(b)
				key, auth = r.Header.Get("Idempotency-Key"), r.Header.Get("Authorization")
				if tt.answer == "" {
					w.WriteHeader(http.StatusNoContent)
					return
				}
				_, _ = io.WriteString(w, tt.answer)
			})))
			defer srv.Close()
			c, err := client.New(srv.URL+"/base/", client.WithKey("gk_test"), client.WithTimeout(10*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			result, err := tt.call(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want || body != tt.body {
				t.Errorf("sent %s %s\nwant %s %s", got, body, tt.want, tt.body)
			}
			if auth != "Bearer gk_test" || (key != "") != tt.keyed {
				t.Errorf("Authorization %q, Idempotency-Key %q, keyed %t", auth, key, tt.keyed)
			}
			if diff := cmp.Diff(tt.result, result); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}
