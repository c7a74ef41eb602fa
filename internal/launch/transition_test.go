package launch_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
)

var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// problem is the code of an error and what its Precondition says.
func problem(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return ""
	}
	switch d := f.Detail.(type) {
	case launch.Precondition:
		return string(f.Code) + " " + d.Problem
	case fault.Field:
		return string(f.Code) + " " + d.Field
	}
	return string(f.Code)
}

func TestMoveCheck(t *testing.T) {
	passed := launch.Report{Passed: true, Digest: "d1", ValidUntil: testTime.Add(time.Minute)}
	for _, tt := range []struct {
		name    string
		from    launch.Mode
		move    launch.Move
		problem string
	}{
		{"forward without a gate", launch.InternalTest, launch.Move{To: launch.ClosedBeta}, ""},
		{"backward from all", launch.GlobalLaunch, launch.Move{To: launch.SoftLaunch}, ""},
		{"backward by three", launch.GlobalLaunch, launch.Move{To: launch.InternalTest}, ""},
		{"another version", launch.InternalTest, launch.Move{To: launch.ClosedBeta, IfVersion: 8}, "CONFLICT ifVersion"},
		{"the version before the mode", launch.ClosedBeta, launch.Move{To: launch.ClosedBeta, IfVersion: 6}, "CONFLICT ifVersion"},
		{"the same mode", launch.ClosedBeta, launch.Move{To: launch.ClosedBeta}, "CONFLICT same mode"},
		{"no report", launch.InternalTest, launch.Move{To: launch.SoftLaunch}, "CONFLICT readiness"},
		{"a failed report", launch.ClosedBeta, launch.Move{To: launch.GlobalLaunch, Report: launch.Report{Digest: "d", ValidUntil: testTime.Add(time.Hour)}}, "CONFLICT readiness"},
		{"a report that passes", launch.ClosedBeta, launch.Move{To: launch.GlobalLaunch, Report: passed}, ""},
		{"a report at its end", launch.ClosedBeta, launch.Move{To: launch.GlobalLaunch, Report: launch.Report{Passed: true, ValidUntil: testTime}}, "CONFLICT readiness"},
		{"a report without an end", launch.ClosedBeta, launch.Move{To: launch.GlobalLaunch, Report: launch.Report{Passed: true}}, "CONFLICT readiness"},
		{"soft to global", launch.SoftLaunch, launch.Move{To: launch.GlobalLaunch}, "CONFLICT readiness"},
		{"an override that is not", launch.InternalTest, launch.Move{To: launch.SoftLaunch, Override: "ovr"}, "NOT_FOUND"},
		{"an override that is not, where none is needed", launch.GlobalLaunch, launch.Move{To: launch.InternalTest, Override: "ovr"}, "NOT_FOUND"},
	} {
		s := launch.NewState()
		s.Mode, s.Version = tt.from, 7
		if tt.move.IfVersion == 0 {
			tt.move.IfVersion = 7
		}
		tt.move.At = testTime
		if err := tt.move.Check(&s, nil); problem(err) != tt.problem || tt.problem == "" && err != nil {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.problem)
		}
	}
}

