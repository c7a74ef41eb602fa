package api_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/fault"
)

// TestCatalogue holds the catalogue against the one list of codes.
func TestCatalogue(t *testing.T) {
	var want, got []string
	for _, c := range fault.Codes() {
		want = append(want, string(c))
	}
	for _, row := range api.Catalogue() {
		got = append(got, string(row.Code))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
}

// TestMessages: each code has a text of its own in each language.
func TestMessages(t *testing.T) {
	seen := map[string]api.Code{}
	for _, row := range api.Catalogue() {
		for _, lang := range api.Languages() {
			text := api.Message(row.Code, lang)
			if len(text) < 8 || strings.TrimSpace(text) != text || !strings.HasSuffix(text, ".") {
				t.Errorf("%s %s: %q", row.Code, lang, text)
			}
			if other, ok := seen[text]; ok && other != row.Code {
				t.Errorf("%s and %s share the %s text %q", row.Code, other, lang, text)
			}
			seen[text] = row.Code
		}
	}
	if len(seen) != len(api.Catalogue())*len(api.Languages()) {
		t.Errorf("%d texts, want %d: some are the same in two languages", len(seen), len(api.Catalogue())*len(api.Languages()))
	}
}

// TestRenderings is the table of system.md section 3, row by row.
func TestRenderings(t *testing.T) {
	for _, c := range []struct {
		codes        string
		http         int
		status       string
		callableHTTP int
		retry        api.Retry
	}{
		{"RATE_LIMITED", 429, "RESOURCE_EXHAUSTED", 429, api.RetryAfter},
		{"LAUNCH_MODE_RESTRICTED COUNTRY_NOT_ALLOWED PERMISSION_DENIED", 403, "PERMISSION_DENIED", 403, api.RetryNone},
		{"INVITE_CODE_REQUIRED INVITE_CODE_INVALID INVITE_CODE_DEPLETED DAILY_LIMIT_REACHED", 403, "FAILED_PRECONDITION", 400, api.RetryNone},
		{"FILE_TOO_LARGE", 413, "INVALID_ARGUMENT", 400, api.RetryNone},
		{"MIME_TYPE_NOT_ALLOWED", 415, "INVALID_ARGUMENT", 400, api.RetryNone},
		{"CONTENT_MISMATCH FILENAME_NOT_ALLOWED FILE_CORRUPT IMAGE_TOO_LARGE MALWARE_FOUND IDEMPOTENCY_MISMATCH", 422, "INVALID_ARGUMENT", 400, api.RetryNone},
		{"SYSTEM_MAINTENANCE SERVICE_DEGRADED", 503, "UNAVAILABLE", 503, api.RetryBackoff},
		{"UNAUTHENTICATED", 401, "UNAUTHENTICATED", 401, api.RetryNone},
		{"NOT_FOUND", 404, "NOT_FOUND", 404, api.RetryNone},
		{"INVALID_ARGUMENT", 400, "INVALID_ARGUMENT", 400, api.RetryNone},
		{"INTERNAL", 500, "INTERNAL", 500, api.RetryNone},
		{"CONFLICT", 409, "ABORTED", 409, api.RetryNone},
	} {
		for code := range strings.FieldsSeq(c.codes) {
			row, ok := api.Lookup(api.Code(code))
			if !ok || row.HTTPStatus != c.http || row.CallableStatus != c.status || row.Retry != c.retry || row.Retryable != (c.retry != api.RetryNone) {
				t.Errorf("%s: %+v", code, row)
			}
			if got := api.CallableHTTPStatus(row.CallableStatus); got != c.callableHTTP {
				t.Errorf("%s: callable HTTP %d, want %d", code, got, c.callableHTTP)
			}
		}
	}
}

func TestCallable(t *testing.T) {
	p := &api.Problem{Code: api.CodeInviteCodeRequired, Message: "m", Retry: api.RetryNone, RequestID: "r", Details: map[string]any{"limit": 1}}
	e, status := p.Callable()
	b, err := json.Marshal(e)
	if err != nil || status != 400 {
		t.Fatal(status, err)
	}
	want := `{"error":{"status":"FAILED_PRECONDITION","message":"m","details":{"code":"INVITE_CODE_REQUIRED","message":"m","retryable":false,"retryAfterSeconds":0,"retry":"none","requestId":"r","details":{"limit":1}}}}`
	if d := cmp.Diff(want, string(b)); d != "" {
		t.Error(d)
	}
}

func TestMatchLanguage(t *testing.T) {
	for header, want := range map[string]string{
		"": "en", "pl": "pl", "pl-PL": "pl", "PL": "pl", "ja": "en", "ja, de;q=0.5": "de", "*": "en",
		"fr;q=0.1, it;q=0.9": "it", "nl;q=0": "en", "es;q=2, fr;q=0.3": "fr", "de;foo=1": "en",
		"xx" + strings.Repeat(",xx", 1000) + ",pl": "en", ";;;,,,=": "en", "en;q=0.4,es;q=0.8": "es", "de,pl": "de",
	} {
		if got := api.MatchLanguage(header); got != want {
			t.Errorf("%.30q: %s, want %s", header, got, want)
		}
	}
}

func FuzzMatchLanguage(f *testing.F) {
	f.Add("pl-PL,pl;q=0.9,en;q=0.8")
	f.Fuzz(func(t *testing.T, header string) {
		if got := api.MatchLanguage(header); !slices.Contains(api.Languages(), got) {
			t.Errorf("%q", got)
		}
	})
}

func TestWait(t *testing.T) {
	none := func(int64) int64 { return 0 }
	most := func(max int64) int64 { return max }
	const century = 100 * 366 * 24 * time.Hour
	for _, c := range []struct {
		name     string
		retry    api.Retry
		attempt  int
		after    int64
		min, max time.Duration // 0, 0: no repeating
	}{
		{"none", api.RetryNone, 1, 9, 0, 0},
		{"a strategy of a later Gantry", "elsewhere", 1, 9, 0, 0},
		{"after", api.RetryAfter, 1, 7, 7 * time.Second, 8 * time.Second},
		{"after, again", api.RetryAfter, 9, 7, 7 * time.Second, 8 * time.Second},
		{"after a negative time", api.RetryAfter, 1, -7, 0, time.Second},
		{"after more than fits", api.RetryAfter, 1, math.MaxInt64, century, century + time.Second},
		{"backoff", api.RetryBackoff, 1, 30, 30 * time.Second, time.Minute},
		{"no attempt yet", api.RetryBackoff, -1, 30, 30 * time.Second, time.Minute},
		{"second backoff", api.RetryBackoff, 2, 30, 30 * time.Second, 90 * time.Second},
		{"capped", api.RetryBackoff, math.MaxInt, 30, 30 * time.Second, api.MaxBackoff},
		{"no start", api.RetryBackoff, 1, 0, 30 * time.Second, time.Minute},
		{"a start near the cap", api.RetryBackoff, 1, 290, 290 * time.Second, api.MaxBackoff},
		{"a start beyond the cap", api.RetryBackoff, 5, 600, 10 * time.Minute, 10*time.Minute + time.Second},
		{"a start that does not fit", api.RetryBackoff, 5, math.MaxInt64, century, century + time.Second},
	} {
		low, ok := c.retry.Wait(c.attempt, c.after, none)
		high, _ := c.retry.Wait(c.attempt, c.after, most)
		if want := c.max > 0; ok != want || low != c.min || high != c.max {
			t.Errorf("%s: %v to %v, %t; want %v to %v, %t", c.name, low, high, ok, c.min, c.max, want)
		}
		p := &api.Problem{Retry: c.retry, RetryAfterSeconds: c.after}
		if got, pok := p.Wait(c.attempt); pok != ok || got < low || got > high {
			t.Errorf("%s: Problem.Wait = %v, %t, want %v to %v, %t", c.name, got, pok, low, high, ok)
		}
	}
	var p *api.Problem
	if _, ok := p.Wait(1); ok {
		t.Error("what did not fail is repeated")
	}
}
