package client_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/api"
)

// TestFallbackRules: while Gantry is away each of the policy's rules counts
// what it counts at Gantry. Else whoever changes user or address with every
// attempt would be a newcomer each time.
func TestFallbackRules(t *testing.T) {
	t.Parallel()
	const login = `"login.user";q=4;w=60, "login.user+ip";q=2;w=60, "login.ip";q=3;w=60, "login.device";q=2;w=60`
	type ask struct {
		user, ip, device string
		cost             int64
		want             string // "scope remaining", or "refused scope"
	}
	tests := []struct {
		name, policy, scope string
		asks                []ask
	}{
		{"one user, many addresses", login, "user", []ask{
			{"alice", "192.0.2.1", "", 1, "user+ip 1"}, {"alice", "192.0.2.2", "", 1, "user+ip 1"}, {"alice", "192.0.2.3", "", 1, "user 1"},
			{"alice", "192.0.2.4", "", 1, "user 0"}, {"alice", "192.0.2.5", "", 1, "refused user"}, {"bob", "192.0.2.5", "", 1, "user+ip 1"},
		}},
		{"one address, many users", login, "user", []ask{
			{"a", "192.0.2.1", "", 1, "user+ip 1"}, {"b", "192.0.2.1", "", 1, "user+ip 1"}, {"c", "192.0.2.1", "", 1, "ip 0"},
			{"d", "192.0.2.1", "", 1, "refused ip"}, {"e", "192.0.2.1", "", 1, "refused ip"},
		}},
		{"a refusal charges no rule", login, "user", []ask{
			{"alice", "192.0.2.1", "", 2, "user+ip 0"}, {"alice", "192.0.2.1", "", 1, "refused user+ip"}, {"bob", "192.0.2.1", "", 1, "ip 0"},
		}},
		{"one device", login, "user", []ask{
			{"", "", "d", 2, "device 0"}, {"alice", "", "d", 1, "refused device"}, {"alice", "", "", 1, "user 3"},
		}},
		{"what no rule is about", `"a.ip";q=1;w=60, "a.device";q=1;w=60`, "ip", []ask{{"alice", "", "", 9, "user 0"}, {"alice", "", "", 9, "user 0"}}},
		{"the only rule has no scope in its name", `"dispute_create";q=1;w=60`, "user", []ask{
			{"alice", "192.0.2.1", "", 1, "user 0"}, {"alice", "192.0.2.2", "", 1, "refused user"}, {"bob", "192.0.2.1", "", 1, "user 0"},
		}},
		{"names of a later Gantry count the whole subject", `"x";q=1;w=60, "y.tenant";q=2;w=60`, "", []ask{
			{"alice", "192.0.2.1", "", 1, "user+ip 0"}, {"alice", "192.0.2.1", "", 1, "refused user+ip"}, {"alice", "192.0.2.2", "", 1, "user+ip 0"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, _ := json.Marshal(api.CheckResult{Allowed: true, Policy: "LOGIN", Scope: tt.scope, Mode: api.ModeEnforced})
				g := &gantry{res: func() *http.Response { return respond(200, string(b), "RateLimit-Policy", tt.policy) }}
				c := newClient(t, g.serve)
				if _, err := c.Check(t.Context(), api.CheckRequest{Action: "LOGIN", User: "somebody"}); err != nil {
					t.Fatal(err)
				}
				g.res = nil
				var got, want []string
				for _, a := range tt.asks {
					v, err := c.Check(t.Context(), api.CheckRequest{Action: "LOGIN", User: a.user, IP: a.ip, Device: a.device, Cost: a.cost})
					if err != nil {
						t.Fatal(err)
					}
					text := v.Scope + " " + strconv.FormatInt(v.Remaining, 10)
					if !v.Allowed {
						text = "refused " + v.Scope
					}
					got, want = append(got, text), append(want, a.want)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("verdicts (-want +got):\n%s", diff)
				}
			})
		})
	}
}
