package httpapi

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// version is a query parameter that may be absent: huma takes 0 for absent
// otherwise, and version 0 means "never set".
type version struct {
	Value int64
	set   bool
}

// Schema implements huma.SchemaProvider.
func (version) Schema(r huma.Registry) *huma.Schema {
	return huma.SchemaFromType(r, reflect.TypeFor[int64]())
}

// Receiver implements huma.ParamWrapper.
func (v *version) Receiver() reflect.Value { return reflect.ValueOf(v).Elem().Field(0) }

// OnParamSet implements huma.ParamReactor.
func (v *version) OnParamSet(isSet bool, _ any) { v.set = isSet }

// orAny returns the version, or -1 for any.
func (v version) orAny() int64 {
	if !v.set {
		return -1
	}
	return v.Value
}
