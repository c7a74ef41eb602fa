package clamd_test

import (
	"context"
	"strings"
	"testing"
	"time"

	daemon "avalo.app/gantry/internal/clamd"
	"avalo.app/gantry/internal/clamd/clamdtest"
	"avalo.app/gantry/internal/probe/clamd"
	"avalo.app/gantry/internal/probe/probetest"
)

// TestConformance measures Debian's clamd.
func TestConformance(t *testing.T) {
	network, at, _ := strings.Cut(clamdtest.Start(t).Address, ":")
	line := probetest.NewLine(t, network, at)
	s, err := daemon.New("tcp:"+line.Addr(), 0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := clamd.New(clamd.Config{Daemon: s})
	if err != nil {
		t.Fatal(err)
	}
	probetest.Run(t, probetest.Kind{Prober: p, Dependency: line})
}

type says string

// Version implements clamd.Daemon.
func (s says) Version(context.Context) (string, error) { return string(s), nil }

func TestVersions(t *testing.T) {
	now := time.Date(2026, 10, 15, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		version  says
		age      any
		degraded bool
		fails    bool
	}{
		{"ClamAV 1.4.3", nil, false, false},
		{"ClamAV 1.4.3/27792/Wed Oct 14 09:53:21 2026", 1, false, false},
		{"ClamAV 1.4.3/27792/Thu Oct  8 09:53:21 2026", 7, false, false},
		{"ClamAV 1.4.3/27792/Wed Oct  7 09:53:21 2026", 8, true, false},
		{"ClamAV 1.4.3/27792/" + probetest.Secret, nil, false, false},
		{"PONG " + probetest.Secret, nil, false, true},
		{"", nil, false, true},
	} {
		p, err := clamd.New(clamd.Config{Daemon: tt.version, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.Probe(t.Context())
		if (err != nil) != tt.fails || r.Degraded != tt.degraded || r.Details["signatureAgeDays"] != tt.age || err != nil && strings.Contains(err.Error(), probetest.Secret) {
			t.Errorf("%q: %+v, %v", tt.version, r, err)
		}
	}
}

// Whatever answers, nothing of it is repeated but its two numbers.
func FuzzVersion(f *testing.F) {
	f.Add("ClamAV 1.4.3/27792/Wed Oct 14 09:53:21 2026", "key")
	f.Add("ClamAV 1//", "x")
	f.Fuzz(func(t *testing.T, answer, part string) {
		if len(part) < 8 || strings.Contains("VERSION: the answer is not clamd's answers VERSION the signatures are old: check freshclam", part) {
			return
		}
		p, err := clamd.New(clamd.Config{Daemon: says(answer + part)})
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.Probe(t.Context())
		if err != nil && strings.Contains(err.Error(), part) || strings.Contains(r.Message, part) {
			t.Errorf("%q: %+v, %v", answer+part, r, err)
		}
	})
}

func TestConfig(t *testing.T) {
	for _, cfg := range []clamd.Config{{}, {Daemon: says(""), StaleDays: -1}} {
		if _, err := clamd.New(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}
