package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time, written "5m", "1h30m" or "90d". A day is 24
// hours.
type Duration time.Duration

const day = 24 * time.Hour

// String writes the shortest exact form that UnmarshalText reads.
func (d Duration) String() string {
	v := time.Duration(d)
	if v != 0 && v%day == 0 && v >= 2*day {
		return strconv.FormatInt(int64(v/day), 10) + "d"
	}
	s := v.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText writes what String returns.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads "90d", "1d12h" and everything time.ParseDuration reads
// that is not negative.
func (d *Duration) UnmarshalText(b []byte) error {
	s := string(b)
	var days time.Duration
	if n, rest, ok := strings.Cut(s, "d"); ok {
		v, err := strconv.ParseInt(n, 10, 64)
		if err != nil || v < 0 || v > int64(math.MaxInt64/day) {
			return errDuration
		}
		days, s = time.Duration(v)*day, rest
	}
	if s == "" && len(b) > 0 {
		*d = Duration(days)
		return nil
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 || v > math.MaxInt64-days {
		return errDuration
	}
	*d = Duration(days + v)
	return nil
}

var errDuration = errors.New("a duration with its unit, such as 30s, 5m, 24h or 90d")

// ByteSize is a number of bytes, written "512KiB" or "1MiB" (powers of 1024),
// "64kB" or "1MB" (powers of 1000), or as a bare number.
type ByteSize int64

var sizes = []struct {
	unit  string
	bytes int64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}, {"", 1},
}

// String writes the shortest exact form in powers of 1024.
func (s ByteSize) String() string {
	for _, u := range sizes[:3] {
		if s >= ByteSize(u.bytes) && int64(s)%u.bytes == 0 {
			return fmt.Sprintf("%d%s", int64(s)/u.bytes, u.unit)
		}
	}
	return fmt.Sprintf("%dB", int64(s))
}

// MarshalText writes what String returns.
func (s ByteSize) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a whole number and an optional unit.
func (s *ByteSize) UnmarshalText(b []byte) error {
	for _, u := range sizes {
		digits, ok := strings.CutSuffix(string(b), u.unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.bytes {
			break
		}
		*s = ByteSize(n * u.bytes)
		return nil
	}
	return errors.New("a size such as 512KiB, 1MiB or 1048576")
}

// Prefix is a network, written "10.0.0.0/8", or one address.
type Prefix struct{ netip.Prefix }

// UnmarshalText reads a network in CIDR form or an address.
func (p *Prefix) UnmarshalText(b []byte) error {
	if a, err := netip.ParseAddr(string(b)); err == nil && a.Zone() == "" {
		p.Prefix = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	v, err := netip.ParsePrefix(string(b))
	if err != nil {
		return errors.New("a network such as 10.0.0.0/8, or an address")
	}
	p.Prefix = v.Masked()
	return nil
}
