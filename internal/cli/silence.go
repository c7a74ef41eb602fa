package cli

import (
	"errors"
	"fmt"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/config"
)

type silenceCmd struct {
	remote
	Create silenceCreateCmd `cmd:"" help:"Keep matching incidents from being sent for a while."`
	List   silenceListCmd   `cmd:"" help:"List the silences in force."`
	End    silenceEndCmd    `cmd:"" help:"End a silence now."`
}

type silenceCreateCmd struct {
	Rule   string          `help:"Only this rule; see gantry alerts rules." placeholder:"RULE"`
	Object string          `help:"Only this object, such as a component." placeholder:"NAME"`
	Class  string          `enum:",P0,P1,P2,P3" default:"" help:"Only this class." placeholder:"P2"`
	For    config.Duration `help:"How long, at most 30d." xor:"end" placeholder:"DURATION"`
	Until  time.Time       `help:"When it ends, instead of --for: RFC 3339." xor:"end" placeholder:"TIME"`
	Reason string          `required:"" help:"Why, in 1 to 500 bytes." placeholder:"TEXT"`
}

// Help implements kong's longer help.
func (silenceCreateCmd) Help() string {
	return `Incidents are opened and listed all the same; nobody is told of them. What was told already is still told to have ended. It
ends by itself: what fails then is sent within seconds. Name at least one of --rule, --object and --class; all that you name must match.

  gantry silence create --object storage --for 2h --reason "moving the bucket"`
}

// Run implements the command.
func (c *silenceCreateCmd) Run(e *env, parent *silenceCmd) error {
	r := api.SilenceRequest{Rule: c.Rule, Object: c.Object, Class: c.Class, Reason: c.Reason}
	switch {
	case c.For != 0:
		r.For = time.Duration(c.For).String()
	case !c.Until.IsZero():
		r.EndsAt = &c.Until
	default:
		return usageError{errors.New("say when it ends: --for 2h, or --until with a time")}
	}
	cl, err := parent.client()
	if err != nil {
		return err
	}
	s, err := cl.CreateSilence(e.ctx, r)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, s)
	}
	_, err = fmt.Fprintf(e.stdio.Out, "Silenced until %s: %s\n", stamp(&s.EndsAt), s.ID)
	return err
}

type silenceListCmd struct{}

// Help implements kong's longer help.
func (silenceListCmd) Help() string { return "  gantry silence list" }

// Run implements the command.
func (silenceListCmd) Run(e *env, parent *silenceCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	ss, err := cl.Silences(e.ctx)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"silences": ss})
	}
	if len(ss) == 0 {
		_, err := fmt.Fprintln(e.stdio.Out, "No silences.")
		return err
	}
	var rows [][]string
	for _, s := range ss {
		rows = append(rows, []string{s.ID, or(s.Rule, "any"), or(s.Object, "any"), or(s.Class, "any"), stamp(&s.EndsAt), s.By, s.Reason})
	}
	return table(e.stdio.Out, []string{"ID", "RULE", "OBJECT", "CLASS", "ENDS", "BY", "REASON"}, rows)
}

type silenceEndCmd struct {
	ID     string `arg:"" help:"The silence's id, as listed."`
	Reason string `help:"Why, for the audit log." placeholder:"TEXT"`
}

// Help implements kong's longer help.
func (silenceEndCmd) Help() string { return "  gantry silence end sil-4c2a… --reason \"moved\"" }

// Run implements the command.
func (c *silenceEndCmd) Run(e *env, parent *silenceCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	if err := cl.EndSilence(e.ctx, c.ID, c.Reason); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdio.Err, "Ended %s.\n", c.ID)
	return err
}
