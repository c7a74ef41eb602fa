package ratelimit

import (
	"context"
	"time"

	"avalo.app/gantry/internal/audit"
)

// StoredPolicy is a policy that was set by the API and overrides the
// configured one of its action. Policy is nil after a reset; the version
// goes on, so that compare-and-set holds across it.
type StoredPolicy struct {
	Action    string
	Version   int64
	Policy    *Policy
	UpdatedAt time.Time
	UpdatedBy string
}

// PolicyStore keeps policies and overrides. Every change commits together
// with its audit entry and is visible to Policies and Overrides on every
// node once the call returns. Callers do not retry; an error may hide a
// commit, so a caller that must know reads back.
type PolicyStore interface {
	// Policies returns every stored policy, resets included.
	Policies(ctx context.Context) ([]StoredPolicy, error)

	// SavePolicy stores p as the next version of its action (nil Policy:
	// back to the configured one). ifVersion is the version the caller read,
	// -1 for any; CONFLICT when it is not the current one. e.Before is the
	// configured policy; a stored one that p replaces takes its place.
	SavePolicy(ctx context.Context, p StoredPolicy, ifVersion int64, e audit.Entry) (StoredPolicy, error)

	// Overrides returns every override that has not expired at now.
	Overrides(ctx context.Context, now time.Time) ([]Override, error)

	// SaveOverride stores o in place of any other for the same dimension,
	// subject and action, which becomes e.Before.
	SaveOverride(ctx context.Context, o Override, e audit.Entry) error

	// RemoveOverride deletes by id; NOT_FOUND when there is none. What it
	// deletes becomes e.Before.
	RemoveOverride(ctx context.Context, id string, e audit.Entry) error
}

// Violation counts the refusals of one rule for one subject in one aligned
// window. User ids are plain; addresses and devices are pseudonyms.
type Violation struct {
	Action      string
	Scope       Scope
	User        string
	IPHash      string
	DeviceHash  string
	WindowStart time.Time // aligned: a multiple of Window since the Unix epoch
	Window      time.Duration
	Shadow      bool // the policy was in shadow: counted, not refused
	Limit       int64
	Count       int64
	FirstAt     time.Time
	LastAt      time.Time
}

// ViolationFilter selects violations; zero fields select everything.
type ViolationFilter struct {
	User, IPHash, DeviceHash, Action string
	Since, Until                     time.Time // FirstAt to LastAt reaches into it; Until is exclusive
	Limit                            int
}

// Offender is a subject with its refusals over a period. A refusal under a
// scope that holds the address is the address's, not the user's: whoever
// hammers a victim's login is the offender, not the victim. The same goes
// for the device before the user. A row that reaches over an end of the
// period counts whole.
type Offender struct {
	Dimension Scope
	Subject   string
	Count     int64
	Actions   []string
	LastAt    time.Time
}

// OffenderFilter selects offenders.
type OffenderFilter struct {
	Dimension    Scope // 0: all
	Since, Until time.Time
	Limit        int
}

// Batch is what one node writes at once. Seq rises by one with every new
// batch of a node; a repeated (Node, Seq) is applied once.
type Batch struct {
	Node       string
	Seq        int64
	Violations []Violation
}

// ViolationStore keeps violations.
type ViolationStore interface {
	// RecordViolations adds the counts of the batch, all or none, once for
	// its (Node, Seq): after an error the caller repeats the same batch.
	RecordViolations(ctx context.Context, b Batch) error

	// Violations returns matching rows, newest first.
	Violations(ctx context.Context, f ViolationFilter) ([]Violation, error)

	// Offenders returns the subjects with the most refusals, highest first.
	Offenders(ctx context.Context, f OffenderFilter) ([]Offender, error)
}
