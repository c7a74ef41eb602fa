package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
)

// problem renders an error for one caller. What has no code is INTERNAL, is
// logged with the request id, and shows nothing of its cause.
func (s *Server) problem(c caller, err error) *api.Problem {
	var f *fault.Error
	if !errors.As(err, &f) {
		f = &fault.Error{Code: fault.Internal, Err: err}
		if errors.Is(err, context.Canceled) {
			f = fault.New(fault.ServiceDegraded, "httpapi", "the caller went away")
		}
	}
	if f.Code == fault.Internal || f.Code == fault.ServiceDegraded {
		level := slog.LevelError
		if errors.Is(err, context.Canceled) { // nothing failed: nobody waits for the answer
			level = slog.LevelDebug
		}
		s.d.Log.Log(context.Background(), level, "request failed", "requestId", c.requestID, "error", err.Error())
	}
	p := c.problem(f)
	if f.Code == fault.Internal {
		p.Detail = "something failed on our side; quote the requestId to the operators"
		p.Details = nil
		return p
	}
	switch d := f.Detail.(type) {
	case launch.Held:
		p.Details = heldDetails(d, s.d.Now())
	case launch.Precondition:
		p.CallableStatus = "FAILED_PRECONDITION"
	}
	if d, ok := p.Details.(api.RateLimitedDetails); ok {
		p.Type = api.TypeQuotaExceeded
		p.ViolatedPolicies = []string{d.PolicyName}
		p.RetryAfterSeconds = d.RetryAfter
	}
	return p
}

// problem is the document of a fault by its row in the catalogue.
func (c caller) problem(f *fault.Error) *api.Problem {
	info, ok := api.Lookup(api.Code(f.Code))
	if !ok {
		info, _ = api.Lookup(api.CodeInternal)
	}
	return &api.Problem{
		Type: "about:blank", Title: info.Title, Status: info.HTTPStatus, Detail: f.Msg, Instance: c.instance,
		Code: info.Code, Message: api.Message(info.Code, c.language), Language: c.language, Retryable: info.Retryable,
		RetryAfterSeconds: info.RetryAfterSeconds, Retry: info.Retry, RequestID: c.requestID, Docs: "/v1/errors#" + string(info.Code),
		Details: f.Detail,
	}
}

// setRetryAfter sets Retry-After when p may be repeated.
func setRetryAfter(h http.Header, p *api.Problem) {
	if p.Retry != api.RetryNone && p.RetryAfterSeconds > 0 {
		h.Set("Retry-After", strconv.FormatInt(p.RetryAfterSeconds, 10))
	}
}

// bodyError is about a body that could not be read to its end: one over the
// bound, or one that the client broke off or framed wrongly.
func bodyError(err error) *fault.Error {
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return fault.Invalid("httpapi", fault.Field{Field: "body", Problem: "too large", Limit: tooBig.Limit},
			"the request body is larger than the limit of %d bytes", tooBig.Limit)
	}
	f := fault.Invalid("httpapi", fault.Field{Field: "body", Problem: "broken off"}, "the request body ended early or came too slowly; send all of it")
	f.Err = err
	return f
}

// fail writes an error as the route's protocol wants it.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.writeProblem(w, isCallable(r), s.problem(s.caller(w, r, access.Principal{}), err))
}

func (s *Server) writeProblem(w http.ResponseWriter, callable bool, p *api.Problem) {
	setRetryAfter(w.Header(), p)
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="gantry"`)
	}
	w.Header().Set("Cache-Control", "no-store")
	if callable {
		e, status := p.Callable()
		writeJSON(w, status, "application/json", e)
		return
	}
	w.Header().Set("Content-Language", p.Language)
	writeJSON(w, p.Status, "application/problem+json", p)
}

// language is the supported language that the caller likes best.
func language(r *http.Request) string { return api.MatchLanguage(r.Header.Get("Accept-Language")) }

func isCallable(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/callable/") }

func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	b, err := json.Marshal(v)
	if err != nil { // only a bug of ours: every type here marshals
		http.Error(w, `{"code":"INTERNAL"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(b) // the caller may be gone; there is nobody to tell
}

// humaProblem makes a problem an error that huma writes as it is.
type humaProblem struct{ *api.Problem }

func (p humaProblem) Error() string             { return string(p.Code) + ": " + p.Problem.Detail }
func (p humaProblem) GetStatus() int            { return p.Status }
func (p humaProblem) ContentType(string) string { return "application/problem+json" }

// problemError renders a handler's error for huma.
func (s *Server) problemError(ctx context.Context, err error) error {
	p := s.problem(callerOf(ctx), err)
	h := http.Header{"Cache-Control": {"no-store"}, "Content-Language": {p.Language}}
	setRetryAfter(h, p)
	return huma.ErrorWithHeaders(humaProblem{p}, h)
}

// installErrors makes huma's own refusals (validation, parsing) problems of
// the catalogue. huma keeps the hook in a package variable; it is set once,
// before anything is served.
var installErrors = sync.OnceFunc(func() {
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		var c caller
		if ctx != nil {
			r, w := humago.Unwrap(ctx)
			c = callerOf(ctx.Context())
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Content-Language", language(r))
		}
		return humaProblem{invalidProblem(c, status, msg, errs)}
	}
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return humaProblem{invalidProblem(caller{}, status, msg, errs)}
	}
})

// invalidProblem maps a refusal of huma's: all of them are about the request.
func invalidProblem(c caller, status int, msg string, errs []error) *api.Problem {
	f := fault.Invalid("httpapi", fault.Field{Problem: msg}, "%s", msg)
	if status >= http.StatusInternalServerError || status == http.StatusRequestTimeout { // huma could not read the body
		f, errs = bodyError(errors.Join(errs...)), nil
	}
	var text []string
	var fields []api.InvalidDetails
	for _, err := range errs {
		var d *huma.ErrorDetail
		if errors.As(err, &d) {
			fields = append(fields, api.InvalidDetails{Field: strings.TrimPrefix(d.Location, "body."), Problem: d.Message, Actual: bounded(d.Value)})
			text = append(text, strings.TrimPrefix(d.Location, "body.")+": "+d.Message)
			continue
		}
		text = append(text, err.Error())
	}
	if len(text) > 0 {
		f.Msg = strings.Join(text, "; ")
	}
	switch {
	case len(fields) == 1:
		f.Detail = fields[0]
	case len(fields) > 1:
		f.Detail = map[string]any{"problem": "several fields are wrong", "fields": fields}
	}
	return c.problem(f)
}

// detail returns the typed facts of an error.
func detail[T any](err error) (T, bool) {
	var f *fault.Error
	if !errors.As(err, &f) {
		return *new(T), false
	}
	d, ok := f.Detail.(T)
	return d, ok
}

// bounded keeps an echoed value small: what was sent may be huge.
func bounded(v any) any {
	if s, ok := v.(string); ok && len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	switch v.(type) {
	case string, bool, float64, int, int64, nil:
		return v
	}
	return nil
}
