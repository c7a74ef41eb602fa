package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/ratelimit"
)

type healthInput struct {
	Fresh bool `query:"fresh" doc:"Measure every component now, in under 2 seconds; those that do not answer are named"`
}
type healthOutput struct{ Body api.HealthReport }

func (s *Server) getHealth(ctx context.Context, in *healthInput) (*healthOutput, error) {
	rep, err := s.report(ctx, in.Fresh)
	if err != nil {
		return nil, err
	}
	return &healthOutput{Body: reportOut(rep)}, nil
}

func reportOut(r health.Report) api.HealthReport {
	return api.HealthReport{Status: string(r.Status), At: r.At.UTC(), Fresh: r.Fresh, TimedOut: r.TimedOut, Components: mapped(r.Components, entryOut)}
}

func entryOut(e health.Entry) api.HealthComponent {
	out := api.HealthComponent{Component: e.Component, Slot: e.Slot, Kind: e.Kind, Critical: e.Critical, Status: string(e.Status), Since: optional(e.Since),
		Message: e.Message, ResponseTimeMS: responseTime(e), Details: e.Details, MeasuredAt: optional(e.MeasuredAt),
		DependsOn: e.DependsOn, SuppressedBy: e.SuppressedBy, MaintenanceUntil: optional(e.MaintenanceUntil)}
	for _, n := range e.Nodes {
		out.Nodes = append(out.Nodes, api.HealthNode{Node: n.Node, Status: string(n.Status), Message: n.Message, MeasuredAt: n.MeasuredAt})
	}
	return out
}

// responseTime is null where nothing was measured lately: such an entry has no
// status since any time.
func responseTime(e health.Entry) *int64 {
	if e.Since.IsZero() {
		return nil
	}
	return &e.ResponseTimeMS
}

type uptimeInput struct {
	Days int `query:"days" default:"90" minimum:"1" maximum:"90" doc:"The last days, today included"`
}
type uptimeOutput struct {
	Body struct {
		Days []api.UptimeDay `json:"days" doc:"By component and day; a day without a measurement is absent"`
	}
}

func (s *Server) getUptime(ctx context.Context, in *uptimeInput) (*uptimeOutput, error) {
	days, err := s.d.Monitor.Uptime(ctx, in.Days)
	if err != nil {
		return nil, err
	}
	out := &uptimeOutput{}
	out.Body.Days = mapped(days, func(d health.Day) api.UptimeDay {
		day := api.UptimeDay{Component: d.Component, Day: d.Day, Up: d.Up, Degraded: d.Degraded, Down: d.Down, Maintenance: d.Maintenance}
		if share, ok := d.Uptime(); ok {
			day.Uptime = &share
		}
		return day
	})
	return out, nil
}

// healthState is what the stream of reports tells. How long an answer took,
// and what a message counts, is no change.
func (s *Server) healthState() (id, data string) {
	rep := s.known()
	var b strings.Builder
	b.WriteString(string(rep.Status))
	for _, e := range rep.Components {
		fmt.Fprintf(&b, "\n%s %s %d %v %d", e.Component, e.Status, e.Since.UnixMicro(), e.SuppressedBy, e.MaintenanceUntil.UnixMicro())
		for _, n := range e.Nodes {
			fmt.Fprintf(&b, " %s %s", n.Node, n.Status)
		}
	}
	text, err := json.Marshal(reportOut(rep))
	if err != nil { // details that are no JSON are dropped when they are measured
		text = []byte("{}")
	}
	return stateID(b.String()), string(text)
}

// healthEvents streams reports for as long as the caller's credential holds.
func (s *Server) healthEvents(w http.ResponseWriter, r *http.Request) {
	cred := credential(r)
	s.stream(w, r, s.health, "poll GET /v1/health instead", func() bool {
		p, err := s.d.Access.Authenticate(r.Context(), cred)
		return err == nil && access.May(p.Role, access.ReadHealth)
	})
}

type windowsOutput struct {
	Body struct {
		Maintenance []api.HealthWindow `json:"maintenance"`
	}
}

func (s *Server) listWindows(context.Context, *struct{}) (*windowsOutput, error) {
	out := &windowsOutput{}
	out.Body.Maintenance = mapped(s.d.Monitor.Windows(), windowOut)
	return out, nil
}

func windowOut(w health.Window) api.HealthWindow {
	return api.HealthWindow{ID: w.ID, Components: append([]string{}, w.Components...), From: w.From, Until: w.Until, Reason: w.Reason, By: w.By,
		EndedAt: optional(w.EndedAt), EndedBy: w.EndedBy}
}

type beginWindowInput struct{ Body api.HealthWindowRequest }
type windowOutput struct{ Body api.HealthWindow }

func (s *Server) beginWindow(ctx context.Context, in *beginWindowInput) (*windowOutput, error) {
	const op = "httpapi.beginWindow"
	b := in.Body
	if (b.Until == nil) == (b.For == "") {
		return nil, fault.Invalid(op, fault.Field{Field: "until", Problem: "until and for"}, "send one of until and for: a maintenance window ends by itself")
	}
	w := health.Window{Components: b.Components, Reason: b.Reason}
	if b.From != nil {
		w.From = *b.From
	}
	if b.Until != nil {
		w.Until = *b.Until
	} else {
		d, err := duration(op, "for", b.For)
		if err != nil {
			return nil, err
		}
		from := w.From
		if now := s.d.Now(); from.Before(now) {
			from = now
		}
		w.Until = from.Add(d)
	}
	w, err := s.d.Monitor.BeginMaintenance(ctx, w, callerOf(ctx).principal.ID)
	if err != nil {
		return nil, err
	}
	return &windowOutput{Body: windowOut(w)}, nil
}

type endWindowInput struct {
	IDPath
	Reason string `query:"reason" maxLength:"2000" doc:"Why, in 10 to 500 characters; kept in the audit log"`
}

func (s *Server) endWindow(ctx context.Context, in *endWindowInput) (*windowOutput, error) {
	w, err := s.d.Monitor.EndMaintenance(ctx, in.ID, in.Reason, callerOf(ctx).principal.ID)
	if err != nil {
		return nil, err
	}
	return &windowOutput{Body: windowOut(w)}, nil
}

// RateLimitStatus is what the limiter did in 24 hours.
type RateLimitStatus struct {
	ActiveWindows int64 // counters that this node holds
	Refused       int64 // on all nodes, as Top
	Top           []ratelimit.ActionCount
}

type rateLimitStatusOutput struct{ Body api.RateLimitStatus }

func (s *Server) getRateLimitStatus(ctx context.Context, _ *struct{}) (*rateLimitStatusOutput, error) {
	st, err := s.d.RateLimitStatus(ctx)
	if err != nil {
		return nil, err
	}
	return &rateLimitStatusOutput{Body: api.RateLimitStatus{ActiveWindows: st.ActiveWindows, RecentViolations24h: st.Refused, TopViolatedActions: topOut(st)}}, nil
}

func topOut(st RateLimitStatus) []api.ActionCount {
	return mapped(st.Top, func(c ratelimit.ActionCount) api.ActionCount { return api.ActionCount(c) })
}
