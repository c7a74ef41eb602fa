package client_test

import (
	"context"
	"testing"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

// TestIncidentCalls is TestCalls for incidents.
func TestIncidentCalls(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	testCalls(t, []callTest{
		{name: "Incidents", want: "GET /v1/incidents?before=inc-9&class=P0&limit=5&object=api&since=2026-11-24T12%3A00%3A00Z&state=all", answer: `{"incidents":[{"id":"inc-1"}]}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.Incidents(ctx, client.IncidentQuery{State: "all", Class: "P0", Object: "api", Since: at, Before: "inc-9", Limit: 5})
			}, result: []api.Incident{{ID: "inc-1"}}},
		{name: "Incident", want: "GET /v1/incidents/inc-1%2F", answer: `{"id":"inc-1","updates":[{"n":1}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Incident(ctx, "inc-1/") },
			result: api.IncidentDetail{Incident: api.Incident{ID: "inc-1"}, Updates: []api.IncidentUpdate{{N: 1}}}},
		{name: "AcknowledgeIncident", want: "POST /v1/incidents/inc-1/acknowledge", body: `{"note":"mine"}`, answer: `{"id":"inc-1","state":"acknowledged"}`, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.AcknowledgeIncident(ctx, "inc-1", "mine")
			},
			result: api.Incident{ID: "inc-1", State: "acknowledged"}},
		{name: "ResolveIncident", want: "POST /v1/incidents/inc-1/resolve", body: `{}`, answer: `{"id":"inc-1","state":"resolved"}`, keyed: true,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.ResolveIncident(ctx, "inc-1", "") },
			result: api.Incident{ID: "inc-1", State: "resolved"}},
		{name: "Conditions", want: "GET /v1/incidents/conditions", answer: `{"conditions":[{"rule":"job_failed"}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Conditions(ctx) },
			result: []api.Condition{{Rule: "job_failed"}}},
		{name: "IncidentRules", want: "GET /v1/incidents/rules", answer: `{"rules":[{"name":"job_failed"}],"unreached":["job_failed"]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.IncidentRules(ctx) },
			result: api.IncidentRules{Rules: []api.IncidentRule{{Name: "job_failed"}}, Unreached: []string{"job_failed"}}},
		{name: "AlertReceivers", want: "GET /v1/alerts/receivers", answer: `{"receivers":[{"name":"ops","pending":2}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.AlertReceivers(ctx) },
			result: []api.AlertReceiver{{Name: "ops", Pending: 2}}},
		{name: "TestAlerts", want: "POST /v1/alerts/test", body: `{"receiver":"ops","class":"P1"}`, answer: `{"receivers":[{"receiver":"ops","ok":true}]}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.TestAlerts(ctx, api.AlertTestRequest{Receiver: "ops", Class: "P1"})
			}, result: []api.AlertTest{{Receiver: "ops", OK: true}}},
		{name: "Silences", want: "GET /v1/silences", answer: `{"silences":[{"id":"sil-1"}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Silences(ctx) },
			result: []api.Silence{{ID: "sil-1"}}},
		{name: "CreateSilence", want: "POST /v1/silences", body: `{"object":"api","reason":"why","for":"2h"}`, answer: `{"id":"sil-1"}`, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.CreateSilence(ctx, api.SilenceRequest{Object: "api", Reason: "why", For: "2h"})
			}, result: api.Silence{ID: "sil-1"}},
		{name: "EndSilence", want: "DELETE /v1/silences/sil-1?reason=why", keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return nil, c.EndSilence(ctx, "sil-1", "why")
			}},
	})
}
