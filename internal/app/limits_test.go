package app_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
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
	if status, body := s.do(t, "GET", "/v1/keys", s.creds["admin"], ""); status != http.StatusOK {
		t.Errorf("a good key: %d %s", status, body)
	}
	if status, body := s.do(t, "GET", "/v1/ratelimit/offenders?dimension=ip", s.creds["admin"], ""); status != http.StatusOK || len(body) < 30 {
		t.Errorf("offenders: %d %s", status, body)
	}
}
