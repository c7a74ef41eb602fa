package launch_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/launch"
)

func capped(n int64) *int64 { return &n }

// field is the field that an INVALID_ARGUMENT names, and its problem.
func field(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != fault.InvalidArgument {
		t.Fatalf("%v is not INVALID_ARGUMENT", err)
	}
	d, ok := f.Detail.(fault.Field)
	if !ok {
		t.Fatalf("%v has no field", err)
	}
	return d.Field + ": " + d.Problem
}

func TestPhaseNormal(t *testing.T) {
	for _, tt := range []struct {
		name    string
		in      launch.Phase
		blocked []string
		want    launch.Phase
		problem string
	}{
		{name: "sorted set", in: launch.Phase{Countries: []string{"uk", "pol", "GB", "PL"}, Groups: []string{" eu", "NA", "EU"}, DailyCap: capped(1), CountryCaps: map[string]int64{"uk": 3, "de": launch.MaxCap}},
			want: launch.Phase{Countries: []string{"GB", "PL"}, Groups: []string{"EU", "NA"}, DailyCap: capped(1), CountryCaps: map[string]int64{"GB": 3, "DE": launch.MaxCap}}},
		{name: "no cap", in: launch.Phase{Countries: []string{"PL"}}, want: launch.Phase{Countries: []string{"PL"}, Groups: []string{}}},
		{name: "the largest cap", in: launch.Phase{Groups: []string{"ALL"}, DailyCap: capped(launch.MaxCap)}, want: launch.Phase{Countries: []string{}, Groups: []string{"ALL"}, DailyCap: capped(launch.MaxCap)}},
		{name: "Namibia", in: launch.Phase{Countries: []string{"NA"}}, want: launch.Phase{Countries: []string{"NA"}, Groups: []string{}}},
		{name: "some of a group blocked", in: launch.Phase{Groups: []string{"NA"}}, blocked: []string{"US", "MX"}, want: launch.Phase{Countries: []string{}, Groups: []string{"NA"}}},
		{name: "empty", problem: "countries: empty"},
		{name: "no country", in: launch.Phase{Countries: []string{"PL", "Poland"}}, problem: "countries[1]: unknown"},
		{name: "a group as country", in: launch.Phase{Countries: []string{"EU"}}, problem: "countries[0]: unknown"},
		{name: "a country as group", in: launch.Phase{Groups: []string{"PL"}}, problem: "groups[0]: unknown"},
		{name: "blocked", in: launch.Phase{Countries: []string{"PL", "uk"}}, blocked: []string{"GB"}, problem: "countries[1]: blocked"},
		{name: "all of the groups blocked", in: launch.Phase{Groups: []string{"NA"}}, blocked: []string{"CA", "MX", "US"}, problem: "groups: blocked"},
		{name: "cap 0", in: launch.Phase{Groups: []string{"ALL"}, DailyCap: capped(0)}, problem: "dailyCap: out of range"},
		{name: "cap -1", in: launch.Phase{Groups: []string{"ALL"}, DailyCap: capped(-1)}, problem: "dailyCap: out of range"},
		{name: "cap too large", in: launch.Phase{Groups: []string{"ALL"}, DailyCap: capped(launch.MaxCap + 1)}, problem: "dailyCap: out of range"},
		{name: "country cap 0", in: launch.Phase{Groups: []string{"ALL"}, CountryCaps: map[string]int64{"PL": 0}}, problem: "countryCaps.PL: out of range"},
		{name: "country cap too large", in: launch.Phase{Groups: []string{"ALL"}, CountryCaps: map[string]int64{"PL": launch.MaxCap + 1}}, problem: "countryCaps.PL: out of range"},
		{name: "cap of a group", in: launch.Phase{Groups: []string{"EU"}, CountryCaps: map[string]int64{"EU": 5}}, problem: "countryCaps.EU: unknown"},
		{name: "cap of what is closed", in: launch.Phase{Groups: []string{"EU"}, CountryCaps: map[string]int64{"US": 5}}, problem: "countryCaps.US: not open"},
		{name: "two caps", in: launch.Phase{Groups: []string{"ALL"}, CountryCaps: map[string]int64{"UK": 5, "GB": 6}}, problem: "countryCaps.UK: twice"},
	} {
		got, err := tt.in.Normal(tt.blocked)
		if p := field(t, err); p != tt.problem {
			t.Errorf("%s: %q, want %q (%v)", tt.name, p, tt.problem, err)
		}
		if d := cmp.Diff(tt.want, got); tt.problem == "" && d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
	}
}

