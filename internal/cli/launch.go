package cli

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/config"
)

type launchCmd struct {
	remote
	Settings launchSettingsCmd `cmd:"" help:"Show what holds for every mode, or change what is named."`
}

type launchSettingsCmd struct {
	TimeZone         string          `help:"IANA zone whose midnight ends a cap's day." placeholder:"ZONE"`
	Block            []string        `help:"Countries that may not sign up in any mode." placeholder:"XX,YY"`
	Unblock          []string        `help:"Countries that may again." placeholder:"XX,YY"`
	RequireIPCountry string          `name:"require-ip-country" enum:",yes,no" default:"" help:"Whether the address's country must be the stated one: yes or no." placeholder:"YES"`
	ReservationTTL   config.Duration `name:"reservation-ttl" help:"How long a reservation holds its slot: 1m to 7d." placeholder:"DURATION"`
	HookTTL          config.Duration `name:"hook-ttl" help:"The same for reservations made by hooks." placeholder:"DURATION"`
	Reason           string          `help:"Why, in 10 to 500 characters; kept in the audit log. Required for a change." placeholder:"TEXT"`
}

// Help implements kong's longer help.
func (launchSettingsCmd) Help() string {
	return `Without flags it shows the settings. What you do not name stays as it is. A change holds on every node within a second.

  gantry launch settings
  gantry launch settings --time-zone Europe/Warsaw --reason "our day is Warsaw's"
  gantry launch settings --block RU,BY --reason "sanctions, as of today"`
}

// Run implements the command.
func (c *launchSettingsCmd) Run(e *env, parent *launchCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	s, err := cl.LaunchSettings(e.ctx)
	if err != nil {
		return err
	}
	if c.changes() {
		c.change(&s)
		if s, err = cl.ReplaceLaunchSettings(e.ctx, s, c.Reason); err != nil {
			return err
		}
	}
	if e.json {
		return printJSON(e.stdio.Out, s)
	}
	return table(e.stdio.Out, []string{"SETTING", "VALUE"}, [][]string{
		{"time zone", s.TimeZone}, {"blocked countries", words(s.BlockedCountries)}, {"require IP country", strconv.FormatBool(s.RequireIPCountry)},
		{"reservation TTL", s.ReservationTTL}, {"hook TTL", s.HookTTL}, {"version", strconv.FormatInt(s.Version, 10)}})
}

// changes reports whether anything but a look is asked for. A reason alone
// is a change that forgot what to change: the server says so.
func (c *launchSettingsCmd) changes() bool {
	return c.TimeZone != "" || c.Block != nil || c.Unblock != nil || c.RequireIPCountry != "" || c.ReservationTTL != 0 || c.HookTTL != 0
}

// change applies what was named.
func (c *launchSettingsCmd) change(s *api.LaunchSettings) {
	if c.TimeZone != "" {
		s.TimeZone = c.TimeZone
	}
	s.BlockedCountries = append(s.BlockedCountries, c.Block...)
	s.BlockedCountries = slices.DeleteFunc(s.BlockedCountries, func(country string) bool {
		return slices.ContainsFunc(c.Unblock, func(u string) bool { return strings.EqualFold(u, country) })
	})
	if c.RequireIPCountry != "" {
		s.RequireIPCountry = c.RequireIPCountry == "yes"
	}
	for _, d := range [...]struct {
		given config.Duration
		into  *string
	}{{c.ReservationTTL, &s.ReservationTTL}, {c.HookTTL, &s.HookTTL}} {
		if d.given != 0 {
			*d.into = time.Duration(d.given).String()
		}
	}
}
