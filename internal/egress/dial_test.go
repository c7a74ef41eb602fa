package egress_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"avalo.app/gantry/internal/egress"
)

func TestDialer(t *testing.T) {
	u, _ := serve(t, hello)
	loopback, linkLocal := dns(t, netip.MustParseAddr("127.0.0.1")), dns(t, netip.MustParseAddr("169.254.169.254"))
	at := func(host string) string { return net.JoinHostPort(host, u.Port()) }
	for _, tt := range []struct {
		name, named, addr string
		o                 egress.Options
		want              error
	}{
		{"a literal address", u.Host, u.Host, egress.Options{}, nil},
		{"another port", u.Host, "127.0.0.1:1", egress.Options{}, egress.ErrHost},
		{"another host", at("127.0.0.2"), u.Host, egress.Options{}, egress.ErrHost},
		{"a private name, spelled otherwise", at("DB.internal."), at("db.internal"), egress.Options{Resolver: loopback}, nil},
		{"a public name that leads inside", at("db.example.com"), at("db.example.com"), egress.Options{Resolver: loopback}, egress.ErrPrivate},
		{"the same, meant so", at("db.example.com"), at("db.example.com"), egress.Options{Resolver: loopback, Private: true}, nil},
		{"link-local, meant or not", at("db.example.com"), at("db.example.com"), egress.Options{Resolver: linkLocal, Private: true}, egress.ErrPrivate},
	} {
		conn, err := egress.NewDialer(tt.o, tt.named).DialContext(t.Context(), "tcp", tt.addr)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
}

// A public name that leads inside is refused to a client too, unless that is
// meant.
func TestPrivateClient(t *testing.T) {
	u, hits := serve(t, hello)
	inside := dns(t, netip.MustParseAddr("127.0.0.1"))
	named := parse(t, "http://status.example.com:"+u.Port())
	for private, want := range map[bool]error{false: egress.ErrPrivate, true: nil} {
		c := egress.Client(egress.Options{Resolver: inside, Private: private, OneShot: true}, named)
		if _, err := get(t, c, named.String()); !errors.Is(err, want) {
			t.Errorf("private %v: %v, want %v", private, err, want)
		}
	}
	if hits.Load() != 1 {
		t.Errorf("%d requests arrived", hits.Load())
	}
}
