package httpapi

import (
	"context"
	"runtime"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/hostsignal"
)

type jobsOutput struct {
	Body struct {
		Jobs []api.Job `json:"jobs" doc:"As configured"`
	}
}

func (s *Server) listJobs(ctx context.Context, _ *struct{}) (*jobsOutput, error) {
	views, err := s.d.Heartbeats.Jobs(ctx)
	if err != nil {
		return nil, err
	}
	out := &jobsOutput{}
	out.Body.Jobs = mapped(views, jobOut)
	return out, nil
}

func jobOut(v health.JobView) api.Job {
	out := api.Job{Name: v.Name, Status: string(v.Word), LastRunAt: optional(v.LastRunAt), LastRunStatus: string(v.LastRunStatus),
		LastEndedAt: optional(v.LastEndedAt), LastSuccessAt: optional(v.LastSuccessAt), ExitCode: v.ExitCode,
		NextRun: optional(v.NextRun), OverdueFrom: optional(v.OverdueFrom), RunningSince: optional(v.RunningSince)}
	if !v.LastEndedAt.IsZero() {
		out.LastDurationMS = ptr(v.Duration.Milliseconds())
	}
	return out
}

type heartbeatInput struct {
	Job  string `path:"job" maxLength:"64" doc:"As configured under health.jobs"`
	Body api.Heartbeat
}
type heartbeatOutput struct{ Body api.Job }

func (s *Server) heartbeat(ctx context.Context, in *heartbeatInput) (*heartbeatOutput, error) {
	b := in.Body
	v, err := s.d.Heartbeats.Ping(ctx, health.Ping{Job: in.Job, Kind: health.PingKind(b.Kind), RunID: b.RunID, ExitCode: b.ExitCode,
		Duration: time.Duration(b.DurationMS) * time.Millisecond})
	if err != nil {
		return nil, err
	}
	return &heartbeatOutput{Body: jobOut(v)}, nil
}

type freshnessOutput struct {
	Body struct {
		Sources []api.FreshnessSource `json:"sources" doc:"As configured"`
	}
}

func (s *Server) listFreshness(ctx context.Context, _ *struct{}) (*freshnessOutput, error) {
	views, err := s.d.Sources.Freshness(ctx)
	if err != nil {
		return nil, err
	}
	out := &freshnessOutput{}
	out.Body.Sources = mapped(views, func(v health.SourceView) api.FreshnessSource {
		return api.FreshnessSource{Name: v.Name, Freshness: string(v.Freshness), UpdatedAt: optional(v.UpdatedAt), CheckedAt: optional(v.CheckedAt),
			MaxAgeSeconds: int64(v.MaxAge / time.Second), Message: v.Message}
	})
	return out, nil
}

type signalsInput struct{ Body api.SignalsRequest }

func (s *Server) signals(ctx context.Context, in *signalsInput) (*struct{}, error) {
	return nil, s.d.HostSignals.Report(ctx, mapped(in.Body.Signals, func(c api.Signal) hostsignal.Count {
		return hostsignal.Count{Kind: hostsignal.Kind(c.Type), Object: c.Object, N: c.Count}
	}))
}

type diagnosticsOutput struct{ Body api.Diagnostics }

func (s *Server) getDiagnostics(ctx context.Context, _ *struct{}) (*diagnosticsOutput, error) {
	rep, err := s.d.Diagnostics.Report(ctx)
	if err != nil {
		return nil, err
	}
	store := "up"
	if s.d.StoreErr() != nil {
		store = "down"
	}
	out := api.Diagnostics{Counts: rep.Counts, Failed: rep.Failed, At: rep.At.UTC(), Version: s.d.Version, GoVersion: runtime.Version(), Node: s.d.Node,
		StartedAt: s.d.Started.UTC(), Goroutines: runtime.NumGoroutine(), Store: store, BackgroundFailing: s.d.Failing()}
	out.ProbesStarted, out.ProbesGivenUp, out.ProbesStuck = s.d.Monitor.Probes()
	return &diagnosticsOutput{Body: out}, nil
}
