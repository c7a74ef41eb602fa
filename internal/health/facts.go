package health

import (
	"strings"
	"time"

	"avalo.app/gantry/internal/signal"
)

// The rules under which facts are raised. The object is the component, the
// job or the source.
const (
	RuleComponentDown     = "component_down"     // a critical component, or the slot payments, is DOWN
	RuleComponentImpaired = "component_impaired" // one is DEGRADED, or one that is not critical DOWN
	RuleHealthDegraded    = "health_degraded"    // the overall word is DEGRADED, and this component is why
	RuleJobFailed         = "job_failed"
	RuleJobOverdue        = "job_overdue"
	RuleFreshnessStale    = "freshness_stale"
)

// Facts says what a report raises and clears. A component that is suppressed
// or in maintenance raises nothing. One that is not measured neither raises
// nor clears what only a measurement can tell.
func (r Report) Facts() []signal.Fact { return r.facts(false) }

// facts leaves out what is not measured, where that is new.
func (r Report) facts(starting bool) []signal.Fact {
	var out []signal.Fact
	for _, e := range r.Components {
		if e.Status == NotConfigured || starting && e.Status == Unknown {
			continue
		}
		value := e.value()
		fact := func(rule string, failing bool) {
			out = append(out, signal.Fact{Rule: rule, Object: e.Component, Failing: failing && !e.silenced(), Value: value})
		}
		down := e.Status == Down && e.pages
		if e.Status != Unknown {
			fact(RuleComponentDown, down)
			fact(RuleComponentImpaired, !down && (e.Status == Down || e.Status == Degraded))
		}
		fact(RuleHealthDegraded, r.Status == Degraded && e.Status != Healthy)
	}
	return out
}

// value is a fact's text for people.
func (e Entry) value() string {
	v := string(e.Status)
	if !e.Since.IsZero() {
		v += " since " + e.Since.UTC().Format(time.RFC3339)
	}
	if e.Message != "" {
		v += ": " + e.Message
	}
	if len(e.SuppressedBy) > 0 {
		v += "; suppressed, since it depends on " + strings.Join(e.SuppressedBy, ", ")
	}
	if !e.MaintenanceUntil.IsZero() {
		v += "; in maintenance until " + e.MaintenanceUntil.UTC().Format(time.RFC3339)
	}
	return v
}
