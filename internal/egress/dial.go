package egress

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// Dialer dials what speaks no HTTP, to the named addresses and under the
// rules of Client for where they may lead.
type Dialer struct {
	o     Options
	named map[string]bool // HOST:PORT, in lower case
}

// NewDialer returns a dialer that goes to the addresses named, HOST:PORT
// each, and nowhere else.
func NewDialer(o Options, named ...string) *Dialer {
	d := &Dialer{o: o.bounded(), named: make(map[string]bool)}
	for _, addr := range named {
		d.named[spelled(addr)] = true
	}
	return d
}

// DialContext connects to one of the named addresses.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if !d.named[spelled(addr)] {
		return nil, fmt.Errorf("%w: %s", ErrHost, addr)
	}
	return d.o.dial(ctx, network, addr, true)
}

// spelled is an address in one spelling.
func spelled(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return net.JoinHostPort(hostname(host), port)
}

// dial connects to addr, whose host the configuration names or does not. The
// check is made on the address that is dialled.
func (o Options) dial(ctx context.Context, network, addr string, named bool) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	host = hostname(host)
	d := net.Dialer{Timeout: o.Timeout, Resolver: o.Resolver, Control: func(_, resolved string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(resolved)
		if err != nil {
			return err
		}
		if mayDial(host, named, ap.Addr()) || o.Private && named && inside(ap.Addr()) {
			return nil
		}
		return fmt.Errorf("%w: %s is %s", ErrPrivate, host, ap.Addr())
	}}
	return d.DialContext(ctx, network, addr)
}
