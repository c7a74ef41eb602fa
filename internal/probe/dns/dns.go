// Package dns measures whether a name resolves, and to what is expected.
package dns

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/probe"
)

// Config says what is asked of whom.
type Config struct {
	Name string // absolute: no search domains are tried
	Type string // A, AAAA, CNAME, MX, NS or TXT; empty: A
	// Want are records that must be there, others may: addresses, host names,
	// or a TXT's text. Empty: any record will do.
	Want []string
	// Server is the HOST:PORT that is asked; empty: the system's servers,
	// after its hosts file.
	Server string
	// Private lets a public name of a server lead inside the network.
	Private bool
}

const maxName = 253 // RFC 1035, section 2.3.4, as text without the last dot

type prober struct {
	cfg    Config
	look   lookup
	dialer *egress.Dialer // nil: the system's servers
}

type lookup func(context.Context, *net.Resolver, string) ([]string, error)

// New returns a prober. It asks nothing.
func New(cfg Config) (health.Prober, error) {
	p := &prober{cfg: cfg}
	p.cfg.Name = strings.TrimSuffix(cfg.Name, ".")
	if n := len(p.cfg.Name); n == 0 || n > maxName || strings.ContainsAny(cfg.Name, " /:@\t\r\n") {
		return nil, probe.Invalid("dns", "name", "has %d characters; give a host name of 1 to %d, such as www.example.com", n, maxName)
	}
	if cfg.Type == "" {
		p.cfg.Type = "A"
	}
	if p.look = lookups()[p.cfg.Type]; p.look == nil {
		return nil, probe.Invalid("dns", "type", "must be A, AAAA, CNAME, MX, NS or TXT")
	}
	p.cfg.Want = slices.Clone(cfg.Want)
	for i, w := range p.cfg.Want {
		if p.cfg.Want[i] = spelled(p.cfg.Type, w); p.cfg.Want[i] == "" {
			return nil, probe.Invalid("dns", "want", "record %d is none of type %s", i+1, p.cfg.Type)
		}
	}
	if cfg.Server != "" {
		if err := probe.Address("dns", "server", cfg.Server); err != nil {
			return nil, err
		}
		p.dialer = egress.NewDialer(egress.Options{Private: cfg.Private}, cfg.Server)
	}
	return p, nil
}

// Probe implements health.Prober.
func (p *prober) Probe(ctx context.Context) (health.Reading, error) {
	r := &net.Resolver{PreferGo: true, Dial: func(dctx context.Context, network, system string) (net.Conn, error) {
		if p.dialer != nil {
			return probe.Dial(ctx, p.dialer)(dctx, network, p.cfg.Server)
		}
		c, err := new(net.Dialer).DialContext(dctx, network, system)
		if err != nil {
			return nil, err
		}
		return probe.Bind(ctx, c), nil
	}}
	got, err := p.look(ctx, r, p.cfg.Name+".")
	if err != nil {
		return health.Reading{}, probe.Fail(ctx, "resolve", err)
	}
	if len(got) == 0 {
		return health.Reading{}, probe.Failf("the name has no record of type %s", p.cfg.Type)
	}
	for i := range got {
		got[i] = spelled(p.cfg.Type, got[i])
	}
	missing := 0
	for _, w := range p.cfg.Want {
		if !slices.Contains(got, w) {
			missing++
		}
	}
	if missing > 0 {
		return health.Reading{}, probe.Failf("%d of the %d wanted records of type %s are missing, %d others are there: check the zone, or whether someone changed it", missing, len(p.cfg.Want), p.cfg.Type, len(got)-len(p.cfg.Want)+missing)
	}
	return health.Reading{Message: "resolves as expected", Details: map[string]any{"records": len(got)}}, nil
}

func lookups() map[string]lookup {
	return map[string]lookup{
		"A":    addresses("ip4"),
		"AAAA": addresses("ip6"),
		"TXT": func(ctx context.Context, r *net.Resolver, name string) ([]string, error) {
			return r.LookupTXT(ctx, name)
		},
		"CNAME": func(ctx context.Context, r *net.Resolver, name string) ([]string, error) {
			c, err := r.LookupCNAME(ctx, name)
			if err == nil && strings.EqualFold(c, name) {
				return nil, nil // it is no alias
			}
			return []string{c}, err
		},
		"MX": func(ctx context.Context, r *net.Resolver, name string) ([]string, error) {
			found, err := r.LookupMX(ctx, name)
			var out []string
			for _, m := range found {
				out = append(out, m.Host)
			}
			return out, err
		},
		"NS": func(ctx context.Context, r *net.Resolver, name string) ([]string, error) {
			found, err := r.LookupNS(ctx, name)
			var out []string
			for _, n := range found {
				out = append(out, n.Host)
			}
			return out, err
		},
	}
}

func addresses(network string) lookup {
	return func(ctx context.Context, r *net.Resolver, name string) ([]string, error) {
		found, err := r.LookupNetIP(ctx, network, name)
		var out []string
		for _, a := range found {
			out = append(out, a.Unmap().String())
		}
		return out, err
	}
}

// spelled is a record in one spelling, "" if it is none of the type.
func spelled(kind, record string) string {
	switch kind {
	case "TXT":
		return record
	case "A", "AAAA":
		a, err := netip.ParseAddr(record)
		if err != nil || a.Is4() != (kind == "A") {
			return ""
		}
		return a.String()
	}
	return strings.ToLower(strings.TrimSuffix(record, "."))
}
