package cli

import (
	"fmt"
	"strconv"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/config"
)

type inviteCmd struct {
	remote
	Create inviteCreateCmd `cmd:"" help:"Make invite codes and print them, once."`
	List   inviteListCmd   `cmd:"" help:"List invites, without their codes."`
	Revoke inviteRevokeCmd `cmd:"" help:"Revoke an invite, or a batch of them."`
}

type inviteCreateCmd struct {
	Count   int             `default:"1" help:"How many codes, at most 1000."`
	Uses    int64           `default:"1" help:"Signups that each code admits."`
	Expires config.Duration `help:"How long they are valid. Default: for ever." placeholder:"DURATION"`
	Country string          `help:"Admit from this country only." placeholder:"PL"`
	Email   string          `help:"Admit this address only." placeholder:"ADDRESS"`
	Note    string          `help:"For whom or what." placeholder:"TEXT"`
}

// Help implements kong's longer help.
func (inviteCreateCmd) Help() string {
	return `Prints one code a line. They are stored hashed, and cannot be shown again. Upper and lower case are the same, as are - and nothing.

  gantry invite create --count 100 --expires 30d --note "press" >codes.txt
  gantry invite create --uses 50 --country PL --note "meetup in Gdansk"`
}

// Run implements the command.
func (c *inviteCreateCmd) Run(e *env, parent *inviteCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	made, err := cl.CreateInvites(e.ctx, api.InviteRequest{Count: c.Count, MaxUses: c.Uses, ExpiresAt: after(c.Expires), Country: c.Country, Email: c.Email, Note: c.Note})
	if err != nil {
		return err
	}
	if err := lost(made); err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, made)
	}
	for _, i := range made.Invites {
		if _, err := fmt.Fprintln(e.stdio.Out, i.Code); err != nil {
			return err
		}
	}
	shown(e, made)
	return nil
}

// after is the moment after a while; nil for none.
func after(d config.Duration) *time.Time {
	if d == 0 {
		return nil
	}
	t := now().Add(time.Duration(d)).UTC()
	return &t
}

// lost is the error of codes whose answer was lost on the way: a repetition
// brings them without.
func lost(made api.NewInvites) error {
	if len(made.Invites) == 0 || made.Invites[0].Code != "" {
		return nil
	}
	return hinted{fmt.Errorf("the codes were made, and lost on the way here; they cannot be shown again"),
		"Revoke them, and repeat:\n\n  gantry invite revoke " + made.Batch + " --reason 'lost on the way'"}
}

// shown says what there is to say about fresh codes.
func shown(e *env, made api.NewInvites) {
	if len(made.Invites) > 0 {
		fmt.Fprintf(e.stdio.Err, "Shown this once. To take them back: gantry invite revoke %s\n", made.Batch)
	}
}

type inviteListCmd struct {
	Batch string `help:"Only those of this batch." placeholder:"ID"`
	Limit int    `default:"100" help:"At most this many rows."`
}

// Help implements kong's longer help.
func (inviteListCmd) Help() string {
	return "Newest first.\n\n  gantry invite list --batch inv_4xj2…"
}

// Run implements the command.
func (c *inviteListCmd) Run(e *env, parent *inviteCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	is, err := cl.Invites(e.ctx, c.Batch, c.Limit)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"invites": is})
	}
	var rows [][]string
	for _, i := range is {
		rows = append(rows, []string{i.ID, i.Batch, fmt.Sprintf("%d of %d", i.Used, i.MaxUses), inviteState(i), bindings(i), stamp(i.ExpiresAt), i.CreatedBy, i.Note})
	}
	return table(e.stdio.Out, []string{"ID", "BATCH", "USED", "STATE", "ONLY FOR", "EXPIRES", "BY", "NOTE"}, rows)
}

func inviteState(i api.Invite) string {
	switch {
	case i.RevokedAt != nil:
		return "revoked"
	case i.ExpiresAt != nil && !i.ExpiresAt.After(now()):
		return "expired"
	case i.Used >= i.MaxUses:
		return "used up"
	}
	return "live"
}

// bindings says whom an invite admits.
func bindings(i api.Invite) string {
	switch {
	case i.Bound && i.Country != "":
		return "one address, " + i.Country
	case i.Bound:
		return "one address"
	}
	return or(i.Country, "-")
}

type inviteRevokeCmd struct {
	ID     string `arg:"" help:"The id of an invite or of a batch, as listed."`
	Reason string `help:"Why, for the audit log." placeholder:"TEXT"`
}

// Help implements kong's longer help.
func (inviteRevokeCmd) Help() string {
	return `Signups that the codes have admitted stay, open reservations too.

  gantry invite revoke inv_4xj2… --reason "posted in public"`
}

// Run implements the command.
func (c *inviteRevokeCmd) Run(e *env, parent *inviteCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	n, err := cl.RevokeInvites(e.ctx, c.ID, c.Reason)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]int64{"revoked": n})
	}
	_, err = fmt.Fprintf(e.stdio.Out, "Revoked %s.\n", plural(n, "invite"))
	return err
}

// plural counts things.
func plural(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.FormatInt(n, 10) + " " + thing + "s"
}
