package geoip_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"avalo.app/gantry/internal/geoip"
	"avalo.app/gantry/internal/geoip/geoiptest"
)

func TestCountry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "country.mmdb")
	geoiptest.Write(t, path, map[string]string{"203.0.113.0/24": "PL", "2001:db8::/32": "DE"})
	d, err := geoip.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for ip, want := range map[string]string{"203.0.113.9": "PL", "::ffff:203.0.113.9": "PL", "2001:db8::1": "DE", "198.51.100.1": "", "fe80::1%eth0": "", "host": "", "": ""} {
		if got := d.Country(ip); got != want {
			t.Errorf("%s: %q, want %q", ip, got, want)
		}
	}
}

// TestReload: a new file is read, a broken one is not, and lookups go on.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "country.mmdb")
	geoiptest.Write(t, path, map[string]string{"203.0.113.0/24": "PL"})
	d, err := geoip.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	later := func(n int) {
		t.Helper()
		at := time.Now().Add(time.Duration(n) * time.Second)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	geoiptest.Write(t, path, map[string]string{"203.0.113.0/24": "FR"})
	later(1)
	if err := d.Reload(); err != nil || d.Country("203.0.113.9") != "FR" {
		t.Errorf("a new file: %q, %v", d.Country("203.0.113.9"), err)
	}
	if err := os.WriteFile(path, []byte("not a database"), 0o600); err != nil {
		t.Fatal(err)
	}
	later(2)
	if err := d.Reload(); err == nil || d.Country("203.0.113.9") != "FR" {
		t.Errorf("a broken file: %q, %v", d.Country("203.0.113.9"), err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := d.Reload(); err == nil || d.Country("203.0.113.9") != "FR" {
		t.Errorf("no file: %q, %v", d.Country("203.0.113.9"), err)
	}
	if _, err := geoip.Open(path); err == nil {
		t.Error("no file opens")
	}
}
