package config

import "reflect"

// WithLive returns c with those values of next that a running node takes
// over at once; see Diff.
func (c Config) WithLive(next Config) Config {
	takeLive(reflect.ValueOf(&c).Elem(), reflect.ValueOf(next))
	return c
}

func takeLive(into, from reflect.Value) {
	for i := range into.NumField() {
		f := into.Type().Field(i)
		switch {
		case f.Tag.Get("yaml") == "":
		case f.Tag.Get("reload") == "live":
			into.Field(i).Set(from.Field(i))
		case kindOf(f.Type) == mapping && f.Type.Kind() == reflect.Struct:
			takeLive(into.Field(i), from.Field(i))
		}
	}
}
