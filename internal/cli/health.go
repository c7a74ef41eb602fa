package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
	"avalo.app/gantry/internal/config"
)

type healthCmd struct {
	remote
	Show        healthShowCmd        `cmd:"" default:"withargs" help:"Show how every component is."`
	Uptime      healthUptimeCmd      `cmd:"" help:"Show the uptime of every component by day."`
	Freshness   healthFreshnessCmd   `cmd:"" help:"Show what must not be old, and how old it is."`
	Maintenance healthMaintenanceCmd `cmd:"" help:"Keep components from alerting for a while."`
}

// Help implements kong's longer help.
func (healthCmd) Help() string {
	return `Without a command it shows how every component is (exit code 0: HEALTHY, 1: DEGRADED, 6: DOWN).

  gantry health
  gantry health --fresh
  gantry health maintenance begin database --for 30m --reason "PostgreSQL upgrade"`
}

type healthShowCmd struct {
	Fresh bool            `help:"Measure every component now, instead of showing the last results." xor:"when"`
	Watch bool            `help:"Show it again whenever it changes, until interrupted." xor:"when"`
	Every config.Duration `default:"2s" hidden:"" help:"How often --watch looks."`
}

// Help implements kong's longer help.
func (healthShowCmd) Help() string {
	return `Exit code 0: HEALTHY. 1: DEGRADED. 6: DOWN. A component that nobody configured is NOT_CONFIGURED, and one that was not
measured lately UNKNOWN: neither is healthy. Role moderator.

  gantry health
  gantry health --fresh --json
  gantry health --watch`
}

// Run implements the command.
func (c *healthShowCmd) Run(e *env, parent *healthCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	rep, err := cl.HealthReport(e.ctx, c.Fresh)
	if err != nil {
		return err
	}
	if err := printHealth(e, rep); err != nil {
		return err
	}
	if c.Watch {
		if rep, err = c.watch(e, cl, rep); err != nil {
			return err
		}
	}
	return wordExit(rep.Status)
}

// watch prints every change until the command is interrupted, and returns the
// last report.
func (c *healthShowCmd) watch(e *env, cl *client.Client, rep api.HealthReport) (api.HealthReport, error) {
	t := time.NewTicker(max(time.Duration(c.Every), time.Second))
	defer t.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return rep, nil
		case <-t.C:
		}
		next, err := cl.HealthReport(e.ctx, false)
		if e.ctx.Err() != nil {
			return rep, nil
		}
		if err != nil {
			return rep, err
		}
		if changed(rep, next) {
			fmt.Fprintln(e.stdio.Out)
			if err := printHealth(e, next); err != nil {
				return next, err
			}
		}
		rep = next
	}
}

func changed(a, b api.HealthReport) bool {
	return a.Status != b.Status || !slices.EqualFunc(a.Components, b.Components, func(x, y api.HealthComponent) bool {
		return x.Component == y.Component && x.Status == y.Status && stamp(x.MaintenanceUntil) == stamp(y.MaintenanceUntil) && slices.Equal(x.SuppressedBy, y.SuppressedBy)
	})
}

// wordExit is the exit of a health word.
func wordExit(word string) error {
	switch word {
	case api.HealthHealthy:
		return nil
	case api.HealthDown:
		return errDown
	}
	return errNo
}

func printHealth(e *env, rep api.HealthReport) error {
	if e.json {
		return printJSON(e.stdio.Out, rep)
	}
	fmt.Fprintf(e.stdio.Out, "%s at %s\n", rep.Status, stamp(&rep.At))
	if len(rep.TimedOut) > 0 {
		fmt.Fprintf(e.stdio.Out, "No answer in time from: %s\n", words(rep.TimedOut))
	}
	var rows [][]string
	for _, c := range rep.Components {
		took := "-"
		if c.ResponseTimeMS != nil {
			took = strconv.FormatInt(*c.ResponseTimeMS, 10) + " ms"
		}
		critical := ""
		if c.Critical {
			critical = "critical"
		}
		message := c.Message
		if len(c.SuppressedBy) > 0 {
			message = strings.TrimLeft(message+"; explained by "+words(c.SuppressedBy), "; ")
		}
		if c.MaintenanceUntil != nil {
			message = strings.TrimLeft(message+"; in maintenance until "+stamp(c.MaintenanceUntil), "; ")
		}
		rows = append(rows, []string{c.Component, c.Status, critical, or(c.Kind, "-"), stamp(c.Since), took, message})
	}
	return table(e.stdio.Out, []string{"COMPONENT", "STATUS", "", "KIND", "SINCE", "TOOK", "MESSAGE"}, rows)
}

type healthUptimeCmd struct {
	Days int `default:"7" help:"The last days, today included: 1 to 90."`
}

// Help implements kong's longer help.
func (healthUptimeCmd) Help() string {
	return "Days are of UTC. Measurements in a maintenance window do not count.\n\n  gantry health uptime --days 30"
}

