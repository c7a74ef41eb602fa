package client_test

import (
	"context"
	"testing"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
)

// TestLaunchCalls is TestCalls for the launch.
func TestLaunchCalls(t *testing.T) {
	t.Parallel()
	version, limit := int64(0), int64(5000)
	move := api.SetLaunchModeRequest{Mode: "SOFT_LAUNCH", Reason: "opening it", IfVersion: &version}
	const moved = `{"mode":"SOFT_LAUNCH","reason":"opening it","ifVersion":0}`
	phase := api.LaunchPhase{Groups: []string{"EU"}, DailyCap: &limit}
	const phaseSent = `{"countries":[],"groups":["EU"],"dailyCap":5000}`
	settings := api.LaunchSettings{TimeZone: "UTC", ReservationTTL: "15m", HookTTL: "24h", Version: 4}
	const settingsSent = `{"timeZone":"UTC","blockedCountries":[],"reservationTTL":"15m","hookTTL":"24h","version":4}`
	until := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	testCalls(t, []callTest{
		{name: "LaunchMode", want: "GET /v1/launch/mode", answer: `{"mode":"CLOSED_BETA","version":2}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.LaunchMode(ctx) },
			result: api.LaunchMode{Mode: "CLOSED_BETA", Version: 2}},
		{name: "SetLaunchMode", want: "PUT /v1/launch/mode", body: moved, answer: `{"id":"t","version":1}`, keyed: true,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.SetLaunchMode(ctx, move) },
			result: api.Transition{ID: "t", Version: 1}},
		{name: "LaunchHistory", want: "GET /v1/launch/history?before=7&limit=5", answer: `{"history":[{"id":"t"}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.LaunchHistory(ctx, 7, 5) },
			result: []api.Transition{{ID: "t"}}},
		{name: "RequestLaunchOverride", want: "POST /v1/launch/overrides", body: moved, answer: `{"id":"ovr_1"}`, keyed: true,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.RequestLaunchOverride(ctx, move) },
			result: api.LaunchOverride{ID: "ovr_1"}},
		{name: "ApproveLaunchOverride", want: "POST /v1/launch/overrides/ovr_1%2F/approve", answer: `{"id":"ovr_1"}`, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.ApproveLaunchOverride(ctx, "ovr_1/")
			},
			result: api.LaunchOverride{ID: "ovr_1"}},
		{name: "LaunchOverrides", want: "GET /v1/launch/overrides", answer: `{"overrides":[{"id":"ovr_1"}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.LaunchOverrides(ctx, 0) },
			result: []api.LaunchOverride{{ID: "ovr_1"}}},
		{name: "LaunchPhases", want: "GET /v1/launch/phases", answer: `{"phases":[{"mode":"SOFT_LAUNCH","dailyCap":5000}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.LaunchPhases(ctx) },
			result: []api.LaunchPhaseInfo{{Mode: "SOFT_LAUNCH", LaunchPhase: api.LaunchPhase{DailyCap: &limit}}}},
		{name: "SetLaunchPhase", want: "PUT /v1/launch/phases/SOFT_LAUNCH?reason=why", body: phaseSent, answer: `{"mode":"SOFT_LAUNCH","version":1}`, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.SetLaunchPhase(ctx, "SOFT_LAUNCH", phase, "why")
			}, result: api.LaunchPhaseInfo{Mode: "SOFT_LAUNCH", Version: 1}},
		{name: "ReplaceLaunchPhase", want: "PUT /v1/launch/phases/SOFT_LAUNCH?ifVersion=0&reason=why", body: phaseSent, answer: `{"version":1}`, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.ReplaceLaunchPhase(ctx, api.LaunchPhaseInfo{LaunchPhase: phase, Mode: "SOFT_LAUNCH"}, "why")
			}, result: api.LaunchPhaseInfo{Version: 1}},
		{name: "LaunchSettings", want: "GET /v1/launch/settings", answer: `{"timeZone":"UTC"}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.LaunchSettings(ctx) },
			result: api.LaunchSettings{TimeZone: "UTC"}},
		{name: "SetLaunchSettings", want: "PUT /v1/launch/settings?reason=why", body: settingsSent, answer: `{"version":5}`, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.SetLaunchSettings(ctx, settings, "why")
			},
			result: api.LaunchSettings{Version: 5}},
		{name: "ReplaceLaunchSettings", want: "PUT /v1/launch/settings?ifVersion=4&reason=why", body: settingsSent, answer: `{"version":5}`, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.ReplaceLaunchSettings(ctx, settings, "why")
			}, result: api.LaunchSettings{Version: 5}},
		{name: "Maintenance", want: "GET /v1/maintenance", answer: `{"on":true,"until":"2026-11-24T12:00:00Z"}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				m, on, err := c.Maintenance(ctx)
				return []any{m, on}, err
			}, result: []any{api.Maintenance{Until: until}, true}},
		{name: "StartMaintenance", want: "PUT /v1/maintenance", body: `{"for":"30m","reason":"why"}`, answer: `{"on":true,"until":"2026-11-24T12:00:00Z"}`, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.StartMaintenance(ctx, api.MaintenanceRequest{For: "30m", Reason: "why"})
			}, result: api.Maintenance{Until: until}},
		{name: "EndMaintenance", want: "DELETE /v1/maintenance?reason=why", keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) { return nil, c.EndMaintenance(ctx, "why") }},
	})
}

