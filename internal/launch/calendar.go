package launch

import (
	"time"

	"avalo.app/gantry/internal/fault"
)

// Calendar tells on which day a moment counts. The zero value is UTC's.
type Calendar struct{ loc *time.Location }

// NewCalendar returns the calendar of an IANA zone. A zone that this binary
// does not know, which Settings refuse, counts as UTC.
func NewCalendar(zone string) Calendar {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		loc = time.UTC
	}
	return Calendar{loc}
}

// Day returns the day that a moment counts on, as 2006-01-02.
func (c Calendar) Day(t time.Time) string {
	if c.loc == nil {
		return t.UTC().Format(time.DateOnly)
	}
	return t.In(c.loc).Format(time.DateOnly)
}

// CheckDay refuses what Day cannot return.
func CheckDay(op, field, s string) error {
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		return fault.Invalid(op, fault.Field{Field: field, Problem: "not a day", Actual: short(s)}, "%s must be a day like 2026-11-24", field)
	}
	return nil
}

// Ends returns the first moment after t that counts on a later day: local
// midnight, or what follows it where daylight saving skips midnight.
func (c Calendar) Ends(t time.Time) time.Time {
	day := c.Day(t)
	// 50 h on is a later day in every zone, also across a change of the date
	// line. The halves close in on the change to the microsecond.
	lo, hi := t.UnixMicro(), t.Add(50*time.Hour).UnixMicro()
	for hi-lo > 1 {
		mid := lo + (hi-lo)/2
		if c.Day(time.UnixMicro(mid)) > day {
			hi = mid
		} else {
			lo = mid
		}
	}
	return time.UnixMicro(hi).UTC()
}
