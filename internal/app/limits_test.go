package app_test

import (
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"avalo.app/gantry/internal/config"
)

// TestExactOverHTTP: 64 goroutines over one key, through HTTP: exactly the
// limit passes.
func TestExactOverHTTP(t *testing.T) {
	s := start(t, nil)
	for name, c := range map[string]struct {
		body string
		want int64
	}{
		"one rule":      {`{"action":"MESSAGE_SEND","user":"alice"}`, 100},
		"several rules": {`{"action":"LOGIN","user":"bob","ip":"203.0.113.9","device":"d"}`, 10},
	} {
		t.Run(name, func(t *testing.T) {
			var allowed, refused atomic.Int64
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					for range 5 {
						switch status, body := s.do(t, "POST", "/v1/ratelimit/check", s.creds["app"], c.body); status {
						case http.StatusOK:
							allowed.Add(1)
						case http.StatusTooManyRequests:
							refused.Add(1)
						default:
							t.Errorf("%d %s", status, body)
						}
					}
				})
			}
			wg.Wait()
			if allowed.Load() != c.want || refused.Load() != 64*5-c.want {
				t.Errorf("%d allowed, %d refused; want %d allowed", allowed.Load(), refused.Load(), c.want)
			}
		})
	}
}

// TestAuthFailures: who fails too often from one address is refused with 429,
// also before a token's signature is looked at; a good key is not.
func TestAuthFailures(t *testing.T) {
	s := start(t, nil)
	for i := range 30 {
		if status, body := s.do(t, "GET", "/v1/keys", "gk_bad", ""); status != http.StatusUnauthorized {
			t.Fatalf("failure %d: %d %s", i+1, status, body)
		}
	}
	for _, cred := range []string{"unknown key", "forged token", "none", "token admin"} {
		if status, body := s.do(t, "GET", "/v1/keys", s.creds[cred], ""); status != http.StatusTooManyRequests {
			t.Errorf("%s after 30 failures: %d %s", cred, status, body)
		}
	}
	if n := s.issuer.asked.Load(); n > 0 {
		t.Errorf("the issuer was asked %d times for the sake of tokens that are refused anyway", n)
	}
	if status, body := s.do(t, "GET", "/v1/keys", s.creds["admin"], ""); status != http.StatusOK {
		t.Errorf("a good key: %d %s", status, body)
	}
	if status, body := s.do(t, "GET", "/v1/ratelimit/offenders?dimension=ip", s.creds["admin"], ""); status != http.StatusOK || len(body) < 30 {
		t.Errorf("offenders: %d %s", status, body)
	}
}

// TestTokenFlood: thirty bad tokens close an address to tokens until the
// window is over, a good one included; keys and other addresses go on.
func TestTokenFlood(t *testing.T) {
	s := start(t, func(c *config.Config) {
		c.Server.TrustedProxies = []config.Prefix{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}}
	})
	get := func(cred, from string) int {
		status, _ := s.do(t, "GET", "/v1/keys", s.creds[cred], "", "X-Forwarded-For", from)
		return status
	}
	const flooder, other = "203.0.113.9", "198.51.100.7"
	for i := range 30 {
		cred := []string{"forged token", "token for another audience", "nonsense", "expired token"}[i%4]
		if status := get(cred, flooder); status != http.StatusUnauthorized {
			t.Fatalf("failure %d, a %s: %d", i+1, cred, status)
		}
	}
	for _, c := range []struct {
		cred, from string
		want       int
	}{
		{"forged token", flooder, 429}, {"token admin", flooder, 429}, {"unknown key", flooder, 429}, {"none", flooder, 429},
		{"admin", flooder, 200}, {"app", flooder, 429}, // a good key that may not is a failure too
		{"token admin", other, 200}, {"forged token", other, 401}, {"admin", other, 200},
	} {
		if status := get(c.cred, c.from); status != c.want {
			t.Errorf("%s from %s: %d, want %d", c.cred, c.from, status, c.want)
		}
	}
	s.advance(11 * time.Minute)
	if status := get("token admin", flooder); status != http.StatusOK {
		t.Errorf("after the window: %d", status)
	}
}
