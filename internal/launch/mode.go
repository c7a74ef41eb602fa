// Package launch decides who may sign up: the modes of a controlled launch,
// the phase that belongs to each, transitions between them, and reservations
// that hold a day's cap to the unit. The rules are pure functions over what
// a store loaded (see Books); a store applies them under one lock.
package launch

import "slices"

// Mode is a phase of the launch, from closed to open.
type Mode string

// The modes, see system.md section 5.
const (
	InternalTest Mode = "INTERNAL_TEST"
	ClosedBeta   Mode = "CLOSED_BETA"
	SoftLaunch   Mode = "SOFT_LAUNCH"
	GlobalLaunch Mode = "GLOBAL_LAUNCH"
)

// Modes returns every mode, from closed to open.
func Modes() []Mode { return []Mode{InternalTest, ClosedBeta, SoftLaunch, GlobalLaunch} }

// ParseMode returns the mode of that name.
func ParseMode(s string) (Mode, bool) {
	return Mode(s), slices.Contains(Modes(), Mode(s))
}

// NeedsGate reports whether the move needs a readiness report that passes:
// a forward move that opens signup to anyone. Backward is always free.
func NeedsGate(from, to Mode) bool {
	at := func(m Mode) int { return slices.Index(Modes(), m) }
	return at(to) > at(from) && (to == SoftLaunch || to == GlobalLaunch)
}

// Admission is what a mode asks of a newcomer.
type Admission string

// The admissions.
const (
	AdmitListed  Admission = "allowlist"
	AdmitInvited Admission = "invite"
	AdmitAnyone  Admission = "open"
)

// Admission returns what the mode asks of a newcomer. It belongs to the mode
// and cannot be configured.
func (m Mode) Admission() Admission {
	switch m {
	case SoftLaunch, GlobalLaunch:
		return AdmitAnyone
	case ClosedBeta:
		return AdmitInvited
	}
	return AdmitListed // also of what is no mode: closed
}

// Description says in one sentence who may register.
func (m Mode) Description() string {
	switch m.Admission() {
	case AdmitInvited:
		return "Closed beta: registration with an invite code in selected countries."
	case AdmitListed:
		return "Internal test: registration for the allowlist only."
	}
	if m == SoftLaunch {
		return "Soft launch: open registration in selected countries."
	}
	return "Global launch: open registration in every eligible country."
}
