package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

// The patience of a wrapped command with Gantry: before it, and after it. If
// Gantry did not hear of the start, that of the end is as short.
const (
	startPatience = 2 * time.Second
	endPatience   = 30 * time.Second
	endAgain      = 2 * time.Second
)

type heartbeatCmd struct {
	remote
	Run  heartbeatRunCmd  `cmd:"" default:"withargs" help:"Run a command as a background job, and report its start and end."`
	List heartbeatListCmd `cmd:"" help:"List the background jobs: which failed, hang or did not run."`
}

// Help implements kong's longer help.
func (heartbeatCmd) Help() string {
	return `  gantry heartbeat nightly-payouts -- /usr/local/bin/payouts --all
  gantry heartbeat list`
}

type heartbeatRunCmd struct {
	Job     string   `arg:"" help:"The job, as configured under health.jobs."`
	Command []string `arg:"" help:"The command and its arguments, after --."`
}

// Help implements kong's longer help.
func (heartbeatRunCmd) Help() string {
	return `Runs the command with its own input and output, passes signals on to it, and exits with its exit code (128 and the signal's
number if a signal ended it, 127 if it could not be started). Gantry hears of the start and of the end, joined by a run id, with
exit code and duration. While Gantry is away or hangs the command runs all the same, 2 s later at most, and the wrapper ends at most 30 s after it (2 s
if the start was not heard); what could not be reported is said on stderr. Role app.

  gantry heartbeat nightly-payouts -- /usr/local/bin/payouts --all

A job named list is run by: gantry heartbeat run list -- COMMAND`
}

// Run implements the command.
func (c *heartbeatRunCmd) Run(e *env, parent *heartbeatCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	// From here on: a signal that comes while Gantry hears of the start is for
	// the command, too.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	run := jobRun{e: e, cl: cl, job: c.Job, id: rand.Text()}
	heard := run.send(api.Heartbeat{Kind: api.HeartbeatStart}, startPatience, 0)
	begin := time.Now()
	code := runCommand(e, c.Command, signals)
	beat := api.Heartbeat{Kind: api.HeartbeatSuccess, ExitCode: &code, DurationMS: time.Since(begin).Milliseconds()}
	if code != 0 {
		beat.Kind = api.HeartbeatFail
	}
	patience, again := startPatience, time.Duration(0)
	if heard {
		patience, again = endPatience, endAgain // it was there: it may be back soon
	}
	run.send(beat, patience, again)
	if code != 0 {
		return exitError(code)
	}
	return nil
}

// jobRun is one run of a job.
type jobRun struct {
	e       *env
	cl      *client.Client
	job, id string
}

// send reports, and says on stderr when that fails. While Gantry is away it
// tries again every so often, if again is not 0.
func (r jobRun) send(b api.Heartbeat, patience, again time.Duration) (heard bool) {
	b.RunID = r.id
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.e.ctx), patience) // also when a signal ends the command
	defer cancel()
	for {
		_, err := r.cl.Heartbeat(ctx, r.job, b)
		if err == nil {
			return true
		}
		if again > 0 && errors.Is(err, client.ErrUnavailable) {
			select {
			case <-time.After(again):
				continue
			case <-ctx.Done():
			}
		}
		var refused *client.Error
		text := err.Error()
		if errors.As(err, &refused) {
			text = clientText(refused)
		}
		fmt.Fprintf(r.e.stdio.Err, "gantry: the %s of job %s was not reported: %s\n", b.Kind, r.job, text)
		return false
	}
}

// runCommand runs a command to its end, passes the signals on to it, and
// returns its exit code.
func runCommand(e *env, args []string, signals <-chan os.Signal) int {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.stdio.In, e.stdio.Out, e.stdio.Err
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(e.stdio.Err, "gantry: the command did not start: %v\n", err)
		return 127
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			// A terminal sends Ctrl-C and Ctrl-\ to the command itself.
			if (s == syscall.SIGINT || s == syscall.SIGQUIT) && isTerminal(e.stdio.In) {
				continue
			}
			_ = cmd.Process.Signal(s) // it may have ended meanwhile
		case err := <-done:
			return exitCode(e, err)
		}
	}
}

func exitCode(e *env, err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		fmt.Fprintf(e.stdio.Err, "gantry: the command's input or output failed: %v\n", err)
		return 1
	}
	if st, ok := exit.Sys().(syscall.WaitStatus); ok && st.Signaled() {
		return 128 + int(st.Signal())
	}
	return exit.ExitCode()
}

// isTerminal reports whether input comes from a character device other than
// /dev/null.
func isTerminal(in any) bool {
	f, ok := in.(*os.File)
	if !ok || f.Name() == os.DevNull {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

type heartbeatListCmd struct{}

// Help implements kong's longer help.
func (heartbeatListCmd) Help() string {
	return "Exit code 1: a job failed, is overdue or does not end. Role moderator.\n\n  gantry heartbeat list"
}

// Run implements the command.
func (heartbeatListCmd) Run(e *env, parent *heartbeatCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	jobs, err := cl.Jobs(e.ctx)
	if err != nil {
		return err
	}
	bad := false
	var rows [][]string
	for _, j := range jobs {
		bad = bad || j.Status == "FAILURE" || j.Status == "OVERDUE" || j.Status == "OVERRUN" || j.LastRunStatus == "FAILURE"
		took, code := "-", "-"
		if j.LastDurationMS != nil {
			took = (time.Duration(*j.LastDurationMS) * time.Millisecond).String()
		}
		if j.ExitCode != nil {
			code = strconv.Itoa(*j.ExitCode)
		}
		rows = append(rows, []string{j.Name, j.Status, stamp(j.LastRunAt), or(j.LastRunStatus, "-"), code, took, stamp(j.NextRun)})
	}
	if e.json {
		err = printJSON(e.stdio.Out, map[string]any{"jobs": jobs})
	} else {
		err = table(e.stdio.Out, []string{"JOB", "STATUS", "LAST RUN", "ENDED", "EXIT CODE", "TOOK", "NEXT"}, rows)
	}
	if err == nil && bad {
		err = errNo
	}
	return err
}

type signalCmd struct {
	remote
	Type   string `arg:"" enum:"requests,errors,payment_failed,query_error,security_event" help:"requests, errors (of those requests), payment_failed, query_error or security_event."`
	Object string `help:"The part of the host, such as api or stripe; never a person or an error text." placeholder:"NAME"`
	Count  int64  `default:"1" help:"How often it happened."`
}

// Help implements kong's longer help.
func (signalCmd) Help() string {
	return `Tells Gantry what it cannot see itself. A payment_failed, query_error or security_event is an incident at once; errors are
one when they are too many of the requests. Servers report many at a time: POST /v1/signals. Role app.

  gantry signal payment_failed --object stripe
  gantry signal requests --object api --count 1200`
}

// Run implements the command.
func (c *signalCmd) Run(e *env) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	if err := cl.Signals(e.ctx, api.Signal{Type: c.Type, Object: c.Object, Count: c.Count}); err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"reported": c.Count})
	}
	_, err = fmt.Fprintf(e.stdio.Out, "Reported %d %s.\n", c.Count, c.Type)
	return err
}
