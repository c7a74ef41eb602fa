package cli

import (
	"errors"
	"fmt"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/config"
)

type maintenanceCmd struct {
	remote
	On   maintenanceOnCmd   `cmd:"" help:"Close signups, gates and flags until a moment."`
	Off  maintenanceOffCmd  `cmd:"" help:"End the maintenance now."`
	Show maintenanceShowCmd `cmd:"" help:"Show the maintenance in force."`
}

type maintenanceOnCmd struct {
	For    config.Duration `help:"How long, at most 7d." xor:"end" placeholder:"DURATION"`
	Until  time.Time       `help:"When it ends, instead of --for: RFC 3339." xor:"end" placeholder:"TIME"`
	Reason string          `required:"" help:"Why, in 10 to 500 characters; kept in the audit log." placeholder:"TEXT"`
}

// Help implements kong's longer help.
func (maintenanceOnCmd) Help() string {
	return `Signups answer SYSTEM_MAINTENANCE with the expected end. Limit checks and admin calls go on. It ends by itself; run it again to
move the end.

  gantry maintenance on --for 30m --reason "database upgrade"`
}

// Run implements the command.
func (c *maintenanceOnCmd) Run(e *env, parent *maintenanceCmd) error {
	r := api.MaintenanceRequest{Reason: c.Reason}
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
	m, err := cl.StartMaintenance(e.ctx, r)
	if err != nil {
		return err
	}
	return printMaintenance(e, m, true)
}

type maintenanceOffCmd struct {
	Reason string `required:"" help:"Why, in 10 to 500 characters; kept in the audit log." placeholder:"TEXT"`
}

// Help implements kong's longer help.
func (maintenanceOffCmd) Help() string {
	return "  gantry maintenance off --reason \"the upgrade is done\""
}

// Run implements the command.
func (c *maintenanceOffCmd) Run(e *env, parent *maintenanceCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	if err := cl.EndMaintenance(e.ctx, c.Reason); err != nil {
		return err
	}
	return printMaintenance(e, api.Maintenance{}, false)
}

type maintenanceShowCmd struct{}

// Help implements kong's longer help.
func (maintenanceShowCmd) Help() string { return "Needs no key.\n\n  gantry maintenance show" }

// Run implements the command.
func (maintenanceShowCmd) Run(e *env, parent *maintenanceCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	m, on, err := cl.Maintenance(e.ctx)
	if err != nil {
		return err
	}
	return printMaintenance(e, m, on)
}

func printMaintenance(e *env, m api.Maintenance, on bool) error {
	if e.json {
		out := struct {
			On bool `json:"on"`
			*api.Maintenance
		}{On: on}
		if on {
			out.Maintenance = &m
		}
		return printJSON(e.stdio.Out, out)
	}
	text := "No maintenance."
	if on {
		text = "In maintenance until " + stamp(&m.Until) + ", since " + stamp(&m.StartedAt) + "."
	}
	_, err := fmt.Fprintln(e.stdio.Out, text)
	return err
}
