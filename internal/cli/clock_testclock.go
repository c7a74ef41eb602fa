//go:build testclock

package cli

import (
	"time"

	"avalo.app/gantry/internal/testclock"
)

// now is a clock that tests move; see package testclock.
func now() time.Time { return testclock.Now() }
