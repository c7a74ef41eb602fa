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

type ratelimitCmd struct {
	remote
	Check      limitCheckCmd      `cmd:"" help:"Ask whether a subject may do an action now, and charge it."`
	Violations limitViolationsCmd `cmd:"" help:"List refusals by user, action and time."`
	Offenders  limitOffendersCmd  `cmd:"" help:"List who was refused most often."`
	Policies   limitPoliciesCmd   `cmd:"" help:"List the policies in force."`
}

// client returns the client of a running Gantry. An operator wants the
// truth: no fallback while it is away.
func (r remote) client() (*client.Client, error) {
	c, err := client.New(r.URL, client.WithKey(r.Key), client.WithoutFallback(), client.WithTimeout(10*time.Second))
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

type limitCheckCmd struct {
	Action string `arg:"" help:"The policy, such as MESSAGE_SEND."`
	User   string `help:"The user's id." placeholder:"ID"`
	IP     string `name:"ip" help:"The client's address." placeholder:"ADDRESS"`
	Device string `help:"The device's id." placeholder:"ID"`
	Cost   int64  `default:"1" help:"Units to charge."`
	Peek   bool   `help:"Only look: charge nothing."`
}

// Help implements kong's longer help.
func (limitCheckCmd) Help() string {
	return "Exit code 0: allowed. 1: refused.\n\n  gantry ratelimit check LOGIN --user alice --ip 203.0.113.9"
}

// Run implements the command.
func (c *limitCheckCmd) Run(e *env, parent *ratelimitCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	ask := cl.Check
	if c.Peek {
		ask = cl.Peek
	}
	v, err := ask(e.ctx, api.CheckRequest{Action: c.Action, User: c.User, IP: c.IP, Device: c.Device, Cost: c.Cost})
	if err != nil {
		return err
	}
	if e.json {
		err = printJSON(e.stdio.Out, v)
	} else {
		err = printVerdict(e, v)
	}
	if err == nil && !v.Allowed {
		err = errNo
	}
	return err
}

func printVerdict(e *env, v api.CheckResult) error {
	word := "allowed"
	if !v.Allowed {
		word = fmt.Sprintf("refused; passes in %s", time.Duration(v.RetryAfter)*time.Second)
	}
	_, err := fmt.Fprintf(e.stdio.Out, "%s\n", word)
	if err != nil {
		return err
	}
	return table(e.stdio.Out, []string{"POLICY", "SCOPE", "LIMIT", "REMAINING", "RESET", "MODE"}, [][]string{{
		v.Policy, v.Scope, strconv.FormatInt(v.Limit, 10), strconv.FormatInt(v.Remaining, 10), v.ResetAt.UTC().Format("2006-01-02 15:04:05Z"), v.Mode}})
}

type limitViolationsCmd struct {
	User   string          `help:"This user's only." placeholder:"ID"`
	Action string          `help:"This action's only." placeholder:"NAME"`
	Since  config.Duration `default:"24h" help:"How far back." placeholder:"DURATION"`
	Limit  int             `default:"100" help:"At most this many rows."`
}

// Run implements the command.
func (c *limitViolationsCmd) Run(e *env, parent *ratelimitCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	vs, err := cl.Violations(e.ctx, client.ViolationQuery{User: c.User, Action: c.Action, Since: now().Add(-time.Duration(c.Since)), Limit: c.Limit})
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"violations": vs})
	}
	var rows [][]string
	for _, v := range vs {
		shadow := ""
		if v.Shadow {
			shadow = "shadow"
		}
		rows = append(rows, []string{v.LastAt.UTC().Format("2006-01-02 15:04:05Z"), v.Action, v.Scope, subject(v), strconv.FormatInt(v.Count, 10),
			fmt.Sprintf("%d per %s", v.Limit, v.Window), shadow})
	}
	return table(e.stdio.Out, []string{"LAST", "ACTION", "SCOPE", "SUBJECT", "REFUSED", "LIMIT", ""}, rows)
}

// subject joins what a violation knows of its subject.
func subject(v api.Violation) string {
	var parts []string
	for _, p := range [...]struct{ name, value string }{{"user", v.User}, {"ip", v.IPHash}, {"device", v.DeviceHash}} {
		if p.value != "" {
			parts = append(parts, p.name+":"+p.value)
		}
	}
	return strings.Join(parts, " ")
}

type limitOffendersCmd struct {
	Dimension string          `enum:",user,ip,device" default:"" help:"Only offenders of this kind: user, ip or device." placeholder:"KIND"`
	Since     config.Duration `default:"24h" help:"How far back." placeholder:"DURATION"`
	Limit     int             `default:"20" help:"At most this many rows."`
}

// Run implements the command.
func (c *limitOffendersCmd) Run(e *env, parent *ratelimitCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	os, err := cl.Offenders(e.ctx, client.OffenderQuery{Dimension: c.Dimension, Since: now().Add(-time.Duration(c.Since)), Limit: c.Limit})
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"offenders": os})
	}
	var rows [][]string
	for _, o := range os {
		rows = append(rows, []string{o.Dimension, o.Subject, strconv.FormatInt(o.Count, 10), strings.Join(o.Actions, " "), o.LastAt.UTC().Format("2006-01-02 15:04:05Z")})
	}
	return table(e.stdio.Out, []string{"KIND", "SUBJECT", "REFUSED", "ACTIONS", "LAST"}, rows)
}

type limitPoliciesCmd struct{}

// Run implements the command.
func (limitPoliciesCmd) Run(e *env, parent *ratelimitCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	ps, err := cl.Policies(e.ctx)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"policies": ps})
	}
	var rows [][]string
	for _, p := range ps {
		var limits []string
		for _, r := range p.Rules {
			l := fmt.Sprintf("%d per %s", r.Limit, r.Scope)
			if r.Burst > 0 {
				l += fmt.Sprintf(" (burst %d)", r.Burst)
			}
			limits = append(limits, l)
		}
		state := p.OnFailure
		if p.Shadow {
			state += " shadow"
		}
		if p.Disabled {
			state += " disabled"
		}
		rows = append(rows, []string{p.Action, p.Window, strings.Join(limits, ", "), state, p.Source})
	}
	return table(e.stdio.Out, []string{"ACTION", "WINDOW", "LIMITS", "IF COUNTERS FAIL", "SOURCE"}, rows)
}