// TestOverrideBindsExactly: an override allows the one move that was asked
// for, within half an hour of its approval, once.
func TestOverrideBindsExactly(t *testing.T) {
	ana, ben := launch.Actor{ID: "key:a", Owner: "Ana"}, launch.Actor{ID: "key:b", Owner: "Ben"}
	type fixture struct {
		s launch.State
		m launch.Move
		o launch.Override
	}
	for _, tt := range []struct {
		name   string
		change func(*fixture)
		want   string // differs, or the whole problem; "" is allowed
	}{
		{"as approved", func(*fixture) {}, ""},
		{"just before its end", func(f *fixture) { f.m.At = f.o.ApprovedAt.Add(30*time.Minute - time.Microsecond) }, ""},
		{"at its end", func(f *fixture) { f.m.At = f.o.ApprovedAt.Add(30 * time.Minute) }, "expired"},
		{"approved late in the request's life", func(f *fixture) {
			f.o.RequestedAt = testTime.Add(-29 * time.Minute)
			f.m.At = testTime.Add(29 * time.Minute)
		}, ""},
		{"used", func(f *fixture) { f.o.UsedAt = testTime }, "used"},
		{"used and long ago", func(f *fixture) { f.o.UsedAt = testTime; f.m.At = testTime.Add(time.Hour) }, "used"},
		{"not approved", func(f *fixture) { f.o.ApprovedAt, f.o.ApprovedBy = time.Time{}, launch.Actor{} }, "waits"},
		{"not approved in time", func(f *fixture) { f.o.ApprovedAt = time.Time{}; f.m.At = testTime.Add(30 * time.Minute) }, "expired"},
		{"another target", func(f *fixture) { f.m.To = launch.GlobalLaunch }, "mode"},
		{"another reason", func(f *fixture) { f.m.Reason += "." }, "reason"},
		{"another report", func(f *fixture) { f.m.Report.Digest = "d2" }, "readiness report"},
		{"a report where there was none", func(f *fixture) { f.o.Report = "" }, "readiness report"},
		{"open ones revoked", func(f *fixture) { f.m.RevokeOpen = true }, "revokeOpen"},
		{"open ones not revoked", func(f *fixture) { f.o.RevokeOpen = true }, "revokeOpen"},
		{"the approver moves", func(f *fixture) { f.m.By = ben }, "requester"},
		{"the requester's other key", func(f *fixture) { f.m.By.ID = "key:a2" }, "requester"},
		{"the key has another owner by now", func(f *fixture) { f.m.By.Owner = "Eve" }, "requester"},
		{"the mode moved and came back", func(f *fixture) { f.s.Version, f.m.IfVersion = 9, 9 }, "ifVersion"},
		{"the mode is another one under its version", func(f *fixture) { f.s.Mode = launch.InternalTest }, "ifVersion"},
		{"all differs", func(f *fixture) {
			f.m.By, f.m.To, f.m.Reason, f.m.RevokeOpen, f.m.Report.Digest = ben, launch.GlobalLaunch, "another reason", true, ""
		}, "requester, mode, reason, revokeOpen, readiness report"},
	} {
		f := fixture{launch.NewState(), launch.Move{To: launch.SoftLaunch, IfVersion: 7, Reason: "we go, come what may", Override: "ovr_1", By: ana, At: testTime, Report: launch.Report{Digest: "d1"}},
			launch.Override{ID: "ovr_1", FromVersion: 7, From: launch.ClosedBeta, To: launch.SoftLaunch, Reason: "we go, come what may", Report: "d1", RequestedBy: ana, RequestedAt: testTime, ApprovedBy: ben, ApprovedAt: testTime}}
		f.s.Mode, f.s.Version = launch.ClosedBeta, 7
		tt.change(&f)
		err := f.m.Check(&f.s, &f.o)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (problem(err) != "CONFLICT override" || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		case strings.Contains(tt.name, "another") && !strings.HasSuffix(err.Error(), "these differ: "+tt.want):
			t.Errorf("%s: %v, want only %q", tt.name, err, tt.want)
		}
	}
}

func TestApprove(t *testing.T) {
	s := launch.NewState()
	s.Version = 7
	pending := launch.Override{FromVersion: 7, RequestedAt: testTime}
	approved, used := pending, pending
	approved.ApprovedAt = testTime
	used.ApprovedAt, used.UsedAt = testTime, testTime
	old := pending
	old.FromVersion = 6
	for _, tt := range []struct {
		name     string
		o        launch.Override
		now      time.Time
		distinct bool
		want     fault.Code
		status   string
	}{
		{"in time", pending, testTime.Add(30*time.Minute - 1), true, "", "pending"},
		{"too late", pending, testTime.Add(30 * time.Minute), true, fault.Conflict, "expired"},
		{"one person with two keys", pending, testTime, false, fault.PermissionDenied, "pending"},
		{"twice", approved, testTime, true, fault.Conflict, "approved"},
		{"again after its end", approved, testTime.Add(30 * time.Minute), true, fault.Conflict, "expired"},
		{"used", used, testTime, true, fault.Conflict, "used"},
		{"the mode has moved", old, testTime, true, fault.Conflict, "pending"},
	} {
		err := tt.o.Approve(&s, tt.now, tt.distinct)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || fault.CodeOf(err) != tt.want) || tt.o.Status(tt.now) != tt.status {
			t.Errorf("%s: %v, status %s", tt.name, err, tt.o.Status(tt.now))
		}
	}
}

