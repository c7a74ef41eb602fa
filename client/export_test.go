package client

import "time"

// Quota is a quota as the tests see it.
type Quota struct {
	Name   string
	Limit  int64
	Window time.Duration
}

// ParsePolicies and ParseName read the IETF fields.
func ParsePolicies(field string) []Quota {
	var out []Quota
	for _, q := range parsePolicies(field) {
		out = append(out, Quota{q.name, q.limit, q.window})
	}
	return out
}

func ParseName(field string) string { return parseName(field) }

// Subjects is how many the local limiter counts, and may count.
func (c *Client) Subjects() (n, most int) { return len(c.fallback.counts), maxSubjects }
