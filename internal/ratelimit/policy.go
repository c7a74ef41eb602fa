// Package ratelimit decides whether a subject may do an action now: policies,
// the algorithms as pure functions over (state, rule, now), and the service
// that joins them to a counter store.
package ratelimit

import (
	"fmt"
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

// ParseAlgorithm reads what String writes; ok is false for anything else.
func ParseAlgorithm(s string) (a Algorithm, ok bool) {
	for _, a := range [...]Algorithm{SlidingWindow, WindowCredit, GCRA} {
		if a.String() == s {
			return a, true
		}
	}
	return 0, false
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
	Scope Scope `json:"scope"`
	Limit int64 `json:"limit"`
	Burst int64 `json:"burst,omitempty"`
}

// Block is a penalty: After refusals within one window, the subject is
// refused for For, whatever its count.
type Block struct {
	After int           `json:"after"`
	For   time.Duration `json:"forNanos"`
}

// Policy is a named action with its rules.
type Policy struct {
	Action    string        `json:"action"`
	Algorithm Algorithm     `json:"algorithm"`   // 0: by each rule's burst
	Window    time.Duration `json:"windowNanos"` // whole microseconds
	Rules     []Rule        `json:"rules"`       // decided together: all pass or none is charged
	OnFailure FailureMode   `json:"onFailure"`
	Shadow    bool          `json:"shadow,omitempty"`   // counts and records, never refuses
	Disabled  bool          `json:"disabled,omitempty"` // not evaluated at all
	Block     *Block        `json:"block,omitempty"`
}

// AuthFailure is the action under which failed authentications are counted;
// its numbers are access.auth_failures of the configuration.
const AuthFailure = "AUTH_FAILURE"

// Subject is who acts. Empty dimensions are absent; a rule whose dimensions
// are not all present does not apply.
type Subject struct {
	User   string
	IP     string // textual address; IPv6 counts by /64
	Device string
}

// MarshalText writes the configuration's name; 0 is empty.
func (a Algorithm) MarshalText() ([]byte, error) {
	if a == 0 {
		return nil, nil
	}
	return []byte(a.String()), nil
}

// UnmarshalText reads what MarshalText writes.
func (a *Algorithm) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*a = 0
		return nil
	}
	v, ok := ParseAlgorithm(string(b))
	if !ok {
		return fmt.Errorf("unknown algorithm %q", b)
	}
	*a = v
	return nil
}

// MarshalText writes what String returns.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Scope) UnmarshalText(b []byte) error {
	v, ok := ParseScope(string(b))
	if !ok {
		return fmt.Errorf("unknown scope %q", b)
	}
	*s = v
	return nil
}
