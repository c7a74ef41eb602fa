package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// option is one field of a configuration with its tags.
type option struct {
	path  string
	tag   reflect.StructTag
	value reflect.Value
}

// options calls visit for every field under v, sections and list items
// included, in the order of the struct.
func options(v reflect.Value, path string, visit func(option)) {
	switch {
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			options(v.Elem(), path, visit)
		}
	case kindOf(v.Type()) == list:
		for i := range v.Len() {
			options(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	case v.Kind() == reflect.Map:
		for _, k := range sortedKeys(v) {
			options(v.MapIndex(reflect.ValueOf(k)), join(path, k), visit)
		}
	case kindOf(v.Type()) == mapping:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name := f.Tag.Get("yaml")
			if name == "" {
				continue
			}
			at := join(path, name)
			visit(option{at, f.Tag, v.Field(i)})
			options(v.Field(i), at, visit)
		}
	}
}

func sortedKeys(v reflect.Value) []string {
	keys := make(map[string]bool, v.Len())
	for _, k := range v.MapKeys() {
		keys[k.String()] = true
	}
	return slices.Sorted(maps.Keys(keys))
}

// Diff returns the paths at which two configurations differ: those that a
// running node takes over at once, and those that need a restart.
func Diff(old, new Config) (live, restart []string) {
	diff(reflect.ValueOf(old), reflect.ValueOf(new), "", false, func(path string, isLive bool) {
		if isLive {
			live = append(live, path)
		} else {
			restart = append(restart, path)
		}
	})
	return live, restart
}

func diff(a, b reflect.Value, path string, live bool, changed func(path string, live bool)) {
	switch {
	case kindOf(a.Type()) == mapping && a.Kind() == reflect.Struct && a.Type() != reflect.TypeFor[Policy]():
		for i := range a.NumField() {
			f := a.Type().Field(i)
			if name := f.Tag.Get("yaml"); name != "" {
				diff(a.Field(i), b.Field(i), join(path, name), live || f.Tag.Get("reload") == "live", changed)
			}
		}
	case a.Type() == reflect.TypeFor[map[string]Policy]():
		for _, k := range unionKeys(a, b) {
			x, y := a.MapIndex(reflect.ValueOf(k)), b.MapIndex(reflect.ValueOf(k))
			if !x.IsValid() || !y.IsValid() || !equal(x, y) {
				changed(join(path, k), live)
			}
		}
	case !equal(a, b):
		changed(path, live)
	}
}

func unionKeys(a, b reflect.Value) []string {
	keys := append(sortedKeys(a), sortedKeys(b)...)
	slices.Sort(keys)
	return slices.Compact(keys)
}

// equal compares by content; a list or map without items is as good as none.
func equal(a, b reflect.Value) bool {
	if k := a.Kind(); (k == reflect.Slice || k == reflect.Map) && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
