package client

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"avalo.app/gantry/api"
)

// Bounds of the local limiter: some 6 MB when full.
const (
	maxActions  = 1000
	maxSubjects = 100_000
)

// fallback limits while Gantry is away: fixed windows per action and whole
// subject, with the numbers last seen. It is cruder than Gantry on purpose:
// it bounds abuse for the minutes of an outage, and knows no overrides.
type fallback struct {
	seed maphash.Seed

	mu       sync.Mutex
	policies map[string]quota
	counts   map[uint64]count // by hash: a subject's length takes no memory
}

type count struct {
	used  int64
	until time.Time
}

func newFallback() *fallback {
	return &fallback{seed: maphash.MakeSeed(), policies: map[string]quota{}, counts: map[uint64]count{}}
}

// learn keeps an action's numbers from a verdict of Gantry's: of the rule
// that decided, as the policy has them, since the verdict's own limit may
// be scaled by the subject's override. What refuses nobody is not limited
// here either.
func (f *fallback) learn(action string, v Verdict) {
	q, ok := decisive(v)
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.policies[action]
	switch {
	case v.Mode == api.ModeShadow || v.Mode == api.ModeUnlimited:
		delete(f.policies, action)
	case ok && (known || len(f.policies) < maxActions):
		f.policies[action] = q
	}
}

// decisive finds the rule that a verdict is about.
func decisive(v Verdict) (quota, bool) {
	quotas, name := parsePolicies(v.RateLimitPolicy), parseName(v.RateLimit)
	for _, q := range quotas {
		if q.name == name {
			return q, true
		}
	}
	if len(quotas) == 0 || v.Limit < 1 {
		return quota{}, false
	}
	return quota{limit: v.Limit, window: quotas[0].window}, true
}

// decide answers locally, and charges if take. What it knows nothing of
// passes.
func (f *fallback) decide(r api.CheckRequest, take bool, now time.Time) api.CheckResult {
	key := f.key(r)
	cost := max(r.Cost, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	out := api.CheckResult{Allowed: true, Policy: r.Action, Scope: scopeOf(r), Mode: api.ModeDegraded, ResetAt: now.UTC()}
	q, known := f.policies[r.Action]
	if !known {
		return out
	}
	c := f.counts[key]
	if !c.until.After(now) {
		c = count{until: now.Add(q.window)}
	}
	out.Limit, out.ResetAt = q.limit, c.until.UTC()
	out.Allowed = cost <= q.limit && c.used <= q.limit-cost
	if !out.Allowed {
		out.RetryAfter = max(1, int64((c.until.Sub(now)+time.Second-1)/time.Second))
	} else if take {
		c.used += cost
		f.put(key, c, now)
	}
	out.Remaining = max(0, q.limit-c.used)
	return out
}

// put stores a count. When there is no room, an ended window goes, or, if a
// few looks find none, any: chance spares no one for long, and costs the
// same for the first subject and the millionth.
func (f *fallback) put(key uint64, c count, now time.Time) {
	if _, ok := f.counts[key]; !ok && len(f.counts) >= maxSubjects {
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

// key names a subject under an action. IPv6 counts by /64, as Gantry does.
func (f *fallback) key(r api.CheckRequest) uint64 {
	ip := r.IP
	if a, err := netip.ParseAddr(ip); err == nil {
		a = a.Unmap().WithZone("")
		if a.Is6() {
			p, _ := a.Prefix(64) // 64 bits fit
			a = p.Addr()
		}
		ip = a.String()
	}
	return maphash.Comparable(f.seed, [...]string{r.Action, r.User, ip, r.Device})
}

// scopeOf names the dimensions that a request gives.
func scopeOf(r api.CheckRequest) string {
	scope := ""
	for _, d := range [...]struct{ name, value string }{{"user", r.User}, {"ip", r.IP}, {"device", r.Device}} {
		if d.value == "" {
			continue
		}
		if scope != "" {
			scope += "+"
		}
		scope += d.name
	}
	return scope
}
