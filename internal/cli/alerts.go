package cli

import (
	"fmt"
	"strconv"
	"strings"

	"avalo.app/gantry/api"
)

type alertsCmd struct {
	remote
	Rules     alertsRulesCmd     `cmd:"" help:"Show the rule table in force, and whom each rule tells."`
	Receivers alertsReceiversCmd `cmd:"" help:"List the receivers, and what waits for each."`
	Test      alertsTestCmd      `cmd:"" help:"Send a test message, and print what each receiver said."`
}

type alertsRulesCmd struct{}

// Help implements kong's longer help.
func (alertsRulesCmd) Help() string {
	return `A receiver with +10m0s is told so long after an incident counts, if nobody acknowledged it. Exit code 1: a rule tells nobody.

  gantry alerts rules`
}

// Run implements the command.
func (alertsRulesCmd) Run(e *env, parent *alertsCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	rs, err := cl.IncidentRules(e.ctx)
	if err != nil {
		return err
	}
	if e.json {
		err = printJSON(e.stdio.Out, rs)
	} else {
		err = printRules(e, rs)
	}
	if err == nil && len(rs.Unreached) > 0 {
		err = errNo
	}
	return err
}

func printRules(e *env, rs api.IncidentRules) error {
	var rows [][]string
	for _, r := range rs.Rules {
		class := r.Class
		if r.Changed {
			class += "*"
		}
		rows = append(rows, []string{r.Name, class, r.After, strings.Join(r.Channels, ","), targets(r), r.Text})
	}
	if err := table(e.stdio.Out, []string{"RULE", "CLASS", "AFTER", "CHANNELS", "TELLS", "WHAT"}, rows); err != nil {
		return err
	}
	if n := len(rs.Unreached); n > 0 {
		fmt.Fprintf(e.stdio.Err, "%d of %d rules tell nobody: set incidents.receivers in the configuration, and see docs/INCIDENTS.md.\n", n, len(rs.Rules))
	}
	return nil
}

// targets names whom a rule tells, and when.
func targets(r api.IncidentRule) string {
	var out []string
	for _, t := range r.Tells {
		switch t.Wait {
		case "0s":
			out = append(out, t.Receiver)
		case "next business morning":
			out = append(out, t.Receiver+" (morning)")
		default:
			out = append(out, t.Receiver+" +"+t.Wait)
		}
	}
	text := or(strings.Join(out, ", "), "NOBODY")
	if r.Fallback {
		text += " (in none of its channels)"
	}
	return text
}

type alertsReceiversCmd struct{}

// Help implements kong's longer help.
func (alertsReceiversCmd) Help() string {
	return "Exit code 1: a message has been refused for good, within what is kept.\n\n  gantry alerts receivers"
}

// Run implements the command.
func (alertsReceiversCmd) Run(e *env, parent *alertsCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	rs, err := cl.AlertReceivers(e.ctx)
	if err != nil {
		return err
	}
	failed := false
	var rows [][]string
	for _, r := range rs {
		failed = failed || r.Failed > 0
		rows = append(rows, []string{r.Name, or(r.Kind, "gone"), words(r.Channels), strconv.Itoa(r.Level), or(r.Repeat, "-"), or(r.Heartbeat, "-"), strconv.FormatInt(r.Pending, 10),
			strconv.FormatInt(r.Failed, 10), stamp(r.OldestPending), stamp(r.LastDelivered)})
	}
	if e.json {
		err = printJSON(e.stdio.Out, map[string]any{"receivers": rs})
	} else {
		err = table(e.stdio.Out, []string{"NAME", "KIND", "CHANNELS", "LEVEL", "REPEAT", "HEARTBEAT", "PENDING", "FAILED", "OLDEST", "LAST DELIVERED"}, rows)
	}
	if err == nil && failed {
		err = errNo
	}
	return err
}

type alertsTestCmd struct {
	Receiver string `help:"Only this one. Default: all." placeholder:"NAME"`
	Class    string `enum:",P0,P1,P2,P3" default:"" help:"As which class; P0 wakes people. Default: P3." placeholder:"P3"`
}

// Help implements kong's longer help.
func (alertsTestCmd) Help() string {
	return `Each receiver gets a test alert by the real way, and its resolve; one with a heartbeat gets a heartbeat. Needs an admin key, and
takes up to 40 seconds. Exit code 0: every receiver accepted every message. 1: one did not.

  gantry alerts test --receiver oncall --class P0`
}

// Run implements the command.
func (c *alertsTestCmd) Run(e *env, parent *alertsCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	ts, err := cl.TestAlerts(e.ctx, api.AlertTestRequest{Receiver: c.Receiver, Class: c.Class})
	if err != nil {
		return err
	}
	ok := true
	var rows [][]string
	for _, t := range ts {
		ok = ok && t.OK
		for _, s := range t.Steps {
			word := "accepted"
			if !s.Accepted {
				word = "not accepted"
			}
			rows = append(rows, []string{t.Receiver, t.Kind, s.Action, word, strconv.FormatInt(s.TookMillis, 10) + " ms", or(s.Answer, "-")})
		}
	}
	if e.json {
		err = printJSON(e.stdio.Out, map[string]any{"receivers": ts})
	} else {
		err = table(e.stdio.Out, []string{"RECEIVER", "KIND", "MESSAGE", "RESULT", "TOOK", "ANSWER"}, rows)
	}
	if err == nil && !ok {
		err = errNo
	}
	return err
}
