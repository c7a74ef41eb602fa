package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"avalo.app/gantry/internal/ratelimit"
)

// blank returns what a new item of a list or map starts from.
func blank(t reflect.Type) reflect.Value {
	switch t {
	case reflect.TypeFor[Policy]():
		return reflect.ValueOf(Policy{OnFailure: "open"})
	case reflect.TypeFor[Issuer]():
		return reflect.ValueOf(Issuer{RoleClaim: "role"})
	}
	return reflect.Zero(t)
}

// numbers are the keys of a policy that make it a policy of its own; the
// others are switches.
var numbers = []string{"algorithm", "window", "limit", "burst", "rules"}

// start returns what the entry key of a map starts from: for a policy that
// states no numbers, the built-in one of that name.
func (d *decoder) start(t reflect.Type, key string, n ast.Node, path string) reflect.Value {
	pairs, ok := entries(n)
	if t != reflect.TypeFor[Policy]() || !ok {
		return blank(t)
	}
	for _, pair := range pairs {
		if k, ok := pair.Key.(*ast.StringNode); ok && slices.Contains(numbers, k.Value) {
			return blank(t)
		}
	}
	builtin := defaultPolicies()
	p, ok := builtin[key]
	if key == ratelimit.AuthFailure {
		return blank(t) // Validate says where its numbers are
	}
	if !ok {
		d.fail(n, path, "there is no built-in policy of this name to adjust; state window and limit%s",
			suggest(key, slices.Sorted(maps.Keys(builtin))))
		return blank(t)
	}
	return reflect.ValueOf(p)
}

// Policies returns the configured policies by action, each with its source,
// and the one that limits failed authentications. The configuration must
// have passed Validate.
func (c Config) Policies() []ratelimit.Active {
	builtin := defaultPolicies()
	out := make([]ratelimit.Active, 0, len(c.RateLimit.Policies)+1)
	for _, action := range slices.Sorted(maps.Keys(c.RateLimit.Policies)) {
		p := c.RateLimit.Policies[action]
		a := ratelimit.Active{Policy: p.convert(action).policy, Source: ratelimit.FromConfig}
		if b, ok := builtin[action]; ok && reflect.DeepEqual(p, b) {
			a.Source = ratelimit.FromDefault
		}
		out = append(out, a)
	}
	f := ratelimit.Active{Policy: c.Access.AuthFailures.policy(), Source: ratelimit.FromConfig}
	if c.Access.AuthFailures == Default().Access.AuthFailures {
		f.Source = ratelimit.FromDefault
	}
	return append(out, f)
}

func (f AuthFailures) policy() ratelimit.Policy {
	return ratelimit.Policy{
		Action: ratelimit.AuthFailure, Window: time.Duration(f.Window), OnFailure: ratelimit.FailOpen,
		Rules: []ratelimit.Rule{{Scope: ratelimit.IP, Limit: f.Limit}},
	}
}

// converted is a policy in the limiter's form, and where each of its rules
// stands in the configuration: "limit" for the short form.
type converted struct {
	policy ratelimit.Policy
	at     []string
}

// convert reads names that are unknown as none; Validate reports them.
func (p Policy) convert(action string) converted {
	c := converted{policy: ratelimit.Policy{
		Action: action, Window: time.Duration(p.Window), OnFailure: ratelimit.FailureMode(p.OnFailure),
		Shadow: p.Shadow, Disabled: p.Disabled,
	}}
	c.policy.Algorithm, _ = ratelimit.ParseAlgorithm(p.Algorithm)
	if p.Block != nil {
		c.policy.Block = &ratelimit.Block{After: p.Block.After, For: time.Duration(p.Block.For)}
	}
	if p.Limit != 0 || p.Burst != 0 {
		c.add("", ratelimit.Rule{Scope: ratelimit.User, Limit: p.Limit, Burst: p.Burst})
	}
	for i, r := range p.Rules {
		scope, _ := ratelimit.ParseScope(r.Scope)
		c.add(fmt.Sprintf("rules[%d].", i), ratelimit.Rule{Scope: scope, Limit: r.Limit, Burst: r.Burst})
	}
	return c
}

func (c *converted) add(at string, r ratelimit.Rule) {
	c.policy.Rules = append(c.policy.Rules, r)
	c.at = append(c.at, at)
}

// rename writes a field of the limiter ("rules[1].limit") as it stands in
// the configuration.
func (c converted) rename(s string) string {
	pairs := []string{"onFailure", "on_failure"}
	for i, at := range c.at {
		pairs = append(pairs, fmt.Sprintf("rules[%d].", i), at)
	}
	return strings.NewReplacer(pairs...).Replace(s)
}
