package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/httpapi"
	"avalo.app/gantry/internal/ratelimit"
)

// failingAudit fails with errSecret, or panics with it.
type failingAudit struct{ panics bool }

func (f failingAudit) ListAudit(context.Context, audit.Filter) ([]audit.Event, error) {
	if f.panics {
		panic(errSecret)
	}
	return nil, errSecret
}

func (f failingAudit) AuditEntry(context.Context, int64) (audit.Proven, error) {
	return audit.Proven{}, errSecret
}

// hidesCause fails if an answer shows a cause.
func hidesCause(t *testing.T, body string) {
	t.Helper()
	for _, leak := range []string{"SELECT", "sql", "10.1.2.3", "dial", "database", "goroutine", "ListAudit", ".go:"} {
		if strings.Contains(body, leak) {
			t.Errorf("the answer shows %q: %s", leak, body)
		}
	}
}

// TestInternalErrors: what fails on our side shows nothing of why, and its
// request id leads to the log line that does.
func TestInternalErrors(t *testing.T) {
	f := newFixture(t, func(d *httpapi.Deps) { d.Audit = failingAudit{} })
	for _, path := range []string{"/v1/audit/entries", "/v1/audit/entries/0/proof"} {
		w := f.do("GET", path, "", "X-Request-Id", "trace-7")
		if p := problemOf(t, w, 500, api.CodeInternal); p.RequestID != "trace-7" || p.Instance != path {
			t.Errorf("request id %q, instance %q", p.RequestID, p.Instance)
		}
		hidesCause(t, w.Body.String())
		if f.log.line("level=ERROR", "requestId=trace-7", "SELECT secret") == "" {
			t.Error("the cause is not in the log")
		}
	}
}

// TestStoreAway: a closed store is an error of ours on the routes that need
// it, and none for a limit check.
func TestStoreAway(t *testing.T) {
	f := newFixture(t, nil)
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/ratelimit/violations", "/v1/ratelimit/offenders", "/v1/keys", "/v1/ratelimit/overrides", "/v1/audit/entries"} {
		w := f.do("GET", path, "")
		if w.Code < 500 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
			continue
		}
		p := problemOf(t, w, w.Code, api.Code(map[int]api.Code{500: api.CodeInternal, 503: api.CodeServiceDegraded}[w.Code]))
		hidesCause(t, w.Body.String())
		if f.log.line("level=ERROR", "requestId="+p.RequestID) == "" {
			t.Errorf("%s: not logged with its request id", path)
		}
	}
	if w := f.do("POST", "/v1/ratelimit/check", `{"action":"LOGIN","user":"a","ip":"203.0.113.9"}`); w.Code != 200 {
		t.Errorf("a check: %d %s", w.Code, w.Body)
	}
	if w := f.do("POST", "/v1/ratelimit/check", `{"action":"LOGIN","user":"a","ip":"203.0.113.9"}`, "Idempotency-Key", "k"); w.Code != 200 {
		t.Errorf("a check with an idempotency key: %d %s", w.Code, w.Body)
	}
}

// TestPanics: a handler that panics answers with a problem, typed or not.
func TestPanics(t *testing.T) {
	f := newFixture(t, func(d *httpapi.Deps) {
		d.Audit = failingAudit{panics: true}
		d.AuditLog = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(errSecret) })
		d.Config = func() string { panic(errSecret) }
	})
	for _, path := range []string{"/v1/audit/entries", "/audit/log/checkpoint", "/v1/config"} {
		w := f.do("GET", path, "")
		p := problemOf(t, w, 500, api.CodeInternal)
		hidesCause(t, w.Body.String())
		if f.log.line("panicked", "requestId="+p.RequestID) == "" {
			t.Errorf("%s: the panic is not in the log", path)
		}
	}
	if w := f.do("GET", "/livez", ""); w.Code != 200 {
		t.Errorf("after panics: %d", w.Code)
	}
}

