package health

import "context"

// Prober measures one dependency. Probe makes one measurement, stops everything
// it started when ctx ends, and returns then. An error says that the dependency
// failed: its text is for moderators and never public. It is safe for concurrent
// use.
type Prober interface {
	Probe(ctx context.Context) (Reading, error)
}

// Reading is what a probe that succeeded saw.
type Reading struct {
	Message  string         // for people; no host, secret or personal datum
	Degraded bool           // it works, but badly (a certificate near its end, a disk nearly full)
	Details  map[string]any // numbers with their unit in the key: "daysLeft", "freeBytes"
}