// TestSignupCalls is TestCalls for signups.
func TestSignupCalls(t *testing.T) {
	t.Parallel()
	who := api.EligibilityRequest{Country: "PL", UserID: "u1"}
	held := api.Reservation{ID: "r1", State: "open"}
	opens := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	testCalls(t, []callTest{
		{name: "Eligibility", want: "POST /v1/signups/eligibility", body: `{"country":"PL","userId":"u1"}`, answer: `{"allowed":true,"mode":"SOFT_LAUNCH"}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Eligibility(ctx, who) },
			result: api.Eligibility{Allowed: true, Mode: "SOFT_LAUNCH"}},
		{name: "refused", want: "POST /v1/signups/eligibility", body: `{"country":"PL","userId":"u1"}`,
			answer: `{"allowed":false,"mode":"SOFT_LAUNCH","code":"DAILY_LIMIT_REACHED","details":{"limit":2000,"actual":2000,"opensAt":"2026-11-25T00:00:00Z"}}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Eligibility(ctx, who) },
			result: api.Eligibility{Mode: "SOFT_LAUNCH", Code: api.CodeDailyLimitReached, Details: api.SignupRefusedDetails{Limit: 2000, Actual: 2000, OpensAt: &opens}}},
		{name: "held", want: "POST /v1/signups/eligibility", body: `{"country":"PL","userId":"u1"}`,
			answer: `{"allowed":false,"mode":"SOFT_LAUNCH","code":"RATE_LIMITED","details":{"limit":100,"policy":"SIGNUP_HOLD"}}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Eligibility(ctx, who) },
			result: api.Eligibility{Mode: "SOFT_LAUNCH", Code: api.CodeRateLimited, Details: api.RateLimitedDetails{Limit: 100, Policy: "SIGNUP_HOLD"}}},
		{name: "no details", want: "POST /v1/signups/eligibility", body: `{"country":"PL","userId":"u1"}`, answer: `{"allowed":false,"mode":"CLOSED_BETA","code":"INVITE_CODE_INVALID"}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Eligibility(ctx, who) },
			result: api.Eligibility{Mode: "CLOSED_BETA", Code: api.CodeInviteCodeInvalid}},
		{name: "Reserve", want: "POST /v1/signups", body: `{"country":"PL","userId":"u1","ttlSeconds":60}`, answer: `{"id":"r1","state":"open"}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.Reserve(ctx, api.ReserveRequest{EligibilityRequest: who, TTLSeconds: 60})
			}, result: held},
		{name: "Confirm", want: "POST /v1/signups/r1/confirm", answer: `{"id":"r1","state":"open"}`,
			call: func(ctx context.Context, c *client.Client) (any, error) { return c.Confirm(ctx, "r1") }, result: held},
		{name: "Release", want: "DELETE /v1/signups/r1", answer: `{"id":"r1","state":"open"}`,
			call: func(ctx context.Context, c *client.Client) (any, error) { return c.Release(ctx, "r1") }, result: held},
		{name: "Withdraw", want: "DELETE /v1/signups/r1?sole=true", answer: `{"id":"r1","state":"open"}`,
			call: func(ctx context.Context, c *client.Client) (any, error) { return c.Withdraw(ctx, "r1") }, result: held},
		{name: "SignupCounts", want: "GET /v1/signups/counts?day=2026-11-24", answer: `{"day":"2026-11-24"}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.SignupCounts(ctx, "2026-11-24") },
			result: api.SignupCounts{Day: "2026-11-24"}},
		{name: "Signups", want: "GET /v1/signups?limit=5&state=unbacked&userId=u1", answer: `{"signups":[{"id":"r1","state":"open"}]}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.Signups(ctx, client.SignupQuery{State: "unbacked", UserID: "u1", Limit: 5})
			}, result: []api.Reservation{held}},
		{name: "SignupDrift", want: "GET /v1/signups/drift", answer: `{"drift":[{"counted":2,"rows":1}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.SignupDrift(ctx) },
			result: []api.SignupDrift{{Counted: 2, Rows: 1}}},
	})
}

