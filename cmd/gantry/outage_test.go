package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os/exec"
	"sync"
	"testing"
	"time"

	"avalo.app/gantry/internal/gantrytest"
	"avalo.app/gantry/internal/store/storetest"
)

// cable is a TCP proxy that a test pulls out and plugs in again, or freezes:
// then it takes everything and delivers nothing.
type cable struct {
	frozen       sync.RWMutex
	addr, target string
	mu           sync.Mutex
	in           net.Listener
	conns        []net.Conn
}

func newCable(t *testing.T, target string) *cable {
	t.Helper()
	c := &cable{target: target, addr: "127.0.0.1:0"}
	c.plug(t)
	t.Cleanup(c.pull)
	return c
}

func (c *cable) plug(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.in, c.addr = l, l.Addr().String()
	c.mu.Unlock()
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", c.target)
			if err != nil {
				_ = a.Close()
				continue
			}
			c.mu.Lock()
			if c.in != l { // pulled while the other end was dialled
				_, _ = a.Close(), b.Close()
			}
			c.conns = append(c.conns, a, b)
			c.mu.Unlock()
			go func() { _, _ = io.Copy(delivery{c, a}, b); _ = a.Close() }()
			go func() { _, _ = io.Copy(delivery{c, b}, a); _ = b.Close() }()
		}
	}()
}

// delivery is one end of a connection, which a frozen cable does not reach.
type delivery struct {
	c  *cable
	to io.Writer
}

func (d delivery) Write(b []byte) (int, error) {
	d.c.frozen.RLock()
	defer d.c.frozen.RUnlock()
	return d.to.Write(b)
}

func (c *cable) pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.in != nil {
		_ = c.in.Close()
		c.in = nil
	}
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

// postgresConfig is a configuration on PostgreSQL with keys of its own.
func postgresConfig(t *testing.T, storeURL string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), binary, "audit", "keygen", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ Key string }
	if err := json.Unmarshal(out, &made); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("store: {url: '%s'}\naudit: {key: '%s'}\nsecrets: {hash_key: 'a hash key for this test, 32 characters'}\n", storeURL, made.Key)
}

