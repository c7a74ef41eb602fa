package launch

import (
	"fmt"
	"time"

	"avalo.app/gantry/internal/fault"
)

// Settings hold for every mode.
type Settings struct {
	// TimeZone is the IANA name of the zone whose midnight ends the day of a
	// cap.
	TimeZone string `json:"timeZone"`
	// Blocked countries may not sign up in any mode.
	Blocked []string `json:"blockedCountries"`
	// RequireIPCountry wants the address's country to be the stated one.
	RequireIPCountry bool `json:"requireIPCountry"`
	// ReservationTTL is how long a reservation holds its slot if the caller
	// does not say. HookTTL is that of the hooks, whose confirmation comes
	// when the account exists already.
	ReservationTTL Duration `json:"reservationTTL"`
	HookTTL        Duration `json:"hookTTL"`
}

// Duration is a time.Duration that JSON writes as "15m0s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// The bounds of a time-to-live.
const (
	MinTTL = time.Minute
	MaxTTL = 7 * 24 * time.Hour
)

// DefaultSettings hold until an admin says otherwise.
func DefaultSettings() Settings {
	return Settings{TimeZone: "UTC", Blocked: []string{}, ReservationTTL: Duration(15 * time.Minute), HookTTL: Duration(24 * time.Hour)}
}

// normal returns s with codes normalised and sorted, or why it cannot be in
// force.
func (s Settings) normal() (Settings, error) {
	const op = "launch.Settings"
	if s.TimeZone == "" || s.TimeZone == "Local" {
		return s, fault.Invalid(op, fault.Field{Field: "timeZone", Problem: "empty"}, `timeZone must be an IANA name such as "UTC" or "Europe/Warsaw"`)
	}
	if _, err := time.LoadLocation(s.TimeZone); err != nil {
		return s, fault.Invalid(op, fault.Field{Field: "timeZone", Problem: "unknown", Actual: short(s.TimeZone)}, `timeZone must be an IANA name such as "UTC" or "Europe/Warsaw"`)
	}
	blocked := []string{}
	for i, c := range s.Blocked {
		code, err := country(op, fmt.Sprintf("blockedCountries[%d]", i), c)
		if err != nil {
			return s, err
		}
		blocked = append(blocked, code)
	}
	s.Blocked = sortedSet(blocked)
	if err := checkTTL(op, "reservationTTL", time.Duration(s.ReservationTTL)); err != nil {
		return s, err
	}
	return s, checkTTL(op, "hookTTL", time.Duration(s.HookTTL))
}

func checkTTL(op, field string, d time.Duration) error {
	if d < MinTTL || d > MaxTTL {
		return fault.Invalid(op, fault.Field{Field: field, Problem: "out of range", Limit: MinTTL.String() + ".." + MaxTTL.String(), Actual: d.String()},
			"%s must be from %s to %s", field, MinTTL, MaxTTL)
	}
	return nil
}

// Maintenance closes signups, gates and flags until a moment.
type Maintenance struct {
	Until     time.Time `json:"until"` // zero: none
	StartedAt time.Time `json:"startedAt"`
}

// MaxMaintenance bounds how long one switch lasts: it ends by itself, and a
// longer one is renewed.
const MaxMaintenance = 7 * 24 * time.Hour

// On reports whether the maintenance lasts at now.
func (m Maintenance) On(now time.Time) bool { return now.Before(m.Until) }
