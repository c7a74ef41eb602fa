package ratelimit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Source says where the policy in force comes from.
type Source string

// The sources, weakest first.
const (
	FromDefault Source = "default"
	FromConfig  Source = "config"
	FromAPI     Source = "api"
)

// Active is a policy in force.
type Active struct {
	Policy
	Source  Source
	Version int64 // of the API's row; 0 if it was never set by the API
}

// table is an immutable view of what is in force; the service swaps it whole.
type table struct {
	policies  map[string]*compiled
	overrides map[overrideKey]Override
}

// compiled is a policy with everything the hot path would otherwise compute.
type compiled struct {
	Active
	rules       []compiledRule
	policyField string // RateLimit-Policy header, all rules
}

type compiledRule struct {
	scope  Scope
	params Params
	name   string // quoted policy name for the RateLimit header
}

func compile(base map[string]Active, stored []StoredPolicy, overrides []Override) *table {
	t := &table{policies: make(map[string]*compiled, len(base)), overrides: make(map[overrideKey]Override, len(overrides))}
	active := maps.Clone(base)
	for _, s := range stored {
		a, known := active[s.Action]
		if s.Policy != nil {
			a = Active{Policy: *s.Policy, Source: FromAPI}
		} else if !known {
			continue
		}
		a.Version = s.Version
		active[s.Action] = a
	}
	for action, a := range active {
		t.policies[action] = compilePolicy(a)
	}
	for _, o := range overrides {
		t.overrides[overrideKey{o.Dimension, o.Subject, o.Action}] = o
	}
	return t
}

func compilePolicy(a Active) *compiled {
	c := &compiled{Active: a}
	var b strings.Builder
	for i, r := range a.Rules {
		name := strings.ToLower(a.Action)
		if len(a.Rules) > 1 {
			name += "." + r.Scope.String()
		}
		cr := compiledRule{scope: r.Scope, params: a.params(r), name: `"` + name + `"`}
		c.rules = append(c.rules, cr)
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s;q=%d;w=%d", cr.name, r.Limit, int64((a.Window+time.Second-1)/time.Second))
	}
	c.policyField = b.String()
	return c
}

// params returns the rule's numbers in the units of the algorithms.
func (p Policy) params(r Rule) Params {
	alg := p.Algorithm
	if alg == 0 {
		alg = SlidingWindow
		if r.Burst > 0 {
			alg = WindowCredit
		}
	}
	out := Params{Algorithm: alg, Window: p.Window.Microseconds(), Limit: r.Limit, Burst: r.Burst}
	if p.Block != nil {
		out.BlockAfter, out.BlockFor = int32(p.Block.After), p.Block.For.Microseconds()
	}
	return out
}

// actions returns the names of the policies in force, sorted.
func (t *table) actions() []string { return slices.Sorted(maps.Keys(t.policies)) }

// list returns what is in force, by action.
func (t *table) list() []Active {
	out := make([]Active, 0, len(t.policies))
	for _, c := range t.policies {
		out = append(out, c.Active)
	}
	slices.SortFunc(out, func(a, b Active) int { return cmp.Compare(a.Action, b.Action) })
	return out
}
