package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"avalo.app/gantry/api"
)

type phaseCmd struct {
	remote
	List phaseListCmd `cmd:"" help:"List each mode's countries and caps."`
	Set  phaseSetCmd  `cmd:"" help:"Tune a mode's countries and caps, live."`
}

// none is how an argument says that nothing is to be left.
const none = "none"

type phaseListCmd struct{}

// Help implements kong's longer help.
func (phaseListCmd) Help() string { return "The mode in force is marked.\n\n  gantry phase list" }

// Run implements the command.
func (phaseListCmd) Run(e *env, parent *phaseCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	ps, err := cl.LaunchPhases(e.ctx)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"phases": ps})
	}
	return printPhases(e, ps)
}

func printPhases(e *env, ps []api.LaunchPhaseInfo) error {
	var rows [][]string
	for _, p := range ps {
		mark := ""
		if p.Current {
			mark = "in force"
		}
		var caps []string
		for _, country := range slices.Sorted(maps.Keys(p.CountryCaps)) {
			caps = append(caps, fmt.Sprintf("%s=%d", country, p.CountryCaps[country]))
		}
		rows = append(rows, []string{p.Mode, bound(p.DailyCap), words(p.Groups), words(p.Countries), words(caps), strconv.FormatInt(p.Version, 10), mark})
	}
	return table(e.stdio.Out, []string{"MODE", "A DAY", "GROUPS", "COUNTRIES", "COUNTRY CAPS", "VERSION", ""}, rows)
}

type phaseSetCmd struct {
	Mode       string            `arg:"" enum:"INTERNAL_TEST,CLOSED_BETA,SOFT_LAUNCH,GLOBAL_LAUNCH" help:"Whose phase."`
	Countries  []string          `help:"The open countries, ISO 3166-1; none: no country by name." placeholder:"PL,DE"`
	Groups     []string          `help:"The open groups: ALL, EU, EEA, NA (North America); none: no group." placeholder:"EU,NA"`
	Cap        string            `help:"Signups of one day; none: unlimited." placeholder:"N"`
	CountryCap map[string]string `help:"Signups of one day from one country; none: no cap of its own. May be repeated." placeholder:"PL=N"`
	Reason     string            `required:"" help:"Why, in 10 to 500 characters; kept in the audit log." placeholder:"TEXT"`
}

// Help implements kong's longer help.
func (phaseSetCmd) Help() string {
	return `What you do not name stays as it is; --countries and --groups replace the whole list. It holds on every node within a second.
A cap below what is used admits nobody until the next day, and loses nobody. To close signups, use "gantry maintenance on".

  gantry phase set SOFT_LAUNCH --groups EU,NA --cap 5000 --reason "expanded soft launch"
  gantry phase set CLOSED_BETA --country-cap PL=100 --country-cap DE=none --reason "more room for Germany"`
}

// Run implements the command.
func (c *phaseSetCmd) Run(e *env, parent *phaseCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	ps, err := cl.LaunchPhases(e.ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(ps, func(p api.LaunchPhaseInfo) bool { return p.Mode == c.Mode })
	if i < 0 {
		return fmt.Errorf("this Gantry has no mode %s", c.Mode)
	}
	next := ps[i]
	if err := c.change(&next.LaunchPhase); err != nil {
		return usageError{err}
	}
	set, err := cl.ReplaceLaunchPhase(e.ctx, next, c.Reason)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, set)
	}
	return printPhases(e, []api.LaunchPhaseInfo{set})
}

// change applies what was named.
func (c *phaseSetCmd) change(p *api.LaunchPhase) error {
	for _, l := range [...]struct {
		given []string
		into  *[]string
	}{{c.Countries, &p.Countries}, {c.Groups, &p.Groups}} {
		if l.given != nil {
			*l.into = l.given
		}
		if len(l.given) == 1 && l.given[0] == none {
			*l.into = nil
		}
	}
	if c.Cap != "" {
		n, err := limit("--cap", c.Cap)
		if err != nil {
			return err
		}
		p.DailyCap = n
	}
	for country, value := range c.CountryCap {
		n, err := limit("--country-cap "+country, value)
		if err != nil {
			return err
		}
		country = strings.ToUpper(country)
		if n == nil {
			delete(p.CountryCaps, country)
			continue
		}
		if p.CountryCaps == nil {
			p.CountryCaps = map[string]int64{}
		}
		p.CountryCaps[country] = *n
	}
	return nil
}

// limit reads a cap; nil is none.
func limit(flag, s string) (*int64, error) {
	if s == none {
		return nil, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s must be a number of signups, or none; not %q", flag, s)
	}
	return &n, nil
}
