package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/audit"
)

// Route is one row of the table: what a method and path do, who may, and
// how. Permission is typed, so that a route without one does not compile
// into anything reachable (see guarded).
type Route struct {
	Method, Path string
	Name         string // operation id, and the label of metrics
	Tag          string
	Summary      string
	Permission   access.Permission

	// Mutates marks what honours Idempotency-Key.
	Mutates bool
	// InSQL says that the effect commits in the store's own transaction, so
	// that an idempotency claim can be fenced with it.
	InSQL bool
	// Hot marks the path that must not allocate: no context, no access log.
	Hot bool
	// Audits is the leaf that a success of this route writes, if any.
	Audits audit.Kind

	bind    func(*Server, Route)
	redact  func(body []byte) ([]byte, error) // of an answer that holds a secret, before it is kept
	in, out any                               // wire types of raw routes, for the OpenAPI document
	status  int                               // of success; 0: 200
}

func (r Route) pattern() string { return r.Method + " " + r.Path }

// openAPIPath is Path without ServeMux's own notation.
func (r Route) openAPIPath() string { return strings.ReplaceAll(r.Path, "...}", "}") }

// routes is the whole surface.
func routes() []Route {
	return []Route{
		{Method: "POST", Path: "/v1/ratelimit/check", Name: "checkRateLimit", Tag: "Rate limits", Permission: access.CheckLimits, Mutates: true, Hot: true,
			Summary: "Decide one request and charge it if it passes", bind: raw((*Server).check), in: api.CheckRequest{}, out: api.CheckResult{}},
		{Method: "POST", Path: "/v1/ratelimit/peek", Name: "peekRateLimit", Tag: "Rate limits", Permission: access.CheckLimits, Hot: true,
			Summary: "Answer as a check would, and change nothing", bind: raw((*Server).peek), in: api.CheckRequest{}, out: api.CheckResult{}},
		{Method: "POST", Path: "/v1/ratelimit/batch", Name: "checkRateLimits", Tag: "Rate limits", Permission: access.CheckLimits, Mutates: true,
			Summary: "Decide up to 100 requests, each on its own", bind: op((*Server).checkBatch)},
		{Method: "POST", Path: "/v1/ratelimit/refund", Name: "refundRateLimit", Tag: "Rate limits", Permission: access.CheckLimits, Mutates: true, status: http.StatusNoContent,
			Summary: "Give back what a check charged", bind: op((*Server).refund)},
		{Method: "GET", Path: "/v1/ratelimit/policies", Name: "listPolicies", Tag: "Rate limits", Permission: access.ReadPolicies,
			Summary: "List the policies in force", bind: op((*Server).listPolicies)},
		{Method: "GET", Path: "/v1/ratelimit/policies/{action}", Name: "getPolicy", Tag: "Rate limits", Permission: access.ReadPolicies,
			Summary: "Read one policy in force", bind: op((*Server).getPolicy)},
		{Method: "PUT", Path: "/v1/ratelimit/policies/{action}", Name: "putPolicy", Tag: "Rate limits", Permission: access.WritePolicies, Mutates: true, InSQL: true,
			Summary: "Put a policy in force, live, keeping all counts", bind: op((*Server).putPolicy), Audits: audit.PolicySet},
		{Method: "DELETE", Path: "/v1/ratelimit/policies/{action}", Name: "resetPolicy", Tag: "Rate limits", Permission: access.WritePolicies, Mutates: true, InSQL: true, status: http.StatusNoContent,
			Summary: "Return to the configured policy", bind: op((*Server).resetPolicy), Audits: audit.PolicyReset},
		{Method: "GET", Path: "/v1/ratelimit/overrides", Name: "listOverrides", Tag: "Rate limits", Permission: access.ReadOverrides,
			Summary: "List the overrides in force", bind: op((*Server).listOverrides)},
		{Method: "POST", Path: "/v1/ratelimit/overrides", Name: "createOverride", Tag: "Rate limits", Permission: access.WriteOverrides, Mutates: true, InSQL: true, status: http.StatusCreated,
			Summary: "Scale, exempt or block one subject until a date", bind: op((*Server).createOverride), Audits: audit.OverrideSet},
		{Method: "DELETE", Path: "/v1/ratelimit/overrides/{id}", Name: "deleteOverride", Tag: "Rate limits", Permission: access.WriteOverrides, Mutates: true, InSQL: true, status: http.StatusNoContent,
			Summary: "End an override", bind: op((*Server).deleteOverride), Audits: audit.OverrideRemoved},
		{Method: "GET", Path: "/v1/ratelimit/violations", Name: "listViolations", Tag: "Rate limits", Permission: access.ReadViolations,
			Summary: "Find refusals by user, action and time", bind: op((*Server).listViolations)},
		{Method: "GET", Path: "/v1/ratelimit/offenders", Name: "listOffenders", Tag: "Rate limits", Permission: access.ReadViolations,
			Summary: "List who was refused most often in a period", bind: op((*Server).listOffenders)},
		{Method: "GET", Path: "/v1/guard", Name: "guardGet", Tag: "Guard", Permission: access.CheckLimits, Mutates: false, Hot: true,
			Summary: "Forward-auth for nginx auth_request, Caddy and Traefik", bind: raw((*Server).guard)},
		{Method: "POST", Path: "/v1/guard", Name: "guardPost", Tag: "Guard", Permission: access.CheckLimits, Mutates: false, Hot: true,
			Summary: "Forward-auth for proxies that keep the method", bind: raw((*Server).guard)},

		{Method: "POST", Path: "/v1/idempotency/begin", Name: "beginIdempotent", Tag: "Idempotency", Permission: access.UseIdempotency,
			Summary: "Claim a key for one of the host's own operations", bind: op((*Server).idempotencyBegin)},
		{Method: "POST", Path: "/v1/idempotency/complete", Name: "completeIdempotent", Tag: "Idempotency", Permission: access.UseIdempotency, status: http.StatusNoContent,
			Summary: "Store the operation's answer, or release the key", bind: op((*Server).idempotencyComplete)},

		{Method: "GET", Path: "/v1/keys", Name: "listKeys", Tag: "Access", Permission: access.ManageKeys,
			Summary: "List API keys", bind: op((*Server).listKeys)},
		{Method: "POST", Path: "/v1/keys", Name: "createKey", Tag: "Access", Permission: access.ManageKeys, Mutates: true, InSQL: true, status: http.StatusCreated,
			Summary: "Create an API key; its secret is shown once", bind: op((*Server).createKey), redact: withoutSecret, Audits: audit.KeyCreated},
		{Method: "DELETE", Path: "/v1/keys/{id}", Name: "revokeKey", Tag: "Access", Permission: access.ManageKeys, Mutates: true, InSQL: true, status: http.StatusNoContent,
			Summary: "Revoke an API key", bind: op((*Server).revokeKey), Audits: audit.KeyRevoked},

		{Method: "GET", Path: "/v1/audit/entries", Name: "listAuditEntries", Tag: "Audit", Permission: access.ReadAudit,
			Summary: "List audit entries, newest first", bind: op((*Server).listAudit)},
		{Method: "GET", Path: "/v1/audit/entries/{index}/proof", Name: "proveAuditEntry", Tag: "Audit", Permission: access.ReadAudit,
			Summary: "Prove that an entry is in the log", bind: op((*Server).proveAudit)},
		{Method: "GET", Path: "/audit/log/{path...}", Name: "auditLog", Tag: "Audit", Permission: access.ReadPublic,
			Summary: "The log itself as C2SP tlog-tiles: checkpoint, tile/…", bind: raw(func(s *Server, w http.ResponseWriter, r *http.Request) { s.d.AuditLog.ServeHTTP(w, r) })},

		{Method: "GET", Path: "/v1/config", Name: "getConfig", Tag: "Operation", Permission: access.ReadConfig,
			Summary: "Show the configuration in force, secrets redacted", bind: raw((*Server).showConfig)},
		{Method: "POST", Path: "/v1/config/reload", Name: "reloadConfig", Tag: "Operation", Permission: access.ReloadConfig,
			Summary: "Read the configuration again and apply what can change live", bind: op((*Server).reload), Audits: audit.ConfigReloaded},
		{Method: "GET", Path: "/v1/errors", Name: "listErrors", Tag: "Operation", Permission: access.ReadPublic,
			Summary: "The error catalogue in the caller's language", bind: op((*Server).listErrors)},
		{Method: "GET", Path: "/livez", Name: "livez", Tag: "Operation", Permission: access.ReadPublic,
			Summary: "The process runs", bind: raw((*Server).livez)},
		{Method: "GET", Path: "/readyz", Name: "readyz", Tag: "Operation", Permission: access.ReadPublic,
			Summary: "Limit checks can be answered; the store's state is in the body", bind: raw((*Server).readyz)},
		{Method: "GET", Path: "/healthz", Name: "healthz", Tag: "Operation", Permission: access.ReadPublic,
			Summary: "The public health word", bind: raw((*Server).healthz)},
		{Method: "GET", Path: "/metrics", Name: "metrics", Tag: "Operation", Permission: access.ReadMetrics,
			Summary: "Prometheus metrics", bind: raw((*Server).prometheus)},
		{Method: "GET", Path: "/openapi.json", Name: "openapi", Tag: "Operation", Permission: access.ReadPublic,
			Summary: "This API as OpenAPI 3.1", bind: raw((*Server).openapi)},
		{Method: "GET", Path: "/docs", Name: "docs", Tag: "Operation", Permission: access.ReadPublic,
			Summary: "This API as a page to read", bind: raw((*Server).docsPage)},

		{Method: "POST", Path: "/callable/checkRateLimit", Name: "callableCheckRateLimit", Tag: "Callable", Permission: access.CheckLimits,
			Summary: "checkRateLimit(userId, action) by the Firebase callable protocol", bind: callable((*Server).callCheckRateLimit)},
		{Method: "POST", Path: "/callable/checkGlobalRateLimit", Name: "callableCheckGlobalRateLimit", Tag: "Callable", Permission: access.CheckLimits,
			Summary: "checkGlobalRateLimit(identifier, action) by the Firebase callable protocol", bind: callable((*Server).callCheckGlobalRateLimit)},
		{Method: "POST", Path: "/callable/pack100_healthCheck", Name: "callableHealthCheck", Tag: "Callable", Permission: access.ReadPublic,
			Summary: "pack100_healthCheck by the Firebase callable protocol", bind: raw((*Server).callHealthCheck)},
		{Method: "GET", Path: "/callable/pack100_healthCheck", Name: "healthCheckGet", Tag: "Callable", Permission: access.ReadPublic,
			Summary: "pack100_healthCheck as a plain GET for load balancers", bind: raw((*Server).healthCheckGet)},
		{Method: "OPTIONS", Path: "/callable/{name}", Name: "callablePreflight", Tag: "Callable", Permission: access.ReadPublic,
			Summary: "CORS preflight of every callable", bind: raw((*Server).preflight)},
	}
}

// op binds a typed REST operation.
func op[I, O any](h func(*Server, context.Context, *I) (*O, error)) func(*Server, Route) {
	return func(s *Server, r Route) {
		huma.Register(s.api, r.operation(), func(ctx context.Context, in *I) (*O, error) {
			out, err := h(s, ctx, in)
			if err != nil {
				return nil, s.problemError(ctx, err)
			}
			return out, nil
		})
	}
}

// raw binds a plain handler; describeRaw puts it into the OpenAPI document.
func raw(h func(*Server, http.ResponseWriter, *http.Request)) func(*Server, Route) {
	return func(s *Server, r Route) {
		s.guarded.HandleFunc(r.pattern(), func(w http.ResponseWriter, req *http.Request) { h(s, w, req) })
	}
}
