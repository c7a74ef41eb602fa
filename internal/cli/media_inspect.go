package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/media/walk"
)

type mediaInspectCmd struct {
	Files    []string `arg:"" name:"file" help:"Files to judge; - reads one from standard input."`
	Type     string   `help:"Type that the uploader declares; default: none, the bytes decide." placeholder:"MIME"`
	Name     string   `help:"Name that the uploader gives to a single file; default: its own." placeholder:"NAME"`
	Output   string   `help:"Write each file that passes, sanitised and under its safe name, into this directory. Nothing there is overwritten." placeholder:"DIR"`
	Sanitise bool     `negatable:"" default:"true" help:"Drop metadata such as GPS from images; movies lose their place."`
}

// Help implements kong's longer help.
func (mediaInspectCmd) Help() string {
	return `Judges files by their bytes as uploads are judged, on this machine, with the built-in limits: nothing is sent, no server is needed. Nothing is decoded, and memory does not grow with the file. DROPPED says what sanitising takes out; pixels stay as they are. Exit code 0: all pass. 1: some are refused. 2: some could not be read.

  gantry media inspect holiday/*.jpg
  gantry media inspect --type image/png --json avatar.png
  gantry media inspect --output clean/ IMG_0042.HEIC
  curl -s https://example.com/cat.gif | gantry media inspect --name cat.gif -`
}

// inspected is one file of the answer.
type inspected struct {
	File    string            `json:"file"`
	Allowed bool              `json:"allowed"`
	Code    fault.Code        `json:"code,omitempty"`
	Message string            `json:"message,omitempty"`
	Details any               `json:"details,omitempty"`
	Verdict *api.MediaVerdict `json:"verdict,omitempty"` // of a refused file: what was known by then
	Output  string            `json:"output,omitempty"`  // where it was written
	failed  bool              // it could not be read or written
}

// Run implements the command.
func (c *mediaInspectCmd) Run(e *env) error {
	if c.Name != "" && len(c.Files) > 1 {
		return usageError{errors.New("--name is for one file: leave it out, or name one file at a time")}
	}
	if c.Output != "" {
		if err := os.MkdirAll(c.Output, 0o755); err != nil {
			return usageError{fmt.Errorf("--output: %w", err)}
		}
	}
	policy := media.DefaultPolicy()
	policy.Sanitise = c.Sanitise
	in := &media.Inspector{Walk: walk.DefaultLimits(), Policy: func() media.Policy { return policy }}
	var all []inspected
	refused, failed := false, 0
	for _, f := range c.Files {
		r := c.inspect(e, in, f)
		if err := e.ctx.Err(); err != nil {
			return err
		}
		all, refused = append(all, r), refused || !r.Allowed
		if r.failed {
			failed++
		}
	}
	if err := c.print(e, all); err != nil {
		return err
	}
	switch {
	case failed > 0:
		return usageError{fmt.Errorf("%d of %d files could not be read or written", failed, len(all))}
	case refused:
		return errNo
	}
	return nil
}

// inspect judges one file, and writes it if it passes and is wanted.
func (c *mediaInspectCmd) inspect(e *env, in *media.Inspector, path string) inspected {
	out := inspected{File: path}
	fail := func(err error) inspected {
		out.Allowed, out.failed, out.Message = false, true, err.Error()
		return out
	}
	body, d, err := c.open(e, path)
	if err != nil {
		return fail(err)
	}
	defer body.Close()
	var to io.Writer = io.Discard
	var clean *cleaned
	if c.Output != "" {
		if clean, err = newCleaned(c.Output); err != nil {
			return fail(err)
		}
		defer clean.discard()
		to = clean.File
	}
	v, err := in.Inspect(e.ctx, d, body, to)
	out.Verdict = verdictOf(v)
	var f *fault.Error
	switch {
	case errors.As(err, &f) && media.Refuses(f.Code):
		out.Code, out.Message, out.Details = f.Code, f.Msg, f.Detail
		return out
	case errors.As(err, &f) && f.Err != nil:
		return fail(f.Err)
	case err != nil:
		return fail(err)
	}
	out.Allowed = true
	if clean != nil {
		if out.Output, err = clean.keep(v.Name, v.Info.Patches); err != nil {
			return fail(err)
		}
	}
	return out
}

// open opens a file, and says what an uploader would say of it.
func (c *mediaInspectCmd) open(e *env, path string) (io.ReadCloser, media.Declared, error) {
	d := media.Declared{Name: c.Name, MIME: c.Type, Size: -1}
	if path == "-" {
		return io.NopCloser(e.stdio.In), d, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, d, err
	}
	i, err := f.Stat()
	if err == nil && i.IsDir() {
		err = errors.New("it is a directory: name the files in it")
	}
	if err != nil {
		_ = f.Close()
		return nil, d, err
	}
	if d.Name == "" {
		d.Name = filepath.Base(path)
	}
	return f, d, nil
}

