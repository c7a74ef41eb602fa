package httpapi

import (
	"net/http"
	"slices"
)

// forBrowsers reports whether browsers of other origins may use a path:
// callables, and the flags.
func forBrowsers(r *http.Request) bool { return isCallable(r) || isOFREP(r) }

// allowOrigin lets a configured browser origin read the answer, refusals
// included. Credentials travel in Authorization, never in cookies, so none
// are allowed here.
func (s *Server) allowOrigin(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	allowed := s.d.CORSOrigins()
	switch {
	case origin == "":
		return
	case slices.Contains(allowed, "*"):
		origin = "*"
	case !slices.Contains(allowed, origin):
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", origin)
	w.Header().Set("Access-Control-Expose-Headers", "ETag, Retry-After, X-Request-Id")
}

// allowRequest answers a preflight: an origin that may read answers may send
// these headers, too.
func allowRequest(w http.ResponseWriter, headers string) {
	if h := w.Header(); h.Get("Access-Control-Allow-Origin") != "" {
		h.Set("Access-Control-Allow-Methods", "POST, GET")
		h.Set("Access-Control-Allow-Headers", headers)
		h.Set("Access-Control-Max-Age", "3600")
	}
	w.WriteHeader(http.StatusNoContent)
}
