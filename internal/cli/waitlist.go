package cli

import (
	"fmt"
	"strconv"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
	"avalo.app/gantry/internal/config"
)

type waitlistCmd struct {
	remote
	List   waitlistListCmd   `cmd:"" help:"List who waits, in order."`
	Invite waitlistInviteCmd `cmd:"" help:"Make codes for the next who wait, and print them, once."`
	Remove waitlistRemoveCmd `cmd:"" help:"Remove an entry."`
}

type waitlistListCmd struct {
	Country string `help:"Only those of this country." placeholder:"PL"`
	Invited bool   `help:"Those invited already, too."`
	Limit   int    `default:"100" help:"At most this many rows."`
}

// Help implements kong's longer help.
func (waitlistListCmd) Help() string { return "  gantry waitlist list --country US" }

// Run implements the command.
func (c *waitlistListCmd) Run(e *env, parent *waitlistCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	ws, err := cl.Waitlist(e.ctx, client.WaitlistQuery{Country: c.Country, Invited: c.Invited, Limit: c.Limit})
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"entries": ws})
	}
	var rows [][]string
	for _, w := range ws {
		place := strconv.FormatInt(w.Position, 10)
		if w.InvitedAt != nil {
			place = "invited"
		}
		rows = append(rows, []string{place, w.ID, w.Email, w.Country, w.Refused, stamp(&w.JoinedAt), stamp(w.InvitedAt)})
	}
	return table(e.stdio.Out, []string{"PLACE", "ID", "EMAIL", "COUNTRY", "REFUSED BY", "JOINED", "INVITED"}, rows)
}

type waitlistInviteCmd struct {
	Count   int             `arg:"" help:"How many, at most 1000."`
	Country string          `help:"Only those of this country." placeholder:"PL"`
	Expires config.Duration `help:"How long the codes are valid. Default: for ever." placeholder:"DURATION"`
	Note    string          `help:"For whom or what." placeholder:"TEXT"`
}

// Help implements kong's longer help.
func (waitlistInviteCmd) Help() string {
	return `Each code admits its address only, once. Gantry sends no mail: hand the table, or --json, to what does. Revoking the batch
lets those who have not used their code wait on at their old places.

  gantry waitlist invite 100 --expires 7d --json >invites.json`
}

// Run implements the command.
func (c *waitlistInviteCmd) Run(e *env, parent *waitlistCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	made, err := cl.InviteWaiting(e.ctx, api.WaitlistInviteRequest{Count: c.Count, Country: c.Country, ExpiresAt: after(c.Expires), Note: c.Note})
	if err != nil {
		return err
	}
	if err := lost(made); err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, made)
	}
	if len(made.Invites) == 0 {
		_, err := fmt.Fprintln(e.stdio.Out, "Nobody waits.")
		return err
	}
	var rows [][]string
	for _, i := range made.Invites {
		rows = append(rows, []string{i.Code, i.Email})
	}
	err = table(e.stdio.Out, []string{"CODE", "EMAIL"}, rows)
	shown(e, made)
	return err
}

type waitlistRemoveCmd struct {
	ID string `arg:"" help:"The entry's id, as listed."`
}

// Help implements kong's longer help.
func (waitlistRemoveCmd) Help() string { return "  gantry waitlist remove wait_9d1m…" }

// Run implements the command.
func (c *waitlistRemoveCmd) Run(e *env, parent *waitlistCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	if err := cl.LeaveWaitlist(e.ctx, c.ID); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdio.Err, "Removed %s.\n", c.ID)
	return err
}
