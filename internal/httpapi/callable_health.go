package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/health"
)

// legacyHealth is pack100_healthCheck's answer.
type legacyHealth struct {
	Status    string `json:"status"` // ok, degraded or down
	Timestamp int64  `json:"timestamp"`
	Version   string `json:"version"`
	Service   string `json:"service"`
}

// legacyHealth returns the answer and its HTTP status.
func (s *Server) legacyHealth() (legacyHealth, int) {
	status, code := "ok", http.StatusOK
	switch s.known().Status {
	case health.Degraded:
		status = "degraded"
	case health.Down:
		status, code = "down", http.StatusServiceUnavailable
	}
	return legacyHealth{Status: status, Timestamp: s.d.Now().UnixMilli(), Version: s.d.Version, Service: "gantry"}, code
}

func (s *Server) healthCheckGet(w http.ResponseWriter, _ *http.Request) {
	h, code := s.legacyHealth()
	writeJSON(w, code, "application/json", h)
}

func (s *Server) callHealthCheck(w http.ResponseWriter, r *http.Request) {
	var none struct{}
	if err := decodeCallable(r.Body, &none); err != nil {
		s.fail(w, r, err)
		return
	}
	h, code := s.legacyHealth()
	writeJSON(w, code, "application/json", map[string]any{"result": h})
}

// legacyReport is pack100_getSystemHealth's answer. What was not measured is
// null, and never 0 or SUCCESS.
type legacyReport struct {
	Success     bool             `json:"success"`
	Health      legacyWord       `json:"health"`
	RateLimiter legacyLimiter    `json:"rateLimiter"`
	Jobs        []legacyJob      `json:"backgroundJobs"` // null: they could not be read
	Discovery   *legacyDiscovery `json:"discovery"`
}

type legacyWord struct {
	Status     health.Status     `json:"status"`
	Components []legacyComponent `json:"components"`
	Timestamp  int64             `json:"timestamp"`
}

type legacyComponent struct {
	Component      string         `json:"component"`
	Status         health.Status  `json:"status"`
	Message        string         `json:"message"`
	ResponseTimeMS *int64         `json:"responseTimeMs"`
	Details        map[string]any `json:"details"`
}

type legacyLimiter struct {
	ActiveWindows *int64            `json:"activeWindows"`
	Recent        *int64            `json:"recentViolations24h"`
	Top           []api.ActionCount `json:"topViolatedActions"`
}

type legacyJob struct {
	Name    string  `json:"jobName"`
	LastRun *int64  `json:"lastRunAt"`
	Status  *string `json:"lastRunStatus"` // SUCCESS or FAILURE; null before the first end of a run
	NextRun *int64  `json:"nextScheduledRun"`
	Word    string  `json:"status"` // how it is now: OVERDUE, RUNNING, …; old clients do not read it
}

type legacyDiscovery struct {
	Total      *int64           `json:"totalProfiles"`
	Active     *int64           `json:"activeProfiles"`
	LastUpdate *int64           `json:"lastIndexUpdate"`
	Freshness  health.Freshness `json:"indexFreshness"`
}

// storeWait bounds what a report of health waits for the store: it must say
// that the store is away.
const storeWait = time.Second

func (s *Server) callSystemHealth(ctx context.Context, _ json.RawMessage) (any, error) {
	rep := s.known()
	out := legacyReport{Success: true, Health: legacyWord{Status: rep.Status, Timestamp: rep.At.UnixMilli(), Components: mapped(rep.Components, legacyEntry)}}
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	l, err := s.d.RateLimitStatus(ctx)
	out.RateLimiter.ActiveWindows = &l.ActiveWindows
	if err == nil {
		out.RateLimiter.Recent, out.RateLimiter.Top = &l.Refused, topOut(l)
	}
	if jobs, err := s.d.Heartbeats.Jobs(ctx); err == nil {
		out.Jobs = mapped(jobs, legacyJobOut)
	}
	out.Discovery = s.legacyDiscovery(ctx)
	return out, nil
}

func legacyEntry(e health.Entry) legacyComponent {
	c := legacyComponent{Component: e.Component, Status: e.Status, Message: e.Message, ResponseTimeMS: responseTime(e), Details: e.Details}
	if c.Details == nil {
		c.Details = map[string]any{}
	}
	return c
}

func legacyJobOut(v health.JobView) legacyJob {
	out := legacyJob{Name: v.Name, LastRun: millis(v.LastRunAt), NextRun: millis(v.NextRun), Word: string(v.Word)}
	if v.LastRunStatus != "" {
		out.Status = ptr(string(v.LastRunStatus))
	}
	return out
}

// legacyDiscovery reads the discovery index: its freshness from the source
// that is marked, its counts from the declared queries.
func (s *Server) legacyDiscovery(ctx context.Context) *legacyDiscovery {
	out := &legacyDiscovery{Freshness: health.Unclear}
	if views, err := s.d.Sources.Freshness(ctx); err == nil && s.d.Discovery != "" {
		for _, v := range views {
			if v.Name == s.d.Discovery {
				out.LastUpdate, out.Freshness = millis(v.UpdatedAt), v.Freshness
			}
		}
	}
	if rep, err := s.d.Diagnostics.Report(ctx); err == nil {
		out.Total, out.Active = rep.Counts["discovery"]["total"], rep.Counts["discovery"]["active"]
	}
	return out
}

// millis is a moment as old clients read it, null if there is none.
func millis(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	return ptr(t.UnixMilli())
}

func (s *Server) callDiagnostics(ctx context.Context, _ json.RawMessage) (any, error) {
	rep, err := s.d.Diagnostics.Report(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]any{"success": true, "diagnostics": rep.Counts, "timestamp": rep.At.UnixMilli()}, nil
}