// TestPanicMidway: a panic after the answer began adds nothing to it, and
// http.ErrAbortHandler goes through to net/http.
func TestPanicMidway(t *testing.T) {
	var p any = "late"
	f := newFixture(t, func(d *httpapi.Deps) {
		d.AuditLog = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("begun"))
			panic(p)
		})
	})
	if w := f.do("GET", "/audit/log/checkpoint", ""); w.Code != 200 || w.Body.String() != "begun" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	p = http.ErrAbortHandler
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("recovered %v", got)
		}
	}()
	f.do("GET", "/audit/log/checkpoint", "")
}

// TestLanguages: the message follows Accept-Language, typed and raw routes
// and the callables alike; detail stays English.
func TestLanguages(t *testing.T) {
	f := newFixture(t, nil)
	for _, lang := range append(api.Languages(), "de-AT;q=0.9, en;q=0.1", "xx", "") {
		want := api.MatchLanguage(lang)
		for _, r := range [][3]string{{"POST", "/v1/ratelimit/check", `{"nope":1}`}, {"PUT", "/v1/ratelimit/policies/A", `{"window":"soon","rules":[]}`},
			{"PUT", "/v1/ratelimit/policies/A", `{}`}} {
			w := f.do(r[0], r[1], r[2], "Accept-Language", lang)
			p := problemOf(t, w, 400, api.CodeInvalidArgument)
			if p.Message != api.Message(p.Code, want) || w.Header().Get("Content-Language") != want {
				t.Errorf("%v in %q: %s in %q", r, lang, p.Message, w.Header().Get("Content-Language"))
			}
		}
		w := f.do("POST", "/callable/checkRateLimit", `{"data":{"action":"NO_SUCH","userId":"a"}}`, "Accept-Language", lang)
		var e api.CallableError
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error.Message != api.Message(e.Error.Details.Code, want) {
			t.Errorf("callable in %q: %s, %v", lang, w.Body, err)
		}
	}
}

// TestCallableTypes: what a callable's field must be is said in the words of
// JSON, not of Go.
func TestCallableTypes(t *testing.T) {
	f := newFixture(t, nil)
	for body, want := range map[string]map[string]any{
		`{"data":{"userId":5,"action":"LOGIN"}}`: {"field": "userId", "problem": "wrong type", "actual": "number", "limit": "string"},
		`{"data":"LOGIN"}`:                       {"field": "data", "problem": "wrong type", "actual": "string", "limit": "object"},
		`["LOGIN"]`:                              {"field": "body", "problem": "wrong type", "actual": "array", "limit": "object"},
	} {
		w := f.do("POST", "/callable/checkRateLimit", body)
		var got api.CallableError
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 400 {
			t.Fatalf("%s: %d %s, %v", body, w.Code, w.Body, err)
		}
		if d := cmp.Diff(any(want), got.Error.Details.Details); d != "" {
			t.Errorf("%s: %s", body, d)
		}
	}
}

// TestBodyTooLarge: every way of reading a body has the configured bound, and
// says it.
func TestBodyTooLarge(t *testing.T) {
	const limit = 1 << 10
	f := newFixture(t, func(d *httpapi.Deps) { d.MaxBody = limit })
	long := strings.Repeat("x", limit)
	for _, r := range [][3]string{
		{"POST", "/v1/ratelimit/check", `{"user":"` + long + `"}`},
		{"POST", "/v1/ratelimit/batch", `{"checks":[{"action":"LOGIN","user":"` + long + `"}]}`},
		{"POST", "/v1/keys", `{"role":"app","label":"` + long + `"}`},
		{"PUT", "/v1/ratelimit/policies/A", `{"window":"1m"` + strings.Repeat(" ", limit) + `}`},
	} {
		for _, key := range []string{"", "k"} {
			p := problemOf(t, f.do(r[0], r[1], r[2], "Idempotency-Key", key), 400, api.CodeInvalidArgument)
			want := map[string]any{"field": "body", "problem": "too large", "limit": float64(limit)}
			if d := cmp.Diff(any(want), p.Details); d != "" {
				t.Errorf("%s %s with key %q: %s", r[0], r[1], key, d)
			}
		}
	}
	w := f.do("POST", "/callable/checkRateLimit", `{"data":{"userId":"`+long+`"}}`)
	if w.Code != 400 || !strings.Contains(w.Body.String(), fmt.Sprintf(`"limit":%d`, limit)) {
		t.Errorf("callable: %d %s", w.Code, w.Body)
	}
}

