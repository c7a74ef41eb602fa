package config

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"avalo.app/gantry/internal/health"
)

// What holds for a component that states none.
const (
	defaultInterval = Duration(10 * time.Second)
	defaultTimeout  = Duration(5 * time.Second)
	defaultSlow     = Duration(2 * time.Second)
)

// Watched are the components in the words of package health, by name.
func (h Health) Watched() []health.Component {
	var out []health.Component
	for _, name := range slices.Sorted(maps.Keys(h.Components)) {
		c := h.Components[name]
		c.Interval = cmp.Or(c.Interval, defaultInterval)
		c.Timeout = cmp.Or(c.Timeout, min(defaultTimeout, c.Interval))
		c.DegradedAbove = cmp.Or(c.DegradedAbove, min(defaultSlow, c.Timeout))
		out = append(out, health.Component{Name: name, Slot: c.Slot, Kind: strings.Join(c.Kinds(), "+"), Critical: c.Critical, DependsOn: c.DependsOn,
			DegradedAbove: time.Duration(c.DegradedAbove), Timeout: time.Duration(c.Timeout), Interval: time.Duration(c.Interval),
			FailureThreshold: c.FailureThreshold, SuccessThreshold: c.SuccessThreshold, Published: c.Published, PerNode: c.PerNode})
	}
	return out
}

// Expected are the jobs in the words of package health, by name.
func (h Health) Expected() []health.Job {
	var out []health.Job
	for _, name := range slices.Sorted(maps.Keys(h.Jobs)) {
		j := h.Jobs[name]
		out = append(out, health.Job{Name: name, Schedule: j.Schedule, TimeZone: j.TimeZone, Period: time.Duration(j.Period),
			Grace: time.Duration(j.Grace), MaxRuntime: time.Duration(j.MaxRuntime)})
	}
	return out
}

// Kinds returns the names of the kinds that are set: one, in a valid
// configuration.
func (c Component) Kinds() []string { return kinds(reflect.ValueOf(c)) }

// Kinds returns the names of the kinds that are set: one, in a valid
// configuration.
func (r Receiver) Kinds() []string { return kinds(reflect.ValueOf(r)) }

// kinds are the sections of a struct that are there.
func kinds(v reflect.Value) (out []string) {
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() {
			out = append(out, v.Type().Field(i).Tag.Get("yaml"))
		}
	}
	return out
}
