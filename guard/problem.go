package guard

import (
	"encoding/json"
	"net/http"
	"strconv"

	"avalo.app/gantry/api"
)

// degradedRetry is the Retry-After of a 503, in seconds: the catalogue's.
const degradedRetry = 30

// problemOf is a problem of the catalogue in the caller's language. It has
// no docs member: /v1/errors is Gantry's, not the host's.
func problemOf(r *http.Request, code api.Code, detail string) *api.Problem {
	info, _ := api.Lookup(code)
	lang := api.MatchLanguage(r.Header.Get("Accept-Language"))
	return &api.Problem{Type: "about:blank", Title: info.Title, Status: info.HTTPStatus, Detail: detail, Instance: r.URL.Path,
		Code: code, Message: api.Message(code, lang), Language: lang, Retryable: info.Retryable, Retry: info.Retry,
		RetryAfterSeconds: info.RetryAfterSeconds}
}

func writeProblem(w http.ResponseWriter, p *api.Problem) {
	b, err := json.Marshal(p)
	if err != nil { // only a bug of ours: every type here marshals
		http.Error(w, `{"code":"INTERNAL"}`, http.StatusInternalServerError)
		return
	}
	h := w.Header()
	if p.Retry != api.RetryNone && p.RetryAfterSeconds > 0 {
		h.Set("Retry-After", strconv.FormatInt(p.RetryAfterSeconds, 10))
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Language", p.Language)
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(b) // the caller may be gone; there is nobody to tell
}

// degraded answers 503: what the request needs from Gantry is not there.
func degraded(w http.ResponseWriter, r *http.Request, detail string) {
	p := problemOf(r, api.CodeServiceDegraded, detail)
	p.RetryAfterSeconds = degradedRetry
	writeProblem(w, p)
}

// invalid answers 400 about one input.
func invalid(w http.ResponseWriter, r *http.Request, detail string, d api.InvalidDetails) {
	p := problemOf(r, api.CodeInvalidArgument, detail)
	p.Details = d
	writeProblem(w, p)
}
