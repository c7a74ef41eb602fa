package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/ratelimit"
)

func byAction(c config.Config) map[string]ratelimit.Active {
	m := make(map[string]ratelimit.Active)
	for _, a := range c.Policies() {
		m[a.Action] = a
	}
	return m
}

// The table of system.md section 4, and the limit of failed authentications.
func TestDefaultPolicies(t *testing.T) {
	const min5, hour, day = 5 * time.Minute, time.Hour, 24 * time.Hour
	user := func(window time.Duration, limit int64, more ...ratelimit.Rule) ratelimit.Policy {
		rules := append([]ratelimit.Rule{{Scope: ratelimit.User, Limit: limit}}, more...)
		return ratelimit.Policy{Window: window, Rules: rules}
	}
	message := user(hour, 100)
	message.Rules[0].Burst = 120
	want := map[string]ratelimit.Policy{
		"LOGIN": user(min5, 50, ratelimit.Rule{Scope: ratelimit.User | ratelimit.IP, Limit: 10},
			ratelimit.Rule{Scope: ratelimit.IP, Limit: 30}, ratelimit.Rule{Scope: ratelimit.Device, Limit: 10}),
		"MESSAGE_SEND":   message,
		"MEDIA_UPLOAD":   user(hour, 20),
		"REPORT_SUBMIT":  user(hour, 10),
		"DISPUTE_CREATE": user(day, 5),
		"PAYOUT_REQUEST": user(day, 3),
		"KYC_SUBMIT":     user(day, 3),
		"PROFILE_UPDATE": user(min5, 10),
		"SESSION_CREATE": user(min5, 5, ratelimit.Rule{Scope: ratelimit.IP, Limit: 30}),
		"CHAT_CREATE":    user(hour, 50),
		"CALL_START":     user(hour, 20),
		"CONTENT_CREATE": user(hour, 30),
		"SIGNUP_RESERVE": {Window: hour, Rules: []ratelimit.Rule{{Scope: ratelimit.IP, Limit: 10}, {Scope: ratelimit.Device, Limit: 3}}},
		"INVITE_INVALID": user(hour, 10, ratelimit.Rule{Scope: ratelimit.IP, Limit: 10}, ratelimit.Rule{Scope: ratelimit.Device, Limit: 10}),
		"WAITLIST_JOIN":  {Window: hour, Rules: []ratelimit.Rule{{Scope: ratelimit.IP, Limit: 10}, {Scope: ratelimit.Device, Limit: 3}}},
		"AUTH_FAILURE":   {Window: min5, Rules: []ratelimit.Rule{{Scope: ratelimit.IP, Limit: 30}}},
	}
	got := make(map[string]ratelimit.Policy)
	for action, a := range byAction(config.Default()) {
		if a.Source != ratelimit.FromDefault || a.Action != action || a.OnFailure != ratelimit.FailOpen {
			t.Errorf("%s: source %s, mode %s", action, a.Source, a.OnFailure)
		}
		a.Action, a.OnFailure = "", ""
		got[action] = a.Policy
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPoliciesOfAFile(t *testing.T) {
	c := mustDecode(t, `
access: {auth_failures: {limit: 5}}
ratelimit:
  policies:
    LOGIN: {shadow: true, on_failure: closed, block: {after: 3, for: 15m}}
    MESSAGE_SEND: {window: 1h, limit: 7}
    CALL_START: {disabled: true}
    EXPORT: {window: 1d, algorithm: gcra, limit: 2, burst: 1, rules: [{scope: user+device, limit: 9}]}
`)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	builtin, got := byAction(config.Default()), byAction(c)
	login := builtin["LOGIN"]
	login.Shadow, login.OnFailure, login.Source = true, ratelimit.FailClosed, ratelimit.FromConfig
	login.Block = &ratelimit.Block{After: 3, For: 15 * time.Minute}
	call := builtin["CALL_START"]
	call.Disabled, call.Source = true, ratelimit.FromConfig
	failures := builtin[ratelimit.AuthFailure]
	failures.Rules, failures.Source = []ratelimit.Rule{{Scope: ratelimit.IP, Limit: 5}}, ratelimit.FromConfig
	want := map[string]ratelimit.Active{
		"LOGIN": login, "CALL_START": call, ratelimit.AuthFailure: failures,
		// A policy with numbers is a whole one: no burst is left over.
		"MESSAGE_SEND": {Source: ratelimit.FromConfig, Policy: ratelimit.Policy{Action: "MESSAGE_SEND", Window: time.Hour,
			OnFailure: ratelimit.FailOpen, Rules: []ratelimit.Rule{{Scope: ratelimit.User, Limit: 7}}}},
		"EXPORT": {Source: ratelimit.FromConfig, Policy: ratelimit.Policy{Action: "EXPORT", Window: 24 * time.Hour, Algorithm: ratelimit.GCRA,
			OnFailure: ratelimit.FailOpen, Rules: []ratelimit.Rule{{Scope: ratelimit.User, Limit: 2, Burst: 1}, {Scope: ratelimit.User | ratelimit.Device, Limit: 9}}}},
		"PROFILE_UPDATE": builtin["PROFILE_UPDATE"],
	}
	for action, a := range want {
		if diff := cmp.Diff(a, got[action]); diff != "" {
			t.Errorf("%s: %s", action, diff)
		}
	}
	if len(got) != len(builtin)+1 {
		t.Errorf("%d policies, want %d", len(got), len(builtin)+1)
	}
}
