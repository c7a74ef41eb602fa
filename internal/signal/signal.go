// Package signal carries facts that features raise for incidents: a rule, an
// object and a value. It is a leaf: features report through it and know
// nothing of who listens.
package signal

// Fact is one observation about one object under one rule. Failing true
// raises the cause (Rule, Object), false clears it.
type Fact struct {
	Rule    string // "ratelimit_degraded"
	Object  string // component, job or collection; never a node or an error text
	Failing bool
	Value   string // what was observed, for a person; no personal datum
}

// Sink receives facts. It must not block and may be called concurrently.
type Sink func(Fact)

// Discard is the Sink of a program without incidents.
func Discard(Fact) {}
