package cli

import (
	"errors"
	"fmt"

	"avalo.app/gantry/internal/config"
)

type configCmd struct {
	Check  configCheckCmd  `cmd:"" help:"Check a configuration file and list everything that is wrong with it."`
	Print  configPrintCmd  `cmd:"" help:"Print the configuration in force as YAML, secrets redacted."`
	Docs   configDocsCmd   `cmd:"" help:"Print the reference of every option."`
	Schema configSchemaCmd `cmd:"" help:"Print the JSON schema, for editors."`
}

// loadConfig reads the configuration file, or the defaults without one.
// GANTRY_DATA moves the data directory for every command alike.
func loadConfig(e *env) (config.Config, error) {
	cfg, err := config.Load(e.config, e.lookup)
	if dir, ok := e.lookup("GANTRY_DATA"); ok && dir != "" {
		cfg.DataDir = dir
	}
	return cfg, err
}

type configCheckCmd struct{}

// Run implements the command.
func (configCheckCmd) Run(e *env) error {
	cfg, err := loadConfig(e)
	if e.json {
		out := map[string]any{"ok": err == nil}
		if err != nil {
			out["problems"] = problemTexts(err)
		} else {
			out["notes"] = noteTexts(cfg)
		}
		if err := printJSON(e.stdio.Out, out); err != nil {
			return err
		}
	} else if err != nil {
		fmt.Fprintln(e.stdio.Out, err)
	} else {
		fmt.Fprintln(e.stdio.Out, "The configuration is valid.")
		for _, text := range noteTexts(cfg) {
			fmt.Fprintln(e.stdio.Out, "Note:", text)
		}
	}
	if err != nil {
		return errNo
	}
	return nil
}

type configPrintCmd struct{}

// Run implements the command.
func (configPrintCmd) Run(e *env) error {
	cfg, err := loadConfig(e)
	if err != nil {
		return usageError{err}
	}
	_, err = fmt.Fprint(e.stdio.Out, config.Print(cfg))
	return err
}

type configDocsCmd struct{}

// Run implements the command.
func (configDocsCmd) Run(e *env) error {
	_, err := fmt.Fprint(e.stdio.Out, config.Reference())
	return err
}

type configSchemaCmd struct{}

// Run implements the command.
func (configSchemaCmd) Run(e *env) error {
	_, err := e.stdio.Out.Write(config.Schema())
	return err
}

// noteTexts lists what is valid and yet not as it should be.
func noteTexts(cfg config.Config) []string {
	out := []string{}
	for _, n := range cfg.Notes() {
		out = append(out, n.Text)
	}
	return out
}

// problemTexts lists what is wrong, one text a problem.
func problemTexts(err error) []string {
	var ps config.Problems
	if !errors.As(err, &ps) {
		return []string{err.Error()}
	}
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.String()
	}
	return texts
}
