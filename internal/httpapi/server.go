// Package httpapi is the HTTP surface: REST under /v1 with its OpenAPI
// document, the Firebase callable protocol, feature flags by OFREP, the
// forward-auth guard, health and the audit log's tiles. It holds one route table and no rules.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/tus/tusd/v2/pkg/handler"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/hostsignal"
	"avalo.app/gantry/internal/idempotency"
	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/launch"
	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/ratelimit"
)

// Deps are the services behind the routes. Functions are the app's.
type Deps struct {
	Limits      *ratelimit.Service
	Access      *access.Service
	Idempotency *idempotency.Service
	Launch      *launch.Control
	Signups     *launch.Signups
	Guests      *launch.Guests
	Media       *media.Service
	Incidents   *incident.Service
	Tus         TusFiles
	Audit       AuditReader
	AuditLog    http.Handler // serves /audit/log/

	Monitor     *health.Monitor
	Heartbeats  *health.Heartbeats
	Sources     *health.Sources
	Discovery   string // the source that is the discovery index, "" if none is
	Diagnostics *health.Diagnostics
	HostSignals *hostsignal.Service
	// RateLimitStatus says what the limiter did in 24 hours; it reads the store.
	RateLimitStatus func(context.Context) (RateLimitStatus, error)
	Node            string
	Started         time.Time

	Metrics *prometheus.Registry
	Log     *slog.Logger
	Now     func() time.Time
	Version string

	// StoreErr returns nil while the durable store answers; it is measured in
	// the background, never by the request.
	StoreErr func() error
	// Failing counts the background loops whose last turn failed.
	Failing func() int32
	// Reload reads the configuration again and says what changed.
	Reload func(ctx context.Context, actor string) (ReloadReport, error)
	// Config returns the configuration in force as YAML, secrets redacted.
	Config func() string

	// Receivers are the configured receivers, by name.
	Receivers func() []api.AlertReceiver
	// TestAlerts sends a test message through one receiver, or with "" through
	// all, and returns what each said.
	TestAlerts func(ctx context.Context, r api.AlertTestRequest, by string) ([]api.AlertTest, error)

	// IPCountry returns the country of an address, "" if unknown. nil: no
	// database is configured.
	IPCountry func(ip string) string
	Hooks     Hooks

	Proxies     func() *Proxies
	CORSOrigins func() []string
	MaxBody     int64 // bytes
}

// Server answers HTTP.
type Server struct {
	d       Deps
	mux     *http.ServeMux
	guarded *guarded
	api     huma.API
	routes  []Route
	metrics *metrics
	flags   *streams
	health  *streams // of full reports
	public  *streams // of what anyone may know
	page    statusPage
	tus     *handler.UnroutedHandler
	spec    []byte // the OpenAPI document, rendered once
	docs    []byte // the readable page, rendered once
}

// New builds the server: every route of the table, each behind its
// permission.
func New(d Deps) *Server {
	s := &Server{d: d, mux: http.NewServeMux(), routes: routes(), metrics: newMetrics(d.Metrics)}
	s.flags = newFlagStreams(func() string { v, _ := d.Launch.View(); return v.Fingerprint(d.Now()) })
	s.tus = s.newTus()
	s.health, s.public = newStreams(s.healthState, 0), newStreams(s.publicState, 0)
	s.metrics.streams(d.Metrics, s.flags.count, func() float64 { return s.health.count() + s.public.count() })
	d.Metrics.MustRegister(verdicts{s})
	installErrors()
	s.guarded = &guarded{s: s, byPattern: byPattern(s.routes)}
	s.api = humago.New(s.guarded, s.openAPIConfig())
	for _, r := range s.routes {
		r.bind(s, r)
	}
	s.mux.HandleFunc("/", s.noRoute)
	s.describeRaw()
	s.renderDocs()
	return s
}

// Routes returns the route table.
func (s *Server) Routes() []Route { return s.routes }

// Handler returns the whole surface.
func (s *Server) Handler() http.Handler { return s.outer(s.mux) }

// guarded is the only way into the mux: it finds the pattern's row in the
// route table and puts the row's checks before the handler. A pattern
// without a row stops the program at start.
type guarded struct {
	s         *Server
	byPattern map[string]Route
}

// HandleFunc implements humago.Mux.
func (g *guarded) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	r, ok := g.byPattern[pattern]
	if !ok {
		panic("httpapi: route " + pattern + " does not stand in the route table")
	}
	if access.Roles(r.Permission) == nil {
		panic("httpapi: route " + pattern + " has no entry in the permission table")
	}
	g.s.mux.HandleFunc(pattern, g.s.inner(r, h))
}

// ServeHTTP implements humago.Mux.
func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.s.mux.ServeHTTP(w, r) }

func byPattern(rs []Route) map[string]Route {
	m := make(map[string]Route, len(rs))
	for _, r := range rs {
		m[r.pattern()] = r
	}
	return m
}
