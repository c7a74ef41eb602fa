package health

import (
	"context"

	"avalo.app/gantry/internal/audit"
)

// Fence is the lease under which a write is made: a lease.Held.
type Fence struct {
	Name  string
	Token int64
}

// Result is what is known of one component. Node is the node that measures
// it, "" for a component that one node measures for all.
type Result struct {
	Component string
	Node      string
	State     State
	Last      Observation
}

// Round is what one node learned since its last write: at most one Result of
// each component, the newest.
type Round struct {
	Fence   *Fence // nil for results of the node's own
	Results []Result
}

// Snapshot is what every node serves from.
type Snapshot struct {
	Results []Result
	Windows []Window // not over yet, by the store's clock
}

// Store keeps results, windows and uptime. Each method is atomic.
type Store interface {
	// SaveHealthRound stores the results that are newer (Last.At) than what is
	// stored, and adds to the uptime of their day what their tallies rose by:
	// so a round may be repeated, whole or with newer results, after any error.
	// CONFLICT if the fence's lease was lost; then nothing changed. A round
	// without results asks just that.
	SaveHealthRound(ctx context.Context, r Round) error
	// HealthSnapshot reads everything a node serves.
	HealthSnapshot(ctx context.Context) (Snapshot, error)
	// SaveHealthWindow stores a new window together with its audit entry.
	SaveHealthWindow(ctx context.Context, w Window, e audit.Entry) error
	// EndHealthWindow ends a window at w.EndedAt, together with its audit
	// entry, whose Before and After it fills in. NOT_FOUND if there is none
	// with the id, CONFLICT if it is over.
	EndHealthWindow(ctx context.Context, w Window, e audit.Entry) (Window, error)
	// HealthWindows returns windows, the latest begin first, ended ones too.
	HealthWindows(ctx context.Context, limit int) ([]Window, error)
	// HealthUptime returns the days from one on ("2006-01-02", UTC), by
	// component and day.
	HealthUptime(ctx context.Context, from string) ([]Day, error)
}