// TestDefaultPhases are the figures of system.md section 5, and fit.
func TestDefaultPhases(t *testing.T) {
	for _, tt := range []struct {
		mode      launch.Mode
		countries string
		limit     int64
		admission launch.Admission
	}{
		{launch.InternalTest, "", 50, launch.AdmitListed}, {launch.ClosedBeta, "PL DE GB FR ES", 500, launch.AdmitInvited},
		{launch.SoftLaunch, "PL DE GB FR ES IT NL BE AT CH", 2000, launch.AdmitAnyone}, {launch.GlobalLaunch, "", -1, launch.AdmitAnyone},
	} {
		p := launch.DefaultPhase(tt.mode)
		if _, err := p.Normal(nil); err != nil {
			t.Errorf("%s: %v", tt.mode, err)
		}
		list, all := p.Allowed(nil)
		if p.CapOf("") != tt.limit || p.CapOf("PL") != -1 || all != (tt.countries == "") || len(list) != len(strings.Fields(tt.countries)) || tt.mode.Admission() != tt.admission || tt.mode.Description() == "" {
			t.Errorf("%s: %v %v, cap %d", tt.mode, list, all, p.CapOf(""))
		}
		for _, c := range strings.Fields(tt.countries) {
			if !strings.Contains(strings.Join(list, " "), c) {
				t.Errorf("%s lacks %s", tt.mode, c)
			}
		}
	}
	if launch.Mode("OPEN").Admission() != launch.AdmitListed {
		t.Error("what is no mode is not closed")
	}
	if _, ok := launch.ParseMode("soft_launch"); ok {
		t.Error("modes are spelt exactly")
	}
}

func TestNeedsGate(t *testing.T) {
	modes := launch.Modes()
	for i, from := range modes {
		for j, to := range modes {
			if want := j > i && j >= 2; launch.NeedsGate(from, to) != want {
				t.Errorf("%s to %s: %v", from, to, !want)
			}
		}
	}
}

func TestSettingsNormal(t *testing.T) {
	with := func(fn func(*launch.Settings)) launch.Settings {
		s := launch.DefaultSettings()
		fn(&s)
		return s
	}
	for _, tt := range []struct {
		in      launch.Settings
		problem string
	}{
		{in: launch.DefaultSettings()},
		{in: with(func(s *launch.Settings) { s.TimeZone = "Asia/Kathmandu" })},
		{in: with(func(s *launch.Settings) {
			s.ReservationTTL, s.HookTTL = launch.Duration(launch.MinTTL), launch.Duration(launch.MaxTTL)
		})},
		{with(func(s *launch.Settings) { s.TimeZone = "" }), "timeZone: empty"},
		{with(func(s *launch.Settings) { s.TimeZone = "Local" }), "timeZone: empty"},
		{with(func(s *launch.Settings) { s.TimeZone = "Europe/Atlantis" }), "timeZone: unknown"},
		{with(func(s *launch.Settings) { s.TimeZone = "../../etc/localtime" }), "timeZone: unknown"},
		{with(func(s *launch.Settings) { s.Blocked = []string{"PL", "EU"} }), "blockedCountries[1]: unknown"},
		{with(func(s *launch.Settings) { s.ReservationTTL = launch.Duration(launch.MinTTL - 1) }), "reservationTTL: out of range"},
		{with(func(s *launch.Settings) { s.HookTTL = launch.Duration(launch.MaxTTL + 1) }), "hookTTL: out of range"},
		{with(func(s *launch.Settings) { s.ReservationTTL, s.HookTTL = 0, 0 }), "reservationTTL: out of range"}, // the first, always
	} {
		if _, err := tt.in.Normal(); field(t, err) != tt.problem {
			t.Errorf("%+v: %v, want %q", tt.in, err, tt.problem)
		}
	}
	s, err := with(func(s *launch.Settings) { s.Blocked = []string{"us", "prk", "US"} }).Normal()
	if err != nil || strings.Join(s.Blocked, " ") != "KP US" {
		t.Errorf("blocked: %v %v", s.Blocked, err)
	}
}

