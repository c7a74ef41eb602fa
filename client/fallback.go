package client

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"avalo.app/gantry/api"
)

// Bounds of the local limiter.
const (
	maxActions  = 1000
	maxSubjects = 100_000
	maxWindow   = 366 * 24 * time.Hour
)

// fallback limits while Gantry is away: fixed windows per action and whole
// subject, with the numbers last seen. It is cruder than Gantry on purpose:
// it bounds abuse for minutes.
type fallback struct {
	mu       sync.Mutex
	policies map[string]numbers
	counts   map[string]count
}

type numbers struct {
	limit  int64
	window time.Duration
}

type count struct {
	used  int64
	until time.Time
}

func newFallback() *fallback {
	return &fallback{policies: map[string]numbers{}, counts: map[string]count{}}
}

// learn keeps an action's numbers from a verdict of Gantry's.
func (f *fallback) learn(v Verdict) {
	window, ok := windowOf(v.RateLimitPolicy)
	if !ok || v.Limit < 1 || v.Policy == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.policies[v.Policy]; known || len(f.policies) < maxActions {
		f.policies[v.Policy] = numbers{v.Limit, window}
	}
}

// check decides locally. What it knows nothing of passes.
func (f *fallback) check(r api.CheckRequest, now time.Time) api.CheckResult {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := api.CheckResult{Allowed: true, Policy: r.Action, Mode: api.ModeDegraded, ResetAt: now}
	p, known := f.policies[r.Action]
	if !known {
		return out
	}
	key := subjectKey(r)
	c, counted := f.counts[key]
	if !c.until.After(now) {
		c = count{until: now.Add(p.window)}
	}
	cost := max(r.Cost, 1)
	out.Limit, out.ResetAt = p.limit, c.until
	out.Allowed = c.used+cost <= p.limit
	if out.Allowed {
		c.used += cost
	} else {
		out.RetryAfter = max(1, int64((c.until.Sub(now)+time.Second-1)/time.Second))
	}
	out.Remaining = max(0, p.limit-c.used)
	if counted || f.room(now) {
		f.counts[key] = c
	}
	return out
}

// room makes place for one more subject by forgetting ended windows.
func (f *fallback) room(now time.Time) bool {
	if len(f.counts) < maxSubjects {
		return true
	}
	for k, c := range f.counts {
		if !c.until.After(now) {
			delete(f.counts, k)
		}
	}
	return len(f.counts) < maxSubjects
}

// windowOf reads the window of the first policy of a RateLimit-Policy field:
// "login.user";q=50;w=300, …
func windowOf(field string) (time.Duration, bool) {
	_, params, ok := strings.Cut(field, ";")
	if !ok {
		return 0, false
	}
	params, _, _ = strings.Cut(params, ",")
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if name != "w" {
			continue
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 1 || n > int64(maxWindow/time.Second) {
			return 0, false
		}
		return time.Duration(n) * time.Second, true
	}
	return 0, false
}
