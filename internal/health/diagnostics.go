package health

import (
	"context"
	"strings"
	"sync"
	"time"

	"avalo.app/gantry/internal/fault"
)

// Count yields one number about the host. It stops when ctx ends.
type Count func(ctx context.Context) (int64, error)

// Counted returns the names of the counts that a report always has, declared
// or not.
func Counted() []string {
	return []string{"users.total", "users.active", "sessions.active", "payouts.pending", "disputes.open", "kyc.pending"}
}

// countTimeout bounds the whole of a report's counts.
const countTimeout = 5 * time.Second

// Diagnostics counts things of the host by declared queries.
type Diagnostics struct {
	counts map[string]Count
	now    func() time.Time

	turn chan struct{} // one round of queries at a time; whoever waits may leave
	last DiagnosticsReport
}

// DiagnosticsReport are the counts by group and name. nil is what nobody
// declared, or what could not be counted; Failed says why.
type DiagnosticsReport struct {
	Counts map[string]map[string]*int64 `json:"counts"`
	Failed map[string]string            `json:"failed,omitempty"` // by "group.name", for admins
	At     time.Time                    `json:"at"`
}

// NewDiagnostics takes the declared counts, by "group.name".
func NewDiagnostics(counts map[string]Count, now func() time.Time) (*Diagnostics, error) {
	for name := range counts {
		group, rest, ok := strings.Cut(name, ".")
		if !ok || !namePattern.MatchString(group) || !namePattern.MatchString(rest) {
			return nil, fault.Invalid("health.NewDiagnostics", fault.Field{Field: "diagnostics", Limit: "group.name", Actual: short(name)},
				"a count is named group.name, such as payouts.pending")
		}
	}
	return &Diagnostics{counts: counts, now: now, turn: make(chan struct{}, 1)}, nil
}

// Report runs the declared queries at once. Callers within a second, and those
// who wait for a round, share its answer: read only. The error is ctx's.
func (d *Diagnostics) Report(ctx context.Context) (DiagnosticsReport, error) {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return DiagnosticsReport{}, ctx.Err()
	}
	if age := d.now().Sub(d.last.At); d.last.Counts != nil && age >= 0 && age < time.Second {
		return d.last, nil
	}
	rep := DiagnosticsReport{Counts: map[string]map[string]*int64{}, Failed: map[string]string{}}
	set := func(name string, n *int64) {
		group, rest, _ := strings.Cut(name, ".")
		if rep.Counts[group] == nil {
			rep.Counts[group] = map[string]*int64{}
		}
		rep.Counts[group][rest] = n
	}
	for _, name := range Counted() {
		set(name, nil)
	}
	once, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for name, count := range d.counts {
		wg.Go(func() {
			n, err := count(once)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				set(name, nil)
				rep.Failed[name] = short(err.Error())
				return
			}
			set(name, &n)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return DiagnosticsReport{}, ctx.Err()
	}
	rep.At = d.now()
	d.last = rep
	return rep, nil
}
