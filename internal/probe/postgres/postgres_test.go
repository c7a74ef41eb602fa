package postgres_test

import (
	"net"
	"net/url"
	"strings"
	"testing"

	"avalo.app/gantry/internal/probe/postgres"
	"avalo.app/gantry/internal/probe/probetest"
	"avalo.app/gantry/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// server is the URL of a real PostgreSQL with a password that it ignores, and
// its address.
func server(t *testing.T) *url.URL {
	t.Helper()
	u, err := url.Parse(storetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("gantry", probetest.Secret)
	u.RawQuery = "application_name=" + probetest.Secret
	return u
}

func TestConformance(t *testing.T) {
	u := server(t)
	line := probetest.NewLine(t, "tcp", u.Host)
	u.Host = line.Addr()
	p, err := postgres.New(postgres.Config{URL: u.String(), Primary: true})
	if err != nil {
		t.Fatal(err)
	}
	probetest.Run(t, probetest.Kind{Prober: p, Dependency: line})
}

func TestRefusals(t *testing.T) {
	u := server(t)
	for _, tt := range []struct {
		name   string
		change func(*url.URL)
		want   string
	}{
		{"another database", func(u *url.URL) { u.Path = "/" + probetest.Secret }, "connect: there is no such database (SQLSTATE 3D000)"},
		{"another user", func(u *url.URL) { u.User = url.User(probetest.Secret) }, "connect: the user may not connect from here (pg_hba.conf) (SQLSTATE 28000)"},
		{"TLS that is not there", func(u *url.URL) { u.RawQuery = "sslmode=require" }, "connect: the server speaks no TLS, which sslmode demands"},
		{"a private name", func(u *url.URL) { u.Host = net.JoinHostPort("localhost", u.Port()) }, ""},
		{"two hosts, the first gone", func(u *url.URL) { u.Host = "127.0.0.1:1,127.0.0.1:" + u.Port() }, ""},
	} {
		v := *u
		tt.change(&v)
		p, err := postgres.New(postgres.Config{URL: v.String()})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		_, err = p.Probe(t.Context())
		if got := text(err); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestConfig(t *testing.T) {
	for _, raw := range []string{"", "://" + probetest.Secret, "mysql://u:" + probetest.Secret + "@h/d", "postgres:///d", "postgres://u:" + probetest.Secret + "@h/d?sslmode=" + probetest.Secret, "postgres://u:" + probetest.Secret + "@h:port/d"} {
		_, err := postgres.New(postgres.Config{URL: raw})
		if err == nil || strings.Contains(err.Error(), probetest.Secret) || !strings.Contains(err.Error(), "url") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}
