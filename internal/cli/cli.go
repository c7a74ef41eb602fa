// Package cli is the command line: one file per command, one table of exit
// codes, tables for people and --json for programs.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// Stdio is what the program talks through.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// env is what every command gets: the flags that hold for all, and the
// outside.
type env struct {
	ctx    context.Context
	stdio  Stdio
	lookup func(string) (string, bool)
	json   bool
	config string
}

type remote struct {
	URL string `name:"url" env:"GANTRY_URL" default:"http://127.0.0.1:8640" help:"Where a running Gantry answers." placeholder:"URL"`
	Key string `name:"key" env:"GANTRY_KEY" help:"API key for it. Prefer the environment: arguments are visible to other users." placeholder:"gk_…"`
}

type root struct {
	Serve       serveCmd       `cmd:"" help:"Run Gantry."`
	Ratelimit   ratelimitCmd   `cmd:"" help:"Check limits; see violations, offenders and policies."`
	Mode        modeCmd        `cmd:"" help:"See and set the launch mode: who may sign up."`
	Phase       phaseCmd       `cmd:"" help:"See and tune each mode's countries and caps."`
	Launch      launchCmd      `cmd:"" help:"See and change what holds for every mode."`
	Signup      signupCmd      `cmd:"" help:"Ask who may sign up; count and list signups."`
	Invite      inviteCmd      `cmd:"" help:"Create, list and revoke invite codes."`
	Allowlist   allowlistCmd   `cmd:"" help:"Name who may sign up in INTERNAL_TEST."`
	Waitlist    waitlistCmd    `cmd:"" help:"See who waits, and invite them."`
	Media       mediaCmd       `cmd:"" help:"Judge and sanitise media files; see what may be uploaded and what was refused."`
	Health      healthCmd      `cmd:"" help:"See how the app's parts are; keep them from alerting for a while."`
	Heartbeat   heartbeatCmd   `cmd:"" help:"Run background jobs under watch, and list them."`
	Signal      signalCmd      `cmd:"" help:"Tell Gantry what it cannot see: failed payments, errors, security events."`
	Incidents   incidentsCmd   `cmd:"" help:"See what fails and who was told; acknowledge and resolve."`
	Silence     silenceCmd     `cmd:"" help:"Keep incidents from being sent for a while."`
	Alerts      alertsCmd      `cmd:"" help:"See whom each rule tells, and test the receivers."`
	Maintenance maintenanceCmd `cmd:"" help:"Close signups for a while."`
	Key         keyCmd         `cmd:"" help:"Create, list and revoke API keys, directly in the store."`
	Audit       auditCmd       `cmd:"" help:"Verify the audit log, from the store or as an outsider."`
	Config      configCmd      `cmd:"" help:"Check, print and explain the configuration."`
	Version     versionCmd     `cmd:"" help:"Print the version."`

	ConfigFile string `name:"config" short:"c" env:"GANTRY_CONFIG" help:"Configuration file (YAML). Without one, the embedded defaults hold." type:"path" placeholder:"FILE"`
	JSON       bool   `name:"json" help:"Print JSON for programs instead of tables."`
}

// Main runs the program and returns its exit code. getenv looks up
// environment variables.
func Main(ctx context.Context, args []string, lookup func(string) (string, bool), stdio Stdio) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var r root
	exited := -1
	parser, err := kong.New(&r,
		kong.Name("gantry"),
		kong.Description("Launch control for a backend: rate limits, and (growing) signup gates, upload safety, health, recovery and readiness.\n\n"+exitHelp),
		kong.Writers(stdio.Out, stdio.Err),
		kong.Exit(func(code int) { exited = code; panic(exit{}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.UsageOnError(),
	)
	if err != nil {
		fmt.Fprintln(stdio.Err, "gantry:", err)
		return ExitInternal
	}
	kctx, code := parse(parser, args, &exited, stdio)
	if kctx == nil {
		return code
	}
	e := &env{ctx: ctx, stdio: stdio, lookup: lookup, json: r.JSON, config: r.ConfigFile}
	if err := kctx.Run(e); err != nil {
		return report(stdio.Err, err)
	}
	return ExitOK
}

type exit struct{}

// parse reads the arguments. Kong ends the program itself after --help; here
// that becomes a return.
func parse(p *kong.Kong, args []string, exited *int, stdio Stdio) (kctx *kong.Context, code int) {
	defer func() {
		if v := recover(); v != nil {
			if _, ok := v.(exit); !ok {
				panic(v)
			}
			kctx, code = nil, *exited
		}
	}()
	kctx, err := p.Parse(args)
	if err != nil {
		fmt.Fprintf(stdio.Err, "gantry: %s\nRun \"gantry %s--help\" to see what it takes.\n", err, commandOf(err))
		return nil, ExitUsage
	}
	return kctx, ExitOK
}

// commandOf is the command that a parse error is about, with a space behind.
func commandOf(err error) string {
	var pe *kong.ParseError
	if errors.As(err, &pe) && pe.Context != nil && pe.Context.Command() != "" {
		if n := pe.Context.Selected(); n != nil {
			return strings.TrimPrefix(n.Path(), "gantry ") + " "
		}
	}
	return ""
}
