package httpapi

import (
	"net/http"
	"strconv"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/ratelimit"
)

// guard answers a reverse proxy's question about a request that it holds:
// nginx auth_request, Caddy forward_auth, Traefik forwardAuth.
//
// Query: action (required), cost, refused (403, the default, since
// auth_request understands only 2xx, 401 and 403; or 429). Headers:
// X-Gantry-User and X-Gantry-Device, which the proxy must set itself; the
// address comes from the trusted proxy chain. The answer has no body; the
// limit's headers are set either way.
func (s *Server) guard(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	refused := http.StatusForbidden
	switch q.Get("refused") {
	case "", "403":
	case "429":
		refused = http.StatusTooManyRequests
	default:
		s.fail(w, r, fault.Invalid("httpapi.guard", fault.Field{Field: "refused", Actual: bounded(q.Get("refused")), Allowed: []string{"403", "429"}},
			"refused must be 403 or 429"))
		return
	}
	req := ratelimit.Request{Action: q.Get("action"), Subject: ratelimit.Subject{
		User: r.Header.Get("X-Gantry-User"), Device: r.Header.Get("X-Gantry-Device"), IP: s.d.Proxies().ClientIP(r)}}
	if c := q.Get("cost"); c != "" {
		n, err := strconv.ParseInt(c, 10, 64)
		if err != nil || n < 1 {
			s.fail(w, r, fault.Invalid("httpapi.guard", fault.Field{Field: "cost", Actual: bounded(c)}, "cost must be a whole number of at least 1"))
			return
		}
		req.Cost = n
	}
	v, err := s.d.Limits.Check(r.Context(), req)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.metrics.verdict(v)
	setLimitHeaders(w.Header(), v)
	w.Header()["Cache-Control"] = []string{"no-store"}
	w.Header()["X-Gantry-Policy"] = []string{v.Policy}
	if !v.Allowed {
		w.WriteHeader(refused)
		return
	}
	w.WriteHeader(http.StatusOK)
}
