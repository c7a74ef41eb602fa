package incident_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
	"avalo.app/gantry/internal/signal"
)

var planted = map[string]string{ // secret to the text that holds it
	"hunter2":            "dial postgres://gantry:hunter2@db:5432/x: refused",
	"gk_abcdef123456":    "key gk_abcdef123456 is refused",
	"whsec_c2VjcmV0":     "secret whsec_c2VjcmV0 is wrong",
	"eyJhbGciOi.eyJzd":   "token eyJhbGciOi.eyJzd.c2ln expired",
	"s3cr3t":             `{"password": "s3cr3t"}`,
	"k9k9k9":             "GET /x?api_key=k9k9k9&b=1: 403",
	"T000/B000/XXXX":     "POST https://hooks.slack.com/services/T000/B000/XXXX: timeout",
	"abc.def-ghi":        "Authorization: Bearer abc.def-ghi",
	"anna@example.com":   "payout of anna@example.com failed",
	"sk_live_4eC39HqLyj": "stripe: invalid key sk_live_4eC39HqLyj",
}

// TestSecretsInValues: a secret in a fact's value reaches no condition, no
// incident, no timeline and no receiver.
func TestSecretsInValues(t *testing.T) {
	w := incidenttest.NewWorld(t, incidenttest.OnMemory(), incidenttest.Config(), "a", nil)
	w.Receivers["mail"].OnDeliver = func(_ context.Context, m incident.Message) error {
		return &incident.DeliveryError{Permanent: true, Text: "refused: password=hunter2"}
	}
	for secret, text := range planted {
		w.Sink(signal.Fact{Rule: "payment_failed", Object: "o" + secret[:1], Failing: true, Value: text})
	}
	w.MustTurn(0)
	w.MustTurn(0)
	cs, err := w.Conditions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	is, err := w.Incidents(t.Context(), incident.Filter{})
	if err != nil || len(is) < 8 {
		t.Fatal(len(is), err)
	}
	all := []any{cs, w.Receivers["pager"].Accepted(), w.Receivers["chat"].Accepted()}
	for _, i := range is {
		d, err := w.Incident(t.Context(), i.ID)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "[removed]") {
		t.Error("nothing was removed")
	}
	for secret := range planted {
		if strings.Contains(string(b), secret) {
			t.Errorf("%q got out", secret)
		}
	}
}

func TestCleanKeepsText(t *testing.T) {
	for _, s := range []string{"p95 2.4 s of 2 s", "HTTP 503 from https://api.example/x", "żółw: 3/5 fail", "job nightly-export: exit 1", "basic functions fail"} {
		if got := incident.Clean(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	for in, want := range map[string]string{"a\nb\tc\x00d\u202e": "a b cd", "\xff": "\uFFFD"} {
		if got := incident.Clean(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for secret, text := range planted {
		f.Add(text)
		f.Add(secret)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := incident.Clean(s)
		if !utf8.ValidString(got) || len(got) > 500 || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q became %q", s, got)
		}
	})
}

func TestStatusError(t *testing.T) {
	now := time.Date(2026, 3, 3, 10, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		status    int
		after     string
		ok        bool
		permanent bool
		wait      time.Duration
	}{
		{200, "", true, false, 0}, {202, "5", true, false, 0}, {301, "", false, true, 0}, {400, "9", false, true, 0}, {401, "", false, true, 0},
		{404, "", false, true, 0}, {408, "", false, false, 0}, {410, "", false, true, 0}, {429, "7", false, false, 7 * time.Second},
		{429, "-7", false, false, 0}, {429, "soon", false, false, 0}, {429, "99999999999", false, false, 15 * time.Minute},
		{503, "Tue, 03 Mar 2026 10:02:00 GMT", false, false, 2 * time.Minute}, {503, "Tue, 03 Mar 2026 09:00:00 GMT", false, false, 0}, {500, "", false, false, 0},
	} {
		err := incident.StatusError(tt.status, tt.after, "body", now)
		if (err == nil) != tt.ok {
			t.Errorf("%d: %v", tt.status, err)
		}
		if d, _ := err.(*incident.DeliveryError); !tt.ok && (d.Permanent != tt.permanent || d.RetryAfter != tt.wait) {
			t.Errorf("%d %q: %+v", tt.status, tt.after, d)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"7", "-1", "Tue, 03 Mar 2026 10:02:00 GMT", "1e9", "9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, _ := incident.StatusError(429, s, "", time.Unix(1_800_000_000, 0)).(*incident.DeliveryError)
		if d == nil || d.RetryAfter < 0 || d.RetryAfter > 15*time.Minute {
			t.Errorf("%q: %+v", s, d)
		}
	})
}
