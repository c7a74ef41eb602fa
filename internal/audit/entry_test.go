package audit_test

import (
	"testing"

	"avalo.app/gantry/internal/audit"
)

func TestKinds(t *testing.T) {
	seen := map[audit.Kind]bool{}
	for _, k := range audit.Kinds() {
		if seen[k] {
			t.Errorf("%s is listed twice", k)
		}
		seen[k] = true
		if !k.Valid() {
			t.Errorf("%q has not the form area.event", k)
		}
	}
	for _, k := range []audit.Kind{"", "x", "a.b.c", "A.b", "a.b c", "a.ü", "a.1", ".b", "a."} {
		if k.Valid() {
			t.Errorf("%q is a valid kind", k)
		}
	}
}
