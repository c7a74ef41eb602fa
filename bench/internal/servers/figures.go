package servers

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// LoadAverage says how busy the machine already was: it takes from every
// figure of a run.
func LoadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := bytes.Cut(b, []byte(" "))
	return string(first)
}

// Verdict is what stands beside a target.
func Verdict(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}

// Median of one value at least.
func Median[T int64 | float64 | time.Duration](xs []T) T { return Quantile(xs, 0.5) }

// Quantile is the value that a share q of the values, one at least, lie
// below.
func Quantile[T int64 | float64 | time.Duration](xs []T, q float64) T {
	s := slices.Sorted(slices.Values(xs))
	return s[min(len(s)-1, int(float64(len(s))*q))]
}

// Thousands writes n with commas.
func Thousands(n float64) string {
	s := fmt.Sprintf("%.0f", n)
	var parts []string
	for ; len(s) > 3; s = s[:len(s)-3] {
		parts = append([]string{s[len(s)-3:]}, parts...)
	}
	return strings.Join(append([]string{s}, parts...), ",")
}