// print writes a table, and under it why files were refused.
func (c *mediaInspectCmd) print(e *env, all []inspected) error {
	if e.json {
		return printJSON(e.stdio.Out, map[string]any{"files": all})
	}
	var rows [][]string
	for _, r := range all {
		rows = append(rows, r.row())
	}
	if err := table(e.stdio.Out, []string{"FILE", "VERDICT", "TYPE", "SIZE", "STORED", "PIXELS", "DROPPED"}, rows); err != nil {
		return err
	}
	for _, r := range all {
		switch {
		case !r.Allowed:
			fmt.Fprintf(e.stdio.Out, "\n%s: %s\n", plainText(r.File), plainText(r.Message))
		case r.Output != "":
			fmt.Fprintf(e.stdio.Out, "\n%s: written to %s\n", plainText(r.File), plainText(r.Output))
		}
	}
	return nil
}

func (r inspected) row() []string {
	v := r.Verdict
	switch {
	case r.failed || v == nil:
		return []string{plainText(r.File), "unreadable", "-", "-", "-", "-", "-"}
	case !r.Allowed:
		return []string{plainText(r.File), string(r.Code), or(plainText(v.MIMEType), "-"), "-", "-", "-", "-"}
	}
	pixels := "-"
	if v.Width > 0 {
		pixels = fmt.Sprintf("%dx%d", v.Width, v.Height)
	}
	if v.Frames > 1 {
		pixels += fmt.Sprintf(" %d frames", v.Frames)
	}
	return []string{plainText(r.File), "pass", v.MIMEType, size(v.Size), size(v.Stored), pixels, changes(v.Parts)}
}

// changes sums up what became of a file's parts: dropped and zeroed ones, and
// recognised ones that stay.
func changes(parts []api.MediaPart) string {
	var out []string
	for _, fate := range []walk.Fate{walk.Dropped, walk.Zeroed, walk.Kept} {
		var order []string
		bytes := map[string]int64{}
		for _, p := range parts {
			if p.Fate != string(fate) {
				continue
			}
			if _, ok := bytes[p.What]; !ok {
				order = append(order, p.What)
			}
			bytes[p.What] += p.Length
		}
		for _, what := range order {
			word := ""
			if fate != walk.Dropped {
				word = string(fate) + " "
			}
			out = append(out, fmt.Sprintf("%s%s (%s)", word, plainText(what), size(bytes[what])))
		}
	}
	return or(strings.Join(out, ", "), "nothing")
}

// verdictOf is a verdict as programs read it: the server's shape.
func verdictOf(v media.Verdict) *api.MediaVerdict {
	out := &api.MediaVerdict{Filename: v.Name, MIMEType: v.MIME, Declared: v.Declared, Class: string(v.Type.Class), Size: v.Size, Stored: v.Stored,
		SHA256: v.SHA256, Width: v.Info.Width, Height: v.Info.Height, Frames: v.Info.Frames, Scanned: string(media.Unscanned)}
	for _, p := range v.Info.Parts {
		out.Parts = append(out.Parts, api.MediaPart{Offset: p.Offset, Length: p.Length, What: p.What, Fate: string(p.Fate)})
	}
	return out
}

// cleaned is a sanitised file that has no name yet.
type cleaned struct {
	*os.File
	dir  string
	kept bool
}

func newCleaned(dir string) (*cleaned, error) {
	f, err := os.CreateTemp(dir, ".gantry-*")
	if err != nil {
		return nil, err
	}
	return &cleaned{File: f, dir: dir}, nil
}

// discard removes a file that was not kept.
func (c *cleaned) discard() {
	_ = c.Close()
	if !c.kept {
		_ = os.Remove(c.Name())
	}
}

// maxSameName is how many files of one name a directory takes.
const maxSameName = 10_000

// keep gives the file its name, or the first free one that adds a number.
func (c *cleaned) keep(name string, patches []walk.Patch) (string, error) {
	for _, p := range patches {
		if err := p.Apply(c.File); err != nil {
			return "", err
		}
	}
	if err := errors.Join(c.Chmod(0o644), c.Close()); err != nil {
		return "", err
	}
	ext := filepath.Ext(name)
	for n := 1; n < maxSameName; n++ {
		path := filepath.Join(c.dir, name)
		if n > 1 {
			path = filepath.Join(c.dir, strings.TrimSuffix(name, ext)+"-"+strconv.Itoa(n)+ext)
		}
		claim, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		c.kept = true
		return path, errors.Join(claim.Close(), os.Rename(c.Name(), path)) // over the empty file of our own
	}
	return "", fmt.Errorf("%s has too many files called %s", c.dir, name)
}
