// Package ratelimit decides whether a subject may do an action now: policies,
// the algorithms as pure functions over (state, rule, now), and the service
// that joins them to a counter store.
package ratelimit

import (
	"strings"
	"time"
)

// Algorithm names how a rule counts; see system.md section 4 for formulas.
type Algorithm uint8

// The algorithms. SlidingWindow is the default of a rule without a burst,
// WindowCredit of a rule with one.
const (
	SlidingWindow Algorithm = iota + 1
	WindowCredit
	GCRA
)

// String returns the configuration's name: "sliding_window", "window_credit", "gcra".
func (a Algorithm) String() string {
	switch a {
	case SlidingWindow:
		return "sliding_window"
	case WindowCredit:
		return "window_credit"
	case GCRA:
		return "gcra"
	}
	return "unknown"
}

// Scope is a set of subject dimensions that a rule counts together:
// User|IP counts each user separately per address.
type Scope uint8

// The dimensions of a subject.
const (
	User Scope = 1 << iota
	IP
	Device
)

// String joins the dimensions with "+": "user", "user+ip", "device".
func (s Scope) String() string {
	parts := make([]string, 0, 3)
	if s&User != 0 {
		parts = append(parts, "user")
	}
	if s&IP != 0 {
		parts = append(parts, "ip")
	}
	if s&Device != 0 {
		parts = append(parts, "device")
	}
	return strings.Join(parts, "+")
}

// ParseScope reads what String writes; ok is false for anything else.
func ParseScope(s string) (scope Scope, ok bool) {
	for part := range strings.SplitSeq(s, "+") {
		var d Scope
		switch part {
		case "user":
			d = User
		case "ip":
			d = IP
		case "device":
			d = Device
		default:
			return 0, false
		}
		if scope&d != 0 {
			return 0, false
		}
		scope |= d
	}
	return scope, true
}

// FailureMode says what a policy answers when its counters cannot be reached.
type FailureMode string

// The failure modes. FailOpen is the default of every policy.
const (
	FailOpen   FailureMode = "open"
	FailClosed FailureMode = "closed"
)

// Rule is one limit of a policy: at most Limit units in the policy's window
// for each distinct value of Scope. Burst (0: none) is the earned ceiling of
// window_credit or the bucket of gcra.
type Rule struct {
	Scope Scope
	Limit int64
	Burst int64
}

// Block is a penalty: After refusals within one window, the subject is
// refused for For, whatever its count.
type Block struct {
	After int
	For   time.Duration
}

// Policy is a named action with its rules.
type Policy struct {
	Action    string
	Algorithm Algorithm
	Window    time.Duration // whole microseconds
	Rules     []Rule        // decided together: all pass or none is charged
	OnFailure FailureMode
	Shadow    bool // counts and records, never refuses
	Disabled  bool // not evaluated at all
	Block     *Block
}

// Subject is who acts. Empty dimensions are absent; a rule whose dimensions
// are not all present does not apply.
type Subject struct {
	User   string
	IP     string // textual address; IPv6 counts by /64
	Device string
}
