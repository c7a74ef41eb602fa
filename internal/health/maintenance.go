package health

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
)

// Window is a time in which components alert nobody. It ends by itself.
type Window struct {
	ID         string    `json:"id"`
	Components []string  `json:"components,omitempty"` // empty: all
	From       time.Time `json:"from"`
	Until      time.Time `json:"until"` // exclusive
	Reason     string    `json:"reason"`
	By         string    `json:"by"`
	EndedAt    time.Time `json:"endedAt,omitzero"` // ended before Until, by EndedBy
	EndedBy    string    `json:"endedBy,omitempty"`
}

// On reports whether the window covers a component at a moment.
func (w Window) On(component string, now time.Time) bool {
	if now.Before(w.From) || !now.Before(w.Until) || !w.EndedAt.IsZero() && !now.Before(w.EndedAt) {
		return false
	}
	return len(w.Components) == 0 || slices.Contains(w.Components, component)
}

// maintenance is the last end of the windows that cover a component now, zero
// if none does.
func maintenance(ws []Window, component string, now time.Time) (until time.Time) {
	for _, w := range ws {
		if w.On(component, now) && w.Until.After(until) {
			until = w.Until
		}
	}
	return until
}

// The bounds of a window.
const (
	MaxWindow = 7 * 24 * time.Hour  // from its begin to its end
	MaxAhead  = 90 * 24 * time.Hour // from now to its begin
	MinReason = 10
	MaxReason = 500
)

const opMaintenance = "health.BeginMaintenance"

// BeginMaintenance opens a window from w.From (zero: now) to w.Until over
// w.Components. The caller has checked that by may.
func (m *Monitor) BeginMaintenance(ctx context.Context, w Window, by string) (Window, error) {
	now := m.o.Now().UTC().Truncate(time.Microsecond)
	if w.From.IsZero() || w.From.Before(now) {
		w.From = now
	}
	w.From, w.Until = w.From.UTC().Truncate(time.Microsecond), w.Until.UTC().Truncate(time.Microsecond)
	w.ID, w.By, w.EndedAt, w.EndedBy = m.o.NewID(), by, time.Time{}, ""
	w.Components = slices.Compact(slices.Sorted(slices.Values(w.Components)))
	if err := m.checkWindow(w, now); err != nil {
		return Window{}, err
	}
	e := audit.Entry{Kind: audit.HealthMaintenanceBegan, Actor: by, Object: "maintenance:" + w.ID, Reason: w.Reason, After: w}
	if err := m.o.Store.SaveHealthWindow(ctx, w, e); err != nil {
		return Window{}, err
	}
	_ = m.Refresh(ctx) // it stands; if this node cannot read it now, it does at its next turn
	return w, nil
}

func (m *Monitor) checkWindow(w Window, now time.Time) error {
	if err := checkReason(opMaintenance, w.Reason); err != nil {
		return err
	}
	switch length := w.Until.Sub(w.From); {
	case length <= 0:
		return fault.Invalid(opMaintenance, fault.Field{Field: "until", Problem: "past", Limit: w.From, Actual: w.Until}, "until must be after the window's begin")
	case length > MaxWindow:
		return fault.Invalid(opMaintenance, fault.Field{Field: "until", Problem: "too far", Limit: w.From.Add(MaxWindow), Actual: w.Until},
			"a maintenance window lasts at most %s; begin another if it takes longer", MaxWindow)
	case w.From.Sub(now) > MaxAhead:
		return fault.Invalid(opMaintenance, fault.Field{Field: "from", Problem: "too far", Limit: now.Add(MaxAhead), Actual: w.From},
			"a maintenance window begins at most %s from now", MaxAhead)
	}
	for _, name := range w.Components {
		if _, ok := m.runners[name]; !ok {
			return fault.Invalid(opMaintenance, fault.Field{Field: "components", Problem: "unknown", Actual: name},
				"there is no component %q; GET /v1/health lists them", name)
		}
	}
	return nil
}

// EndMaintenance ends a window now. What is still DOWN then alerts.
func (m *Monitor) EndMaintenance(ctx context.Context, id, reason, by string) (Window, error) {
	const op = "health.EndMaintenance"
	if err := checkReason(op, reason); err != nil {
		return Window{}, err
	}
	w := Window{ID: id, EndedAt: m.o.Now().UTC().Truncate(time.Microsecond), EndedBy: by}
	w, err := m.o.Store.EndHealthWindow(ctx, w, audit.Entry{Kind: audit.HealthMaintenanceEnded, Actor: by, Object: "maintenance:" + id, Reason: reason})
	if err != nil {
		return Window{}, err
	}
	_ = m.Refresh(ctx) // as in BeginMaintenance
	return w, nil
}

// Windows returns the windows that are on or to come, as last read.
func (m *Monitor) Windows() []Window {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.o.Now()
	var out []Window
	for _, w := range m.windows {
		if now.Before(w.Until) && w.EndedAt.IsZero() {
			out = append(out, w)
		}
	}
	return out
}

// WindowHistory returns the last windows, the latest begin first: those to
// come, those that are on and those that are over.
func (m *Monitor) WindowHistory(ctx context.Context, limit int) ([]Window, error) {
	return m.o.Store.HealthWindows(ctx, max(1, min(limit, maxWindows)))
}

// maxWindows bounds one answer of WindowHistory.
const maxWindows = 1000

func checkReason(op, s string) error {
	n := utf8.RuneCountInString(strings.TrimSpace(s))
	if n < MinReason || n > MaxReason || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return fault.Invalid(op, fault.Field{Field: "reason", Problem: "length", Limit: "10..500", Actual: n}, "reason must say why in 10 to 500 characters of text; it has %d", n)
	}
	return nil
}
