// Package health says how the parts of an app are, by what was measured:
// components that are probed on a schedule, background jobs that report
// themselves, and sources whose age is known. What nobody measured is
// UNKNOWN, and what nobody configured is NOT_CONFIGURED; neither is healthy.
package health

import "slices"

// Status is the word for one component or for all.
type Status string

// The statuses.
const (
	Healthy       Status = "HEALTHY"
	Degraded      Status = "DEGRADED"       // it works, but is slow, unstable, or says so itself
	Down          Status = "DOWN"           // it does not work
	NotConfigured Status = "NOT_CONFIGURED" // nobody said how to measure it
	Unknown       Status = "UNKNOWN"        // not measured yet, or not lately
)

// Slots returns the default places of an app's parts. A slot that no
// component fills is reported as NOT_CONFIGURED.
func Slots() []string {
	return []string{"database", "functions", "storage", "auth", SlotPayments}
}

// SlotPayments is the slot whose failure pages whether it is critical or not.
const SlotPayments = "payments"

// Part is what Overall weighs of one component.
type Part struct {
	Status   Status
	Critical bool
}

// Overall is the word for all parts: DOWN if a critical one is, DEGRADED if
// any is impaired or not known, NOT_CONFIGURED if nothing is configured. It is
// HEALTHY only if every configured part was measured lately and is.
func Overall(parts []Part) Status {
	word := NotConfigured
	for _, p := range parts {
		switch {
		case p.Status == Down && p.Critical:
			return Down
		case p.Status == NotConfigured:
		case p.Status != Healthy:
			word = Degraded
		case word == NotConfigured:
			word = Healthy
		}
	}
	return word
}

// Worst returns the one of two statuses that an operator must hear of.
func Worst(a, b Status) Status {
	order := []Status{NotConfigured, Healthy, Unknown, Degraded, Down}
	if slices.Index(order, a) >= slices.Index(order, b) {
		return a
	}
	return b
}
