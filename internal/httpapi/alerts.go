package httpapi

import (
	"context"
	"maps"
	"slices"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/incident"
)

type silencesOutput struct {
	Body struct {
		Silences []api.Silence `json:"silences" doc:"Oldest first"`
	}
}

func (s *Server) listSilences(ctx context.Context, _ *struct{}) (*silencesOutput, error) {
	ss, err := s.d.Incidents.Silences(ctx)
	if err != nil {
		return nil, err
	}
	out := &silencesOutput{}
	out.Body.Silences = mapped(ss, silenceOut)
	return out, nil
}

func silenceOut(n incident.Silence) api.Silence {
	return api.Silence{ID: n.ID, Rule: n.Rule, Object: n.Object, Class: string(n.Class), Reason: n.Reason, By: n.By, CreatedAt: n.CreatedAt, EndsAt: n.EndsAt}
}

type createSilenceInput struct{ Body api.SilenceRequest }
type silenceOutput struct{ Body api.Silence }

func (s *Server) createSilence(ctx context.Context, in *createSilenceInput) (*silenceOutput, error) {
	b := in.Body
	n := incident.Silence{Rule: b.Rule, Object: b.Object, Class: incident.Class(b.Class), Reason: b.Reason, By: callerOf(ctx).principal.ID, EndsAt: moment(b.EndsAt)}
	if (b.For == "") == (b.EndsAt == nil) {
		return nil, fault.Invalid("httpapi.createSilence", fault.Field{Field: "for", Problem: "missing"}, "say when it ends: for (such as 2h) or endsAt, and not both")
	}
	if b.For != "" {
		d, err := time.ParseDuration(b.For)
		if err != nil || d <= 0 {
			return nil, fault.Invalid("httpapi.createSilence", fault.Field{Field: "for", Problem: "format", Actual: b.For}, "for must be a duration above 0, such as 30m or 2h")
		}
		n.EndsAt = s.d.Now().Add(d)
	}
	n, err := s.d.Incidents.Silence(ctx, n)
	if err != nil {
		return nil, err
	}
	return &silenceOutput{Body: silenceOut(n)}, nil
}

type endSilenceInput struct {
	IDPath
	Reason string `query:"reason" maxLength:"500" doc:"Why, for the audit log"`
}

func (s *Server) endSilence(ctx context.Context, in *endSilenceInput) (*struct{}, error) {
	return nil, s.d.Incidents.EndSilence(ctx, in.ID, callerOf(ctx).principal.ID, in.Reason)
}

type rulesOutput struct{ Body api.IncidentRules }

func (s *Server) listIncidentRules(context.Context, *struct{}) (*rulesOutput, error) {
	r := s.d.Incidents.Routing()
	fallback := r.Config.Unreached()
	out := &rulesOutput{Body: api.IncidentRules{Unreached: []string{}}}
	for _, d := range incident.Rules() {
		in := r.Table.Rule(d.Name)
		o := api.IncidentRule{Name: in.Name, Group: in.Group, Class: string(in.Class), After: in.After.String(), Channels: mapped(in.Channels, channelName), Local: in.Local,
			Text: in.Text, Changed: in.Class != d.Class || !slices.Equal(in.Channels, d.Channels), Tells: tells(r, in, s.d.Now())}
		if len(o.Tells) == 0 {
			out.Body.Unreached = append(out.Body.Unreached, in.Name)
		}
		o.Fallback = len(o.Tells) > 0 && slices.Contains(fallback, in.Name)
		out.Body.Rules = append(out.Body.Rules, o)
	}
	return out, nil
}

func channelName(c incident.Channel) string { return string(c) }

// tells asks the routing itself whom an incident of the rule reaches that
// nobody has acknowledged for longer than any delay.
func tells(r incident.Routing, rule incident.Rule, now time.Time) []api.RuleTarget {
	const long = 60 * 24 * time.Hour
	i := &incident.Incident{Cause: incident.Cause{Group: rule.Group}, Rules: []string{rule.Name}, Class: rule.Class, State: incident.Open, RaisedAt: now.Add(-long), FirstSent: now.Add(-long)}
	return mapped(r.Plan(i, nil, now), func(s incident.Send) api.RuleTarget {
		t := api.RuleTarget{Receiver: s.Receiver, Level: s.Level, Wait: "next business morning"}
		if rule.Class != incident.P3 {
			wait := r.Config.Delays[rule.Class]
			if s.Level > 0 {
				wait += r.Config.Ladder[rule.Class][s.Level-1]
			}
			t.Wait = wait.String()
		}
		return t
	})
}

type receiversOutput struct {
	Body struct {
		Receivers []api.AlertReceiver `json:"receivers" doc:"By name"`
	}
}

func (s *Server) listReceivers(ctx context.Context, _ *struct{}) (*receiversOutput, error) {
	stats, err := s.d.Incidents.DeliveryStats(ctx)
	if err != nil {
		return nil, err
	}
	out := &receiversOutput{}
	out.Body.Receivers = s.d.Receivers()
	for i := range out.Body.Receivers {
		r := &out.Body.Receivers[i]
		withStats(r, stats[r.Name])
		delete(stats, r.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(stats)) {
		if stats[name].Pending == 0 {
			continue
		}
		r := api.AlertReceiver{Name: name, Channels: []string{}}
		withStats(&r, stats[name])
		out.Body.Receivers = append(out.Body.Receivers, r)
	}
	return out, nil
}

func withStats(r *api.AlertReceiver, s incident.Stats) {
	r.Pending, r.Failed, r.OldestPending, r.LastDelivered = s.Pending, s.Failed, optional(s.OldestPending), optional(s.LastDelivered)
}

type testAlertsInput struct{ Body api.AlertTestRequest }
type testAlertsOutput struct {
	Body struct {
		Receivers []api.AlertTest `json:"receivers" doc:"What each said"`
	}
}

func (s *Server) testAlerts(ctx context.Context, in *testAlertsInput) (*testAlertsOutput, error) {
	tested, err := s.d.TestAlerts(ctx, in.Body, callerOf(ctx).principal.ID)
	if err != nil {
		return nil, err
	}
	out := &testAlertsOutput{}
	out.Body.Receivers = tested
	return out, nil
}
