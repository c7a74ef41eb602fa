package launch

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"avalo.app/gantry/internal/fault"
)

// Actor is who does something: a credential, and the person or system that
// answers for it.
type Actor struct {
	ID    string `json:"id"`
	Owner string `json:"owner,omitempty"`
}

// Report is what a Gate found.
type Report struct {
	// Passed says that every check that the target needs has passed.
	Passed bool
	// Digest identifies the report; "" if there is none.
	Digest string
	// ValidUntil is when its evidence is too old to move on.
	ValidUntil time.Time
	// Problem says why it does not pass.
	Problem string
}

// Gate says whether the installation is ready for a mode that opens signup
// to anyone.
type Gate interface {
	// Ready returns the newest report for the target. An error is a failure
	// to read it, and counts as not ready.
	Ready(ctx context.Context, target Mode) (Report, error)
}

// NoReport is the gate of an installation without readiness reports: it
// never passes.
type NoReport struct{}

// Ready implements Gate.
func (NoReport) Ready(context.Context, Mode) (Report, error) {
	return Report{Problem: "there is no readiness report"}, nil
}

// Move is a wanted transition.
type Move struct {
	To         Mode
	IfVersion  int64 // the mode's version that the mover saw
	Reason     string
	RevokeOpen bool   // end the open reservations instead of honouring them
	Override   string // id of an approved Override; "" for none
	By         Actor
	At         time.Time
	// Report is what the gate said; it is judged again inside the
	// compare-and-set.
	Report Report
}

// Transition is a move that happened: one line of the history, which is only
// ever added to.
type Transition struct {
	ID         string
	Version    int64 // of the mode, from it on
	From, To   Mode
	At         time.Time
	By         string // principal
	Reason     string
	RevokeOpen bool
	Revoked    int64  // open reservations that it ended
	Override   string // id of the override that allowed it
	ApprovedBy string // principal that approved the override
	Report     string // digest of the readiness report
}

// The bounds of a reason, in runes.
const (
	MinReason = 10
	MaxReason = 500
)

func checkReason(op, s string) error {
	n := utf8.RuneCountInString(strings.TrimSpace(s))
	if n < MinReason || n > MaxReason {
		return fault.Invalid(op, fault.Field{Field: "reason", Problem: "length", Limit: "10..500", Actual: n}, "reason must say why in 10 to 500 characters; it has %d", n)
	}
	return plain(op, "reason", s, 4*MaxReason)
}

// Precondition is the Detail of a CONFLICT because something must be done
// first.
type Precondition struct {
	Problem string `json:"problem"`
	Mode    Mode   `json:"mode"`
	Target  Mode   `json:"target"`
	Version int64  `json:"version"`
	Report  string `json:"report,omitempty"` // digest
}

const opMove = "launch.SetMode"

func (m Move) precondition(s *State, problem, msg string) error {
	return &fault.Error{Code: fault.Conflict, Op: opMove, Msg: msg,
		Detail: Precondition{Problem: problem, Mode: s.Mode, Target: m.To, Version: s.Version, Report: m.Report.Digest}}
}

// Check judges the move against the state in force, which the store has
// locked, and the override that the move names, nil if it names none.
func (m Move) Check(s *State, o *Override) error {
	switch {
	case m.IfVersion != s.Version:
		return &fault.Error{Code: fault.Conflict, Op: opMove, Msg: "the mode was changed meanwhile: read it again, and repeat if the move is still right",
			Detail: fault.Field{Field: "ifVersion", Limit: s.Version, Actual: m.IfVersion}}
	case m.To == s.Mode:
		return m.precondition(s, "same mode", "the mode is "+string(s.Mode)+" already")
	case m.Override != "":
		return o.check(m, s)
	case !NeedsGate(s.Mode, m.To):
		return nil
	case !m.Report.Passed:
		return m.precondition(s, "readiness", "a move to "+string(m.To)+" needs a readiness report that passes: "+m.Report.Problem+
			". Make it pass, or ask a second admin for an override (POST /v1/launch/overrides, gantry mode override)")
	case !m.At.Before(m.Report.ValidUntil):
		return m.precondition(s, "readiness", "the readiness report is too old: make a new one")
	}
	return nil
}

// OverrideTTL is how long a request waits for approval, and an approval for
// its use.
const OverrideTTL = 30 * time.Minute

// Override lets a move pass the gate with two people's consent. It binds
// exactly what was asked for, lasts 30 minutes from its approval, and is
// used once.
type Override struct {
	ID          string    `json:"id"`
	FromVersion int64     `json:"fromVersion"`
	From        Mode      `json:"fromMode"`
	To          Mode      `json:"toMode"`
	Reason      string    `json:"-"` // the audit entry has it as its own
	RevokeOpen  bool      `json:"revokeOpen"`
	Report      string    `json:"report,omitempty"` // digest that the gate had; "" for no report
	RequestedBy Actor     `json:"requestedBy"`
	RequestedAt time.Time `json:"requestedAt"`
	ApprovedBy  Actor     `json:"approvedBy,omitzero"` // zero: not yet
	ApprovedAt  time.Time `json:"approvedAt,omitzero"` // zero: not yet
	UsedAt      time.Time `json:"usedAt,omitzero"`     // zero: not yet
}

// Status is pending, approved, expired or used.
func (o Override) Status(now time.Time) string {
	switch {
	case !o.UsedAt.IsZero():
		return "used"
	case !now.Before(o.ExpiresAt()):
		return "expired"
	case o.ApprovedAt.IsZero():
		return "pending"
	}
	return "approved"
}

// ExpiresAt is when the request, or its approval, lapses.
func (o Override) ExpiresAt() time.Time {
	if !o.ApprovedAt.IsZero() {
		return o.ApprovedAt.Add(OverrideTTL)
	}
	return o.RequestedAt.Add(OverrideTTL)
}

// Approve checks that the override waits for an approval; distinct says
// whether approver and requester are two people, see access.MayApprove.
func (o Override) Approve(s *State, now time.Time, distinct bool) error {
	const op = "launch.ApproveOverride"
	switch status := o.Status(now); {
	case status != "pending":
		return fault.New(fault.Conflict, op, "the override is %s: ask for a new one", status)
	case !distinct:
		return fault.New(fault.PermissionDenied, op, "the approval must come from another person than the request, and from a key that neither made nor was made by the other's")
	case o.FromVersion != s.Version:
		return fault.New(fault.Conflict, op, "the mode has changed since the override was asked for: ask for a new one")
	}
	return nil
}

// check reports whether the override allows exactly this move.
func (o *Override) check(m Move, s *State) error {
	if o == nil {
		return fault.New(fault.NotFound, opMove, "there is no such override")
	}
	switch status := o.Status(m.At); status {
	case "approved":
	case "pending":
		return m.precondition(s, "override", "the override waits for a second admin's approval")
	default:
		return m.precondition(s, "override", "the override is "+status+": ask for a new one")
	}
	var differs []string
	for _, d := range [...]struct {
		what string
		same bool
	}{
		{"requester", o.RequestedBy == m.By}, {"mode", o.To == m.To}, {"ifVersion", o.FromVersion == m.IfVersion && o.From == s.Mode},
		{"reason", o.Reason == m.Reason}, {"revokeOpen", o.RevokeOpen == m.RevokeOpen}, {"readiness report", o.Report == m.Report.Digest},
	} {
		if !d.same {
			differs = append(differs, d.what)
		}
	}
	if len(differs) > 0 {
		return m.precondition(s, "override", "the override was approved for something else: these differ: "+strings.Join(differs, ", "))
	}
	return nil
}
