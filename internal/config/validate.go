package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/ratelimit"
)

// Validate returns everything that is wrong with c, as [Problems].
func (c Config) Validate() error { return c.problems().err() }

func (c Config) problems() Problems {
	v := validator{c: &c}
	options(reflect.ValueOf(c), "", v.bounds)
	v.server()
	v.storeAndKeys()
	v.access()
	v.launch()
	v.media()
	v.health()
	v.incidents()
	v.policies()
	slices.SortStableFunc(v.problems, byPlace)
	return v.problems
}

type validator struct {
	c        *Config
	problems Problems
}

func (v *validator) fail(path, format string, args ...any) {
	p := Problem{Path: path, Text: fmt.Sprintf(format, args...)}
	for at := path; at != ""; at = parent(at) {
		if place, ok := v.c.origin[at]; ok {
			p.Line, p.Column = place.line, place.column
			break
		}
	}
	v.problems = append(v.problems, p)
}

// parent returns the path of the section that holds path: the nearest place
// of an option that was not written.
func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

// shown returns a value for an error, or what was written in its place if it
// came from a variable.
func (v *validator) shown(path string, value any) string {
	if raw := v.c.origin[path].raw; raw != "" {
		return "the value of " + strconv.Quote(clip(raw))
	}
	if s, ok := value.(string); ok {
		return strconv.Quote(clip(s))
	}
	return fmt.Sprint(value)
}

// bounds checks an option against its own enum and range. The numbers of
// policies are left to the limiter, whose rules the API obeys as well.
func (v *validator) bounds(o option) {
	if enum, ok := o.tag.Lookup("enum"); ok {
		v.oneOf(o.path, o.value.String(), strings.Split(enum, ","))
	}
	r, ok := o.tag.Lookup("range")
	if !ok || strings.HasPrefix(o.path, "ratelimit.policies.") {
		return
	}
	low, high, _ := strings.Cut(r, "..")
	if n := o.value.Int(); n < number(low, o.value.Type()) || n > number(high, o.value.Type()) {
		v.fail(o.path, "must be between %s and %s; it is %s", low, high, v.shown(o.path, o.value.Interface()))
	}
}

func (v *validator) oneOf(path, value string, allowed []string) {
	if slices.Contains(allowed, value) {
		return
	}
	words := slices.DeleteFunc(slices.Clone(allowed), func(s string) bool { return s == "" })
	text := "must be one of " + strings.Join(words, ", ")
	if len(words) < len(allowed) {
		text += ", or empty"
	}
	hint := ""
	if v.c.origin[path].raw == "" {
		if s := suggest(value, words); strings.Contains(s, "did you mean") {
			hint = s
		}
	}
	v.fail(path, "%s; it is %s%s", text, v.shown(path, value), hint)
}

// number reads one end of a range tag.
func number(s string, t reflect.Type) int64 {
	x := reflect.New(t).Elem()
	if err := set(x, written{text: s, used: true}); err != nil {
		panic("config: range tag: " + err.Error()) // every test finds it
	}
	return x.Int()
}

// policies checks each policy by the limiter's own rules.
func (v *validator) policies() {
	for _, action := range sortedKeys(reflect.ValueOf(v.c.RateLimit.Policies)) {
		path := "ratelimit.policies." + action
		if action == ratelimit.AuthFailure {
			v.fail(path, "this policy is set by access.auth_failures; remove it here")
			continue
		}
		c := v.c.RateLimit.Policies[action].convert(action)
		for _, p := range c.policy.Problems() {
			f, _ := p.Detail.(fault.Field)
			if v.reported(c, f.Field) {
				continue
			}
			field := c.rename(f.Field)
			text := strings.TrimPrefix(strings.TrimPrefix(c.rename(p.Msg), field), ":")
			if v.interpolated(path) {
				text = "breaks a bound of policies, see docs/CONFIG.md; numbers of this policy come from variables"
			}
			at := join(path, field)
			if field == "action" {
				at = path
			}
			v.fail(at, "%s", strings.TrimSpace(text))
		}
	}
}

// interpolated reports whether anything under path came from a variable.
func (v *validator) interpolated(path string) bool {
	for at, place := range v.c.origin {
		if place.raw != "" && strings.HasPrefix(at, path+".") {
			return true
		}
	}
	return false
}

// reported tells a problem that the enum of its option has reported.
func (v *validator) reported(c converted, field string) bool {
	if field == "onFailure" || field == "algorithm" {
		return true
	}
	for i, r := range c.policy.Rules {
		if field == fmt.Sprintf("rules[%d].scope", i) {
			return r.Scope == 0
		}
	}
	return false
}
