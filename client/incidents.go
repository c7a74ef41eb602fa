package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"avalo.app/gantry/api"
)

// alertTestTimeout bounds a test of all receivers: each message gets ten
// seconds, and a receiver at most three messages.
const alertTestTimeout = 45 * time.Second

// IncidentQuery selects incidents. Zero fields select the active ones.
type IncidentQuery struct {
	State  string    // active (also if empty), open, acknowledged, resolved or all
	Class  string    // P0, P1, P2 or P3
	Object string    // what fails
	Since  time.Time // opened at or after it
	Before string    // the id of the last one of the page before
	Limit  int       // 0: 100; at most 1000
}

// Incidents returns incidents, the last opened first. Role moderator.
func (c *Client) Incidents(ctx context.Context, q IncidentQuery) ([]api.Incident, error) {
	var out struct {
		Incidents []api.Incident `json:"incidents"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/incidents", out: &out, repeats: safe, query: params("state", q.State, "class", q.Class,
		"object", q.Object, "since", moment(q.Since), "before", q.Before, "limit", number(q.Limit))})
	return out.Incidents, err
}

// Incident returns one with its timeline and deliveries. Role moderator.
func (c *Client) Incident(ctx context.Context, id string) (api.IncidentDetail, error) {
	var out api.IncidentDetail
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/incidents/" + url.PathEscape(id), out: &out, repeats: safe})
	return out, err
}

// AcknowledgeIncident promises to look after an open incident: its escalation
// ends. CONFLICT if it is not open. Role moderator.
func (c *Client) AcknowledgeIncident(ctx context.Context, id, note string) (api.Incident, error) {
	return c.changeIncident(ctx, id, "acknowledge", note)
}

// ResolveIncident ends an incident by hand; while its cause fails, it reopens
// within seconds. CONFLICT if it is resolved. Role admin.
func (c *Client) ResolveIncident(ctx context.Context, id, note string) (api.Incident, error) {
	return c.changeIncident(ctx, id, "resolve", note)
}

func (c *Client) changeIncident(ctx context.Context, id, verb, note string) (api.Incident, error) {
	var out api.Incident
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/incidents/" + url.PathEscape(id) + "/" + verb, body: api.IncidentNoteRequest{Note: note}, out: &out, repeats: keyed})
	return out, err
}

// Conditions returns all that fails right now, incident or not. Role
// moderator.
func (c *Client) Conditions(ctx context.Context) ([]api.Condition, error) {
	var out struct {
		Conditions []api.Condition `json:"conditions"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/incidents/conditions", out: &out, repeats: safe})
	return out.Conditions, err
}

// IncidentRules returns the rule table in force and whom each rule tells.
// Role moderator.
func (c *Client) IncidentRules(ctx context.Context) (api.IncidentRules, error) {
	var out api.IncidentRules
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/incidents/rules", out: &out, repeats: safe})
	return out, err
}

// AlertReceivers returns who is configured, and each one's outbox. Role
// moderator.
func (c *Client) AlertReceivers(ctx context.Context) ([]api.AlertReceiver, error) {
	var out struct {
		Receivers []api.AlertReceiver `json:"receivers"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/alerts/receivers", out: &out, repeats: safe})
	return out.Receivers, err
}

// TestAlerts sends a test message through one receiver, or with "" through
// all, and returns what each said. It takes up to 40 seconds, and is not sent
// again: each time it is, people hear of it. Role admin.
func (c *Client) TestAlerts(ctx context.Context, r api.AlertTestRequest) ([]api.AlertTest, error) {
	var out struct {
		Receivers []api.AlertTest `json:"receivers"`
	}
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/alerts/test", body: r, out: &out, repeats: once, timeout: alertTestTimeout})
	return out.Receivers, err
}

// Silences returns those in force. Role moderator.
func (c *Client) Silences(ctx context.Context) ([]api.Silence, error) {
	var out struct {
		Silences []api.Silence `json:"silences"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/silences", out: &out, repeats: safe})
	return out.Silences, err
}

// CreateSilence keeps matching incidents from being sent until it ends. Role
// admin.
func (c *Client) CreateSilence(ctx context.Context, r api.SilenceRequest) (api.Silence, error) {
	var out api.Silence
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/silences", body: r, out: &out, repeats: keyed})
	return out, err
}

// EndSilence ends a silence now. What still fails is sent within seconds.
// Role admin.
func (c *Client) EndSilence(ctx context.Context, id, reason string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: "/v1/silences/" + url.PathEscape(id), query: params("reason", reason), repeats: keyed})
	return err
}
