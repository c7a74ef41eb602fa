package httpapi

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/health"
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

// own is the word for what this process measures of itself, at this moment.
func (s *Server) own() health.Status {
	if s.d.StoreErr() != nil {
		return health.Down
	}
	if degraded, _, _ := s.d.Limits.Degraded(); degraded || s.d.Failing() > 0 {
		return health.Degraded
	}
	return health.Healthy
}

// report is how everything is, Gantry itself included. Without fresh it is
// from memory and measures nothing.
func (s *Server) report(ctx context.Context, fresh bool) (health.Report, error) {
	rep, err := s.d.Monitor.Report(ctx, fresh)
	rep.Status = health.Worst(rep.Status, s.own())
	return rep, err
}

// known is the report from memory.
func (s *Server) known() health.Report {
	rep, _ := s.report(context.Background(), false) // nothing is waited for
	return rep
}

// drafted is a status as draft-inadarei-api-health-check-06 writes it. What is
// not known is no pass.
func drafted(st health.Status) string {
	switch st {
	case health.Healthy:
		return "pass"
	case health.Down:
		return "fail"
	}
	return "warn"
}

// healthz is the public word as application/health+json
// (draft-inadarei-api-health-check-06): no hosts, no errors, and no names but
// the published ones.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	p := s.known().Public(s.d.Version)
	out := api.PublicHealth{Status: drafted(p.Status), Health: string(p.Status), Version: p.Version}
	for _, c := range p.Components {
		if out.Checks == nil {
			out.Checks = make(map[string][]api.PublicCheck, len(p.Components))
		}
		out.Checks[c.Name] = []api.PublicCheck{{ComponentType: "component", Status: drafted(c.Status), Health: string(c.Status), Time: optional(c.MeasuredAt)}}
	}
	code := http.StatusOK
	if p.Status == health.Down {
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, code, "application/health+json", out)
}

func (s *Server) prometheus(w http.ResponseWriter, r *http.Request) {
	promhttp.HandlerFor(s.d.Metrics, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}
