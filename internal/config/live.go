package config

import (
	"maps"
	"reflect"
	"strings"
)

// WithLive returns c with those values of next that a running node takes
// over at once; see Diff.
func (c Config) WithLive(next Config) Config {
	var live []string
	takeLive(reflect.ValueOf(&c).Elem(), reflect.ValueOf(next), "", &live)
	// A value brings its place along, or Print would show what came from a
	// variable.
	c.origin = maps.Clone(c.origin)
	if c.origin == nil {
		c.origin = make(origin)
	}
	taken := func(at string) bool {
		for _, path := range live {
			if at == path || strings.HasPrefix(at, path+".") || strings.HasPrefix(at, path+"[") {
				return true
			}
		}
		return false
	}
	maps.DeleteFunc(c.origin, func(at string, _ place) bool { return taken(at) })
	for at, p := range next.origin {
		if taken(at) {
			c.origin[at] = p
		}
	}
	return c
}

// takeLive copies the live fields of a section and adds their paths to live.
func takeLive(into, from reflect.Value, path string, live *[]string) {
	for i := range into.NumField() {
		f := into.Type().Field(i)
		name := f.Tag.Get("yaml")
		switch {
		case name == "":
		case f.Tag.Get("reload") == "live":
			into.Field(i).Set(from.Field(i))
			*live = append(*live, join(path, name))
		case kindOf(f.Type) == mapping && f.Type.Kind() == reflect.Struct:
			takeLive(into.Field(i), from.Field(i), join(path, name), live)
		}
	}
}