// TestGuestCalls is TestCalls for invites, allowlist and waitlist.
func TestGuestCalls(t *testing.T) {
	t.Parallel()
	made := api.NewInvites{Batch: "inv_1", Invites: []api.NewInvite{{Code: "K7QPD-2M9XA"}}}
	const madeSent = `{"batch":"inv_1","invites":[{"code":"K7QPD-2M9XA"}]}`
	testCalls(t, []callTest{
		{name: "CreateInvites", want: "POST /v1/invites", body: `{"count":2,"maxUses":50}`, answer: madeSent, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.CreateInvites(ctx, api.InviteRequest{Count: 2, MaxUses: 50})
			}, result: made},
		{name: "Invites", want: "GET /v1/invites?batch=inv_1", answer: `{"invites":[{"id":"i1"}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Invites(ctx, "inv_1", 0) },
			result: []api.Invite{{ID: "i1"}}},
		{name: "RevokeInvites", want: "DELETE /v1/invites/inv_1?reason=why", answer: `{"revoked":3}`, keyed: true,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.RevokeInvites(ctx, "inv_1", "why") },
			result: int64(3)},
		{name: "ClaimInvite", want: "POST /v1/invites/claim", body: `{"inviteCode":"K7QPD-2M9XA","email":"ada@example.com"}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return nil, c.ClaimInvite(ctx, api.ClaimInviteRequest{InviteCode: "K7QPD-2M9XA", Email: "ada@example.com"})
			}},
		{name: "AddAllowlist", want: "POST /v1/allowlist", body: `{"entries":[{"kind":"domain","value":"example.com"}]}`, answer: `{"added":1}`, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.AddAllowlist(ctx, api.AllowlistEntry{Kind: "domain", Value: "example.com"})
			}, result: int64(1)},
		{name: "Allowlist", want: "GET /v1/allowlist?after=alw_1&limit=5", answer: `{"entries":[{"id":"alw_2"}]}`,
			call:   func(ctx context.Context, c *client.Client) (any, error) { return c.Allowlist(ctx, "alw_1", 5) },
			result: []api.AllowlistEntry{{ID: "alw_2"}}},
		{name: "RemoveAllowlist", want: "DELETE /v1/allowlist/alw_1?reason=why", keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return nil, c.RemoveAllowlist(ctx, "alw_1", "why")
			}},
		{name: "JoinWaitlist", want: "POST /v1/waitlist", body: `{"email":"ada@example.com","country":"US"}`, answer: `{"id":"wait_1","position":3}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.JoinWaitlist(ctx, api.WaitlistRequest{Email: "ada@example.com", Country: "US"})
			}, result: api.WaitlistPlace{ID: "wait_1", Position: 3}},
		{name: "Waitlist", want: "GET /v1/waitlist?country=US&invited=true", answer: `{"entries":[{"id":"wait_1"}]}`,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.Waitlist(ctx, client.WaitlistQuery{Country: "US", Invited: true})
			}, result: []api.WaitlistEntry{{WaitlistPlace: api.WaitlistPlace{ID: "wait_1"}}}},
		{name: "InviteWaiting", want: "POST /v1/waitlist/invite", body: `{"count":1}`, answer: madeSent, keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) {
				return c.InviteWaiting(ctx, api.WaitlistInviteRequest{Count: 1})
			}, result: made},
		{name: "LeaveWaitlist", want: "DELETE /v1/waitlist/wait_1", keyed: true,
			call: func(ctx context.Context, c *client.Client) (any, error) { return nil, c.LeaveWaitlist(ctx, "wait_1") }},
	})
}
