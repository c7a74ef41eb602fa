package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
	"avalo.app/gantry/internal/config"
)

type incidentsCmd struct {
	remote
	List       incidentsListCmd       `cmd:"" default:"withargs" help:"List incidents, the last opened first."`
	Show       incidentsShowCmd       `cmd:"" help:"Show one: its timeline, who was told, and what they said."`
	Ack        incidentsAckCmd        `cmd:"" help:"Promise to look after one: its escalation ends."`
	Resolve    incidentsResolveCmd    `cmd:"" help:"End one by hand."`
	Conditions incidentsConditionsCmd `cmd:"" help:"List what fails right now, incident or not."`
}

type incidentsListCmd struct {
	State  string          `enum:"active,open,acknowledged,resolved,all" default:"active" help:"active (open or acknowledged), open, acknowledged, resolved or all." placeholder:"STATE"`
	Class  string          `enum:",P0,P1,P2,P3" default:"" help:"Only this class." placeholder:"P0"`
	Object string          `help:"Only what is about this object." placeholder:"NAME"`
	Since  config.Duration `help:"Only those opened so long ago, or later." placeholder:"DURATION"`
	Before string          `help:"The next page: only those opened before this one." placeholder:"ID"`
	Limit  int             `default:"100" help:"At most this many rows."`
}

// Help implements kong's longer help.
func (incidentsListCmd) Help() string {
	return `P0 pages at once; P1 is told to on-call within 15 minutes, P2 to chat within an hour, P3 on the next business morning.
An incident ends by itself when its cause does.

  gantry incidents
  gantry incidents list --state resolved --since 7d`
}

// Run implements the command.
func (c *incidentsListCmd) Run(e *env, parent *incidentsCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	q := client.IncidentQuery{State: c.State, Class: c.Class, Object: c.Object, Before: c.Before, Limit: c.Limit}
	if c.Since > 0 {
		q.Since = now().Add(-time.Duration(c.Since))
	}
	is, err := cl.Incidents(e.ctx, q)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"incidents": is})
	}
	if len(is) == 0 {
		_, err := fmt.Fprintln(e.stdio.Out, "No incidents.")
		return err
	}
	var rows [][]string
	for _, i := range is {
		rows = append(rows, []string{i.ID, i.Class, i.State, stamp(&i.OpenedAt), told(i), i.Summary})
	}
	return table(e.stdio.Out, []string{"ID", "CLASS", "STATE", "OPENED", "TOLD", "SUMMARY"}, rows)
}

// told names who was told of an incident, or when somebody will be.
func told(i api.Incident) string {
	if i.DueAt != nil && len(i.Told) == 0 {
		return "from " + stamp(i.DueAt)
	}
	var names []string
	for _, t := range i.Told {
		names = append(names, t.Receiver)
	}
	return or(strings.Join(names, ","), "nobody")
}

type incidentsShowCmd struct {
	ID string `arg:"" help:"The incident's id, as listed."`
}

// Help implements kong's longer help.
func (incidentsShowCmd) Help() string {
	return "A message that is pending is tried again until the receiver takes it; failed is one that it refused for good.\n\n  gantry incidents show inc-17"
}

// Run implements the command.
func (c *incidentsShowCmd) Run(e *env, parent *incidentsCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	d, err := cl.Incident(e.ctx, c.ID)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, d)
	}
	return printIncidentDetail(e, d)
}

func printIncidentDetail(e *env, d api.IncidentDetail) error {
	fmt.Fprintf(e.stdio.Out, "%s  %s  %s  %s\nrules: %s\n", d.ID, d.Class, d.State, d.Summary, words(d.Rules))
	if d.DueAt != nil {
		fmt.Fprintf(e.stdio.Out, "sent first at %s\n", stamp(d.DueAt))
	}
	for _, s := range d.Escalation {
		fmt.Fprintf(e.stdio.Out, "level %d is told at %s unless somebody acknowledges: gantry incidents ack %s\n", s.Level, stamp(&s.At), d.ID)
	}
	fmt.Fprintln(e.stdio.Out)
	var rows [][]string
	for _, u := range d.Updates {
		rows = append(rows, []string{stamp(&u.At), u.Kind, u.By, u.Text})
	}
	if err := table(e.stdio.Out, []string{"AT", "WHAT", "BY", "TEXT"}, rows); err != nil || len(d.Deliveries) == 0 {
		return err
	}
	fmt.Fprintln(e.stdio.Out)
	rows = nil
	for _, x := range d.Deliveries {
		rows = append(rows, []string{x.Receiver, x.Action, x.State, strconv.Itoa(x.Attempts), stamp(&x.CreatedAt), stamp(x.DoneAt), or(x.Answer, "-")})
	}
	return table(e.stdio.Out, []string{"RECEIVER", "MESSAGE", "STATE", "ATTEMPTS", "CREATED", "DONE", "ANSWER"}, rows)
}

type incidentsAckCmd struct {
	ID   string `arg:"" help:"The incident's id, as listed."`
	Note string `help:"For the timeline, at most 500 bytes." placeholder:"TEXT"`
}

// Help implements kong's longer help.
func (incidentsAckCmd) Help() string {
	return `Nobody else is called from then on; who was told hears that somebody looks after it. A rise to P0 or P1 opens it again.
Exit code 1: it is not open.

  gantry incidents ack inc-17 --note "restarting the pool"`
}

// Run implements the command.
func (c *incidentsAckCmd) Run(e *env, parent *incidentsCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	i, err := cl.AcknowledgeIncident(e.ctx, c.ID, c.Note)
	if err != nil {
		return err
	}
	return printIncident(e, i)
}

type incidentsResolveCmd struct {
	ID   string `arg:"" help:"The incident's id, as listed."`
	Note string `help:"For the timeline, at most 500 bytes." placeholder:"TEXT"`
}

// Help implements kong's longer help.
func (incidentsResolveCmd) Help() string {
	return `While its cause fails it reopens within seconds: to keep it quiet, use "gantry silence create". Needs an admin key.
Exit code 1: it is resolved already.

  gantry incidents resolve inc-17 --note "paid out by hand"`
}

// Run implements the command.
func (c *incidentsResolveCmd) Run(e *env, parent *incidentsCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	i, err := cl.ResolveIncident(e.ctx, c.ID, c.Note)
	if err != nil {
		return err
	}
	return printIncident(e, i)
}

func printIncident(e *env, i api.Incident) error {
	if e.json {
		return printJSON(e.stdio.Out, i)
	}
	_, err := fmt.Fprintf(e.stdio.Out, "%s is %s: %s %s\n", i.ID, i.State, i.Class, i.Summary)
	return err
}

type incidentsConditionsCmd struct{}

// Help implements kong's longer help.
func (incidentsConditionsCmd) Help() string {
	return `Some conditions count only after a while; until then they are no incident.

  gantry incidents conditions`
}

// Run implements the command.
func (incidentsConditionsCmd) Run(e *env, parent *incidentsCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	cs, err := cl.Conditions(e.ctx)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"conditions": cs})
	}
	if len(cs) == 0 {
		_, err := fmt.Fprintln(e.stdio.Out, "Nothing fails.")
		return err
	}
	var rows [][]string
	for _, c := range cs {
		rows = append(rows, []string{c.Class, c.Rule, c.Object, or(c.Reporter, "-"), stamp(&c.Since), stamp(&c.CountsAt), c.Value})
	}
	return table(e.stdio.Out, []string{"CLASS", "RULE", "OBJECT", "NODE", "SINCE", "COUNTS FROM", "OBSERVED"}, rows)
}
