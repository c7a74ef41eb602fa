package launch_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"avalo.app/gantry/internal/launch"
)

// TestDayEnds: the day ends at local midnight to the microsecond, or with
// what follows it where clocks skip midnight.
func TestDayEnds(t *testing.T) {
	for _, tt := range []struct{ zone, at, day, ends string }{
		{"UTC", "2026-03-01T00:00:00Z", "2026-03-01", "2026-03-02T00:00:00Z"},
		{"UTC", "2026-03-01T23:59:59.999999Z", "2026-03-01", "2026-03-02T00:00:00Z"},
		{"UTC", "2024-02-29T12:00:00Z", "2024-02-29", "2024-03-01T00:00:00Z"},
		{"Europe/Warsaw", "2026-03-28T23:00:00Z", "2026-03-29", "2026-03-29T22:00:00Z"}, // 23 hours
		{"Europe/Warsaw", "2026-03-29T21:59:59.999999Z", "2026-03-29", "2026-03-29T22:00:00Z"},
		{"Europe/Warsaw", "2026-03-29T22:00:00Z", "2026-03-30", "2026-03-30T22:00:00Z"},
		{"Europe/Warsaw", "2026-10-24T22:00:00Z", "2026-10-25", "2026-10-25T23:00:00Z"},     // 25 hours
		{"Europe/Warsaw", "2026-10-25T00:30:00Z", "2026-10-25", "2026-10-25T23:00:00Z"},     // 02:30 for the first time
		{"Europe/Warsaw", "2026-10-25T01:30:00Z", "2026-10-25", "2026-10-25T23:00:00Z"},     // and the second
		{"America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-03", "2018-11-04T03:00:00Z"}, // no midnight: 00:00 is 01:00
		{"America/Sao_Paulo", "2018-02-17T12:00:00Z", "2018-02-17", "2018-02-18T03:00:00Z"}, // 24:00 is 23:00 again
		{"America/Sao_Paulo", "2018-02-18T02:30:00Z", "2018-02-17", "2018-02-18T03:00:00Z"},
		{"Africa/Cairo", "2026-04-23T12:00:00Z", "2026-04-23", "2026-04-23T22:00:00Z"}, // midnight is skipped
		{"Africa/Cairo", "2026-04-24T12:00:00Z", "2026-04-24", "2026-04-24T21:00:00Z"},
		{"Africa/Cairo", "2026-10-29T12:00:00Z", "2026-10-29", "2026-10-29T22:00:00Z"},        // 24:00 is 23:00 again
		{"Asia/Beirut", "2026-03-28T12:00:00Z", "2026-03-28", "2026-03-28T22:00:00Z"},         // skipped
		{"Asia/Beirut", "2026-10-24T12:00:00Z", "2026-10-24", "2026-10-24T22:00:00Z"},         // repeated
		{"Australia/Lord_Howe", "2026-04-04T14:00:00Z", "2026-04-05", "2026-04-05T13:30:00Z"}, // half an hour
		{"Australia/Lord_Howe", "2026-10-03T14:00:00Z", "2026-10-04", "2026-10-04T13:00:00Z"},
		{"Pacific/Apia", "2011-12-29T20:00:00Z", "2011-12-29", "2011-12-30T10:00:00Z"}, // the 30th never was
		{"Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31", "2011-12-31T10:00:00Z"},
		{"America/St_Johns", "2026-03-07T23:00:00Z", "2026-03-07", "2026-03-08T03:30:00Z"},
		{"America/St_Johns", "2026-11-01T12:00:00Z", "2026-11-01", "2026-11-02T03:30:00Z"},
		{"Asia/Kathmandu", "2026-01-01T18:15:00Z", "2026-01-02", "2026-01-02T18:15:00Z"},
		{"Pacific/Kiritimati", "2026-01-01T12:00:00Z", "2026-01-02", "2026-01-02T10:00:00Z"},
		{"Nowhere/City", "2026-03-01T12:00:00Z", "2026-03-01", "2026-03-02T00:00:00Z"}, // as UTC
	} {
		at, err := time.Parse(time.RFC3339Nano, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		c := launch.NewCalendar(tt.zone)
		if got, ends := c.Day(at), c.Ends(at).Format(time.RFC3339Nano); got != tt.day || ends != tt.ends {
			t.Errorf("%s in %s: day %s ends %s, want %s, %s", tt.at, tt.zone, got, ends, tt.day, tt.ends)
		}
	}
	if (launch.Calendar{}).Day(time.Date(2026, 1, 1, 23, 0, 0, 0, time.FixedZone("", -7200))) != "2026-01-02" {
		t.Error("the zero calendar is not UTC's")
	}
}

func TestDayEndsProperty(t *testing.T) {
	zones := []string{"UTC", "Europe/Warsaw", "America/Sao_Paulo", "Africa/Cairo", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns", "Asia/Tehran", "America/Havana", "Asia/Gaza", "Pacific/Kwajalein", "Antarctica/Troll"}
	from, to := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro(), time.Date(2037, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	rapid.Check(t, func(r *rapid.T) {
		c := launch.NewCalendar(rapid.SampledFrom(zones).Draw(r, "zone"))
		at := time.UnixMicro(rapid.Int64Range(from, to).Draw(r, "at"))
		if rapid.Bool().Draw(r, "near midnight") {
			at = c.Ends(at).Add(time.Duration(rapid.IntRange(-3, 3).Draw(r, "off")) * time.Microsecond)
		}
		ends := c.Ends(at)
		if !ends.After(at) || c.Day(ends) <= c.Day(at) || c.Day(ends.Add(-time.Microsecond)) > c.Day(at) {
			r.Fatalf("%s counts on %s, which ends %s", at.UTC(), c.Day(at), ends)
		}
	})
}