// TestRuleOrder: of all that is wrong with an applicant the first rule
// answers; mended one by one, each has its turn.
func TestRuleOrder(t *testing.T) {
	s := launch.NewState()
	s.Mode = launch.ClosedBeta
	s.Phases[launch.ClosedBeta] = launch.Phase{Countries: []string{"PL"}, Groups: []string{"NA"}, DailyCap: capped(40), CountryCaps: map[string]int64{"PL": 20}}
	s.Settings.Blocked, s.Settings.RequireIPCountry = []string{"US"}, true
	s.Maintenance.Until = testTime.Add(time.Hour)
	b := launch.NewBooks(testTime, &s)
	b.AddInvite(&launch.Invite{ID: "i", Hash: "code", MaxUses: 1, Used: 1, ExpiresAt: testTime, RevokedAt: testTime, Country: "DE", EmailHash: "other"})
	today, pl := launch.DayKey{Day: "2026-03-01"}, launch.DayKey{Day: "2026-03-01", Country: "PL"}
	b.Days[today], b.Days[pl] = &launch.Day{Open: 1, Confirmed: 39}, &launch.Day{Open: 20}
	b.AddHolder("net", "PL", launch.Holder{Open: 1, FirstEnds: testTime.Add(90 * time.Second)})
	b.AddHolder("dev", "PL", launch.Holder{Open: 2, FirstEnds: testTime.Add(1)})
	a := launch.Applicant{UserID: "u", EmailHash: "e", Network: "net", Device: "dev"}
	i := &launch.Invite{ID: "i", Hash: "code", MaxUses: 1, Used: 1}
	for _, step := range []struct {
		want string
		mend func()
	}{
		{"SYSTEM_MAINTENANCE", func() { s.Maintenance.Until = testTime }},
		{"COUNTRY_NOT_ALLOWED unknown", func() { a.Country = "US" }},
		{"COUNTRY_NOT_ALLOWED blocked", func() { a.Country = "DE" }},
		{"COUNTRY_NOT_ALLOWED not open", func() { a.Country = "PL" }},
		{"COUNTRY_NOT_ALLOWED address unknown", func() { a.IPCountry = "CZ" }},
		{"COUNTRY_NOT_ALLOWED address disagrees", func() { a.IPCountry = "PL" }},
		{"INVITE_CODE_REQUIRED", func() { b.Claims["e"] = "i" }},
		{"INVITE_CODE_REQUIRED", func() { a.InviteHash = "no such" }}, // of a claim that is worth nothing, too
		{"INVITE_CODE_INVALID", func() { a.InviteHash = "code" }},
		{"INVITE_CODE_INVALID", func() { i.RevokedAt = testTime; b.AddInvite(i) }}, // a new row, revoked only
		{"INVITE_CODE_INVALID", func() { i.RevokedAt, i.ExpiresAt = time.Time{}, testTime }},
		{"INVITE_CODE_INVALID", func() { i.ExpiresAt, i.Country = testTime.Add(1), "DE" }},
		{"INVITE_CODE_INVALID", func() { i.Country, i.EmailHash = "PL", "other" }},
		{"INVITE_CODE_INVALID", func() { i.EmailHash = "e" }},
		{"INVITE_CODE_DEPLETED", func() { i.Used = 0 }},
		{"DAILY_LIMIT_REACHED 40", func() { b.Days[today].Confirmed-- }},
		{"DAILY_LIMIT_REACHED 20", func() { b.Days[pl].Open-- }},
		{"RATE_LIMITED network 1 90", func() { a.Network = "" }},
		{"RATE_LIMITED device 2 1", func() { a.Device = "new" }},
	} {
		err := b.Eligible(a)
		if got := refusal(err); got != step.want {
			t.Fatalf("got %q (%v), want %q", got, err, step.want)
		}
		out := b.Apply(launch.Op{Kind: launch.OpReserve, Applicant: a})
		if got := refusal(out.Err); got != step.want {
			t.Fatalf("reserving: got %q, want %q", got, step.want)
		}
		step.mend()
	}
	if err := b.Eligible(a); err != nil {
		t.Fatal(err)
	}
	if len(b.ChangedReservations)+len(b.ChangedInvites)+len(b.ChangedDays) > 0 {
		t.Error("refusals changed the books")
	}
	if out := b.Apply(launch.Op{Kind: launch.OpReserve, Applicant: a}); out.Err != nil || out.Reservation.InviteID != "i" || i.Used != 1 {
		t.Errorf("%+v", out)
	}
	// InternalTest has rules of its own.
	s.Mode = launch.InternalTest
	a = launch.Applicant{Country: "PL", IPCountry: "PL"}
	for _, step := range []struct {
		want string
		mend func()
	}{
		{"LAUNCH_MODE_RESTRICTED allowlist required", func() { a.UserID, a.AllowKeys = "u2", []string{"user:u2", "email:x", "domain:y"} }},
		{"LAUNCH_MODE_RESTRICTED not on the allowlist", func() { b.Listed["domain:y"] = true }},
		{"", func() {}},
	} {
		if got := refusal(b.Eligible(a)); got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
		step.mend()
	}
}

// refusal is a refusal in a few words.
func refusal(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return ""
	}
	words := []string{string(f.Code)}
	switch d := f.Detail.(type) {
	case launch.Refusal:
		if d.Problem != "" {
			words = append(words, d.Problem)
		}
		if d.Limit > 0 {
			words = append(words, itoa(d.Limit))
			if d.Actual != d.Limit || d.Day != "2026-03-01" || d.OpensAt == nil || d.OpensAt.Format(time.RFC3339) != "2026-03-02T00:00:00Z" {
				words = append(words, "with wrong facts")
			}
		}
		if f.Code == fault.CountryNotAllowed && !slices.Equal(d.AllowedCountries.([]string), []string{"CA", "MX", "PL"}) {
			words = append(words, "with wrong countries")
		}
	case launch.Held:
		words = append(words, d.Scope, itoa(d.Limit), itoa(d.RetryAfter))
	}
	return strings.Join(words, " ")
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