// TestStoreOutage: with the database cut off, limit checks go on exactly,
// everything else says so with 503 and no cause, and after the database is
// back nothing has to be restarted.
func TestStoreOutage(t *testing.T) {
	u, err := url.Parse(storetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	wire := newCable(t, u.Host)
	u.Host = wire.addr
	p := gantrytest.Start(t, gantrytest.Options{Binary: binary, Config: postgresConfig(t, u.String())})
	check := `{"action":"KYC_SUBMIT","user":"alice"}`
	until := func(what string, ok func() bool) {
		t.Helper()
		for range 300 {
			if ok() {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatalf("%s does not happen\n%s", what, p.Stderr())
	}
	if a := p.Do(t, "POST", "/v1/ratelimit/check", check); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	wire.pull()
	until("health goes down", func() bool { return p.Do(t, "GET", "/healthz", nil).Status == 503 })
	for i, want := range []int{200, 200, 429} {
		if a := p.Do(t, "POST", "/v1/ratelimit/check", check); a.Status != want {
			t.Errorf("check %d without the store: %d %s", i+2, a.Status, a.Body)
		}
	}
	if a := p.Do(t, "POST", "/v1/ratelimit/check", `{"action":"KYC_SUBMIT","user":"bob"}`, "Idempotency-Key", "k1"); a.Status != 200 {
		t.Errorf("a check with a key fails open: %d %s", a.Status, a.Body)
	}
	if a := p.Do(t, "GET", "/readyz", nil); a.Status != 200 || string(a.Body) == "" {
		t.Errorf("readyz: %d %s", a.Status, a.Body)
	}
	a := p.Do(t, "PUT", "/v1/ratelimit/policies/LOGIN", `{"window":"5m","rules":[{"scope":"user","limit":9}]}`)
	var problem struct{ Code, Detail string }
	a.Decode(t, &problem)
	if a.Status != 503 || problem.Code != "SERVICE_DEGRADED" || a.Header.Get("Retry-After") != "30" {
		t.Errorf("a change without the store: %d %s", a.Status, a.Body)
	}
	wire.plug(t)
	until("health comes back", func() bool { return p.Do(t, "GET", "/healthz", nil).Status == 200 })
	a = p.Do(t, "GET", "/v1/ratelimit/violations?user=alice", nil)
	var got struct{ Violations []struct{ Count int } }
	a.Decode(t, &got)
	if len(got.Violations) != 1 || got.Violations[0].Count != 1 {
		t.Errorf("the refusal during the outage: %s", a.Body)
	}
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.Stderr())
	}
}

// TestSignupOutage: with the database cut off, and with one that does not
// answer, signups are refused with SERVICE_DEGRADED, the mode is read from
// memory with its age, and nothing hangs. Afterwards nothing is lost and
// nothing was taken.
func TestSignupOutage(t *testing.T) {
	for name, outage := range map[string]struct{ begin, end func(*testing.T, *cable) }{
		"cut off":       {func(_ *testing.T, c *cable) { c.pull() }, func(t *testing.T, c *cable) { c.plug(t) }},
		"not answering": {func(_ *testing.T, c *cable) { c.frozen.Lock() }, func(_ *testing.T, c *cable) { c.frozen.Unlock() }},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := url.Parse(storetest.Postgres(t))
			if err != nil {
				t.Fatal(err)
			}
			wire := newCable(t, u.Host)
			u.Host = wire.addr
			p := gantrytest.Start(t, gantrytest.Options{Binary: binary, Config: postgresConfig(t, u.String())})
			softLaunch(t, p)
			reserved := p.Do(t, "POST", "/v1/signups", `{"country":"PL","userId":"before"}`)
			var r struct{ ID string }
			reserved.Decode(t, &r)
			outage.begin(t, wire)
			asked := func(method, path, body string, want int) gantrytest.Answer {
				t.Helper()
				began := time.Now()
				a, err := p.Try(method, path, body) // gives up after 30 s
				if took := time.Since(began); err != nil || a.Status != want || took > 25*time.Second {
					t.Errorf("%s %s: %d after %s, want %d: %v %s", method, path, a.Status, took, want, err, a.Body)
				}
				return a
			}
			for _, a := range []gantrytest.Answer{
				asked("POST", "/v1/signups", `{"country":"PL","userId":"during"}`, 503),
				asked("POST", "/v1/signups/"+r.ID+"/confirm", "", 503),
				asked("DELETE", "/v1/signups/"+r.ID, "", 503),
				asked("POST", "/v1/signups/eligibility", `{"country":"PL","userId":"during"}`, 503),
			} {
				var problem struct{ Code string }
				if a.Decode(t, &problem); problem.Code != "SERVICE_DEGRADED" {
					t.Errorf("%s", a.Body)
				}
			}
			var legacy struct {
				Result struct {
					Allowed bool
					Reason  string
				}
			}
			asked("POST", "/callable/checkSignupEligibility", `{"data":{"countryCode":"PL","userId":"during"}}`, 200).Decode(t, &legacy)
			if legacy.Result.Allowed || legacy.Result.Reason != "SYSTEM_ERROR" {
				t.Errorf("the callable: %+v", legacy)
			}
			time.Sleep(2 * time.Second) // the age is told in whole seconds
			var mode struct {
				Mode       string
				AgeSeconds int
			}
			if asked("GET", "/v1/launch/mode", "", 200).Decode(t, &mode); mode.Mode != "SOFT_LAUNCH" || mode.AgeSeconds < 1 {
				t.Errorf("the mode without the store: %+v", mode)
			}
			outage.end(t, wire)
			for range 300 {
				if a, err := p.Try("POST", "/v1/signups", `{"country":"PL","userId":"after"}`); err == nil && a.Status == 201 {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			if a := p.Do(t, "POST", "/v1/signups/"+r.ID+"/confirm", ""); a.Status != 200 {
				t.Errorf("the reservation from before: %d %s", a.Status, a.Body)
			}
			var c tally
			for range 300 { // what nobody was told of is given back
				p.Do(t, "GET", "/v1/signups/counts", nil).Decode(t, &c)
				if c.Total.Open == 1 && c.Total.Confirmed == 1 {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			if c.Total.Open != 1 || c.Total.Confirmed != 1 {
				t.Errorf("%+v, want one open and one confirmed", c)
			}
			if a := p.Do(t, "GET", "/v1/signups/drift", nil); string(a.Body) != "{\"drift\":[]}\n" {
				t.Errorf("counters are not the rows: %s", a.Body)
			}
		})
	}
}
