package healthtest_test

import (
	"testing"

	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/health/healthtest"
)

func TestMemory(t *testing.T) {
	healthtest.RunStore(t, func(*testing.T) (healthtest.Backend, healthtest.Lease) {
		m := healthtest.NewMemory(healthtest.Start)
		return m, m.TakeLease
	})
}

func TestProbers(t *testing.T) {
	healthtest.CheckProber(t, new(healthtest.Answers).OK(), healthtest.Hangs(), "secret")
	var slow healthtest.Answers
	slow.Set(health.Reading{}, nil, 1<<40)
	healthtest.CheckProber(t, nil, &slow)
}
