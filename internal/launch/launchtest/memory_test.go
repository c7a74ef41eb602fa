package launchtest_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"avalo.app/gantry/internal/launch/launchtest"
)

// TestBooks: over random histories, Books decide and count as the naive model
// does.
func TestBooks(t *testing.T) {
	for range 10 { // 1,000 histories
		rapid.Check(t, func(rt *rapid.T) {
			c := launchtest.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
			launchtest.Random(rt, launchtest.NewMemory(c), c, "a")
		})
	}
}
