// Package tcp measures whether something takes connections at an address.
package tcp

import (
	"bytes"
	"context"
	"io"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/probe"
)

// maxBanner bounds Config.Banner, in bytes.
const maxBanner = 256

// Config says where.
type Config struct {
	Address string // HOST:PORT
	// Banner is how the server must begin, unasked: "220 " for SMTP. Empty: a
	// connection suffices.
	Banner string
	// Private lets a public host name lead inside the network.
	Private bool
}

type prober struct {
	cfg    Config
	dialer *egress.Dialer
}

// New returns a prober. It makes no connection.
func New(cfg Config) (health.Prober, error) {
	if err := probe.Address("tcp", "address", cfg.Address); err != nil {
		return nil, err
	}
	if n := len(cfg.Banner); n > maxBanner {
		return nil, probe.Invalid("tcp", "banner", "has %d bytes, at most %d; give how it begins", n, maxBanner)
	}
	return &prober{cfg: cfg, dialer: egress.NewDialer(egress.Options{Private: cfg.Private}, cfg.Address)}, nil
}

// Probe implements health.Prober.
func (p *prober) Probe(ctx context.Context) (health.Reading, error) {
	c, err := probe.Dial(ctx, p.dialer)(ctx, "tcp", p.cfg.Address)
	if err != nil {
		return health.Reading{}, probe.Fail(ctx, "connect", err)
	}
	defer c.Close()
	if p.cfg.Banner == "" {
		return health.Reading{Message: "takes connections"}, nil
	}
	got := make([]byte, len(p.cfg.Banner))
	if _, err := io.ReadFull(c, got); err != nil {
		return health.Reading{}, probe.Fail(ctx, "wait for the server to begin", err)
	}
	if !bytes.Equal(got, []byte(p.cfg.Banner)) {
		return health.Reading{}, probe.Failf("the server begins otherwise than the %d bytes of banner say", len(got))
	}
	return health.Reading{Message: "takes connections and begins as expected"}, nil
}