func TestMaintenanceEndsByItself(t *testing.T) {
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	m := launch.Maintenance{Until: at}
	if !m.On(at.Add(-1)) || m.On(at) || (launch.Maintenance{}).On(at) {
		t.Error("a maintenance lasts until its end, and not longer")
	}
}

func TestInviteSpec(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		in      launch.InviteSpec
		problem string
	}{
		{in: launch.InviteSpec{Count: 1}}, {in: launch.InviteSpec{Count: launch.MaxInvites, MaxUses: 1_000_000, ExpiresAt: now.Add(1), Country: "uk", Email: "A@b.c", Note: "x"}},
		{launch.InviteSpec{}, "count: out of range"}, {launch.InviteSpec{Count: launch.MaxInvites + 1}, "count: out of range"},
		{launch.InviteSpec{Count: 1, MaxUses: -1}, "maxUses: out of range"}, {launch.InviteSpec{Count: 1, MaxUses: 1_000_001}, "maxUses: out of range"},
		{launch.InviteSpec{Count: 1, ExpiresAt: now}, "expiresAt: past"}, {launch.InviteSpec{Count: 1, Country: "EU"}, "country: unknown"},
		{launch.InviteSpec{Count: 1, Email: "nobody"}, "email: not an e-mail address"}, {launch.InviteSpec{Count: 1, Note: strings.Repeat("x", 501)}, "note: too long"},
	} {
		got, err := tt.in.Normal(now)
		if field(t, err) != tt.problem {
			t.Errorf("%+v: %v, want %q", tt.in, err, tt.problem)
		}
		if err == nil && got.MaxUses == 0 || got.Country == "uk" && err == nil || got.Email == "A@b.c" && err == nil {
			t.Errorf("not normal: %+v", got)
		}
	}
}

func TestListedNormal(t *testing.T) {
	for _, tt := range []struct {
		kind          launch.ListKind
		value         string
		want, problem string
	}{
		{kind: launch.ListUser, value: "U-1", want: "U-1"}, {kind: launch.ListEmail, value: " Ada@Example.COM", want: "ada@example.com"},
		{kind: launch.ListDomain, value: "@Example.com ", want: "example.com"},
		{kind: launch.ListUser, problem: "value: empty"}, {kind: launch.ListUser, value: "a\nb", problem: "value: not printable"},
		{kind: launch.ListEmail, value: "example.com", problem: "value: not an e-mail address"},
		{kind: launch.ListDomain, value: "ada@example.com", problem: "value: not a domain"}, {kind: launch.ListDomain, value: "com", problem: "value: not a domain"},
		{kind: launch.ListDomain, value: "a b.c", problem: "value: not a domain"}, {kind: "group", value: "x", problem: "value: unknown kind"},
	} {
		got, err := launch.Listed{Kind: tt.kind, Value: tt.value}.Normal()
		if field(t, err) != tt.problem || err == nil && got.Value != tt.want {
			t.Errorf("%s %q: %q, %v; want %q %q", tt.kind, tt.value, got.Value, err, tt.want, tt.problem)
		}
	}
}
