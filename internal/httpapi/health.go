package httpapi

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// livez answers as long as the process can.
func (s *Server) livez(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, "application/json", map[string]string{"status": "ok"})
}

// readyz is for load balancers: 200 while limit checks can be answered. They
// can be without the store, which is named in the body, for as long as the
// last known keys serve.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	code, status, keys := http.StatusOK, "ok", "ok"
	if !s.d.Access.Fresh() {
		code, status, keys = http.StatusServiceUnavailable, "not ready", "stale"
	}
	degraded, _, _ := s.d.Limits.Degraded()
	counters, store := "ok", "ok"
	if degraded {
		counters = "degraded"
	}
	if s.d.StoreErr() != nil {
		store = "down"
	}
	writeJSON(w, code, "application/json", map[string]string{"status": status, "counters": counters, "store": store, "keys": keys})
}

// word is the public health word of what this process measures itself.
func (s *Server) word() string {
	if s.d.StoreErr() != nil {
		return "DOWN"
	}
	if degraded, _, _ := s.d.Limits.Degraded(); degraded || s.d.Failing() > 0 {
		return "DEGRADED"
	}
	return "HEALTHY"
}

// healthz is the public word as application/health+json
// (draft-inadarei-api-health-check-06): no names, hosts or errors.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	code, status := http.StatusOK, "pass"
	word := s.word()
	switch word {
	case "DEGRADED":
		status = "warn"
	case "DOWN":
		code, status = http.StatusServiceUnavailable, "fail"
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, code, "application/health+json", map[string]string{"status": status, "health": word, "version": s.d.Version})
}

func (s *Server) prometheus(w http.ResponseWriter, r *http.Request) {
	promhttp.HandlerFor(s.d.Metrics, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}
