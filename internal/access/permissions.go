package access

import "slices"

// Permission names one thing a caller may do. Every route carries one, and
// the table below says which roles hold it.
type Permission string

// The permissions.
const (
	ReadPublic      Permission = "public.read"
	CheckLimits     Permission = "ratelimit.check"
	ReadViolations  Permission = "ratelimit.violations.read"
	ReadPolicies    Permission = "ratelimit.policies.read"
	WritePolicies   Permission = "ratelimit.policies.write"
	ReadOverrides   Permission = "ratelimit.overrides.read"
	WriteOverrides  Permission = "ratelimit.overrides.write"
	ManageKeys      Permission = "access.keys.manage"
	ReadAudit       Permission = "audit.read"
	UseIdempotency  Permission = "idempotency.use"
	ReadConfig      Permission = "config.read"
	ReloadConfig    Permission = "config.reload"
	ReadMetrics     Permission = "metrics.read"
	ReadDiagnostics Permission = "diagnostics.read"

	UseMedia          Permission = "media.use"
	ReadRefusals      Permission = "media.refusals.read"
	UseSignups        Permission = "signups.use"
	ReadLaunch        Permission = "launch.read"
	ReadLaunchHistory Permission = "launch.history.read"
	WriteLaunch       Permission = "launch.write"
	ManageGuests      Permission = "guests.manage" // invites, allowlist, waitlist

	ReadIncidents        Permission = "incidents.read"
	AcknowledgeIncidents Permission = "incidents.acknowledge"
	ManageIncidents      Permission = "incidents.manage" // resolve by hand, silence, test receivers

	ReadHealth     Permission = "health.read"
	WriteHealth    Permission = "health.write" // maintenance windows
	SendHeartbeats Permission = "heartbeats.send"
	SendSignals    Permission = "signals.send"
)

// Roles returns the roles that hold p, in rising order; nil for a
// permission that does not stand in the table.
func Roles(p Permission) []Role {
	switch p {
	case ReadPublic:
		return []Role{Public, App, Moderator, Admin}
	case CheckLimits, UseIdempotency, UseSignups, UseMedia, SendHeartbeats, SendSignals:
		return []Role{App, Admin}
	case ReadViolations, ReadPolicies, ReadOverrides, ReadMetrics, ReadLaunch, ReadRefusals, ReadHealth,
		ReadIncidents, AcknowledgeIncidents:
		return []Role{Moderator, Admin}
	case WritePolicies, WriteOverrides, ManageKeys, ReadAudit, ReadConfig,
		ReloadConfig, ReadDiagnostics, ReadLaunchHistory, WriteLaunch, ManageGuests, WriteHealth, ManageIncidents:
		return []Role{Admin}
	}
	return nil
}

// May reports whether role holds p.
func May(role Role, p Permission) bool { return slices.Contains(Roles(p), role) }
