package ratelimit

import (
	"fmt"
	"strings"
	"time"

	"avalo.app/gantry/internal/fault"
)

// Bounds of a policy.
const (
	MaxLimit      = 1_000_000_000
	MinWindow     = time.Second
	MaxWindow     = 366 * 24 * time.Hour
	MaxRules      = maxRules
	MaxBlockAfter = 1_000_000
	MinBlock      = time.Second
	MaxBlock      = 30 * 24 * time.Hour
)

const maxAction = 64 // bytes

// ValidAction reports whether s can name an action: ^[A-Z][A-Z0-9_]{0,63}$.
func ValidAction(s string) bool {
	if s == "" || len(s) > maxAction || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for _, c := range []byte(s) {
		if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// Validate returns the first of Problems, or nil.
func (p Policy) Validate() error {
	if ps := p.Problems(); len(ps) > 0 {
		return ps[0]
	}
	return nil
}

// Problems returns every way in which p breaks a bound, each an
// INVALID_ARGUMENT whose detail names the field ("rules[1].limit"), the
// bound and the value.
func (p Policy) Problems() []*fault.Error {
	c := checker{}
	if !ValidAction(p.Action) {
		c.add(fault.Field{Field: "action", Limit: "^[A-Z][A-Z0-9_]{0,63}$", Actual: clip(p.Action)},
			"an action is named by 1 to %d capital letters, digits and underscores, a letter first", maxAction)
	}
	if p.Algorithm > GCRA {
		c.add(fault.Field{Field: "algorithm", Allowed: []string{"sliding_window", "window_credit", "gcra"}, Actual: uint8(p.Algorithm)},
			"algorithm must be one of sliding_window, window_credit, gcra, or absent")
	}
	c.within("window", p.Window, MinWindow, MaxWindow)
	if p.Window%time.Microsecond != 0 {
		c.add(fault.Field{Field: "window", Limit: "whole microseconds", Actual: p.Window.String()},
			"window must be whole microseconds; it is %s", p.Window)
	}
	if p.OnFailure != FailOpen && p.OnFailure != FailClosed {
		c.add(fault.Field{Field: "onFailure", Allowed: []string{string(FailOpen), string(FailClosed)}, Actual: clip(string(p.OnFailure))},
			"onFailure must be open or closed")
	}
	c.rules(p)
	if b := p.Block; b != nil {
		if b.After < 1 || b.After > MaxBlockAfter {
			c.add(fault.Field{Field: "block.after", Limit: fmt.Sprintf("1..%d", MaxBlockAfter), Actual: b.After},
				"block.after must be between 1 and %d refusals; it is %d", MaxBlockAfter, b.After)
		}
		c.within("block.for", b.For, MinBlock, MaxBlock)
	}
	return c
}

// checker collects problems.
type checker []*fault.Error

func (c *checker) add(f fault.Field, format string, args ...any) {
	*c = append(*c, fault.Invalid("ratelimit.Policy", f, format, args...))
}

func (c *checker) within(field string, v, low, high time.Duration) {
	if v < low || v > high {
		c.add(fault.Field{Field: field, Limit: low.String() + ".." + high.String(), Actual: v.String()},
			"%s must be between %s and %d days; it is %s", field, low, high/(24*time.Hour), v)
	}
}

func (c *checker) rules(p Policy) {
	if n := len(p.Rules); n < 1 || n > MaxRules {
		c.add(fault.Field{Field: "rules", Limit: fmt.Sprintf("1..%d rules", MaxRules), Actual: n},
			"a policy has 1 to %d rules; this one has %d. Give it a limit, or disable it", MaxRules, n)
	}
	seen := make(map[Scope]bool, len(p.Rules))
	for i, r := range p.Rules {
		at := fmt.Sprintf("rules[%d]", i)
		switch {
		case r.Scope == 0 || r.Scope > User|IP|Device:
			c.add(fault.Field{Field: at + ".scope", Actual: uint8(r.Scope)},
				"%s.scope must be user, ip or device, or several joined by +", at)
		case seen[r.Scope]:
			c.add(fault.Field{Field: at + ".scope", Problem: "given twice", Actual: r.Scope.String()},
				"%s.scope: a policy has one rule per scope, and %s stands twice; keep one", at, r.Scope)
		}
		seen[r.Scope] = true
		if r.Limit < 1 || r.Limit > MaxLimit {
			c.add(fault.Field{Field: at + ".limit", Limit: fmt.Sprintf("1..%d", MaxLimit), Actual: r.Limit},
				"%s.limit must be between 1 and %d; it is %d", at, MaxLimit, r.Limit)
		}
		c.burst(at, p.params(r))
	}
}

// burst checks a rule's burst against the algorithm that would use it.
func (c *checker) burst(at string, r Params) {
	field := at + ".burst"
	switch {
	case r.Burst < 0 || r.Burst > MaxLimit:
		c.add(fault.Field{Field: field, Limit: fmt.Sprintf("0..%d", MaxLimit), Actual: r.Burst},
			"%s must be between 0 and %d; it is %d", field, MaxLimit, r.Burst)
	case r.Algorithm == SlidingWindow && r.Burst != 0:
		c.add(fault.Field{Field: field, Limit: 0, Actual: r.Burst},
			"%s: sliding_window has no burst; leave it out, or use window_credit or gcra", field)
	case r.Algorithm == GCRA && max(r.Burst, r.Limit) > r.MaxBurst():
		c.add(fault.Field{Field: field, Limit: r.MaxBurst(), Actual: max(r.Burst, r.Limit)},
			"%s: gcra counts at most %d units exactly in a window this long; shorten the window or lower limit and burst (now %d)", field, r.MaxBurst(), max(r.Burst, r.Limit))
	case r.Algorithm == WindowCredit && r.Burst < r.Limit:
		c.add(fault.Field{Field: field, Limit: fmt.Sprintf("%d..%d", r.Limit, MaxLimit), Actual: r.Burst},
			"%s must be at least the limit %d for window_credit; it is %d", field, r.Limit, r.Burst)
	}
}

// clip keeps an echoed value small.
func clip(s string) string {
	if len(s) > maxAction {
		return strings.ToValidUTF8(s[:maxAction], "") + "…"
	}
	return s
}
