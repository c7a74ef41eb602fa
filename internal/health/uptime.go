package health

import (
	"context"
	"time"
)

// Tally counts measurements by the status that the component had after them.
// Those made in a maintenance window count there and nowhere else.
type Tally struct {
	Up          int64 `json:"up"`
	Degraded    int64 `json:"degraded"`
	Down        int64 `json:"down"`
	Maintenance int64 `json:"maintenance"`
}

func (t *Tally) add(s Status, maintenance bool) {
	switch {
	case maintenance:
		t.Maintenance++
	case s == Healthy:
		t.Up++
	case s == Degraded:
		t.Degraded++
	case s == Down:
		t.Down++
	}
}

// Since is what a tally rose by; a count that fell starts anew.
func (t Tally) Since(was Tally) Tally {
	rise := func(now, was int64) int64 {
		if now < was {
			return now
		}
		return now - was
	}
	return Tally{rise(t.Up, was.Up), rise(t.Degraded, was.Degraded), rise(t.Down, was.Down), rise(t.Maintenance, was.Maintenance)}
}

// Day is the uptime of one component on one day (UTC).
type Day struct {
	Component string `json:"component"`
	Day       string `json:"day"` // 2006-01-02
	Tally
}

// Uptime is the share of measurements, 0 to 1, at which it worked, however
// badly; ok is false for a day without a measurement outside of maintenance.
func (d Day) Uptime() (share float64, ok bool) {
	n := d.Up + d.Degraded + d.Down
	if n == 0 {
		return 0, false
	}
	return float64(d.Up+d.Degraded) / float64(n), true
}

// UptimeDays is how many days of uptime are kept.
const UptimeDays = 90

// DayOf is the day that a measurement counts for.
func DayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// RefreshUptime reads the days that LastUptime returns.
func (m *Monitor) RefreshUptime(ctx context.Context) error {
	days, err := m.Uptime(ctx, UptimeDays)
	if err == nil {
		m.uptime.Store(&Seen[Day]{days, m.o.Now()})
	}
	return err
}

// LastUptime is what RefreshUptime read last: from memory, and shared, so read
// only.
func (m *Monitor) LastUptime() Seen[Day] {
	if s := m.uptime.Load(); s != nil {
		return *s
	}
	return Seen[Day]{}
}

// Uptime returns the last days, at most UptimeDays, by component and day.
// A day on which nothing was measured is absent.
func (m *Monitor) Uptime(ctx context.Context, days int) ([]Day, error) {
	days = max(1, min(days, UptimeDays))
	return m.o.Store.HealthUptime(ctx, DayOf(m.o.Now().AddDate(0, 0, 1-days)))
}
