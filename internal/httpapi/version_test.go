package httpapi_test

import (
	"testing"

	"avalo.app/gantry/api"
)

// TestIfVersion: a version below 0 is a mistake of the caller's, and never
// means any version.
func TestIfVersion(t *testing.T) {
	f := newFixture(t, nil)
	const path, spec = "/v1/ratelimit/policies/LOGIN", `{"window":"1h","rules":[{"scope":"user","limit":5}]}`
	for _, v := range []string{"-1", "-9", "x"} {
		for _, method := range []string{"PUT", "DELETE"} {
			problemOf(t, f.do(method, path+"?ifVersion="+v, spec), 400, api.CodeInvalidArgument)
		}
	}
	if w := f.do("PUT", path+"?ifVersion=0", spec); w.Code != 200 {
		t.Errorf("never set: %d %s", w.Code, w.Body)
	}
	if w := f.do("PUT", path+"?ifVersion=0", spec); w.Code != 409 {
		t.Errorf("set meanwhile: %d %s", w.Code, w.Body)
	}
	if w := f.do("PUT", path, spec); w.Code != 200 {
		t.Errorf("any: %d %s", w.Code, w.Body)
	}
}
