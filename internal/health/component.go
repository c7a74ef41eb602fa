package health

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"avalo.app/gantry/internal/fault"
)

// The ranges and defaults of a component.
const (
	MinInterval      = time.Second
	MaxInterval      = 24 * time.Hour
	MinTimeout       = 10 * time.Millisecond
	MaxTimeout       = time.Minute
	MaxThreshold     = 20
	MaxComponents    = 1000
	defaultInterval  = 10 * time.Second
	defaultTimeout   = 2 * time.Second
	defaultFailures  = 3
	defaultSuccesses = 2
)

// Component is one thing that is measured. A zero Timeout, Interval or
// threshold has its default: 2 s, 10 s, 3 failures, 2 successes.
type Component struct {
	Name          string
	Slot          string // one of Slots; "" is that of its name, or none
	Kind          string // of the probe, for people: "postgres", "http"
	Critical      bool   // the app is DOWN when it is
	DependsOn     []string
	DegradedAbove time.Duration // a slower answer is DEGRADED; 0: none is
	Timeout       time.Duration
	Interval      time.Duration
	// FailureThreshold failures in a row make it DOWN, SuccessThreshold
	// successes in a row bring it back; see Step.
	FailureThreshold int
	SuccessThreshold int
	Published        bool // its name and status are public
	PerNode          bool // every node measures its own
	// Own marks what Gantry measures of itself: it is no part of the app, and
	// while it is UNKNOWN the overall word is about the app alone.
	Own bool
}

func (c Component) withDefaults() Component {
	c.Timeout = cmp.Or(c.Timeout, min(defaultTimeout, cmp.Or(c.Interval, defaultInterval)))
	c.Interval = cmp.Or(c.Interval, defaultInterval)
	c.FailureThreshold = cmp.Or(c.FailureThreshold, defaultFailures)
	c.SuccessThreshold = cmp.Or(c.SuccessThreshold, defaultSuccesses)
	if slices.Contains(Slots(), c.Name) {
		c.Slot = cmp.Or(c.Slot, c.Name) // reports name an empty slot by its name, too
	}
	return c
}

// staleAfter is how long a result of the component counts: a few turns, and
// what one turn may take.
func (c Component) staleAfter() time.Duration { return 3*c.Interval + c.Timeout + 5*time.Second }

// pages reports whether its failure is the app's.
func (c Component) pages() bool { return c.Critical || c.Slot == SlotPayments }

const opComponents = "health.Components"

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,63}$`)

// Components checks a configuration, fills in its defaults and returns it with
// every parent before its children. It refuses with INVALID_ARGUMENT.
func Components(cs []Component) ([]Component, error) {
	if len(cs) > MaxComponents {
		return nil, fault.Invalid(opComponents, fault.Field{Field: "components", Limit: MaxComponents, Actual: len(cs)},
			"there may be %d components at most; there are %d", MaxComponents, len(cs))
	}
	byName, slots := make(map[string]Component, len(cs)), map[string]string{}
	for _, c := range cs {
		c = c.withDefaults()
		if err := c.check(); err != nil {
			return nil, err
		}
		if _, twice := byName[c.Name]; twice {
			return nil, c.invalid("name", nil, c.Name, "two components have this name: rename one")
		}
		if other, taken := slots[c.Slot]; taken && c.Slot != "" {
			return nil, c.invalid("slot", nil, c.Slot, "component "+other+" fills this slot already: leave the slot of one empty")
		}
		byName[c.Name], slots[c.Slot] = c, c.Name
	}
	return inOrder(cs, byName)
}

func (c Component) invalid(field string, limit, actual any, problem string) error {
	return fault.Invalid(opComponents, fault.Field{Field: "components." + c.Name + "." + field, Problem: problem, Limit: limit, Actual: actual},
		"component %q, %s: %s", c.Name, field, problem)
}

func (c Component) check() error {
	if !namePattern.MatchString(c.Name) {
		return c.invalid("name", namePattern.String(), c.Name, "a name has 1 to 64 of a-z, 0-9, '_', '.', '-' and starts with a letter or digit")
	}
	if c.Slot != "" && !slices.Contains(Slots(), c.Slot) {
		return c.invalid("slot", Slots(), c.Slot, "a slot is one of "+strings.Join(Slots(), ", ")+", or empty")
	}
	if slices.Contains(Slots(), c.Name) && c.Slot != c.Name {
		return c.invalid("slot", c.Name, c.Slot, "a component with the name of a slot fills that slot: rename it, or leave its slot empty")
	}
	for _, d := range [...]struct {
		field            string
		low, high, value time.Duration
	}{
		{"interval", MinInterval, MaxInterval, c.Interval},
		{"timeout", MinTimeout, min(MaxTimeout, c.Interval), c.Timeout},
		{"degradedAbove", 0, c.Timeout, c.DegradedAbove},
	} {
		if d.value < d.low || d.value > d.high {
			return c.invalid(d.field, d.low.String()+".."+d.high.String(), d.value.String(),
				"it must be from "+d.low.String()+" to "+d.high.String()+" (a timeout fits its interval, a limit of slowness its timeout); it is "+d.value.String())
		}
	}
	if c.FailureThreshold < 1 || c.FailureThreshold > MaxThreshold {
		return c.invalid("failureThreshold", "1..20", c.FailureThreshold, "it must be from 1 to 20")
	}
	if c.SuccessThreshold < 1 || c.SuccessThreshold > MaxThreshold {
		return c.invalid("successThreshold", "1..20", c.SuccessThreshold, "it must be from 1 to 20")
	}
	return nil
}

// inOrder sorts parents before children, else as configured.
func inOrder(cs []Component, byName map[string]Component) ([]Component, error) {
	out := make([]Component, 0, len(cs))
	const visiting, done = 1, 2
	mark := make(map[string]int, len(cs))
	var path []string
	var visit func(c Component) error
	visit = func(c Component) error {
		switch mark[c.Name] {
		case done:
			return nil
		case visiting:
			circle := append(path[slices.Index(path, c.Name):], c.Name)
			return c.invalid("dependsOn", nil, strings.Join(circle, " > "), "the components depend on each other in a circle: "+strings.Join(circle, " > "))
		}
		mark[c.Name] = visiting
		path = append(path, c.Name)
		for _, parent := range c.DependsOn {
			p, ok := byName[parent]
			if !ok {
				return c.invalid("dependsOn", nil, parent, "there is no component "+parent+": configure it, or remove it here")
			}
			if err := visit(p); err != nil {
				return err
			}
		}
		path = path[:len(path)-1]
		mark[c.Name] = done
		out = append(out, c)
		return nil
	}
	for _, c := range cs {
		if err := visit(byName[c.Name]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
