package probe

import (
	"context"
	"net"

	"avalo.app/gantry/internal/egress"
)

// Dial returns a dial function for one measurement: what it connects is
// closed when ctx, the measurement's, ends, whatever the client that uses it
// makes of a context.
func Dial(ctx context.Context, d *egress.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(dctx context.Context, network, addr string) (net.Conn, error) {
		if err := ctx.Err(); err != nil { // pgx would cancel its query by another connection
			return nil, err
		}
		dctx, cancel := context.WithCancel(dctx)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		c, err := d.DialContext(dctx, network, addr)
		if err != nil {
			return nil, err
		}
		return Bind(ctx, c), nil
	}
}

// Bind returns a connection that is closed when ctx ends.
func Bind(ctx context.Context, c net.Conn) net.Conn {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	if u, ok := c.(*net.UDPConn); ok { // net.Resolver asks whether it is a PacketConn
		return &boundUDP{UDPConn: u, stop: stop}
	}
	return &bound{Conn: c, stop: stop}
}

type boundUDP struct {
	*net.UDPConn
	stop func() bool
}

// Close closes the connection and forgets the context.
func (b *boundUDP) Close() error {
	b.stop()
	return b.UDPConn.Close()
}

type bound struct {
	net.Conn
	stop func() bool
}

// Close closes the connection and forgets the context.
func (b *bound) Close() error {
	b.stop()
	return b.Conn.Close()
}
