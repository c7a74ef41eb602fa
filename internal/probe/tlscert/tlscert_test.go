package tlscert_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"avalo.app/gantry/internal/probe/probetest"
	"avalo.app/gantry/internal/probe/tlscert"
)

// serve starts a TLS server whose certificate is for example.com and
// 127.0.0.1, and returns its address, authority and last moment.
func serve(t *testing.T) (addr string, roots *x509.CertPool, end time.Time) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.Config.ErrorLog = nil
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s.Listener.Addr().String(), roots, s.Certificate().NotAfter
}

func TestConformance(t *testing.T) {
	addr, roots, _ := serve(t)
	line := probetest.NewLine(t, "tcp", addr)
	p, err := tlscert.New(tlscert.Config{Address: line.Addr(), ServerName: "example.com", Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	probetest.Run(t, probetest.Kind{Prober: p, Dependency: line})
}

func TestDays(t *testing.T) {
	addr, roots, end := serve(t)
	for _, tt := range []struct {
		name     string
		cfg      tlscert.Config
		left     time.Duration
		days     int
		degraded bool
		want     string
	}{
		{"just enough", tlscert.Config{DegradedBelow: 20}, 20 * 24 * time.Hour, 20, false, ""},
		{"a moment less", tlscert.Config{DegradedBelow: 20}, 20*24*time.Hour - time.Second, 19, true, ""},
		{"the default", tlscert.Config{}, 14*24*time.Hour - time.Second, 13, true, ""},
		{"the last second", tlscert.Config{}, time.Second, 0, true, ""},
		{"expired", tlscert.Config{}, -time.Second, 0, false, "has expired"},
		{"for another name", tlscert.Config{ServerName: probetest.Secret + ".test"}, time.Hour, 0, false, "is for another host name"},
		{"of another authority", tlscert.Config{Roots: x509.NewCertPool()}, time.Hour, 0, false, "an authority that is not trusted"},
	} {
		tt.cfg.Address, tt.cfg.Now = addr, func() time.Time { return end.Add(-tt.left) }
		if tt.cfg.Roots == nil {
			tt.cfg.Roots = roots
		}
		p, err := tlscert.New(tt.cfg)
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.Probe(t.Context())
		switch {
		case tt.want != "":
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), probetest.Secret) {
				t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
			}
		case err != nil || r.Degraded != tt.degraded || r.Details["daysLeft"] != tt.days:
			t.Errorf("%s: %+v, %v", tt.name, r, err)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, cfg := range []tlscert.Config{{}, {Address: "host"}, {Address: "host:443", DegradedBelow: -1}} {
		if _, err := tlscert.New(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}
