package httpapi

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"avalo.app/gantry/internal/ratelimit"
)

// metrics are the series of the HTTP surface. No label ever holds a
// subject, an address or a key.
type metrics struct {
	requests     *prometheus.CounterVec   // route, status
	duration     *prometheus.HistogramVec // route; seconds
	checks       *prometheus.CounterVec   // action, outcome
	authFailures *prometheus.CounterVec   // reason
}

func newMetrics(reg *prometheus.Registry) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gantry_http_requests_total",
			Help: "Requests answered, by route and HTTP status."}, []string{"route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gantry_http_request_duration_seconds",
			Help:    "Time from routing to the end of the answer, by route, in seconds.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 2.5}}, []string{"route"}),
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gantry_ratelimit_checks_total",
			Help: "Rate limit decisions, by action, mode and outcome (allowed or refused)."}, []string{"action", "mode", "outcome"}),
		authFailures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "gantry_auth_failures_total",
			Help: "Requests refused for their credential: none, invalid, denied, or limited (not looked at after too many failures)."}, []string{"reason"}),
	}
	reg.MustRegister(m.requests, m.duration, m.checks, m.authFailures)
	return m
}

// route returns the observer of one route. The usual statuses are resolved
// once, so that the hot path looks nothing up. How long a stream lasted is
// not observed: its client decided.
func (m *metrics) route(r Route) func(status int, took time.Duration) {
	name := r.Name
	ok := m.requests.WithLabelValues(name, "200")
	limited := m.requests.WithLabelValues(name, "429")
	duration := m.duration.WithLabelValues(name)
	return func(status int, took time.Duration) {
		switch status {
		case 200:
			ok.Inc()
		case 429:
			limited.Inc()
		default:
			m.requests.WithLabelValues(name, strconv.Itoa(status)).Inc()
		}
		if !r.Streams {
			duration.Observe(took.Seconds())
		}
	}
}

// streams registers the series that are read when scraped.
func (m *metrics) streams(reg *prometheus.Registry, flags, health func() float64) {
	reg.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "gantry_flag_streams", Help: "Open event streams of feature-flag clients."}, flags),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "gantry_health_streams", Help: "Open event streams of health, public ones included."}, health))
}

func (m *metrics) verdict(v ratelimit.Verdict) {
	outcome := "allowed"
	if !v.Allowed {
		outcome = "refused"
	}
	m.checks.WithLabelValues(v.Policy, string(v.Mode), outcome).Inc()
}