// TestHugeBuffers: a huge body's buffer is not kept, a usual one's is.
func TestHugeBuffers(t *testing.T) {
	for n, want := range map[int]bool{200: true, 4 << 10: true, 1 << 20: false} {
		if got := httpapi.KeepsBuffer(n); got != want {
			t.Errorf("the buffer of %d bytes is kept: %t, want %t", n, got, want)
		}
	}
}

// TestBodyAllowed: a bound above huma's own 1 MiB holds for typed routes too.
func TestBodyAllowed(t *testing.T) {
	f := newFixture(t, func(d *httpapi.Deps) { d.MaxBody = 4 << 20 })
	body := `{"checks":[{"action":"LOGIN","user":"a","ip":"203.0.113.9"}]` + strings.Repeat(" ", 2<<20) + `}`
	if w := f.do("POST", "/v1/ratelimit/batch", body); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestBodyCutShort: a client that breaks off mid-body is the client's error,
// not ours.
func TestBodyCutShort(t *testing.T) {
	f := newFixture(t, nil)
	s := httptest.NewServer(f.handler)
	defer s.Close()
	for _, path := range []string{"/v1/ratelimit/check", "/v1/ratelimit/batch", "/callable/checkRateLimit"} {
		for name, framing := range map[string]string{"short": "Content-Length: 100\r\n\r\n{", "bad chunk": "Transfer-Encoding: chunked\r\n\r\nzz\r\n"} {
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n%s", path, f.key, framing)
			_ = conn.(*net.TCPConn).CloseWrite()
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			_ = conn.Close()
			if res.StatusCode != 400 {
				t.Errorf("%s, %s: %d", path, name, res.StatusCode)
			}
		}
	}
	if line := f.log.line("level=ERROR"); line != "" {
		t.Errorf("logged as an error of ours: %s", line)
	}
}

// TestMethods: HEAD answers as GET does, without a body by net/http; what no
// route takes says what would be taken.
func TestMethods(t *testing.T) {
	f := newFixture(t, nil)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"HEAD", "/livez", 200, ""}, {"HEAD", "/v1/keys", 200, ""}, {"HEAD", "/v1/guard?action=LOGIN", 200, ""},
		{"HEAD", "/v1/ratelimit/check", 405, "POST"}, {"OPTIONS", "/v1/keys", 405, "GET, POST"}, {"PATCH", "/v1/ratelimit/policies/A", 405, "GET, PUT, DELETE"},
		{"TRACE", "/livez", 405, "GET"}, {"GET", "/nowhere", 404, ""}, {"OPTIONS", "/nowhere", 404, ""}, {"GET", "/v1/", 404, ""},
		{"OPTIONS", "/callable/checkRateLimit", 204, ""}, {"GET", "/callable/nope", 404, ""},
	} {
		w := f.do(c.method, c.path, "", "X-Gantry-User", "u")
		if w.Code != c.status || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q; want %d, %q\n%s", c.method, c.path, w.Code, w.Header().Get("Allow"), c.status, c.allow, w.Body)
		}
	}
	f.key = "gk_nonsense"
	if w := f.do("HEAD", "/v1/keys", ""); w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("HEAD with a bad key: %d", w.Code)
	}
}

// TestDegradedAnswers: a policy that fails closed is 503 with a wait, and the
// counters' own error stays inside.
func TestDegradedAnswers(t *testing.T) {
	f := newFixture(t, nil)
	f.counters.OnTake = func(context.Context, int64, []ratelimit.Demand, []ratelimit.Outcome) (bool, error) {
		return false, errSecret
	}
	w := f.do("POST", "/v1/ratelimit/check", `{"action":"CLOSED","user":"a"}`)
	p := problemOf(t, w, 503, api.CodeServiceDegraded)
	hidesCause(t, w.Body.String())
	if !p.Retryable || w.Header().Get("Retry-After") == "" {
		t.Errorf("no way to repeat it: %s", w.Body)
	}
	if f.log.line("level=ERROR", "requestId="+p.RequestID, "SELECT secret") == "" {
		t.Error("the cause is not in the log")
	}
}
