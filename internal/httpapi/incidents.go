package httpapi

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/incident"
)

type incidentsInput struct {
	Page
	State  string    `query:"state" enum:"active,open,acknowledged,resolved,all" default:"active" doc:"active: open or acknowledged"`
	Class  string    `query:"class" enum:"P0,P1,P2,P3" doc:"Only this class"`
	Object string    `query:"object" maxLength:"200" doc:"Only this object"`
	Since  time.Time `query:"since" doc:"Opened at or after this moment (RFC 3339)"`
	Before string    `query:"before" maxLength:"64" doc:"Only incidents opened before this one: the last id of the page before"`
}
type incidentsOutput struct {
	Body struct {
		Incidents []api.Incident `json:"incidents" doc:"The last opened first"`
	}
}

func (s *Server) listIncidents(ctx context.Context, in *incidentsInput) (*incidentsOutput, error) {
	f := incident.Filter{Active: in.State != "resolved" && in.State != "all", Class: incident.Class(in.Class), Object: in.Object, Limit: in.Limit}
	if in.Before != "" {
		seq, err := strconv.ParseInt(strings.TrimPrefix(in.Before, "inc-"), 10, 64)
		if err != nil || seq < 1 {
			return nil, fault.Invalid("httpapi.listIncidents", fault.Field{Field: "before", Problem: "format", Actual: in.Before}, "before must be an incident's id, such as inc-17")
		}
		f.Before = seq
	}
	is, err := s.selectIncidents(ctx, f, in.State, in.Since)
	if err != nil {
		return nil, err
	}
	out := &incidentsOutput{}
	out.Body.Incidents = mapped(is, s.incidentOut)
	return out, nil
}

// selectIncidents reads pages until it has enough of a state, or is past
// since: the store selects neither.
func (s *Server) selectIncidents(ctx context.Context, f incident.Filter, state string, since time.Time) (out []incident.Incident, err error) {
	for {
		page, err := s.d.Incidents.Incidents(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, i := range page {
			if i.OpenedAt.Before(since) {
				return out, nil // and so are all that follow
			}
			if state == "active" || state == "all" || state == string(i.State) {
				out = append(out, i)
			}
			if len(out) == f.Limit {
				return out, nil
			}
			f.Before = i.Seq
		}
		if len(page) < f.Limit {
			return out, nil
		}
	}
}

func (s *Server) incidentOut(i incident.Incident) api.Incident {
	out := api.Incident{ID: i.ID, Class: string(i.Class), State: string(i.State), Group: i.Group, Object: i.Object, Rules: i.Rules, Summary: i.Summary,
		OpenedAt: i.OpenedAt, RaisedAt: i.RaisedAt, FirstSentAt: optional(i.FirstSent), AcknowledgedAt: optional(i.AckedAt), AcknowledgedBy: i.AckedBy,
		ResolvedAt: optional(i.ResolvedAt), ResolvedBy: i.ResolvedBy, Reopened: i.Reopened, Told: []api.IncidentNotice{}}
	if i.Active() && i.FirstSent.IsZero() {
		out.DueAt = new(s.d.Incidents.Routing().Due(&i))
	}
	for _, name := range slices.Sorted(maps.Keys(i.Notices)) {
		n := i.Notices[name]
		out.Told = append(out.Told, api.IncidentNotice{Receiver: name, Action: string(n.Action), Class: string(n.Class), At: n.At})
	}
	return out
}

type incidentDetailOutput struct{ Body api.IncidentDetail }

func (s *Server) getIncident(ctx context.Context, in *IDPath) (*incidentDetailOutput, error) {
	d, err := s.d.Incidents.Incident(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &incidentDetailOutput{Body: api.IncidentDetail{Incident: s.incidentOut(d.Incident), Escalation: s.escalation(&d.Incident),
		Updates: mapped(d.Updates, func(u incident.Update) api.IncidentUpdate {
			return api.IncidentUpdate{N: u.N, At: u.At, Kind: string(u.Kind), By: u.By, Text: u.Text}
		}),
		Deliveries: mapped(d.Deliveries, deliveryOut)}}, nil
}

// escalation lists the levels that are still to be told.
func (s *Server) escalation(i *incident.Incident) []api.EscalationStep {
	r, now := s.d.Incidents.Routing(), s.d.Now()
	out := []api.EscalationStep{}
	for level := 1; ; level++ {
		at, ok := r.EscalatesAt(i, level)
		if !ok {
			return out
		}
		if at.After(now) {
			out = append(out, api.EscalationStep{Level: level, At: at})
		}
	}
}

func deliveryOut(d incident.Delivery) api.IncidentDelivery {
	out := api.IncidentDelivery{ID: d.ID, Receiver: d.Receiver, Action: string(d.Action), DedupKey: d.Message.DedupKey, State: string(d.State), Attempts: d.Attempts,
		CreatedAt: d.CreatedAt, DoneAt: optional(d.DoneAt), Answer: d.Answer}
	if d.State == incident.Pending {
		out.NextAt = optional(d.NextAt)
	}
	return out
}

type incidentNoteInput struct {
	IDPath
	Body *api.IncidentNoteRequest
}
type incidentOutput struct{ Body api.Incident }

func (s *Server) acknowledgeIncident(ctx context.Context, in *incidentNoteInput) (*incidentOutput, error) {
	return s.changeIncident(ctx, in, s.d.Incidents.Acknowledge)
}

func (s *Server) resolveIncident(ctx context.Context, in *incidentNoteInput) (*incidentOutput, error) {
	return s.changeIncident(ctx, in, s.d.Incidents.Resolve)
}

func (s *Server) changeIncident(ctx context.Context, in *incidentNoteInput, do func(ctx context.Context, id, by, note string) (incident.Incident, error)) (*incidentOutput, error) {
	note := ""
	if in.Body != nil {
		note = in.Body.Note
	}
	i, err := do(ctx, in.ID, callerOf(ctx).principal.ID, note)
	if err != nil {
		return nil, err
	}
	return &incidentOutput{Body: s.incidentOut(i)}, nil
}

type conditionsOutput struct {
	Body struct {
		Conditions []api.Condition `json:"conditions"`
	}
}

func (s *Server) listConditions(ctx context.Context, _ *struct{}) (*conditionsOutput, error) {
	cs, err := s.d.Incidents.Conditions(ctx)
	if err != nil {
		return nil, err
	}
	table := s.d.Incidents.Routing().Table
	out := &conditionsOutput{}
	out.Body.Conditions = mapped(cs, func(c incident.Condition) api.Condition {
		r := table.Rule(c.Rule)
		return api.Condition{Rule: c.Rule, Object: c.Object, Class: string(r.Class), Reporter: c.Reporter, Value: c.Value, Since: c.Since, SeenAt: c.SeenAt, CountsAt: c.Since.Add(r.After)}
	})
	return out, nil
}
