package health

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Entry is one component of a Report, or a slot that none fills.
type Entry struct {
	Component      string         `json:"component"`
	Slot           string         `json:"slot,omitempty"`
	Kind           string         `json:"kind,omitempty"`
	Critical       bool           `json:"critical"`
	Status         Status         `json:"status"`
	Since          time.Time      `json:"since,omitzero"`
	Message        string         `json:"message"` // for moderators
	ResponseTimeMS int64          `json:"responseTimeMs"`
	Details        map[string]any `json:"details,omitempty"`
	MeasuredAt     time.Time      `json:"measuredAt,omitzero"`
	DependsOn      []string       `json:"dependsOn,omitempty"`
	// SuppressedBy are parents that explain what is wrong: they alert, this
	// one does not.
	SuppressedBy     []string    `json:"suppressedBy,omitempty"`
	MaintenanceUntil time.Time   `json:"maintenanceUntil,omitzero"`
	Nodes            []NodeEntry `json:"nodes,omitempty"` // of a component that each node measures

	own       bool
	published bool
	pages     bool // its failure is the app's; also of what it takes down
}

// NodeEntry is a component as one node sees it.
type NodeEntry struct {
	Node       string    `json:"node"`
	Status     Status    `json:"status"`
	Message    string    `json:"message"`
	MeasuredAt time.Time `json:"measuredAt"`
}

// silenced reports whether what is wrong with it alerts nobody.
func (e Entry) silenced() bool { return len(e.SuppressedBy) > 0 || !e.MaintenanceUntil.IsZero() }

// Report is how everything is. It is shared by all who asked: read only.
type Report struct {
	Status     Status    `json:"status"`
	Components []Entry   `json:"components"` // parents before children, then empty slots
	At         time.Time `json:"at"`
	Fresh      bool      `json:"fresh,omitempty"`    // measured for this report
	TimedOut   []string  `json:"timedOut,omitempty"` // components that did not answer in time
}

// Public is what anyone may know: a word and a version, and what the operator
// published.
type Public struct {
	Status     Status            `json:"status"`
	Version    string            `json:"version"`
	Components []PublicComponent `json:"components,omitempty"`
	At         time.Time         `json:"at"`
	// OwnOnly says that no component of the app is configured: the word is
	// about Gantry itself.
	OwnOnly bool `json:"-"`
}

// PublicComponent is a published component.
type PublicComponent struct {
	Name             string    `json:"name"`
	Status           Status    `json:"status"`
	MeasuredAt       time.Time `json:"measuredAt,omitzero"`
	MaintenanceUntil time.Time `json:"maintenanceUntil,omitzero"`
}

// Public leaves out all but the words.
func (r Report) Public(version string) Public {
	p := Public{Status: r.Status, Version: version, At: r.At, OwnOnly: true}
	for _, e := range r.Components {
		p.OwnOnly = p.OwnOnly && (e.own || e.Status == NotConfigured)
		if e.published {
			p.Components = append(p.Components, PublicComponent{e.Component, e.Status, e.MeasuredAt, e.MaintenanceUntil})
		}
	}
	return p
}

// Evaluate is the report at a moment, from results, some of them stale, and
// windows. The components are as Components returned them. It is pure.
func Evaluate(cs []Component, results []Result, windows []Window, now time.Time) Report {
	by := make(map[string][]Result, len(cs))
	for _, r := range results {
		by[r.Component] = append(by[r.Component], r)
	}
	rep := Report{At: now, Components: make([]Entry, 0, len(cs)+len(Slots()))}
	parts := make([]Part, 0, len(cs))
	at := make(map[string]int, len(cs))
	states := make([]State, 0, len(cs))
	for _, c := range cs {
		e, s := entry(c, by[c.Name], now)
		e.MaintenanceUntil = maintenance(windows, c.Name, now)
		e.SuppressedBy = explained(c, e, s, now, func(parent string) (Entry, State) { return rep.Components[at[parent]], states[at[parent]] })
		at[c.Name] = len(states)
		rep.Components, states = append(rep.Components, e), append(states, s)
		if p, counts := c.part(e); counts {
			parts = append(parts, p)
		}
	}
	for _, child := range slices.Backward(rep.Components) {
		if child.Status != Down || !child.pages || !child.MaintenanceUntil.IsZero() {
			continue
		}
		for _, parent := range child.SuppressedBy { // whoever takes down what pages, pages
			rep.Components[at[parent]].pages = true
		}
	}
	rep.Status = Overall(parts)
	for _, slot := range Slots() {
		if !slices.ContainsFunc(cs, func(c Component) bool { return c.Slot == slot }) {
			rep.Components = append(rep.Components, Entry{Component: slot, Slot: slot, Status: NotConfigured, Message: "no component fills this slot"})
		}
	}
	return rep
}

