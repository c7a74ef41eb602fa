package health

import (
	"errors"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// schedule is a cron expression in a time zone.
type schedule struct {
	spec  *cron.SpecSchedule
	fixed bool // at named hours, not at every one
}

// parseSchedule reads five fields (minute, hour, day of month, month, day of
// week) or a name such as @daily.
func parseSchedule(expr, zone string) (*schedule, error) {
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return nil, errors.New("the time zone is none that is known, such as Europe/Warsaw")
	}
	if strings.Contains(expr, "TZ=") {
		return nil, errors.New("a zone does not belong in the expression: name it in timeZone")
	}
	p, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor).Parse(expr)
	if err != nil {
		return nil, err
	}
	spec, ok := p.(*cron.SpecSchedule)
	if !ok {
		return nil, errors.New("write @every as a period")
	}
	spec.Location = loc
	s := &schedule{spec: spec, fixed: spec.Hour>>63 == 0}
	if s.next(time.Unix(0, 0)).IsZero() {
		return nil, errors.New("it names a day that never comes")
	}
	return s, nil
}

// next is the first time after t, zero if there is none within five years. At
// a change to daylight saving time, a time that does not exist is left out;
// at the change back, a fixed hour that comes twice counts once, the first
// time, while "every hour" runs in both, as cron daemons do. Where the clocks
// go forward at midnight, the library may pass over that day: one run a year
// is not waited for, which is better than one that is missed in vain.
func (s *schedule) next(t time.Time) time.Time {
	for {
		t = s.spec.Next(t)
		if t.IsZero() || !s.fixed || !repeated(t.In(s.spec.Location)) {
			return t.UTC()
		}
	}
}

// repeated reports whether the clocks showed the same time before, since they
// were put back less than a day ago.
func repeated(t time.Time) bool {
	_, now := t.Zone()
	for h := 1; h <= 3; h++ { // no zone was ever put back by more
		if _, was := t.Add(-time.Duration(h) * time.Hour).Zone(); was > now {
			before := t.Add(-time.Duration(was-now) * time.Second)
			return before.Hour() == t.Hour() && before.Minute() == t.Minute() && before.Day() == t.Day()
		}
	}
	return false
}
