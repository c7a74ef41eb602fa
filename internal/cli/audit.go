package cli

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"avalo.app/gantry/internal/app"
	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/audit/audithttp"
)

type auditCmd struct {
	Verify auditVerifyCmd `cmd:"" help:"Verify the log: every entry, hash, checkpoint and commitment."`
	Key    auditKeyCmd    `cmd:"" help:"Print the log's verifier key, for outsiders to pin."`
	Keygen auditKeygenCmd `cmd:"" help:"Make a signing key for audit.key, for nodes that share a store."`
}

type auditVerifyCmd struct {
	URL   string `name:"url" help:"Verify as an outsider, over HTTP: the address of a Gantry." placeholder:"URL"`
	Key   string `name:"verifier-key" help:"The verifier key that you pinned. Required with --url; see \"gantry audit key\"." placeholder:"KEY"`
	Since string `name:"since" help:"A checkpoint file that you kept: also finds a log that was rolled back or rewritten since." type:"existingfile" placeholder:"FILE"`
}

// Help implements kong's longer help.
func (auditVerifyCmd) Help() string {
	return `Without --url it reads the store that the configuration names; the server may run meanwhile.
Exit code 0: the log is sound. 1: it is not, and each finding is printed.

  gantry audit verify
  gantry audit verify --since gantry-data/checkpoints/latest
  gantry audit verify --url https://gantry.example.com --verifier-key "$PINNED" --since kept.checkpoint`
}

// Run implements the command.
func (c *auditVerifyCmd) Run(e *env) error {
	o := audit.Options{Key: c.Key}
	if c.Since != "" {
		b, err := os.ReadFile(c.Since)
		if err != nil {
			return usageError{err}
		}
		o.Since = b
	}
	rep, err := c.verify(e, o)
	if err != nil {
		return err
	}
	if e.json {
		if err := printJSON(e.stdio.Out, struct {
			OK bool `json:"ok"`
			*audit.Report
		}{rep.OK(), rep}); err != nil {
			return err
		}
	} else {
		printReport(e, rep)
	}
	if !rep.OK() {
		return errNo
	}
	return nil
}

func (c *auditVerifyCmd) verify(e *env, o audit.Options) (*audit.Report, error) {
	if c.URL != "" {
		if c.Key == "" {
			return nil, usageError{errors.New("--url needs --verifier-key: an outsider trusts the key it pinned, not the one it is told. The log's owner prints it with \"gantry audit key\"")}
		}
		client := &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		return audithttp.Verify(e.ctx, client, strings.TrimRight(c.URL, "/")+"/audit/log/", o)
	}
	cfg, err := loadConfig(e)
	if err != nil {
		return nil, usageError{err}
	}
	db, err := app.InspectStore(e.ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return db.VerifyAudit(e.ctx, o)
}

func printReport(e *env, rep *audit.Report) {
	if rep.OK() {
		fmt.Fprintf(e.stdio.Out, "The log %s is sound: %d entries, root %s.\n", rep.Origin, rep.Size, rep.Root)
		if rep.Since > 0 {
			fmt.Fprintf(e.stdio.Out, "It extends the kept checkpoint of %d entries.\n", rep.Since)
		}
		return
	}
	fmt.Fprintf(e.stdio.Out, "The log %s does NOT verify:\n", rep.Origin)
	for _, f := range rep.Findings {
		fmt.Fprintf(e.stdio.Out, "  %s\n", f)
	}
	if rep.More > 0 {
		fmt.Fprintf(e.stdio.Out, "  and %d more\n", rep.More)
	}
	fmt.Fprintln(e.stdio.Out, "Treat the store as tampered with: keep a copy of it as it is, and compare with a backup and with the published checkpoints.")
}

type auditKeyCmd struct{}

// Run implements the command.
func (auditKeyCmd) Run(e *env) error {
	cfg, err := loadConfig(e)
	if err != nil {
		return usageError{err}
	}
	db, err := app.InspectStore(e.ctx, cfg)
	if err != nil {
		return err
	}
	defer db.Close()
	key, err := db.AuditKey(e.ctx)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]string{"verifierKey": key})
	}
	_, err = fmt.Fprintln(e.stdio.Out, key)
	return err
}

type auditKeygenCmd struct{}

// Run implements the command.
func (auditKeygenCmd) Run(e *env) error {
	cfg, err := loadConfig(e)
	if err != nil {
		return usageError{err}
	}
	secret, verifier, err := audit.GenerateKey(cfg.Audit.Origin)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]string{"key": secret, "verifierKey": verifier})
	}
	_, err = fmt.Fprintf(e.stdio.Out, "%s\n", secret)
	fmt.Fprintf(e.stdio.Err, "Keep it secret: give it to every node as audit.key or audit.key_file.\nIts public half, for outsiders to pin: %s\n", verifier)
	return err
}
