package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"avalo.app/gantry/internal/app"
	"avalo.app/gantry/internal/config"
)

type serveCmd struct {
	Listen string `env:"GANTRY_LISTEN" help:"Address to listen on; overrides server.listen." placeholder:"HOST:PORT"`
	Data   string `env:"GANTRY_DATA" help:"Data directory; overrides data_dir. The environment variable holds for every command." type:"path" placeholder:"DIR"`
}

// Help implements kong's longer help.
func (serveCmd) Help() string {
	return `Runs until SIGINT or SIGTERM, then finishes requests in flight and saves what it keeps.
SIGHUP reads the configuration again and applies what can change live; the log says what cannot.

Without a configuration file it keeps everything in ./gantry-data and listens on 127.0.0.1:8640.
The first start prints one admin key, once.`
}

// stopTimeout bounds an orderly stop beyond the grace for requests.
const stopTimeout = 30 * time.Second

// Run implements the command.
func (c *serveCmd) Run(e *env) error {
	load := func() (config.Config, error) { return c.load(e) }
	cfg, err := load()
	if err != nil {
		return usageError{err}
	}
	log, level := newLogger(e.stdio.Err, cfg.Log)
	a, err := app.New(e.ctx, cfg, app.Options{Version: version(), Log: log, Level: level, Now: now, Load: load})
	if err != nil {
		return err
	}
	if err := a.Start(e.ctx); err != nil {
		return errors.Join(err, a.Stop(context.WithoutCancel(e.ctx)))
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // before Ready: unheard, it ends the process
	defer signal.Stop(hup)
	announce(e.stdio.Out, a)
	dead := wait(e.ctx, hup, a.Dead(), func() {
		if _, err := a.Reload(e.ctx, "system:sighup"); err != nil {
			log.Error("the configuration was not reloaded; the old one stays in force", "error", err)
		}
	})
	log.Info("stopping")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), time.Duration(cfg.Server.ShutdownGrace)+stopTimeout)
	defer cancel()
	return errors.Join(dead, a.Stop(ctx))
}

func (c *serveCmd) load(e *env) (config.Config, error) {
	cfg, err := loadConfig(e)
	if c.Listen != "" {
		cfg.Server.Listen = c.Listen
	}
	if c.Data != "" {
		cfg.DataDir = c.Data
	}
	return cfg, err
}

// wait returns nil when the program is told to stop, or why it died before,
// and reloads at each hup.
func wait(ctx context.Context, hup <-chan os.Signal, dead <-chan error, reload func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-dead:
			return err
		case <-hup:
			reload()
		}
	}
}

// announce says where Gantry answers and what to try first.
func announce(w io.Writer, a *app.App) {
	url := "http://" + a.Addr()
	key := a.BootstrapKey()
	if key == "" {
		fmt.Fprintf(w, "Ready. API %s  documentation %s/docs\n", url, url)
		return
	}
	fmt.Fprintf(w, `Gantry %s

  API            %s
  Documentation  %s/docs
  Health         %s/healthz

Admin key, shown this once:

  %s

Try it: three payout requests a day pass, the fourth is refused with 429.

  for i in 1 2 3 4; do curl -sS -w '\n' %s/v1/ratelimit/check -H 'Authorization: Bearer %s' -d '{"action":"PAYOUT_REQUEST","user":"alice"}'; done

Ready. Stop it with Ctrl-C; everything it keeps is in the data directory.
`, version(), url, url, url, key, url, key)
}

// newLogger writes text to a terminal and JSON elsewhere, unless configured.
func newLogger(w io.Writer, cfg config.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	_ = level.UnmarshalText([]byte(cfg.Level)) // Validate has seen it; the zero value is info
	o := &slog.HandlerOptions{Level: level}
	text := cfg.Format == "text"
	if f, ok := w.(*os.File); ok && cfg.Format == "auto" {
		text = term.IsTerminal(int(f.Fd()))
	}
	if text {
		return slog.New(slog.NewTextHandler(w, o)), level
	}
	return slog.New(slog.NewJSONHandler(w, o)), level
}
