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
	// Large marks a body that is read as it streams: bounded by what reads it,
	// and an Idempotency-Key is the handler's own business.
	Large bool
	// Hot marks the path that must not allocate: no context, no access log.
	Hot bool
	// Slow marks an answer that a file is read for: it may take minutes.
	Slow bool
	// Streams marks an answer that lasts until the client leaves.
	Streams bool
	// twin marks a second path of a row that is documented already.
	twin bool
	// Audits is the leaf that a success of this route writes, if any.
	Audits audit.Kind

	bind    func(*Server, Route)
	redact  func(body []byte) ([]byte, error) // of an answer that holds a secret, before it is kept
	in, out any                               // wire types of raw routes, for the OpenAPI document
	failure any                               // wire type of a raw route's 400 and 404; nil: a problem
	status  int                               // of success; 0: 200
}

func (r Route) pattern() string { return r.Method + " " + r.Path }

// openAPIPath is Path without ServeMux's own notation.
func (r Route) openAPIPath() string {
	return strings.ReplaceAll(strings.TrimSuffix(r.Path, "/{$}"), "...}", "}")
}

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
		{Method: "GET", Path: "/v1/ratelimit/status", Name: "getRateLimitStatus", Tag: "Rate limits", Permission: access.ReadViolations,
			Summary: "Count what was refused in 24 hours", bind: op((*Server).getRateLimitStatus)},
		{Method: "GET", Path: "/v1/guard", Name: "guardGet", Tag: "Guard", Permission: access.CheckLimits, Mutates: false, Hot: true,
			Summary: "Forward-auth for nginx auth_request, Caddy and Traefik", bind: raw((*Server).guard)},
		{Method: "POST", Path: "/v1/guard", Name: "guardPost", Tag: "Guard", Permission: access.CheckLimits, Mutates: false, Hot: true,
			Summary: "Forward-auth for proxies that keep the method", bind: raw((*Server).guard)},

		{Method: "POST", Path: "/v1/idempotency/begin", Name: "beginIdempotent", Tag: "Idempotency", Permission: access.UseIdempotency,
			Summary: "Claim a key for one of the host's own operations", bind: op((*Server).idempotencyBegin)},
		{Method: "POST", Path: "/v1/idempotency/complete", Name: "completeIdempotent", Tag: "Idempotency", Permission: access.UseIdempotency, status: http.StatusNoContent,
			Summary: "Store the operation's answer, or release the key", bind: op((*Server).idempotencyComplete)},

		{Method: "GET", Path: "/v1/launch/mode", Name: "getLaunchMode", Tag: "Launch", Permission: access.ReadPublic,
			Summary: "Read the launch mode, from memory and with its age", bind: op((*Server).launchMode)},
		{Method: "PUT", Path: "/v1/launch/mode", Name: "setLaunchMode", Tag: "Launch", Permission: access.WriteLaunch, Mutates: true, InSQL: true,
			Summary: "Move to another mode", bind: op((*Server).setLaunchMode), Audits: audit.LaunchModeChanged},
		{Method: "GET", Path: "/v1/launch/history", Name: "listLaunchHistory", Tag: "Launch", Permission: access.ReadLaunchHistory,
			Summary: "List the transitions: who, when, why", bind: op((*Server).launchHistory)},
		{Method: "GET", Path: "/v1/launch/overrides", Name: "listLaunchOverrides", Tag: "Launch", Permission: access.WriteLaunch,
			Summary: "List the two-person overrides", bind: op((*Server).listLaunchOverrides)},
		{Method: "POST", Path: "/v1/launch/overrides", Name: "requestLaunchOverride", Tag: "Launch", Permission: access.WriteLaunch, Mutates: true, InSQL: true, status: http.StatusCreated,
			Summary: "Ask a second admin to let a move pass the readiness gate", bind: op((*Server).requestOverride), Audits: audit.LaunchOverrideRequested},
		{Method: "POST", Path: "/v1/launch/overrides/{id}/approve", Name: "approveLaunchOverride", Tag: "Launch", Permission: access.WriteLaunch, Mutates: true, InSQL: true,
			Summary: "Approve what another admin asked for", bind: op((*Server).approveOverride), Audits: audit.LaunchOverrideApproved},
		{Method: "GET", Path: "/v1/launch/phases", Name: "listLaunchPhases", Tag: "Launch", Permission: access.ReadLaunch,
			Summary: "List the phase of every mode", bind: op((*Server).launchPhases)},
		{Method: "PUT", Path: "/v1/launch/phases/{mode}", Name: "putLaunchPhase", Tag: "Launch", Permission: access.WriteLaunch, Mutates: true, InSQL: true,
			Summary: "Tune a mode's countries and caps, live", bind: op((*Server).putPhase), Audits: audit.LaunchPhaseSet},
		{Method: "GET", Path: "/v1/launch/settings", Name: "getLaunchSettings", Tag: "Launch", Permission: access.ReadLaunch,
			Summary: "Read what holds for every mode", bind: op((*Server).launchSettings)},
		{Method: "PUT", Path: "/v1/launch/settings", Name: "putLaunchSettings", Tag: "Launch", Permission: access.WriteLaunch, Mutates: true, InSQL: true,
			Summary: "Set time zone, blocked countries and times-to-live, live", bind: op((*Server).putSettings), Audits: audit.LaunchSettingsSet},
		{Method: "GET", Path: "/v1/maintenance", Name: "getMaintenance", Tag: "Launch", Permission: access.ReadPublic,
			Summary: "Read the maintenance in force", bind: op((*Server).getMaintenance)},
		{Method: "PUT", Path: "/v1/maintenance", Name: "startMaintenance", Tag: "Launch", Permission: access.WriteLaunch, Mutates: true, InSQL: true,
			Summary: "Close signups, gates and flags until a moment", bind: op((*Server).putMaintenance), Audits: audit.LaunchMaintenanceSet},
		{Method: "DELETE", Path: "/v1/maintenance", Name: "endMaintenance", Tag: "Launch", Permission: access.WriteLaunch, Mutates: true, InSQL: true, status: http.StatusNoContent,
			Summary: "End the maintenance now", bind: op((*Server).endMaintenance), Audits: audit.LaunchMaintenanceSet},

		{Method: "POST", Path: "/v1/signups/eligibility", Name: "signupEligibility", Tag: "Signups", Permission: access.UseSignups,
			Summary: "Answer whether somebody could sign up now, and change nothing", bind: op((*Server).signupEligibility)},
		{Method: "POST", Path: "/v1/signups", Name: "reserveSignup", Tag: "Signups", Permission: access.UseSignups, Mutates: true, InSQL: true, status: http.StatusCreated,
			Summary: "Take a slot of the day, and a use of the invite", bind: op((*Server).reserveSignup)},
		{Method: "POST", Path: "/v1/signups/{id}/confirm", Name: "confirmSignup", Tag: "Signups", Permission: access.UseSignups, Mutates: true, InSQL: true,
			Summary: "Confirm that the account exists", bind: op((*Server).confirmSignup)},
		{Method: "DELETE", Path: "/v1/signups/{id}", Name: "releaseSignup", Tag: "Signups", Permission: access.UseSignups, Mutates: true, InSQL: true,
			Summary: "Give a slot and an invite use back", bind: op((*Server).releaseSignup)},
		{Method: "GET", Path: "/v1/signups", Name: "listSignups", Tag: "Signups", Permission: access.ReadLaunch,
			Summary: "List reservations, also accounts without a slot", bind: op((*Server).listSignups)},
		{Method: "GET", Path: "/v1/signups/counts", Name: "signupCounts", Tag: "Signups", Permission: access.ReadLaunch,
			Summary: "Count the signups of a day", bind: op((*Server).signupCounts)},
		{Method: "GET", Path: "/v1/signups/drift", Name: "signupDrift", Tag: "Signups", Permission: access.ReadLaunch,
			Summary: "Compare every counter with the rows that it counts", bind: op((*Server).signupDrift)},

		{Method: "GET", Path: "/v1/invites", Name: "listInvites", Tag: "Guests", Permission: access.ManageGuests,
			Summary: "List invites, without their codes", bind: op((*Server).listInvites)},
		{Method: "POST", Path: "/v1/invites", Name: "createInvites", Tag: "Guests", Permission: access.ManageGuests, Mutates: true, InSQL: true, status: http.StatusCreated,
			Summary: "Make invite codes; they are shown once", bind: op((*Server).createInvites), redact: withoutCodes, Audits: audit.InvitesCreated},
		{Method: "DELETE", Path: "/v1/invites/{id}", Name: "revokeInvites", Tag: "Guests", Permission: access.ManageGuests, Mutates: true, InSQL: true,
			Summary: "Revoke an invite, or a batch of them", bind: op((*Server).revokeInvites), Audits: audit.InvitesRevoked},
		{Method: "POST", Path: "/v1/invites/claim", Name: "claimInvite", Tag: "Guests", Permission: access.UseSignups, Mutates: true, InSQL: true, status: http.StatusNoContent,
			Summary: "Join a code and an e-mail address for a signup that cannot carry the code", bind: op((*Server).claimInvite)},
		{Method: "GET", Path: "/v1/allowlist", Name: "listAllowlist", Tag: "Guests", Permission: access.ManageGuests,
			Summary: "List who may sign up in INTERNAL_TEST", bind: op((*Server).listAllowlist)},
		{Method: "POST", Path: "/v1/allowlist", Name: "addAllowlist", Tag: "Guests", Permission: access.ManageGuests, Mutates: true, InSQL: true,
			Summary: "Add user ids, e-mail addresses or domains", bind: op((*Server).addAllowlist), Audits: audit.AllowlistAdded},
		{Method: "DELETE", Path: "/v1/allowlist/{id}", Name: "removeAllowlist", Tag: "Guests", Permission: access.ManageGuests, Mutates: true, InSQL: true, status: http.StatusNoContent,
			Summary: "Remove an entry", bind: op((*Server).removeAllowlist), Audits: audit.AllowlistRemoved},
		{Method: "GET", Path: "/v1/waitlist", Name: "listWaitlist", Tag: "Guests", Permission: access.ManageGuests,
			Summary: "List who waits, in order", bind: op((*Server).listWaitlist)},
		{Method: "POST", Path: "/v1/waitlist", Name: "joinWaitlist", Tag: "Guests", Permission: access.UseSignups, Mutates: true, InSQL: true,
			Summary: "Put somebody on the waitlist whose signup is refused", bind: op((*Server).joinWaitlist)},
		{Method: "POST", Path: "/v1/waitlist/invite", Name: "inviteWaiting", Tag: "Guests", Permission: access.ManageGuests, Mutates: true, InSQL: true, status: http.StatusCreated,
			Summary: "Make codes for the next who wait; they are shown once", bind: op((*Server).inviteWaiting), redact: withoutCodes, Audits: audit.InvitesCreated},
		{Method: "DELETE", Path: "/v1/waitlist/{id}", Name: "leaveWaitlist", Tag: "Guests", Permission: access.ManageGuests, Mutates: true, InSQL: true, status: http.StatusNoContent,
			Summary: "Remove an entry", bind: op((*Server).leaveWaitlist)},

		// A hook's credential is its signature, which the handler verifies.
		{Method: "POST", Path: "/hooks/supabase/before-user-created", Name: "supabaseBefore", Tag: "Hooks", Permission: access.ReadPublic,
			Summary: "Supabase Auth: reserve before a user is created", bind: raw((*Server).supabaseBefore)},
		{Method: "POST", Path: "/hooks/supabase/after-user-created", Name: "supabaseAfter", Tag: "Hooks", Permission: access.ReadPublic,
			Summary: "Supabase Auth: confirm after a user was created", bind: raw((*Server).supabaseAfter)},
		{Method: "POST", Path: "/hooks/firebase/before-create", Name: "firebaseBeforeCreate", Tag: "Hooks", Permission: access.ReadPublic,
			Summary: "Firebase blocking function: reserve before a user is created", bind: raw((*Server).firebaseBeforeCreate)},
		{Method: "POST", Path: "/hooks/firebase/before-sign-in", Name: "firebaseBeforeSignIn", Tag: "Hooks", Permission: access.ReadPublic,
			Summary: "Firebase blocking function: confirm at the first sign-in", bind: raw((*Server).firebaseBeforeSignIn)},
		{Method: "POST", Path: "/hooks/signup", Name: "webhook", Tag: "Hooks", Permission: access.ReadPublic,
			Summary: "Any provider, signed by Standard Webhooks: signup.before, signup.after, signup.failed", bind: raw((*Server).webhook)},
		{Method: "POST", Path: "/hooks/kratos/registration", Name: "kratosBefore", Tag: "Hooks", Permission: access.UseSignups,
			Summary: "Ory Kratos web_hook: reserve before an identity is stored", bind: raw((*Server).kratosBefore)},
		{Method: "POST", Path: "/hooks/kratos/registered", Name: "kratosAfter", Tag: "Hooks", Permission: access.UseSignups,
			Summary: "Ory Kratos web_hook: confirm after an identity was stored", bind: raw((*Server).kratosAfter)},

		{Method: "POST", Path: "/v1/media/validate", Name: "validateMedia", Tag: "Media", Permission: access.UseMedia,
			Summary: "Judge a file by its name, type and size, before its bytes", bind: op((*Server).validateMedia)},
		{Method: "POST", Path: "/v1/media/inspect", Name: "inspectMedia", Tag: "Media", Permission: access.UseMedia, Large: true, out: api.MediaVerdict{},
			Summary: "Judge a file by its bytes, and keep nothing", bind: raw((*Server).inspectMedia)},
		{Method: "POST", Path: "/v1/media/uploads", Name: "uploadMedia", Tag: "Media", Permission: access.UseMedia, Large: true, out: api.MediaUpload{}, status: http.StatusCreated,
			Summary: "Judge a file by its bytes and store it: the body itself, or one file of a form", bind: raw((*Server).uploadMedia)},
		{Method: "GET", Path: "/v1/media/uploads/{id}", Name: "getUpload", Tag: "Media", Permission: access.UseMedia,
			Summary: "Read one upload", bind: op((*Server).getUpload)},
		{Method: "GET", Path: "/v1/media/uploads/{id}/content", Name: "mediaContent", Tag: "Media", Permission: access.UseMedia,
			Summary: "Read the content of a verified upload", bind: raw((*Server).mediaContent)},
		{Method: "DELETE", Path: "/v1/media/uploads/{id}", Name: "deleteUpload", Tag: "Media", Permission: access.UseMedia, Mutates: true, status: http.StatusNoContent,
			Summary: "Delete an upload; its content goes with the last upload of it", bind: op((*Server).deleteUpload)},
		{Method: "POST", Path: "/v1/media/uploads/presign", Name: "presignUpload", Tag: "Media", Permission: access.UseMedia, status: http.StatusCreated,
			Summary: "Prepare an upload that goes to the bucket's quarantine directly", bind: op((*Server).presignUpload)},
		{Method: "POST", Path: "/v1/media/uploads/{id}/verify", Name: "verifyUpload", Tag: "Media", Permission: access.UseMedia, Slow: true,
			Summary: "Judge an upload in quarantine; what passes becomes public", bind: op((*Server).verifyUpload)},
		{Method: "POST", Path: "/v1/media/tus", Name: "tusCreate", Tag: "Media", Permission: access.UseMedia, Large: true, out: api.MediaUpload{}, status: http.StatusCreated,
			Summary: "Begin a resumable upload by tus 1.0; the body may be its first bytes", bind: raw((*Server).tusCreate)},
		{Method: "POST", Path: tusPath + "{$}", Name: "tusCreate", Tag: "Media", Permission: access.UseMedia, Large: true, twin: true,
			Summary: "The same, as clients write it", bind: raw((*Server).tusCreate)},
		{Method: "HEAD", Path: tusPath + "{id}", Name: "tusOffset", Tag: "Media", Permission: access.UseMedia, Large: true,
			Summary: "Ask how far a resumable upload has come", bind: raw((*Server).tusOffset)},
		{Method: "PATCH", Path: tusPath + "{id}", Name: "tusAppend", Tag: "Media", Permission: access.UseMedia, Large: true, out: api.MediaUpload{},
			Summary: "Go on with a resumable upload; its last byte is answered with what it became", bind: raw((*Server).tusAppend)},
		{Method: "DELETE", Path: tusPath + "{id}", Name: "tusDelete", Tag: "Media", Permission: access.UseMedia, Large: true, status: http.StatusNoContent,
			Summary: "Give a resumable upload up", bind: raw((*Server).tusDelete)},
		{Method: "OPTIONS", Path: tusPath + "{path...}", Name: "tusOptions", Tag: "Media", Permission: access.UseMedia, Large: true,
			Summary: "Ask which parts of tus are served", bind: raw((*Server).tusOptions)},
		{Method: "GET", Path: "/v1/media/types", Name: "mediaTypes", Tag: "Media", Permission: access.ReadPublic,
			Summary: "List what may be uploaded", bind: op((*Server).mediaTypes)},
		{Method: "GET", Path: "/v1/media/refusals", Name: "listRefusals", Tag: "Media", Permission: access.ReadRefusals,
			Summary: "List the verdict log: uploads that were refused", bind: op((*Server).listRefusals)},

		{Method: "GET", Path: "/v1/health", Name: "getHealth", Tag: "Health", Permission: access.ReadHealth,
			Summary: "Report how every component is, from the last measurements or from fresh ones", bind: op((*Server).getHealth)},
		{Method: "GET", Path: "/v1/health/uptime", Name: "getUptime", Tag: "Health", Permission: access.ReadHealth,
			Summary: "List the uptime of every component by day", bind: op((*Server).getUptime)},
		{Method: "GET", Path: "/v1/health/events", Name: "healthEvents", Tag: "Health", Permission: access.ReadHealth, Streams: true,
			Summary: "Hear by server-sent events how health changes: each event is a report", bind: raw((*Server).healthEvents)},
		{Method: "GET", Path: "/v1/health/maintenance", Name: "listHealthMaintenance", Tag: "Health", Permission: access.ReadHealth,
			Summary: "List the maintenance windows that are on or to come", bind: op((*Server).listWindows)},
		{Method: "POST", Path: "/v1/health/maintenance", Name: "beginHealthMaintenance", Tag: "Health", Permission: access.WriteHealth, Mutates: true, InSQL: true, status: http.StatusCreated,
			Summary: "Begin a window in which components alert nobody; it ends by itself", bind: op((*Server).beginWindow), Audits: audit.HealthMaintenanceBegan},
		{Method: "DELETE", Path: "/v1/health/maintenance/{id}", Name: "endHealthMaintenance", Tag: "Health", Permission: access.WriteHealth, Mutates: true, InSQL: true,
			Summary: "End a window now; what is still DOWN then alerts", bind: op((*Server).endWindow), Audits: audit.HealthMaintenanceEnded},
		{Method: "GET", Path: "/v1/diagnostics", Name: "getDiagnostics", Tag: "Health", Permission: access.ReadDiagnostics,
			Summary: "Count things of the host by declared queries, and show the state of this node", bind: op((*Server).getDiagnostics)},
		{Method: "GET", Path: "/v1/freshness", Name: "listFreshness", Tag: "Health", Permission: access.ReadHealth,
			Summary: "List what must not be old, and how old it is", bind: op((*Server).listFreshness)},
		{Method: "GET", Path: "/v1/heartbeats", Name: "listHeartbeats", Tag: "Health", Permission: access.ReadHealth,
			Summary: "List the background jobs, and which failed, hang or did not run", bind: op((*Server).listJobs)},
		{Method: "POST", Path: "/v1/heartbeats/{job}", Name: "sendHeartbeat", Tag: "Health", Permission: access.SendHeartbeats, Mutates: true, InSQL: true,
			Summary: "Report the start or end of a background job's run", bind: op((*Server).heartbeat)},
		{Method: "POST", Path: "/v1/signals", Name: "sendSignals", Tag: "Health", Permission: access.SendSignals, Mutates: true, InSQL: true, status: http.StatusNoContent,
			Summary: "Tell what Gantry cannot see: requests, errors, failed payments and queries, security events", bind: op((*Server).signals)},
		{Method: "GET", Path: "/status", Name: "statusPage", Tag: "Health", Permission: access.ReadPublic,
			Summary: "The public status page", bind: raw((*Server).statusPage)},
		{Method: "GET", Path: "/status/events", Name: "statusEvents", Tag: "Health", Permission: access.ReadPublic, Streams: true,
			Summary: "Hear by server-sent events how the public status changes", bind: raw((*Server).statusEvents)},

		{Method: "GET", Path: "/v1/incidents", Name: "listIncidents", Tag: "Incidents", Permission: access.ReadIncidents,
			Summary: "List incidents, the last opened first", bind: op((*Server).listIncidents)},
		{Method: "GET", Path: "/v1/incidents/conditions", Name: "listConditions", Tag: "Incidents", Permission: access.ReadIncidents,
			Summary: "List what fails right now, incident or not", bind: op((*Server).listConditions)},
		{Method: "GET", Path: "/v1/incidents/rules", Name: "listIncidentRules", Tag: "Incidents", Permission: access.ReadIncidents,
			Summary: "Read the rule table in force, and whom each rule tells", bind: op((*Server).listIncidentRules)},
		{Method: "GET", Path: "/v1/incidents/{id}", Name: "getIncident", Tag: "Incidents", Permission: access.ReadIncidents,
			Summary: "Read an incident with its timeline, messages and the receivers' answers", bind: op((*Server).getIncident)},
		{Method: "POST", Path: "/v1/incidents/{id}/acknowledge", Name: "acknowledgeIncident", Tag: "Incidents", Permission: access.AcknowledgeIncidents, Mutates: true, InSQL: true,
			Summary: "Promise to look after an open incident: its escalation ends", bind: op((*Server).acknowledgeIncident), Audits: audit.IncidentAcknowledged},
		{Method: "POST", Path: "/v1/incidents/{id}/resolve", Name: "resolveIncident", Tag: "Incidents", Permission: access.ManageIncidents, Mutates: true, InSQL: true,
			Summary: "End an incident by hand; while its cause fails it reopens", bind: op((*Server).resolveIncident), Audits: audit.IncidentResolved},
		{Method: "GET", Path: "/v1/silences", Name: "listSilences", Tag: "Incidents", Permission: access.ReadIncidents,
			Summary: "List the silences in force", bind: op((*Server).listSilences)},
		{Method: "POST", Path: "/v1/silences", Name: "createSilence", Tag: "Incidents", Permission: access.ManageIncidents, Mutates: true, InSQL: true, status: http.StatusCreated,
			Summary: "Keep matching incidents from being sent for a while", bind: op((*Server).createSilence), Audits: audit.SilenceCreated},
		{Method: "DELETE", Path: "/v1/silences/{id}", Name: "endSilence", Tag: "Incidents", Permission: access.ManageIncidents, Mutates: true, InSQL: true, status: http.StatusNoContent,
			Summary: "End a silence now", bind: op((*Server).endSilence), Audits: audit.SilenceEnded},
		{Method: "GET", Path: "/v1/alerts/receivers", Name: "listReceivers", Tag: "Incidents", Permission: access.ReadIncidents,
			Summary: "List the receivers, and what waits for each", bind: op((*Server).listReceivers)},
		{Method: "POST", Path: "/v1/alerts/test", Name: "testAlerts", Tag: "Incidents", Permission: access.ManageIncidents, Mutates: true,
			Summary: "Send a test message through one or all receivers, and answer what each said", bind: op((*Server).testAlerts)},

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
			Summary: "The public health word as application/health+json", bind: raw((*Server).healthz)},
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
		{Method: "POST", Path: "/callable/pack100_getSystemHealth", Name: "callableSystemHealth", Tag: "Callable", Permission: access.ReadHealth,
			Summary: "pack100_getSystemHealth by the Firebase callable protocol", bind: callable((*Server).callSystemHealth)},
		{Method: "POST", Path: "/callable/pack100_admin_getSystemDiagnostics", Name: "callableDiagnostics", Tag: "Callable", Permission: access.ReadDiagnostics,
			Summary: "pack100_admin_getSystemDiagnostics by the Firebase callable protocol", bind: callable((*Server).callDiagnostics)},
		{Method: "POST", Path: "/callable/pack100_getLaunchMode", Name: "callableGetLaunchMode", Tag: "Callable", Permission: access.ReadPublic,
			Summary: "pack100_getLaunchMode by the Firebase callable protocol", bind: callable((*Server).callGetLaunchMode)},
		{Method: "POST", Path: "/callable/pack100_admin_setLaunchMode", Name: "callableSetLaunchMode", Tag: "Callable", Permission: access.WriteLaunch,
			Summary: "pack100_admin_setLaunchMode(mode, reason) by the Firebase callable protocol", bind: callable((*Server).callSetLaunchMode), Audits: audit.LaunchModeChanged},
		{Method: "POST", Path: "/callable/pack100_admin_getLaunchModeHistory", Name: "callableLaunchHistory", Tag: "Callable", Permission: access.ReadLaunchHistory,
			Summary: "pack100_admin_getLaunchModeHistory(limit) by the Firebase callable protocol", bind: callable((*Server).callLaunchHistory)},
		{Method: "POST", Path: "/callable/checkSignupEligibility", Name: "callableEligibility", Tag: "Callable", Permission: access.UseSignups,
			Summary: "checkSignupEligibility(countryCode, inviteCode, userId) by the Firebase callable protocol", bind: callable((*Server).callEligibility)},
		{Method: "POST", Path: "/callable/validateMediaUpload", Name: "callableValidateMedia", Tag: "Callable", Permission: access.UseMedia,
			Summary: "validateMediaUpload(filename, mimeType, size, userId) by the Firebase callable protocol", bind: callable((*Server).callValidateMedia)},
		{Method: "POST", Path: "/callable/verifyUploadedFile", Name: "callableVerifyUpload", Tag: "Callable", Permission: access.UseMedia, Slow: true,
			Summary: "verifyUploadedFile(path, userId, mimeType) by the Firebase callable protocol", bind: callable((*Server).callVerifyUpload)},
		{Method: "OPTIONS", Path: "/callable/{name}", Name: "callablePreflight", Tag: "Callable", Permission: access.ReadPublic,
			Summary: "CORS preflight of every callable", bind: raw((*Server).preflight)},

		{Method: "POST", Path: "/ofrep/v1/evaluate/flags/{key}", Name: "ofrepFlag", Tag: "Flags", Permission: access.ReadPublic,
			Summary: "Evaluate one flag by OFREP", bind: raw((*Server).ofrepFlag), in: ofrepRequest{}, out: ofrepFlag{}, failure: ofrepFailure{}},
		{Method: "POST", Path: "/ofrep/v1/evaluate/flags", Name: "ofrepFlags", Tag: "Flags", Permission: access.ReadPublic,
			Summary: "Evaluate all flags by OFREP, or answer 304 to If-None-Match", bind: raw((*Server).ofrepFlags), in: ofrepRequest{}, out: ofrepBulk{}, failure: ofrepFailure{}},
		{Method: "GET", Path: ofrepEventsPath, Name: "ofrepEvents", Tag: "Flags", Permission: access.ReadPublic, Streams: true,
			Summary: "Hear by server-sent events that flags changed", bind: raw((*Server).ofrepEvents)},
		{Method: "OPTIONS", Path: "/ofrep/{path...}", Name: "ofrepPreflight", Tag: "Flags", Permission: access.ReadPublic,
			Summary: "CORS preflight of every OFREP path", bind: raw((*Server).ofrepPreflight)},
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
