package httpapi

import (
	"context"
	"net/http"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/ratelimit"
)

// ReloadReport says what a reload did.
type ReloadReport struct {
	Applied     []string `json:"applied" doc:"Options that changed and are in force"`
	NeedRestart []string `json:"needRestart" doc:"Options that changed and wait for a restart"`
}

type reloadOutput struct{ Body ReloadReport }

func (s *Server) reload(ctx context.Context, _ *struct{}) (*reloadOutput, error) {
	rep, err := s.d.Reload(ctx, callerOf(ctx).principal.ID)
	if err != nil {
		return nil, err
	}
	return &reloadOutput{Body: rep}, nil
}

func (s *Server) showConfig(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(s.d.Config())) // the caller may be gone
}

type errorsInput struct {
	AcceptLanguage string `header:"Accept-Language" doc:"Language of the messages: en, pl, de, fr, es, it, nl"`
}

type errorsOutput struct {
	ContentLanguage string `header:"Content-Language"`
	Body            struct {
		Language string          `json:"language" doc:"Of the messages"`
		Errors   []api.ErrorInfo `json:"errors"`
	}
}

func (s *Server) listErrors(_ context.Context, in *errorsInput) (*errorsOutput, error) {
	out := &errorsOutput{ContentLanguage: api.MatchLanguage(in.AcceptLanguage)}
	out.Body.Language = out.ContentLanguage
	out.Body.Errors = api.Catalogue()
	for i := range out.Body.Errors {
		out.Body.Errors[i].Message = api.Message(out.Body.Errors[i].Code, out.ContentLanguage)
	}
	return out, nil
}

// rateLimitedDetails are the verdict as RATE_LIMITED carries it.
func rateLimitedDetails(v ratelimit.Verdict, cost int64) api.RateLimitedDetails {
	return api.RateLimitedDetails{Limit: v.Limit, Actual: v.Limit - v.Remaining + max(cost, 1), Remaining: v.Remaining, ResetAt: time.UnixMicro(v.ResetAt).UTC(),
		RetryAfter: v.RetryAfter(), Policy: v.Policy, Scope: v.Scope.String(), Mode: string(v.Mode),
		WindowSeconds: int64(v.Window / time.Second), PolicyName: v.Name()}
}
