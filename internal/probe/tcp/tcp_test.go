package tcp_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"avalo.app/gantry/internal/probe/probetest"
	"avalo.app/gantry/internal/probe/tcp"
)

func TestConformance(t *testing.T) {
	banner := "220 mail.example " + probetest.Secret + " ESMTP"
	line := probetest.Serve(t, func(c net.Conn) {
		_, _ = fmt.Fprintf(c, "%s\r\n", banner)
		_, _ = io.Copy(io.Discard, c)
	})
	p, err := tcp.New(tcp.Config{Address: line.Addr(), Banner: banner})
	if err != nil {
		t.Fatal(err)
	}
	probetest.Run(t, probetest.Kind{Prober: p, Dependency: line})
}

// Without a banner, to be let in is all that is measured.
func TestConnection(t *testing.T) {
	line := probetest.Serve(t, func(net.Conn) {})
	p, err := tcp.New(tcp.Config{Address: line.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	for mode, up := range map[probetest.Mode]bool{probetest.Healthy: true, probetest.Hanging: true, probetest.Refusing: false} {
		line.Set(t, mode)
		if _, err := p.Probe(t.Context()); (err == nil) != up {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, cfg := range []tcp.Config{
		{}, {Address: "host"}, {Address: ":80"}, {Address: "host:0"}, {Address: "host:65536"}, {Address: "host:smtp"},
		{Address: "host:25", Banner: strings.Repeat(probetest.Secret, 100)},
	} {
		if _, err := tcp.New(cfg); err == nil || strings.Contains(err.Error(), probetest.Secret) || errors.Unwrap(err) != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
