// Package tlscert measures whether a TLS server shows a certificate that
// verifies, and for how many days more.
package tlscert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"math"
	"net"
	"time"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/probe"
)

// DefaultDays is the least number of days that is healthy, if Config says
// none: certificates of 90 days are renewed 30 days before their end.
const DefaultDays = 14

// Config says where and how much.
type Config struct {
	Address    string // HOST:PORT
	ServerName string // that the certificate must be for; empty: the host
	// DegradedBelow is the number of days left below which the certificate is
	// near its end. 0 means DefaultDays.
	DegradedBelow int
	// Private lets a public host name lead inside the network.
	Private bool
	// Roots are the trusted authorities; nil: the system's.
	Roots *x509.CertPool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

type prober struct {
	cfg    Config
	dialer *egress.Dialer
}

// New returns a prober. It makes no connection.
func New(cfg Config) (health.Prober, error) {
	if err := probe.Address("tls", "address", cfg.Address); err != nil {
		return nil, err
	}
	if cfg.DegradedBelow < 0 || cfg.DegradedBelow > 3650 {
		return nil, probe.Invalid("tls", "degraded_below", "is %d days; give 1 to 3650, or 0 for %d", cfg.DegradedBelow, DefaultDays)
	}
	if cfg.DegradedBelow == 0 {
		cfg.DegradedBelow = DefaultDays
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(cfg.Address)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &prober{cfg: cfg, dialer: egress.NewDialer(egress.Options{Private: cfg.Private}, cfg.Address)}, nil
}

// Probe implements health.Prober.
func (p *prober) Probe(ctx context.Context) (health.Reading, error) {
	raw, err := probe.Dial(ctx, p.dialer)(ctx, "tcp", p.cfg.Address)
	if err != nil {
		return health.Reading{}, probe.Fail(ctx, "connect", err)
	}
	c := tls.Client(raw, &tls.Config{ServerName: p.cfg.ServerName, RootCAs: p.cfg.Roots, Time: p.cfg.Now, MinVersion: tls.VersionTLS12})
	defer c.Close()
	if err := c.HandshakeContext(ctx); err != nil {
		return health.Reading{}, probe.Fail(ctx, "TLS handshake", err)
	}
	left := ends(c.ConnectionState().VerifiedChains).Sub(p.cfg.Now())
	days := int(math.Floor(left.Hours() / 24))
	r := health.Reading{Message: "the certificate verifies", Details: map[string]any{"daysLeft": days}}
	if days < p.cfg.DegradedBelow {
		r.Degraded, r.Message = true, "the certificate is near its end: renew it"
	}
	return r, nil
}

// ends returns when the last of the chains ends, and a chain ends with the
// first of its certificates.
func ends(chains [][]*x509.Certificate) time.Time {
	var last time.Time
	for _, chain := range chains {
		var first time.Time
		for _, c := range chain {
			if first.IsZero() || c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if first.After(last) {
			last = first
		}
	}
	return last
}
