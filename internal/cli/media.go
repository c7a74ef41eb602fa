package cli

import (
	"strconv"
	"strings"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

type mediaCmd struct {
	remote
	Inspect  mediaInspectCmd  `cmd:"" help:"Judge files on this machine, without a server; sanitise them."`
	Types    mediaTypesCmd    `cmd:"" help:"List what may be uploaded."`
	Refusals mediaRefusalsCmd `cmd:"" help:"List uploads that were refused, and why."`
}

type mediaTypesCmd struct{}

// Help implements kong's longer help.
func (mediaTypesCmd) Help() string {
	return `What a running Gantry accepts: each type with its size limit and its other names. 1 MB is 1,048,576 bytes.

  gantry media types
  gantry media types --json`
}

// Run implements the command.
func (mediaTypesCmd) Run(e *env, parent *mediaCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	ts, err := cl.MediaTypes(e.ctx)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"types": ts})
	}
	var rows [][]string
	for _, t := range ts {
		rows = append(rows, []string{t.MIMEType, t.Class, "." + t.Extension, size(t.MaxFileSize), words(t.Aliases)})
	}
	return table(e.stdio.Out, []string{"TYPE", "CLASS", "STORED AS", "AT MOST", "ALSO CALLED"}, rows)
}

type mediaRefusalsCmd struct {
	User  string        `help:"Only this user's." placeholder:"ID"`
	Code  string        `help:"Only this code, such as FILE_TOO_LARGE." placeholder:"CODE"`
	Since time.Duration `help:"Only of the last hours: 24h." placeholder:"DURATION"`
	Limit int           `default:"100" help:"At most this many rows."`
}

// Help implements kong's longer help.
func (mediaRefusalsCmd) Help() string {
	return `Newest first; entries are kept for 90 days. A user is shown as a keyed hash; --user finds theirs.

  gantry media refusals --since 24h
  gantry media refusals --user alice --code CONTENT_MISMATCH`
}

// Run implements the command.
func (c *mediaRefusalsCmd) Run(e *env, parent *mediaCmd) error {
	cl, err := parent.client()
	if err != nil {
		return err
	}
	q := client.RefusalQuery{UserID: c.User, Code: api.Code(c.Code), Limit: c.Limit}
	if c.Since > 0 {
		q.Since = time.Now().Add(-c.Since)
	}
	rs, err := cl.MediaRefusals(e.ctx, q)
	if err != nil {
		return err
	}
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"refusals": rs})
	}
	var rows [][]string
	for _, r := range rs {
		rows = append(rows, []string{stamp(&r.At), r.OwnerHash, r.Flow, string(r.Code), or(plainText(r.Declared), "-"), or(plainText(r.Detected), "-"), bounds(r), plainText(r.Reason)})
	}
	return table(e.stdio.Out, []string{"AT", "USER", "FLOW", "CODE", "DECLARED", "DETECTED", "ACTUAL/LIMIT", "REASON"}, rows)
}

func bounds(r api.MediaRefusal) string {
	if r.Limit == 0 {
		return "-"
	}
	return strconv.FormatInt(r.Actual, 10) + "/" + strconv.FormatInt(r.Limit, 10)
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<20:
		return strings.TrimSuffix(strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64), ".0") + " MB"
	case n >= 1<<10:
		return strings.TrimSuffix(strconv.FormatFloat(float64(n)/(1<<10), 'f', 1, 64), ".0") + " KB"
	}
	return strconv.FormatInt(n, 10) + " B"
}

// plainText is text of others as a terminal may show it: one line, without
// what moves the cursor.
func plainText(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
