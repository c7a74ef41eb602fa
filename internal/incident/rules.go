package incident

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"avalo.app/gantry/internal/fault"
)

// Rule is a row of the rule table: what a fact by this name means.
type Rule struct {
	Name string
	// Group names the cause. Rules of one group that fail for one object are
	// one incident, as urgent as the most urgent of them.
	Group string
	Class Class
	// After is how long it must fail without a break before it counts.
	After time.Duration
	// Channels is who hears of it.
	Channels []Channel
	// Local facts are about the node that reports them: one node's healthy disk
	// says nothing of another's. They end when their node is not heard of.
	Local bool
	// Fold makes one incident of all objects, named by this word: of things
	// that come in hundreds.
	Fold string
	Text string // what is wrong, with {object} where the object goes
}

// Names of rules that this package raises or treats itself.
const (
	StoreDown       = "store_down"
	ReceiverFailing = "receiver_failing"
)

// Rules returns the table of system.md section 8. On-call is who the pager
// reaches.
func Rules() []Rule {
	everyone := []Channel{Pager, Chat, Email}
	onCall := []Channel{Pager, Chat}
	chat := []Channel{Chat}
	later := []Channel{Chat, Email}
	return []Rule{
		{Name: "component_down", Group: "component", Class: P0, Channels: everyone, Text: "{object} is down"},
		{Name: "component_impaired", Group: "component", Class: P2, Channels: chat, Text: "{object} is slow, or down and not critical"},
		{Name: "health_degraded", Group: "component", Class: P1, After: 5 * time.Minute, Channels: onCall, Text: "{object} is degraded for 5 minutes"},
		{Name: "payment_failed", Class: P0, Channels: everyone, Text: "payments fail: {object}"},
		{Name: "integrity_failed", Class: P0, Channels: everyone, Text: "data of {object} breaks an invariant"},
		{Name: "audit_unverified", Class: P0, Channels: everyone, Text: "the audit log does not verify: {object}"},
		{Name: "audit_contradicted", Class: P0, Channels: everyone, Local: true, Text: "the audit log contradicts what was published of it: {object}"},
		{Name: "security_event", Class: P0, Channels: everyone, Text: "security event: {object}"},
		{Name: StoreDown, Class: P0, Channels: everyone, Local: true, Text: "Gantry's own store does not answer"},
		{Name: "error_rate", Class: P1, Channels: onCall, Text: "too many requests fail: {object}"},
		{Name: "query_error", Class: P1, Channels: onCall, Text: "database queries fail: {object}"},
		{Name: "backup_failed", Group: "backup", Class: P1, Channels: onCall, Text: "the backup of {object} failed"},
		{Name: "backup_overdue", Group: "backup", Class: P1, Channels: onCall, Text: "the backup of {object} is overdue"},
		{Name: "drill_missed", Class: P1, Channels: onCall, Text: "the recovery drill of {object} missed its promise"},
		{Name: "ratelimit_degraded", Class: P1, Channels: onCall, Local: true, Text: "rate limiting is degraded: {object}"},
		{Name: "violations_high", Class: P2, Channels: chat, Text: "too many rate limit violations in an hour: {object}"},
		{Name: "launch_misconfigured", Class: P2, Channels: chat, Text: "the launch mode {object} is misconfigured"},
		{Name: "signup_unbacked", Class: P2, Channels: chat, Fold: "signups", Text: "signups were confirmed beyond what backs them"},
		{Name: "backup_warning", Class: P2, Channels: chat, Text: "the backup of {object} has warnings"},
		{Name: "ops_overdue", Class: P2, Channels: chat, Text: "the operations task {object} is overdue"},
		{Name: "job_failed", Group: "job", Class: P2, Channels: chat, Text: "the job {object} failed"},
		{Name: "job_overdue", Group: "job", Class: P2, Channels: chat, Text: "the job {object} is overdue"},
		{Name: "freshness_stale", Class: P2, Channels: chat, Text: "{object} is stale"},
		{Name: "auth_failures", Class: P2, Channels: chat, Text: "many failed authentications: {object}"},
		{Name: "disk_low", Class: P2, Channels: chat, Local: true, Text: "disk space is low: {object}"},
		{Name: "background_failing", Class: P2, After: time.Minute, Channels: chat, Local: true, Text: "background work fails: {object}"},
		{Name: ReceiverFailing, Class: P2, Channels: everyone, Text: "alerts do not get through to the receiver {object}"},
		{Name: "readiness_warn", Class: P3, Channels: later, Text: "readiness check {object} warns"},
		{Name: "config_minor", Class: P3, Channels: later, Text: "minor configuration problem: {object}"},
	}
}

// Override replaces parts of a rule. What is empty stays.
type Override struct {
	Class    Class
	Channels []Channel
}

// Table is the rules in force. It does not change.
type Table struct {
	rules map[string]Rule
}

// NewTable returns the table with the overrides by rule name. An override of
// an unknown rule, or with an unknown class or channel, is INVALID_ARGUMENT.
func NewTable(overrides map[string]Override) (*Table, error) {
	t := &Table{rules: map[string]Rule{}}
	for _, r := range Rules() {
		if r.Group == "" {
			r.Group = r.Name
		}
		t.rules[r.Name] = r
	}
	for _, name := range slices.Sorted(maps.Keys(overrides)) {
		o := overrides[name]
		r, ok := t.rules[name]
		if !ok {
			return nil, invalid("rules", "a rule of the table", name, "there is no rule %q; the rules are %s", name, strings.Join(slices.Sorted(maps.Keys(t.rules)), ", "))
		}
		if o.Class != "" && !o.Class.known() {
			return nil, invalid("rules."+name+".class", Classes(), o.Class, "the class of rule %s must be one of %v, not %q", name, Classes(), o.Class)
		}
		for _, c := range o.Channels {
			if !c.known() {
				return nil, invalid("rules."+name+".channels", Channels(), c, "a channel of rule %s must be one of %v, not %q", name, Channels(), c)
			}
		}
		if o.Class != "" {
			r.Class = o.Class
		}
		if o.Channels != nil {
			r.Channels = o.Channels
		}
		t.rules[name] = r
	}
	return t, nil
}

// Rule returns the rule of a name. A name that is not in the table is a rule
// of its own of class P2: a fact is never dropped for want of a row.
func (t *Table) Rule(name string) Rule {
	if r, ok := t.rules[name]; ok {
		return r
	}
	return Rule{Name: name, Group: name, Class: P2, Channels: []Channel{Chat}, Text: name + ": {object}"}
}

// Known reports whether the table has the rule.
func (t *Table) Known(name string) bool {
	_, ok := t.rules[name]
	return ok
}

// CauseOf returns the cause that a failing rule and object belong to.
func (t *Table) CauseOf(rule, object string) Cause {
	r := t.Rule(rule)
	if r.Fold != "" {
		object = r.Fold
	}
	return Cause{Group: r.Group, Object: object}
}

// summary is the rule's text about the object, with what was observed.
func (r Rule) summary(object, value string) string {
	s := strings.ReplaceAll(r.Text, "{object}", object)
	if value != "" && !strings.HasSuffix(s, value) {
		s += ": " + value
	}
	return cut(s, maxSummary)
}

func invalid(field string, limit, actual any, format string, args ...any) error {
	return fault.Invalid("incident", fault.Field{Field: "incidents." + field, Problem: "value", Limit: limit, Actual: actual}, "%s", fmt.Sprintf(format, args...))
}
