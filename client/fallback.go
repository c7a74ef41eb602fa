package client

import (
	"hash/maphash"
	"sync"
	"time"

	"avalo.app/gantry/api"
)

// Bounds of the local limiter: some 6 MB when full.
const (
	maxActions = 1000
	maxRules   = 16 // of a policy; Gantry has no more
	maxCounts  = 100_000
)

// fallback limits while Gantry is away, by the rules last seen, each in fixed
// windows. It is cruder than Gantry on purpose: it bounds abuse for the
// minutes of an outage, begins with empty counts, and knows no overrides.
type fallback struct {
	seed maphash.Seed

	mu       sync.Mutex
	policies map[string][]rule
	counts   map[uint64]count // by hash: a subject's length takes no memory
}

// rule is a quota with what it counts; 0: the whole subject.
type rule struct {
	quota
	scope dims
}

type count struct {
	used  int64
	until time.Time
}

func newFallback() *fallback {
	return &fallback{seed: maphash.MakeSeed(), policies: map[string][]rule{}, counts: map[uint64]count{}}
}

// learn keeps an action's rules from a verdict of Gantry's: as the policy
// has them, since the verdict's own limit may be scaled by the subject's
// override. What refuses nobody is not limited here either.
func (f *fallback) learn(action string, v Verdict) {
	rules := rulesOf(v)
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.policies[action]
	switch {
	case v.Mode == api.ModeShadow || v.Mode == api.ModeUnlimited:
		delete(f.policies, action)
	case len(rules) > 0 && (known || len(f.policies) < maxActions):
		f.policies[action] = rules
	}
}

// rulesOf reads the rules of the policy that a verdict is about. Gantry ends
// the name of each with its scope, "login.user+ip", unless there is one only,
// which then is the verdict's.
func rulesOf(v Verdict) []rule {
	quotas := parsePolicies(v.RateLimitPolicy)
	quotas = quotas[:min(len(quotas), maxRules)]
	rules := make([]rule, 0, len(quotas))
	for _, q := range quotas {
		scope := scopeOfName(q.name)
		if len(quotas) == 1 && scope == 0 {
			scope = parseDims(v.Scope)
		}
		rules = append(rules, rule{q, scope})
	}
	return rules
}

// hit is a rule that applies to a request, with its count so far.
type hit struct {
	rule
	key uint64
	count
}

func (h hit) passes(cost int64) bool { return cost <= h.limit && h.used <= h.limit-cost }

// decide answers locally, and charges if take: all the rules that apply, or,
// if one refuses, none. The quota is the one that the answer is about. What
// no rule is known for passes.
func (f *fallback) decide(r api.CheckRequest, take bool, now time.Time) (api.CheckResult, quota) {
	cost := max(r.Cost, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	var room [maxRules]hit
	hits := f.hits(room[:0], r, now)
	out := api.CheckResult{Allowed: true, Policy: r.Action, Scope: given(r).String(), Mode: api.ModeDegraded, ResetAt: now.UTC().Round(time.Microsecond)}
	if len(hits) == 0 {
		return out, quota{}
	}
	for _, h := range hits {
		out.Allowed = out.Allowed && h.passes(cost)
	}
	if out.Allowed && take {
		for i := range hits {
			hits[i].used += cost
			f.put(hits[i].key, hits[i].count, now)
		}
	}
	h := tightest(hits, cost, out.Allowed)
	out.Limit, out.Remaining, out.ResetAt = h.limit, max(0, h.limit-h.used), h.until.UTC().Round(time.Microsecond)
	if h.scope != 0 {
		out.Scope = h.scope.String()
	}
	if !out.Allowed {
		out.RetryAfter = max(1, int64((h.until.Sub(now)+time.Second-1)/time.Second))
	}
	return out, h.quota
}

// hits appends the rules that apply to a request: those whose dimensions it
// gives.
func (f *fallback) hits(out []hit, r api.CheckRequest, now time.Time) []hit {
	have := given(r)
	for _, rule := range f.policies[r.Action] {
		if rule.scope&^have != 0 {
			continue
		}
		h := hit{rule: rule, key: f.key(rule, r)}
		if h.count = f.counts[h.key]; !h.until.After(now) {
			h.count = count{until: now.Add(rule.window)}
		}
		out = append(out, h)
	}
	return out
}

// tightest is the rule that an answer is about, as at Gantry: the one with
// the fewest units left, or, of those that refuse, the one that does so
// longest.
func tightest(hits []hit, cost int64, allowed bool) hit {
	best, found := hits[0], false
	for _, h := range hits {
		switch {
		case !allowed && h.passes(cost):
			continue
		case !found,
			allowed && h.limit-h.used < best.limit-best.used,
			!allowed && h.until.After(best.until):
			best, found = h, true
		}
	}
	return best
}

// put stores a count. When there is no room, an ended window goes, or, if a
// few looks find none, any: chance spares no one for long, and costs the
// same for the first subject and the millionth.
func (f *fallback) put(key uint64, c count, now time.Time) {
	if _, ok := f.counts[key]; !ok && len(f.counts) >= maxCounts {
		looks := 0
		var victim uint64
		for k, other := range f.counts {
			victim = k
			if looks++; looks == 8 || !other.until.After(now) {
				break
			}
		}
		delete(f.counts, victim)
	}
	f.counts[key] = c
}

// key names what a rule counts a request under.
func (f *fallback) key(rule rule, r api.CheckRequest) uint64 {
	scope := rule.scope
	if scope == 0 {
		scope = user | ip | device
	}
	parts := [...]string{r.Action, rule.name, "", "", ""}
	if scope&user != 0 {
		parts[2] = r.User
	}
	if scope&ip != 0 {
		parts[3] = address(r.IP)
	}
	if scope&device != 0 {
		parts[4] = r.Device
	}
	return maphash.Comparable(f.seed, parts)
}
