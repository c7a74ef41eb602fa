// Package clamd measures whether ClamAV's daemon answers, and how old its
// signatures are.
package clamd

import (
	"context"
	"strconv"
	"strings"
	"time"

	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/probe"
)

// Daemon answers VERSION; the clamd package's Scanner does.
type Daemon interface {
	// Version returns clamd's own words: ClamAV VERSION[/SIGNATURES/DATE].
	Version(ctx context.Context) (string, error)
}

// DefaultStaleDays is the age of signatures that is too old, if Config says
// none: they are published daily.
const DefaultStaleDays = 7

// Config says which daemon.
type Config struct {
	Daemon Daemon
	// StaleDays is the age of its signatures above which the daemon is
	// degraded. 0 means DefaultStaleDays. One with local signatures only tells
	// no age.
	StaleDays int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

type prober struct{ cfg Config }

// New returns a prober. It makes no connection.
func New(cfg Config) (health.Prober, error) {
	switch {
	case cfg.Daemon == nil:
		return nil, probe.Invalid("clamd", "daemon", "is missing")
	case cfg.StaleDays < 0 || cfg.StaleDays > 3650:
		return nil, probe.Invalid("clamd", "stale_days", "is %d; give 1 to 3650, or 0 for %d", cfg.StaleDays, DefaultStaleDays)
	case cfg.StaleDays == 0:
		cfg.StaleDays = DefaultStaleDays
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &prober{cfg}, nil
}

// Probe implements health.Prober.
func (p *prober) Probe(ctx context.Context) (health.Reading, error) {
	version, err := p.cfg.Daemon.Version(ctx)
	if err != nil {
		return health.Reading{}, probe.Fail(ctx, "VERSION", err)
	}
	if !strings.HasPrefix(version, "ClamAV ") {
		return health.Reading{}, probe.Failf("VERSION: the answer is not clamd's")
	}
	r := health.Reading{Message: "answers VERSION"}
	part := strings.Split(version, "/")
	if len(part) != 3 {
		return r, nil
	}
	signatures, err := strconv.Atoi(part[1])
	// In the daemon's own zone, which it does not name: up to 14 hours off.
	at, terr := time.Parse(time.ANSIC, strings.TrimSpace(part[2]))
	if err != nil || terr != nil {
		return r, nil
	}
	days := int(p.cfg.Now().Sub(at).Hours() / 24)
	r.Details = map[string]any{"signatures": signatures, "signatureAgeDays": days}
	if days > p.cfg.StaleDays {
		r.Degraded, r.Message = true, "the signatures are old: check freshclam"
	}
	return r, nil
}
