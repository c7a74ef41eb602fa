package incident

import (
	"context"
	"time"

	"avalo.app/gantry/internal/audit"
)

// Fence is the lease under which a node evaluates or sends: a lease.Held of
// another package, which converts to it. Every write that carries one fails
// with CONFLICT, and changes nothing, once the lease is lost.
type Fence struct {
	Name  string
	Token int64
}

// Store keeps conditions, incidents and their outbox. Every method may be
// called at once from many nodes. After an error nothing or everything has
// happened, and a repeat is safe.
type Store interface {
	// SaveConditions writes and deletes conditions, all or nothing. One that is
	// there keeps its Since unless it broke.
	SaveConditions(ctx context.Context, raised []Raised, cleared []ConditionKey) error

	// EvaluateIncidents loads Books, lets decide change them, and commits what
	// changed, in one transaction under the fence and the lock of incidents.
	// decide may run more than once, each time on books of its own; nothing is
	// written if it changed nothing.
	EvaluateIncidents(ctx context.Context, f Fence, decide func(b *Books, now time.Time)) error

	// ChangeIncident does the same for one incident that a person changes,
	// without a fence, and commits the entry with it, whose Before and After are
	// filled in. NOT_FOUND if there is none; an error of decide changes nothing.
	ChangeIncident(ctx context.Context, id string, decide func(b *Books, i *Incident, now time.Time) error, e audit.Entry) (Incident, error)

	// ClaimDelivery returns the receiver's next delivery that is due and not
	// behind another of its incident, or ok false, and keeps it from being
	// claimed again for hold; one more attempt is counted. It is written under
	// the fence before it returns.
	ClaimDelivery(ctx context.Context, f Fence, receiver string, hold time.Duration) (d Delivery, ok bool, err error)

	// FinishDelivery records under the fence how the claimed attempt went, if it
	// is still the last one. A Refused one that has another of its incident and
	// receiver behind it is Failed: the next of them is the receiver's.
	FinishDelivery(ctx context.Context, f Fence, d Delivery, r Result) error

	// PruneIncidents deletes, under the fence, at most limit incidents that were
	// resolved before, with all that belongs to them, and returns how many; also
	// heartbeats that went out and silences that ended before. An incident with
	// a message that is pending stays.
	PruneIncidents(ctx context.Context, f Fence, before time.Time, limit int) (int64, error)
}

// Result is how an attempt at a delivery went.
type Result struct {
	State  DeliveryState
	NextAt time.Time // of a Pending one
	Answer string
	// Refused says that a Pending one was refused for good, and is tried again
	// only as long as nothing waits behind it.
	Refused bool
}

// SilenceStore keeps silences. Changes commit with their audit entries.
type SilenceStore interface {
	CreateSilence(ctx context.Context, s Silence, e audit.Entry) error

	// EndSilence ends one that has not ended; NOT_FOUND if there is none.
	EndSilence(ctx context.Context, id string, e audit.Entry) error

	// Silences returns those that have not ended.
	Silences(ctx context.Context) ([]Silence, error)
}

// Reader reads incidents.
type Reader interface {
	// Incidents returns at most Limit, the last opened first.
	Incidents(ctx context.Context, f Filter) ([]Incident, error)

	// Incident returns one with its timeline and deliveries; NOT_FOUND if there
	// is none.
	Incident(ctx context.Context, id string) (Detail, error)

	// Conditions returns all that fails.
	Conditions(ctx context.Context) ([]Condition, error)

	// DeliveryStats counts the outbox by receiver.
	DeliveryStats(ctx context.Context) (map[string]Stats, error)
}

// Filter selects incidents. Zero members select everything.
type Filter struct {
	Active bool // not the resolved ones
	Class  Class
	Group  string
	Object string
	Before int64 // only those with a lower Seq: the cursor of the next page
	Limit  int   // 0: 100; never over 1000
}

// Detail is an incident with all that is known of it.
type Detail struct {
	Incident
	Updates    []Update
	Deliveries []Delivery
}

// Stats are the outbox of one receiver.
type Stats struct {
	Pending       int64
	Failed        int64     // refused for good, within what is kept
	OldestPending time.Time // zero if none is
	LastDelivered time.Time // zero if none was
}
