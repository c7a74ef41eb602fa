package hostsignal

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"avalo.app/gantry/internal/signal"
)

// Calm is the part of the limit below which a rate that was over it is over:
// one that stays about the limit is one cause.
const Calm = 0.8

const ruleErrorRate = "error_rate"

// never are the kinds that should not happen at all. Each is a rule.
func never() []Kind { return []Kind{PaymentFailed, QueryError, SecurityEvent} }

// ours reports whether facts of the rule are told by this package.
func ours(rule string) bool { return rule == ruleErrorRate || slices.Contains(never(), Kind(rule)) }

// Judge says what buckets mean at now; raised tells what was failing before.
// The newest bucket may still grow.
func Judge(buckets []Bucket, r Rules, raised func(rule, object string) bool, now time.Time) []signal.Fact {
	inWindow := map[Kind]map[string]int64{}
	recent := map[Kind]map[string]int64{}
	for _, b := range buckets {
		end := b.Minute.Add(time.Minute) // a minute counts as long as a part of it is in
		if end.After(now.Add(-r.Window)) {
			add(inWindow, b.Count)
		}
		if end.After(now.Add(-r.Quiet)) {
			add(recent, b.Count)
		}
	}
	var out []signal.Fact
	for object, requests := range inWindow[Requests] {
		out = append(out, rate(object, requests, inWindow[Errors][object], r, raised(ruleErrorRate, object)))
	}
	for object, errors := range inWindow[Errors] {
		if _, ok := inWindow[Requests][object]; !ok { // a host that counts errors alone has as many requests
			out = append(out, rate(object, errors, errors, r, raised(ruleErrorRate, object)))
		}
	}
	for _, k := range never() {
		for object, n := range recent[k] {
			out = append(out, signal.Fact{Rule: string(k), Object: object, Failing: true, Value: fmt.Sprintf("%d in the last %s", n, r.Quiet)})
		}
	}
	slices.SortFunc(out, func(a, b signal.Fact) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Object, b.Object))
	})
	return out
}

func add(to map[Kind]map[string]int64, c Count) {
	if to[c.Kind] == nil {
		to[c.Kind] = map[string]int64{}
	}
	to[c.Kind][c.Object] += c.N
}

// rate judges the errors of one part. Too few requests raise nothing, but end
// nothing either as long as they fail: a part that is broken has few.
func rate(object string, requests, errors int64, r Rules, was bool) signal.Fact {
	limit := r.ErrorPercent
	if was {
		limit *= Calm
	}
	percent := 100 * float64(errors) / float64(max(requests, errors))
	return signal.Fact{Rule: ruleErrorRate, Object: object, Failing: (was || requests >= r.MinRequests) && percent > limit,
		Value: fmt.Sprintf("%.1f %% of %d requests in %s failed; the limit is %g %%", percent, requests, r.Window, r.ErrorPercent)}
}
