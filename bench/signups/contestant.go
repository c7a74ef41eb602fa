package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"avalo.app/gantry/bench/internal/servers"
)

// contestant is a server that takes signups.
type contestant struct {
	*servers.Process
	name    string
	prefix  string // of its paths
	created int    // the status of a new reservation
	// setCap bounds the signups of today.
	setCap func(n int64) error

	subjects atomic.Int64 // that were named so far; each is new
	pairs    atomic.Int64 // reserved and confirmed
}

// plenty is a cap that is never reached.
const plenty = 10_000_000_000

func startPeer(url string) (*contestant, error) {
	p, err := servers.StartSelf("-peer", url)
	if err != nil {
		return nil, err
	}
	c := &contestant{Process: p, name: "peer", created: 200}
	c.setCap = func(n int64) error {
		_, err := c.Call(200, "PUT", "/cap", fmt.Sprint(n))
		return err
	}
	return c, nil
}

// startGantry starts the binary and opens a soft launch.
func startGantry(binary, data, url string) (*contestant, error) {
	out, err := exec.Command(binary, "audit", "keygen", "--json").Output()
	if err != nil {
		return nil, fmt.Errorf("gantry audit keygen: %w", err)
	}
	var made struct{ Key string }
	if err := json.Unmarshal(out, &made); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	config := filepath.Join(data, "gantry.yaml")
	text := fmt.Sprintf("store: {url: '%s'}\naudit: {key: '%s'}\nsecrets: {hash_key: 'the hash key of a benchmark, 32 letters'}\n", url, made.Key)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err := servers.StartGantry(binary, data, "--config", config)
	if err != nil {
		return nil, err
	}
	c := &contestant{Process: p, name: "gantry", prefix: "/v1", created: 201}
	c.setCap = func(n int64) error {
		_, err := c.Call(200, "PUT", "/v1/launch/phases/SOFT_LAUNCH?reason=The+benchmark", fmt.Sprintf(`{"countries":["PL"],"dailyCap":%d}`, n))
		return err
	}
	if err := c.softLaunch(); err != nil {
		p.Kill()
		return nil, err
	}
	return c, nil
}

// softLaunch opens a mode that admits anyone, which takes two admins, in a
// time zone where it is about noon, so that no run goes over a midnight.
func (c *contestant) softLaunch() error {
	zone := "Etc/GMT"
	if off := 12 - time.Now().UTC().Hour(); off > 0 {
		zone = fmt.Sprintf("Etc/GMT-%d", off) // the sign of these names is that of POSIX
	} else if off < 0 {
		zone = fmt.Sprintf("Etc/GMT+%d", -off)
	}
	var bob, dave struct{ Secret string }
	var override struct{ ID string }
	const why = `"mode":"SOFT_LAUNCH","reason":"The benchmark"`
	for _, step := range []struct {
		want         int
		method, path string
		body         func() string
		key          *string
		into         any
	}{
		{200, "PUT", "/v1/launch/settings?reason=The+benchmark", func() string {
			return `{"timeZone":"` + zone + `","blockedCountries":[],"reservationTTL":"15m","hookTTL":"24h"}`
		}, &c.Key, nil},
		{201, "POST", "/v1/keys", func() string { return `{"role":"admin","label":"bob","owner":"bob"}` }, &c.Key, &bob},
		{201, "POST", "/v1/keys", func() string { return `{"role":"admin","label":"dave","owner":"dave"}` }, &c.Key, &dave},
		{201, "POST", "/v1/launch/overrides", func() string { return `{` + why + `}` }, &bob.Secret, &override},
		{200, "POST", "/v1/launch/overrides/{id}/approve", func() string { return "" }, &dave.Secret, nil},
		{200, "PUT", "/v1/launch/mode", func() string { return `{` + why + `,"override":"` + override.ID + `"}` }, &bob.Secret, nil},
	} {
		answer, err := c.Call(step.want, step.method, strings.Replace(step.path, "{id}", override.ID, 1), step.body(), *step.key)
		if err == nil && step.into != nil {
			err = json.Unmarshal(answer, step.into)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// audit fails if the counters are not the rows, or not the pairs made.
func (c *contestant) audit() error {
	drift, err := c.Call(200, "GET", "/v1/signups/drift", "")
	if err != nil {
		return err
	}
	var d struct{ Drift []any }
	if err := json.Unmarshal(drift, &d); err != nil {
		return err
	}
	if len(d.Drift) > 0 {
		return fmt.Errorf("%s: counters are not the rows: %s", c.name, drift)
	}
	counts, err := c.Call(200, "GET", "/v1/signups/counts", "")
	if err != nil {
		return err
	}
	var n struct {
		Total struct{ Open, Confirmed int64 }
	}
	if err := json.Unmarshal(counts, &n); err != nil {
		return err
	}
	if n.Total.Open != 0 || n.Total.Confirmed != c.pairs.Load() {
		return fmt.Errorf("%s: %d pairs were made, and counted are %d confirmed and %d open", c.name, c.pairs.Load(), n.Total.Confirmed, n.Total.Open)
	}
	return nil
}
