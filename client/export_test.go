package client

import "time"

// Quota is a quota as the tests see it.
type Quota struct {
	Name   string
	Limit  int64
	Window time.Duration
}

// ParsePolicies reads a RateLimit-Policy field.
func ParsePolicies(field string) []Quota {
	var out []Quota
	for _, q := range parsePolicies(field) {
		out = append(out, Quota{q.name, q.limit, q.window})
	}
	return out
}

// Counts is how many counts the local limiter holds, and may hold.
func (c *Client) Counts() (n, most int) { return len(c.fallback.counts), maxCounts }
