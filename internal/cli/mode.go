package cli

import (
	"errors"
	"fmt"
	"strconv"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

type modeCmd struct {
	remote
	Show      modeShowCmd      `cmd:"" help:"Show the mode in force."`
	Set       modeSetCmd       `cmd:"" help:"Move to another mode."`
	History   modeHistoryCmd   `cmd:"" help:"List the transitions: who, when, why."`
	Override  modeOverrideCmd  `cmd:"" help:"Ask a second admin to let a move pass the readiness gate."`
	Approve   modeApproveCmd   `cmd:"" help:"Approve an override that another admin asked for."`
	Overrides modeOverridesCmd `cmd:"" help:"List the overrides."`
}

type modeShowCmd struct{}

// Help implements kong's longer help.
func (modeShowCmd) Help() string {
	return `Needs no key. Gantry answers from memory, also while its store is away; how old that is, it says.

  gantry mode show`
}

// Run implements the command.
func (modeShowCmd) Run(e *env, parent *modeCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	m, err := cl.LaunchMode(e.ctx)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, m)
	}
	if m.AgeSeconds > 1 {
		fmt.Fprintf(e.stdio.Err, "The store does not answer: this is what held %d seconds ago.\n", m.AgeSeconds)
	}
	if m.Maintenance != nil {
		fmt.Fprintf(e.stdio.Out, "In maintenance until %s: signups are closed.\n", stamp(&m.Maintenance.Until))
	}
	fmt.Fprintln(e.stdio.Out, m.Description)
	return table(e.stdio.Out, []string{"MODE", "VERSION", "SINCE", "ADMISSION", "COUNTRIES"}, [][]string{{
		m.Mode, strconv.FormatInt(m.Version, 10), stamp(m.Since), m.Admission, places(m.AllowedCountries)}})
}

// moveArgs are what a move is made of.
type moveArgs struct {
	Mode       string `arg:"" enum:"INTERNAL_TEST,CLOSED_BETA,SOFT_LAUNCH,GLOBAL_LAUNCH" help:"INTERNAL_TEST: the allowlist; CLOSED_BETA: with an invite; SOFT_LAUNCH: anyone in the open countries; GLOBAL_LAUNCH: anyone."`
	Reason     string `required:"" help:"Why, in 10 to 500 characters; kept in the history." placeholder:"TEXT"`
	RevokeOpen bool   `help:"End the open reservations instead of honouring them."`
}

// line is a command line with the same move.
func (a moveArgs) line(command, rest string) string {
	s := "gantry mode " + command + " " + a.Mode + " --reason " + quote(a.Reason)
	if a.RevokeOpen {
		s += " --revoke-open"
	}
	return s + rest
}

// request is the move from the mode in force.
func (a moveArgs) request(e *env, cl *client.Client) (api.SetLaunchModeRequest, error) {
	m, err := cl.LaunchMode(e.ctx)
	return api.SetLaunchModeRequest{Mode: a.Mode, Reason: a.Reason, RevokeOpen: a.RevokeOpen, IfVersion: &m.Version}, err
}

type modeSetCmd struct {
	moveArgs
	Override string `help:"An approved override that lets this move pass the readiness gate." placeholder:"ID"`
}

// Help implements kong's longer help.
func (modeSetCmd) Help() string {
	return `Moves from the mode in force; if somebody else moves it meanwhile, nothing happens (exit code 1).
Every move is kept in the history and the audit log. Back is always possible.

A move forward to SOFT_LAUNCH or GLOBAL_LAUNCH needs a readiness report that passes. Without one, two admins together may
override that: the command says what each of them runs.

  gantry mode set CLOSED_BETA --reason "first hundred testers"
  gantry mode set SOFT_LAUNCH --reason "opening ten countries" --override ovr_k3v9…`
}

// Run implements the command.
func (c *modeSetCmd) Run(e *env, parent *modeCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	r, err := c.request(e, cl)
	if err != nil {
		return err
	}
	r.Override = c.Override
	t, err := cl.SetLaunchMode(e.ctx, r)
	if err != nil {
		return c.next(err)
	}
	if e.json {
		return printJSON(e.stdio.Out, t)
	}
	_, err = fmt.Fprintf(e.stdio.Out, "The mode is %s, version %d; it was %s.\n", t.To, t.Version, t.From)
	if t.RevokeOpen {
		fmt.Fprintf(e.stdio.Out, "%d open reservations ended.\n", t.Revoked)
	}
	return err
}

