package config_test

import (
	"encoding"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"avalo.app/gantry/internal/config"
)

func TestDuration(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0s", "0s": "0s", "90d": "90d", "1d": "24h", "1d12h": "36h", "48h": "2d", "5m": "5m", "1h30m": "1h30m", "90s": "1m30s", "1.5s": "1.5s", "60m": "1h",
		"": "", "d": "", "5": "", "-1s": "", "-1d": "", "1d-1h": "", "1d1d": "", "106752d": "", "106751d24h": "", "1.5d": "",
	} {
		var d config.Duration
		err := d.UnmarshalText([]byte(in))
		if (err != nil) != (want == "") || err == nil && d.String() != want {
			t.Errorf("%q reads as %s, %v; want %q", in, d, err, want)
		}
	}
}

func TestByteSize(t *testing.T) {
	for in, want := range map[string]config.ByteSize{
		"0": 0, "1": 1, "1B": 1, "1kB": 1000, "1KiB": 1024, "3 MiB": 3 << 20, "1MB": 1e6, "2GiB": 2 << 30, "1GB": 1e9,
		"": -1, "B": -1, "-1": -1, "1.5MiB": -1, "1mb": -1, "9223372036854775807GiB": -1, "1 XiB": -1,
	} {
		got := config.ByteSize(-1)
		if err := got.UnmarshalText([]byte(in)); got != want || (err != nil) != (want < 0) {
			t.Errorf("%q reads as %d, %v; want %d", in, got, err, want)
		}
	}
}

func TestUnitsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := rapid.SampledFrom([]int64{1, 1000, 1 << 20, int64(time.Second), int64(time.Hour), 24 * int64(time.Hour)}).Draw(t, "scale")
		n := rapid.Int64Range(0, math.MaxInt64/scale).Draw(t, "n") * scale
		var d config.Duration
		if err := d.UnmarshalText([]byte(config.Duration(n).String())); err != nil || d != config.Duration(n) {
			t.Fatalf("duration %d: %d, %v", n, d, err)
		}
		var s config.ByteSize
		if err := s.UnmarshalText([]byte(config.ByteSize(n).String())); err != nil || s != config.ByteSize(n) {
			t.Fatalf("size %d: %d, %v", n, s, err)
		}
	})
}

var _ encoding.TextMarshaler = config.Prefix{}
