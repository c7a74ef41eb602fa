package disk_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/probe/disk"
	"avalo.app/gantry/internal/probe/probetest"
)

func TestReal(t *testing.T) {
	p, err := disk.New(disk.Config{Path: t.TempDir(), Failing: disk.Level{Bytes: 1}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Probe(t.Context())
	if err != nil || r.Details["totalBytes"].(uint64) < 1<<20 || r.Details["freeBytes"].(uint64) > r.Details["totalBytes"].(uint64) {
		t.Errorf("%+v, %v", r, err)
	}
	p, err = disk.New(disk.Config{Path: t.TempDir() + "/" + probetest.Secret})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Probe(t.Context()); err == nil || err.Error() != "measure the file system: there is no such file" {
		t.Error(err)
	}
}

func TestLevels(t *testing.T) {
	for _, tt := range []struct {
		name              string
		room              disk.Room
		degraded, failing disk.Level
		want              string // "", "degraded" or "full"
	}{
		{"the defaults", disk.Room{FreeBytes: 10, TotalBytes: 100, FreeInodes: 10, TotalInodes: 100}, disk.Level{}, disk.Level{}, ""},
		{"9 percent", disk.Room{FreeBytes: 9, TotalBytes: 100}, disk.Level{}, disk.Level{}, "degraded"},
		{"2 percent", disk.Room{FreeBytes: 2, TotalBytes: 100}, disk.Level{}, disk.Level{}, "full"},
		{"9 percent of inodes", disk.Room{FreeBytes: 99, TotalBytes: 100, FreeInodes: 9, TotalInodes: 100}, disk.Level{}, disk.Level{}, "degraded"},
		{"no inode", disk.Room{FreeBytes: 99, TotalBytes: 100, FreeInodes: 0, TotalInodes: 100}, disk.Level{}, disk.Level{}, "full"},
		{"inodes that are not counted", disk.Room{FreeBytes: 99, TotalBytes: 100}, disk.Level{InodesPercent: 50}, disk.Level{}, ""},
		{"bytes", disk.Room{FreeBytes: 999, TotalBytes: 1000}, disk.Level{Bytes: 1000}, disk.Level{Bytes: 999}, "degraded"},
		{"fewer", disk.Room{FreeBytes: 998, TotalBytes: 1000}, disk.Level{Bytes: 1000}, disk.Level{Bytes: 999}, "full"},
		{"no size", disk.Room{}, disk.Level{}, disk.Level{}, "no size"},
	} {
		p, err := disk.New(disk.Config{Path: "/", Degraded: tt.degraded, Failing: tt.failing, Stat: func(string) (disk.Room, error) { return tt.room, nil }})
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.Probe(t.Context())
		got := ""
		switch {
		case err != nil:
			got = err.Error()
		case r.Degraded:
			got = "degraded"
		}
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// mount is a file system over the network.
type mount struct {
	mode    atomic.Value // probetest.Mode
	reached chan struct{}
	back    chan struct{} // closed when it answers again
	calls   atomic.Int64
}

// Set implements probetest.Dependency.
func (m *mount) Set(_ testing.TB, mode probetest.Mode) {
	m.mode.Store(mode)
	if mode == probetest.Hanging {
		m.back = make(chan struct{})
	} else if m.back != nil {
		close(m.back)
		m.back = nil
	}
}

// Reached implements probetest.Dependency.
func (m *mount) Reached() <-chan struct{} { return m.reached }

func (m *mount) stat(string) (disk.Room, error) {
	m.calls.Add(1)
	switch m.mode.Load() {
	case probetest.Refusing:
		return disk.Room{}, errors.New(probetest.Secret)
	case probetest.Hanging:
		back := m.back
		m.reached <- struct{}{}
		<-back
	}
	return disk.Room{FreeBytes: 50, TotalBytes: 100}, nil
}

// A call that hangs in the kernel cannot be ended: the probe ends without it,
// and starts no other until it comes back.
func TestHangs(t *testing.T) {
	m := &mount{reached: make(chan struct{}, 1)}
	p, err := disk.New(disk.Config{Path: "/" + probetest.Secret, Stat: m.stat})
	if err != nil {
		t.Fatal(err)
	}
	m.Set(t, probetest.Hanging)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-m.Reached()
		cancel()
	}()
	if _, err := p.Probe(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for range 5 {
		if _, err := p.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "1 earlier measurement(s) still hang") {
			t.Errorf("while it hangs: %v", err)
		}
	}
	if n := m.calls.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
	m.Set(t, probetest.Refusing)
	// The call that hung ends in its own time.
	for strings.Contains(probeText(t, p), "still hang") {
	}
	if s := probeText(t, p); s != "measure the file system: the answer is not one that is understood (*errors.errorString)" {
		t.Errorf("refusing: %s", s)
	}
	m.Set(t, probetest.Healthy)
	if s := probeText(t, p); s != "" {
		t.Errorf("back: %s", s)
	}
}

func probeText(t *testing.T, p health.Prober) string {
	t.Helper()
	if _, err := p.Probe(t.Context()); err != nil {
		return err.Error()
	}
	return ""
}

func TestConfig(t *testing.T) {
	for _, cfg := range []disk.Config{
		{}, {Path: probetest.Secret}, {Path: "/", Failing: disk.Level{Percent: 100}}, {Path: "/", Degraded: disk.Level{InodesPercent: -1}},
		{Path: "/", Degraded: disk.Level{Percent: 5}, Failing: disk.Level{Percent: 6}},
	} {
		if _, err := disk.New(cfg); err == nil || strings.Contains(err.Error(), probetest.Secret) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
