// Package testclock is a clock that a test moves from outside the process.
// It is linked only under the build tag testclock; archtest proves that a
// release build lacks it.
package testclock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// EnvVar names the environment variable that holds the path of the offset
// file: a Go duration such as "1h0m5s", added to the real time. A missing
// file is no offset.
const EnvVar = "GANTRY_TESTCLOCK"

// Now returns the shifted time. It reads the file at every call, so that a
// test sees its change at once. A file that is not a duration panics: a test
// that meant to move the clock must not pass without it.
func Now() time.Time {
	now := time.Now()
	path := os.Getenv(EnvVar)
	if path == "" {
		return now
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return now
	}
	if err != nil {
		panic(fmt.Sprintf("testclock: %v", err))
	}
	d, err := time.ParseDuration(strings.TrimSpace(string(b)))
	if err != nil {
		panic(fmt.Sprintf("testclock: %s: %v", path, err))
	}
	return now.Add(d)
}