// next adds what to run to a refusal of the readiness gate.
func (c *modeSetCmd) next(err error) error {
	var refused *client.Error
	var d api.PreconditionDetails
	if !errors.As(err, &refused) || refused.Details(&d) != nil {
		return err
	}
	switch {
	case d.Problem == api.PreconditionReadiness:
		return hinted{err, "To override it, run the first, let a second admin run the second with a key of their own, and run the third within 30 minutes:\n\n  " +
			c.line("override", "") + "\n  gantry mode approve ID\n  " + c.line("set", " --override ID")}
	case d.Problem == "override" && c.Override != "":
		return hinted{err, "See what it was asked and approved for:\n\n  gantry mode overrides"}
	}
	return err
}

type modeHistoryCmd struct {
	Before int64 `help:"Only transitions before this version: the last one of the page before." placeholder:"VERSION"`
	Limit  int   `default:"20" help:"At most this many rows."`
}

// Help implements kong's longer help.
func (modeHistoryCmd) Help() string { return "Newest first.\n\n  gantry mode history --limit 5" }

// Run implements the command.
func (c *modeHistoryCmd) Run(e *env, parent *modeCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	ts, err := cl.LaunchHistory(e.ctx, c.Before, c.Limit)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"history": ts})
	}
	var rows [][]string
	for _, t := range ts {
		rows = append(rows, []string{stamp(&t.At), strconv.FormatInt(t.Version, 10), t.From, t.To, t.By, or(t.ApprovedBy, "-"), t.Reason})
	}
	return table(e.stdio.Out, []string{"AT", "VERSION", "FROM", "TO", "BY", "APPROVED BY", "REASON"}, rows)
}

type modeOverrideCmd struct{ moveArgs }

// Help implements kong's longer help.
func (modeOverrideCmd) Help() string {
	return `Prints the override's id. It binds exactly this move, from the mode in force; a second admin approves it within 30 minutes,
and the move is made within 30 minutes from then, once.

  gantry mode override SOFT_LAUNCH --reason "opening ten countries"`
}

// Run implements the command.
func (c *modeOverrideCmd) Run(e *env, parent *modeCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	r, err := c.request(e, cl)
	if err != nil {
		return err
	}
	o, err := cl.RequestLaunchOverride(e.ctx, r)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, o)
	}
	_, err = fmt.Fprintln(e.stdio.Out, o.ID)
	fmt.Fprintf(e.stdio.Err, "It waits until %s. A second admin, with a key of their own, runs the first; then run the second:\n\n  gantry mode approve %s\n  %s\n",
		stamp(&o.ExpiresAt), o.ID, c.line("set", " --override "+o.ID))
	return err
}

type modeApproveCmd struct {
	ID string `arg:"" help:"The override's id, as listed."`
}

// Help implements kong's longer help.
func (modeApproveCmd) Help() string {
	return `Look at what it is for first (gantry mode overrides). Another person than the one who asked must approve, with a key that
neither made the other's key nor was made by it.

  gantry mode approve ovr_k3v9…`
}

// Run implements the command.
func (c *modeApproveCmd) Run(e *env, parent *modeCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	o, err := cl.ApproveLaunchOverride(e.ctx, c.ID)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, o)
	}
	again := moveArgs{Mode: o.To, Reason: o.Reason, RevokeOpen: o.RevokeOpen}
	_, err = fmt.Fprintf(e.stdio.Out, "Approved: %s may move %s to %s until %s.\n", o.RequestedBy, o.From, o.To, stamp(&o.ExpiresAt))
	fmt.Fprintf(e.stdio.Err, "They run:\n\n  %s\n", again.line("set", " --override "+o.ID))
	return err
}

type modeOverridesCmd struct {
	Limit int `default:"20" help:"At most this many rows."`
}

// Help implements kong's longer help.
func (modeOverridesCmd) Help() string { return "Newest first.\n\n  gantry mode overrides" }

// Run implements the command.
func (c *modeOverridesCmd) Run(e *env, parent *modeCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	os, err := cl.LaunchOverrides(e.ctx, c.Limit)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"overrides": os})
	}
	var rows [][]string
	for _, o := range os {
		revoke := ""
		if o.RevokeOpen {
			revoke = "revoke open: "
		}
		rows = append(rows, []string{o.ID, o.Status, o.From, o.To, o.RequestedBy, or(o.ApprovedBy, "-"), stamp(&o.ExpiresAt), revoke + o.Reason})
	}
	return table(e.stdio.Out, []string{"ID", "STATUS", "FROM", "TO", "ASKED BY", "APPROVED BY", "UNTIL", "REASON"}, rows)
}