// Run implements the command.
func (c *healthUptimeCmd) Run(e *env, parent *healthCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	days, err := cl.Uptime(e.ctx, c.Days)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"days": days})
	}
	var rows [][]string
	for _, d := range days {
		share := "-"
		if d.Uptime != nil {
			share = strconv.FormatFloat(float64(int64(*d.Uptime*1e4))/100, 'f', 2, 64) + " %"
		}
		rows = append(rows, []string{d.Day, d.Component, share, strconv.FormatInt(d.Up, 10), strconv.FormatInt(d.Degraded, 10), strconv.FormatInt(d.Down, 10), strconv.FormatInt(d.Maintenance, 10)})
	}
	return table(e.stdio.Out, []string{"DAY", "COMPONENT", "UPTIME", "UP", "DEGRADED", "DOWN", "MAINTENANCE"}, rows)
}

type healthFreshnessCmd struct{}

// Help implements kong's longer help.
func (healthFreshnessCmd) Help() string {
	return "Exit code 1: something is not FRESH.\n\n  gantry health freshness"
}

// Run implements the command.
func (healthFreshnessCmd) Run(e *env, parent *healthCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	sources, err := cl.Freshness(e.ctx)
	if err != nil {
		return err
	}
	if e.json {
		err = printJSON(e.stdio.Out, map[string]any{"sources": sources})
	} else {
		var rows [][]string
		for _, s := range sources {
			rows = append(rows, []string{s.Name, s.Freshness, stamp(s.UpdatedAt), (time.Duration(s.MaxAgeSeconds) * time.Second).String(), stamp(s.CheckedAt), s.Message})
		}
		err = table(e.stdio.Out, []string{"SOURCE", "FRESHNESS", "UP TO DATE TO", "MAY BE OLD", "READ", "MESSAGE"}, rows)
	}
	if err == nil && slices.ContainsFunc(sources, func(s api.FreshnessSource) bool { return s.Freshness != "FRESH" }) {
		err = errNo
	}
	return err
}

type healthMaintenanceCmd struct {
	Begin windowBeginCmd `cmd:"" help:"Begin a window in which components alert nobody."`
	End   windowEndCmd   `cmd:"" help:"End a window now."`
	List  windowListCmd  `cmd:"" help:"List the windows that are on or to come."`
}

type windowBeginCmd struct {
	Components []string        `arg:"" optional:"" help:"Which alert nobody. None: all."`
	For        config.Duration `help:"How long, at most 7d." xor:"end" placeholder:"DURATION"`
	Until      time.Time       `help:"When it ends, instead of --for: RFC 3339." xor:"end" placeholder:"TIME"`
	From       time.Time       `help:"When it begins, at most 90 days ahead. Default: now." placeholder:"TIME"`
	Reason     string          `required:"" help:"Why, in 10 to 500 characters; kept in the audit log." placeholder:"TEXT"`
}

// Help implements kong's longer help.
func (windowBeginCmd) Help() string {
	return `Components are measured on, and their status stays what it is; they only alert nobody, and the time does not count in their
uptime. The window ends by itself, and what is DOWN then alerts. To close signups, see "gantry maintenance".

  gantry health maintenance begin database storage --for 30m --reason "PostgreSQL upgrade"`
}

// Run implements the command.
func (c *windowBeginCmd) Run(e *env, parent *healthCmd) error {
	r := api.HealthWindowRequest{Components: c.Components, Reason: c.Reason}
	if !c.From.IsZero() {
		r.From = &c.From
	}
	switch {
	case c.For != 0:
		r.For = time.Duration(c.For).String()
	case !c.Until.IsZero():
		r.Until = &c.Until
	default:
		return usageError{errors.New("say when it ends: --for 30m, or --until with a time")}
	}
	cl, err := parent.client()
	if err != nil {
		return err
	}
	w, err := cl.BeginHealthWindow(e.ctx, r)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, w)
	}
	_, err = fmt.Fprintln(e.stdio.Out, w.ID)
	fmt.Fprintf(e.stdio.Err, "Alerts of %s are off from %s to %s. End it earlier with:\n\n  gantry health maintenance end %s --reason TEXT\n",
		or(strings.Join(w.Components, " "), "all components"), stamp(&w.From), stamp(&w.Until), w.ID)
	return err
}

type windowEndCmd struct {
	ID     string `arg:"" help:"The window's id, as listed."`
	Reason string `required:"" help:"Why, in 10 to 500 characters; kept in the audit log." placeholder:"TEXT"`
}

// Help implements kong's longer help.
func (windowEndCmd) Help() string {
	return "What is still DOWN then alerts.\n\n  gantry health maintenance end ID --reason \"the upgrade is done\""
}

// Run implements the command.
func (c *windowEndCmd) Run(e *env, parent *healthCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	w, err := cl.EndHealthWindow(e.ctx, c.ID, c.Reason)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, w)
	}
	_, err = fmt.Fprintf(e.stdio.Out, "Ended; it would have lasted until %s.\n", stamp(&w.Until))
	return err
}

type windowListCmd struct{}

// Help implements kong's longer help.
func (windowListCmd) Help() string { return "  gantry health maintenance list" }

// Run implements the command.
func (windowListCmd) Run(e *env, parent *healthCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	ws, err := cl.HealthWindows(e.ctx)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"maintenance": ws})
	}
	var rows [][]string
	for _, w := range ws {
		rows = append(rows, []string{w.ID, or(strings.Join(w.Components, " "), "all"), stamp(&w.From), stamp(&w.Until), w.By, w.Reason})
	}
	return table(e.stdio.Out, []string{"ID", "COMPONENTS", "FROM", "UNTIL", "BY", "REASON"}, rows)
}
