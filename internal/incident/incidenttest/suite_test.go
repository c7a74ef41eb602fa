package incidenttest_test

import (
	"testing"

	"avalo.app/gantry/internal/incident/incidenttest"
)

func TestMemory(t *testing.T) {
	incidenttest.RunStore(t, func(*testing.T) incidenttest.Harness { return incidenttest.OnMemory() })
}
