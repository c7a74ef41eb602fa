package redis_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"avalo.app/gantry/internal/probe/probetest"
	"avalo.app/gantry/internal/probe/redis"
)

// start runs Debian's redis-server with a password until the test ends.
func start(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--requirepass", probetest.Secret, "--save", "", "--dir", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("redis-server (see scripts/deps.sh): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(time.Minute); ; <-time.After(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatal("redis-server does not answer")
		}
	}
}

func TestConformance(t *testing.T) {
	line := probetest.NewLine(t, "tcp", start(t))
	p, err := redis.New(redis.Config{URL: "redis://default:" + probetest.Secret + "@" + line.Addr() + "/1"})
	if err != nil {
		t.Fatal(err)
	}
	probetest.Run(t, probetest.Kind{Prober: p, Dependency: line})
}

// With TLS, in front of the same server.
func TestTLS(t *testing.T) {
	addr := start(t)
	ca := httptest.NewTLSServer(nil) // its certificate is for example.com and 127.0.0.1
	t.Cleanup(ca.Close)
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate())
	line := probetest.Serve(t, func(c net.Conn) {
		s, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer s.Close()
		c = tls.Server(c, &tls.Config{Certificates: ca.TLS.Certificates, MinVersion: tls.VersionTLS12})
		go func() { _, _ = io.Copy(c, s) }()
		_, _ = io.Copy(s, c)
	})
	p, err := redis.New(redis.Config{URL: "rediss://:" + probetest.Secret + "@" + line.Addr(), TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
	if err != nil {
		t.Fatal(err)
	}
	probetest.Run(t, probetest.Kind{Prober: p, Dependency: line})
	if p, err = redis.New(redis.Config{URL: "rediss://" + line.Addr()}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Probe(t.Context()); err == nil || err.Error() != "connect: the certificate is signed by an authority that is not trusted here" {
		t.Errorf("an authority that is not trusted: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	addr := start(t)
	says := func(answer string) string {
		return probetest.Serve(t, func(c net.Conn) {
			buf := make([]byte, 4096)
			for {
				if _, err := c.Read(buf); err != nil {
					return
				}
				_, _ = fmt.Fprintf(c, "%s\r\n", answer)
			}
		}).Addr()
	}
	for _, tt := range []struct{ url, want string }{
		{"redis://" + addr, "a password is needed"},
		{"redis://x:" + probetest.Secret + "@" + addr, "the user or password is wrong"},
		{"redis://:" + probetest.Secret + "@" + addr + "/99", "the server refuses"},
		{"rediss://" + says("-ERR "+probetest.Secret), "does not speak TLS"},
		{"redis://" + says("-LOADING "+probetest.Secret), "loading its data"},
		{"redis://" + says("-"+probetest.Secret+" "+probetest.Secret), "the server refuses"},
	} {
		p, err := redis.New(redis.Config{URL: tt.url})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Probe(t.Context())
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), probetest.Secret) {
			t.Errorf("%s: %v, want %s", tt.url, err, tt.want)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, raw := range []string{"", "redis://", "http://h", "redis://u:" + probetest.Secret + "@h/x", "redis://u:" + probetest.Secret + "@h:x"} {
		if _, err := redis.New(redis.Config{URL: raw}); err == nil || strings.Contains(err.Error(), probetest.Secret) {
			t.Errorf("%q: %v", raw, err)
		}
	}
}
