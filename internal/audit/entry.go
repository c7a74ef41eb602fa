// Package audit is the tamper-evident record of administrative and
// financial-control events: what an entry is, how it becomes a leaf of a
// Merkle log, how checkpoints are signed, and how anyone verifies the log.
//
// A leaf holds no personal datum and no free text: it carries the kind, the
// time and a salted commitment to the private part, which the store keeps
// beside the leaf and may erase without breaking the log.
package audit

// Kind names an event that is a leaf. High-rate facts (violations,
// heartbeats, reservations) are not leaves and have no kind.
type Kind string

// The kinds that exist so far.
const (
	LogStarted      Kind = "audit.log_started"
	KeyCreated      Kind = "access.key_created"
	KeyRevoked      Kind = "access.key_revoked"
	PolicySet       Kind = "ratelimit.policy_set"
	PolicyReset     Kind = "ratelimit.policy_reset"
	OverrideSet     Kind = "ratelimit.override_set"
	OverrideRemoved Kind = "ratelimit.override_removed"
	ConfigReloaded  Kind = "config.reloaded"

	LaunchModeChanged       Kind = "launch.mode_changed"
	LaunchPhaseSet          Kind = "launch.phase_set"
	LaunchSettingsSet       Kind = "launch.settings_set"
	LaunchMaintenanceSet    Kind = "launch.maintenance_set"
	LaunchOverrideRequested Kind = "launch.override_requested"
	LaunchOverrideApproved  Kind = "launch.override_approved"
	InvitesCreated          Kind = "launch.invites_created"
	InvitesRevoked          Kind = "launch.invites_revoked"
	AllowlistAdded          Kind = "launch.allowlist_added"
	AllowlistRemoved        Kind = "launch.allowlist_removed"

	HealthMaintenanceBegan Kind = "health.maintenance_began"
	HealthMaintenanceEnded Kind = "health.maintenance_ended"
	IncidentAcknowledged   Kind = "incident.acknowledged"
	IncidentResolved       Kind = "incident.resolved" // by a person
	SilenceCreated         Kind = "incident.silence_created"
	SilenceEnded           Kind = "incident.silence_ended" // before its time
)

// Kinds lists every event that is a leaf: what changes policy, access,
// launch state, money controls or recovery, or keeps an alert from people. A
// store method that makes such a change takes an Entry; a test holds the two
// together.
func Kinds() []Kind {
	return []Kind{
		LogStarted, KeyCreated, KeyRevoked, PolicySet, PolicyReset,
		OverrideSet, OverrideRemoved, ConfigReloaded,
		LaunchModeChanged, LaunchPhaseSet, LaunchSettingsSet, LaunchMaintenanceSet,
		LaunchOverrideRequested, LaunchOverrideApproved,
		InvitesCreated, InvitesRevoked, AllowlistAdded, AllowlistRemoved,
		HealthMaintenanceBegan, HealthMaintenanceEnded,
		IncidentAcknowledged, IncidentResolved, SilenceCreated, SilenceEnded,
	}
}

// Entry is one event as a feature states it. Everything but Kind is private:
// it is kept beside the leaf, never in it.
type Entry struct {
	Kind   Kind
	Actor  string // the principal that did it: "key:ab12cd", "oidc:issuer|sub", "system"
	Object string // what it was done to: "policy:LOGIN", "key:ab12cd"
	Reason string // free text, may be empty
	Before any    // state before, marshalled to JSON; nil if there was none
	After  any    // state after; nil if there is none
}
