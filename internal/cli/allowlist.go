package cli

import (
	"fmt"

	"avalo.app/gantry/api"
)

type allowlistCmd struct {
	remote
	Add    allowlistAddCmd    `cmd:"" help:"Add users, e-mail addresses or domains."`
	List   allowlistListCmd   `cmd:"" help:"List the entries."`
	Remove allowlistRemoveCmd `cmd:"" help:"Remove an entry."`
}

type allowlistAddCmd struct {
	Kind   string   `arg:"" enum:"user,email,domain" help:"What the values are: user (ids), email (addresses) or domain (of addresses, exactly)."`
	Values []string `arg:"" help:"Whom to admit; at most 1000."`
	Note   string   `help:"For whom or what." placeholder:"TEXT"`
}

// Help implements kong's longer help.
func (allowlistAddCmd) Help() string {
	return `Those that are listed already stay as they are.

  gantry allowlist add email ada@example.com ben@example.com --note "first testers"
  gantry allowlist add domain example.com`
}

// Run implements the command.
func (c *allowlistAddCmd) Run(e *env, parent *allowlistCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	entries := make([]api.AllowlistEntry, len(c.Values))
	for i, v := range c.Values {
		entries[i] = api.AllowlistEntry{Kind: c.Kind, Value: v, Note: c.Note}
	}
	n, err := cl.AddAllowlist(e.ctx, entries...)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]int64{"added": n})
	}
	rest := ""
	if old := int64(len(entries)) - n; old > 0 {
		rest = fmt.Sprintf("; %d listed already", old)
	}
	_, err = fmt.Fprintf(e.stdio.Out, "Added %d%s.\n", n, rest)
	return err
}

type allowlistListCmd struct {
	After string `help:"Only entries after this id: the last one of the page before." placeholder:"ID"`
	Limit int    `default:"100" help:"At most this many rows."`
}

// Help implements kong's longer help.
func (allowlistListCmd) Help() string {
	return "In the order of their ids, which is no order of time.\n\n  gantry allowlist list --limit 1000"
}

// Run implements the command.
func (c *allowlistListCmd) Run(e *env, parent *allowlistCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	ls, err := cl.Allowlist(e.ctx, c.After, c.Limit)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"entries": ls})
	}
	var rows [][]string
	for _, l := range ls {
		rows = append(rows, []string{l.ID, l.Kind, l.Value, l.AddedBy, stamp(&l.AddedAt), l.Note})
	}
	return table(e.stdio.Out, []string{"ID", "KIND", "VALUE", "BY", "ADDED", "NOTE"}, rows)
}

type allowlistRemoveCmd struct {
	ID     string `arg:"" help:"The entry's id, as listed."`
	Reason string `help:"Why, for the audit log." placeholder:"TEXT"`
}

// Help implements kong's longer help.
func (allowlistRemoveCmd) Help() string {
	return "Who has signed up already stays.\n\n  gantry allowlist remove alw_7c2k… --reason \"left the team\""
}

// Run implements the command.
func (c *allowlistRemoveCmd) Run(e *env, parent *allowlistCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	if err := cl.RemoveAllowlist(e.ctx, c.ID, c.Reason); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdio.Err, "Removed %s.\n", c.ID)
	return err
}