// part is what a component weighs. One that is Gantry's own does not count
// until it is known: the app's word does not wait for it.
func (c Component) part(e Entry) (p Part, counts bool) {
	return Part{e.Status, c.Critical}, !c.Own || e.Status != Unknown
}

// parentGrace is how long trouble waits for its parents to be measured.
const parentGrace = time.Minute

// explained returns the parents that make a component's trouble theirs: those
// that are DOWN; those that were, until a measurement that began after they
// recovered shows the trouble again; and for a while those that have not
// answered since the trouble began, since they may be on the way to DOWN.
func explained(c Component, e Entry, s State, now time.Time, of func(string) (Entry, State)) []string {
	if e.Status != Down && e.Status != Degraded {
		return nil
	}
	shown := s.LastBad
	if e.Status == Down {
		shown = s.LastFailure
	}
	var by []string
	for _, parent := range c.DependsOn {
		p, ps := of(parent)
		silent := p.Status != Unknown && ps.LastAnswer.Before(s.Since) && now.Sub(s.Since) < parentGrace
		if p.Status == Down || shown.Before(ps.RecoveredAt) || silent {
			by = append(by, parent)
		}
	}
	return by
}

// entry adds up the results of one component: the worst of the nodes that
// measured it lately.
func entry(c Component, results []Result, now time.Time) (Entry, State) {
	e := Entry{Component: c.Name, Slot: c.Slot, Kind: c.Kind, Critical: c.Critical, DependsOn: c.DependsOn, own: c.Own, published: c.Published, pages: c.pages(),
		Status: Unknown, Message: "not measured yet"}
	var s State
	var last time.Time
	for _, r := range results {
		if (r.Node != "") != c.PerNode {
			continue // of an earlier configuration
		}
		if r.Last.At.After(last) {
			last = r.Last.At
		}
		if now.Sub(r.Last.At) > c.staleAfter() {
			continue
		}
		status, message := r.status(), r.message(c)
		if c.PerNode {
			e.Nodes = append(e.Nodes, NodeEntry{r.Node, status, message, r.Last.At})
		}
		if e.MeasuredAt.IsZero() || Worst(status, e.Status) != e.Status {
			s = r.State
			e.Status, e.Since, e.Message, e.MeasuredAt = status, s.Since, message, r.Last.At
			e.ResponseTimeMS, e.Details = r.Last.Took.Milliseconds(), r.Last.Details
		}
	}
	if e.MeasuredAt.IsZero() && !last.IsZero() {
		e.Message = "not measured since " + last.UTC().Format(time.RFC3339)
		e.MeasuredAt = last
	}
	slices.SortFunc(e.Nodes, func(a, b NodeEntry) int { return strings.Compare(a.Node, b.Node) })
	return e, s
}

// status never takes silence for health.
func (r Result) status() Status {
	if r.State.Status == "" {
		return Unknown
	}
	return r.State.Status
}

// message says what the last measurement saw, and what the thresholds make of
// it.
func (r Result) message(c Component) string {
	var parts []string
	switch {
	case r.Last.Outcome == TimedOut:
		parts = append(parts, "timed out")
	case r.Last.Outcome == Failed:
		parts = append(parts, "failed")
	case r.Last.Slow(c):
		parts = append(parts, fmt.Sprintf("slow: %s, over %s", r.Last.Took.Round(time.Millisecond), c.DegradedAbove))
	}
	if r.Last.Message != "" && r.Last.Message != string(TimedOut) {
		parts = append(parts, r.Last.Message)
	}
	switch s := r.State; {
	case s.Status == Down && s.Fails == 0:
		parts = append(parts, fmt.Sprintf("recovering: %d of %d successes", s.Successes, s.need(c)))
	case s.Status != Down && s.Fails > 0:
		parts = append(parts, fmt.Sprintf("%d of %d failures until DOWN", s.Fails, c.FailureThreshold))
	case s.Status == Degraded && s.unstable(c):
		parts = append(parts, "unstable")
	}
	return strings.Join(parts, "; ")
}
