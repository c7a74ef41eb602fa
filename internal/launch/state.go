package launch

import (
	"slices"
	"time"

	"avalo.app/gantry/internal/fault"
)

// State is everything that decides but for counts and people. A store loads
// it whole; what was never set has its default and version 0.
type State struct {
	Mode        Mode
	Version     int64     // of the mode: how many transitions there were
	Since       time.Time // zero: since the start
	Phases      map[Mode]Phase
	Settings    Settings
	Maintenance Maintenance
	// Versions of the documents that are changed on their own, by DocName.
	Versions map[string]int64
	Calendar Calendar // of Settings.TimeZone
}

// NewState returns the state before anything was set.
func NewState() State {
	s := State{Mode: InternalTest, Phases: map[Mode]Phase{}, Settings: DefaultSettings(), Versions: map[string]int64{}, Calendar: NewCalendar("UTC")}
	for _, m := range Modes() {
		s.Phases[m] = DefaultPhase(m)
	}
	return s
}

// The names under which a store keeps the parts of a State.
const (
	DocMode        = "mode"
	DocSettings    = "settings"
	DocMaintenance = "maintenance"
)

// DocPhase is the name of a mode's phase.
func DocPhase(m Mode) string { return "phase:" + string(m) }

// Phase returns the phase of the current mode.
func (s *State) Phase() Phase { return s.Phases[s.Mode] }

// blocked reports whether a country may not sign up in any mode.
func (s *State) blocked(country string) bool { return slices.Contains(s.Settings.Blocked, country) }

// Refusal is the Detail of a signup that is refused: what holds, and what
// was asked.
type Refusal struct {
	Mode             Mode       `json:"mode,omitempty"`
	Problem          string     `json:"problem,omitempty"`
	Country          string     `json:"country,omitempty"`          // as understood; "" if it is none
	AllowedCountries any        `json:"allowedCountries,omitempty"` // a list, or "ALL"
	Limit            int64      `json:"limit,omitempty"`
	Actual           int64      `json:"actual,omitempty"`
	Day              string     `json:"day,omitempty"`
	OpensAt          *time.Time `json:"opensAt,omitempty"`
	Until            *time.Time `json:"until,omitempty"` // expected end of a maintenance
}

// AllowedCountries is the list of open countries, or "ALL".
func (s *State) AllowedCountries() any {
	list, all := s.Phase().Allowed(s.Settings.Blocked)
	if all {
		return GroupAll
	}
	return list
}

const opDecide = "launch.Decide"

// open refuses while signups are closed for everyone.
func (s *State) open(now time.Time) error {
	if !s.Maintenance.On(now) {
		return nil
	}
	until := s.Maintenance.Until
	return &fault.Error{Code: fault.SystemMaintenance, Op: opDecide, Msg: "signups are closed for maintenance until " + until.Format(time.RFC3339),
		Detail: Refusal{Mode: s.Mode, Until: &until}}
}

// admitsCountry refuses a country that the phase does not open.
func (s *State) admitsCountry(a Applicant) error {
	refuse := func(problem, msg string) error {
		return &fault.Error{Code: fault.CountryNotAllowed, Op: opDecide, Msg: msg,
			Detail: Refusal{Mode: s.Mode, Problem: problem, Country: a.Country, AllowedCountries: s.AllowedCountries()}}
	}
	switch {
	case a.Country == "":
		return refuse("unknown", "the country is missing or is not an ISO 3166-1 code such as PL")
	case s.blocked(a.Country):
		return refuse("blocked", a.Country+" is blocked in every mode")
	case !s.Phase().names(a.Country):
		return refuse("not open", a.Country+" is not open in "+string(s.Mode))
	case !s.Settings.RequireIPCountry:
		return nil
	case a.IPCountry == "":
		return refuse("address unknown", "the country of the client's address is not known, and it must agree with the stated one: send the client's address in ip")
	case a.IPCountry != a.Country:
		return refuse("address disagrees", "the client's address does not lie in the stated country")
	}
	return nil
}
