package guard_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/api"
	"avalo.app/gantry/client"
	"avalo.app/gantry/guard"
)

// signups stands in for a Gantry in SOFT_LAUNCH with a cap: PL may sign up.
// fails replaces its answers.
type signups struct {
	mu    sync.Mutex
	fails func(*http.Request) (*http.Response, error)
	limit int
	asked []api.EligibilityRequest
	held  map[string]*api.Reservation // by user
	log   []string                    // of what became of reservations
}

func (f *signups) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if f.fails != nil {
		if res, err := f.fails(r); res != nil || err != nil {
			return res, err
		}
	}
	id, confirm := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v1/signups/"), "/confirm")
	switch {
	case r.URL.Path == "/v1/signups/eligibility":
		return f.eligible(r), nil
	case r.URL.Path == "/v1/signups":
		return f.reserve(r), nil
	case confirm:
		return f.end(id, "confirmed"), nil
	case r.Method == http.MethodDelete && r.URL.RawQuery == "sole=true":
		return f.end(id, "released"), nil
	}
	return answer(404, problem(api.CodeNotFound, nil)), nil
}

// refusal is the rule that refuses, and its details.
func (f *signups) refusal(a api.EligibilityRequest) (api.Code, any) {
	f.asked = append(f.asked, a)
	taken := 0
	for _, r := range f.held {
		if r.State != "released" {
			taken++
		}
	}
	switch {
	case a.Country != "PL":
		return api.CodeCountryNotAllowed, api.SignupRefusedDetails{Mode: "SOFT_LAUNCH", Problem: "not open", Country: a.Country, AllowedCountries: []any{"PL"}}
	case taken >= f.limit && f.held[a.UserID] == nil:
		opens := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
		return api.CodeDailyLimitReached, api.SignupRefusedDetails{Mode: "SOFT_LAUNCH", Limit: int64(f.limit), Actual: int64(taken), OpensAt: &opens}
	}
	return "", nil
}

func (f *signups) eligible(r *http.Request) *http.Response {
	var a api.EligibilityRequest
	_ = json.NewDecoder(r.Body).Decode(&a)
	code, details := f.refusal(a)
	return answer(200, api.Eligibility{Allowed: code == "", Code: code, Details: details, Mode: "SOFT_LAUNCH"})
}

func (f *signups) reserve(r *http.Request) *http.Response {
	var a api.ReserveRequest
	_ = json.NewDecoder(r.Body).Decode(&a)
	if old := f.held[a.UserID]; old != nil && old.State != "released" {
		again := *old
		again.Existing = true
		return answer(200, again)
	}
	if code, details := f.refusal(a.EligibilityRequest); code != "" {
		p := problem(code, details)
		p.RequestID = "req-1"
		return answer(p.Status, p)
	}
	if f.held == nil {
		f.held = map[string]*api.Reservation{}
	}
	f.held[a.UserID] = &api.Reservation{ID: "r-" + a.UserID, State: "open"}
	return answer(201, f.held[a.UserID])
}

func (f *signups) end(id, state string) *http.Response {
	r := f.held[strings.TrimPrefix(id, "r-")]
	r.State = state
	f.log = append(f.log, state+" "+id)
	return answer(200, r)
}

// stated reads who signs up from headers.
func stated(r *http.Request) api.EligibilityRequest {
	return api.EligibilityRequest{Country: r.Header.Get("X-Country"), UserID: r.Header.Get("X-User")}
}

func TestGate(t *testing.T) {
	t.Parallel()
	f, next := &signups{limit: 5}, &counter{}
	g, log := newGuard(t, f)
	h := g.Gate(stated)(next)
	if w := serve(h, "POST", "/signup", "", "X-Country", "PL", "X-User", "u1"); w.Code != 204 || next.runs != 1 {
		t.Errorf("PL: %d after %d runs", w.Code, next.runs)
	}
	if d := cmp.Diff([]api.EligibilityRequest{{Country: "PL", UserID: "u1"}}, f.asked); d != "" {
		t.Errorf("asked (-want +got):\n%s", d)
	}
	w := serve(h, "POST", "/signup?x=1", "", "X-Country", "US", "Accept-Language", "pl, en;q=0.5")
	p, details := problemIn[api.SignupRefusedDetails](t, w)
	p.Details = nil
	want := api.Problem{Type: "about:blank", Title: "The country is not open", Status: 403, Instance: "/signup", Code: api.CodeCountryNotAllowed,
		Message: api.Message(api.CodeCountryNotAllowed, "pl"), Retry: api.RetryNone}
	if d := cmp.Diff(want, p); d != "" {
		t.Errorf("refusal (-want +got):\n%s", d)
	}
	if d := cmp.Diff(api.SignupRefusedDetails{Mode: "SOFT_LAUNCH", Problem: "not open", Country: "US", AllowedCountries: []any{"PL"}}, details); d != "" {
		t.Errorf("details (-want +got):\n%s", d)
	}
	if w.Header().Get("Content-Language") != "pl" || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Retry-After") != "" {
		t.Errorf("headers %v", w.Header())
	}
	if next.runs != 1 || log.len() != 0 {
		t.Errorf("%d runs and errors %v, want 1 and none", next.runs, log.errs)
	}
}

// answers makes a Gantry that always answers the same.
func answers(status int, v any) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return answer(status, v), nil }
}

// TestGateAnswers: each answer of Gantry's as the caller sees it, whether the
// gate asks or reserves. Nothing but a yes passes.
func TestGateAnswers(t *testing.T) {
	t.Parallel()
	no := func(code api.Code, details any) func(*http.Request) (*http.Response, error) {
		return answers(200, api.Eligibility{Mode: "SOFT_LAUNCH", Code: code, Details: details})
	}
	fault := func(code api.Code, details any) func(*http.Request) (*http.Response, error) {
		p := problem(code, details)
		if d, ok := details.(api.RateLimitedDetails); ok {
			p.RetryAfterSeconds, p.ViolatedPolicies = d.RetryAfter, []string{d.PolicyName}
		}
		return answers(p.Status, p)
	}
	held := api.RateLimitedDetails{Policy: "SIGNUP_HOLD", PolicyName: "signup_hold", RetryAfter: 42}
	keys := api.RateLimitedDetails{Policy: "AUTH_FAILURE", PolicyName: "auth_failure", RetryAfter: 42}
	tests := []struct {
		name         string
		ask, reserve func(*http.Request) (*http.Response, error) // nil: not tried
		status       int
		code         api.Code
		retryAfter   string
		hooks        int
		policy       string
	}{
		{"mode", no(api.CodeLaunchModeRestricted, nil), fault(api.CodeLaunchModeRestricted, nil), 403, api.CodeLaunchModeRestricted, "", 0, ""},
		{"no code", no(api.CodeInviteCodeRequired, nil), fault(api.CodeInviteCodeRequired, nil), 403, api.CodeInviteCodeRequired, "", 0, ""},
		{"wrong code", no(api.CodeInviteCodeInvalid, nil), fault(api.CodeInviteCodeInvalid, nil), 403, api.CodeInviteCodeInvalid, "", 0, ""},
		{"code used up", no(api.CodeInviteCodeDepleted, nil), fault(api.CodeInviteCodeDepleted, nil), 403, api.CodeInviteCodeDepleted, "", 0, ""},
		{"day full", no(api.CodeDailyLimitReached, nil), fault(api.CodeDailyLimitReached, nil), 403, api.CodeDailyLimitReached, "", 0, ""},
		{"maintenance", no(api.CodeSystemMaintenance, nil), fault(api.CodeSystemMaintenance, nil), 503, api.CodeSystemMaintenance, "30", 0, ""},
		{"held", no(api.CodeRateLimited, held), fault(api.CodeRateLimited, held), 429, api.CodeRateLimited, "42", 0, "signup_hold"},
		{"many wrong codes", fault(api.CodeRateLimited, held), nil, 429, api.CodeRateLimited, "42", 0, "signup_hold"},
		{"taken", no(api.CodeConflict, nil), fault(api.CodeConflict, nil), 409, api.CodeConflict, "", 0, ""},
		{"odd input", fault(api.CodeInvalidArgument, nil), fault(api.CodeInvalidArgument, nil), 400, api.CodeInvalidArgument, "", 0, ""},
		{"store away", fault(api.CodeServiceDegraded, nil), fault(api.CodeServiceDegraded, nil), 503, api.CodeServiceDegraded, "30", 1, ""},
		{"gantry away", away, away, 503, api.CodeServiceDegraded, "30", 1, ""},
		{"wrong key", badKey, badKey, 503, api.CodeServiceDegraded, "30", 1, ""},
		{"many wrong keys", fault(api.CodeRateLimited, keys), fault(api.CodeRateLimited, keys), 503, api.CodeServiceDegraded, "30", 1, ""},
		{"wrong role", fault(api.CodePermissionDenied, nil), fault(api.CodePermissionDenied, nil), 503, api.CodeServiceDegraded, "30", 1, ""},
		{"bug", fault(api.CodeInternal, nil), fault(api.CodeInternal, nil), 503, api.CodeServiceDegraded, "30", 1, ""},
		{"new code", no("SOMETHING_NEW", nil), nil, 503, api.CodeServiceDegraded, "30", 1, ""},
		{"not Gantry", answers(200, map[string]any{"allowed": true}), answers(200, map[string]any{"ok": true}), 503, api.CodeServiceDegraded, "30", 1, ""},
	}
	for _, tt := range tests {
		for i, fails := range []func(*http.Request) (*http.Response, error){tt.ask, tt.reserve} {
			if fails == nil {
				continue
			}
			t.Run(tt.name+[]string{"/asks", "/reserves"}[i], func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { // what is away is tried again after a pause
					opts := [][]guard.GateOption{nil, {guard.WithReservation()}}[i]
					g, log := newGuard(t, &signups{fails: fails})
					next := &counter{}
					w := serve(g.Gate(stated, opts...)(next), "POST", "/signup", "", "X-Country", "PL", "X-User", "u1")
					if w.Code != tt.status || w.Header().Get("Retry-After") != tt.retryAfter || next.runs != 0 || log.len() != tt.hooks {
						t.Errorf("%d, Retry-After %q, %d runs, errors %v", w.Code, w.Header().Get("Retry-After"), next.runs, log.errs)
					}
					p, _ := problemIn[any](t, w)
					if p.Code != tt.code || (p.Type == api.TypeQuotaExceeded) != (tt.status == 429) {
						t.Errorf("problem %+v, want %s", p, tt.code)
					}
					if got := strings.Join(p.ViolatedPolicies, " "); got != tt.policy {
						t.Errorf("violated policies %q, want %q", got, tt.policy)
					}
				})
			})
		}
	}
}

// TestGateReservation: what the handler does decides what becomes of the
// slot.
func TestGateReservation(t *testing.T) {
	t.Parallel()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		before  string // state of a reservation that the user has; "" for none
		want    []string
	}{
		{"created", status(201), "", []string{"confirmed r-u1"}},
		{"silent", func(http.ResponseWriter, *http.Request) {}, "", []string{"confirmed r-u1"}},
		{"redirects", status(303), "", []string{"released r-u1"}},
		{"refuses", status(422), "", []string{"released r-u1"}},
		{"fails", status(500), "", []string{"released r-u1"}},
		{"panics", func(http.ResponseWriter, *http.Request) { panic("handler") }, "", []string{"released r-u1"}},
		{"panics after 200", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); panic("handler") }, "", []string{"released r-u1"}},
		{"created by the second request", status(201), "open", []string{"confirmed r-u1"}},
		{"refused to the second request", status(409), "open", nil},
		{"has signed up", status(409), "confirmed", nil},
		{"has signed up and succeeds", status(200), "confirmed", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := &signups{limit: 1, held: map[string]*api.Reservation{}}
			if tt.before != "" {
				f.held["u1"] = &api.Reservation{ID: "r-u1", State: tt.before}
			}
			g, log := newGuard(t, f)
			h := g.Gate(stated, guard.WithReservation())(tt.handler)
			func() {
				defer func() {
					if v := recover(); (v != nil) != strings.HasPrefix(tt.name, "panics") {
						t.Errorf("recovered %v", v)
					}
				}()
				serve(h, "POST", "/signup", "", "X-Country", "PL", "X-User", "u1")
			}()
			if d := cmp.Diff(tt.want, f.log); d != "" || log.len() != 0 {
				t.Errorf("errors %v, steps (-want +got):\n%s", log.errs, d)
			}
		})
	}
}

// TestGateReservationIsExact: of a hundred at once, five pass.
func TestGateReservationIsExact(t *testing.T) {
	t.Parallel()
	f := &signups{limit: 5}
	g, _ := newGuard(t, f)
	h := g.Gate(stated, guard.WithReservation())(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) }))
	var wg sync.WaitGroup
	codes := make(chan int, 100)
	for i := range 100 {
		wg.Go(func() {
			codes <- serve(h, "POST", "/signup", "", "X-Country", "PL", "X-User", "u"+string(rune('A'+i))).Code
		})
	}
	wg.Wait()
	close(codes)
	got := map[int]int{}
	for c := range codes {
		got[c]++
	}
	if d := cmp.Diff(map[int]int{201: 5, 403: 95}, got); d != "" {
		t.Errorf("answers (-want +got):\n%s", d)
	}
}

// TestGateUnsettled: what could not be settled goes to the hook, and the
// caller has the handler's answer all the same.
func TestGateUnsettled(t *testing.T) {
	t.Parallel()
	for _, status := range []int{201, 422} {
		synctest.Test(t, func(t *testing.T) {
			f := &signups{limit: 1}
			f.fails = func(r *http.Request) (*http.Response, error) {
				if r.URL.Path != "/v1/signups" {
					return away(r)
				}
				return nil, nil
			}
			g, log := newGuard(t, f)
			h := g.Gate(stated, guard.WithReservation())(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
			w := serve(h, "POST", "/signup", "", "X-Country", "PL", "X-User", "u1")
			if w.Code != status || log.len() != 1 {
				t.Fatalf("%d with errors %v, want %d with one", w.Code, log.errs, status)
			}
			var u *guard.Unconfirmed
			if made := errors.As(log.errs[0], &u); made != (status == 201) || !errors.Is(log.errs[0], client.ErrUnavailable) || !strings.Contains(log.errs[0].Error(), "r-u1") {
				t.Errorf("%d: error %v", status, log.errs[0])
			}
		})
	}
}

// TestGateCancelled: a caller who hangs up is not served, keeps no slot, and
// is nobody's error.
func TestGateCancelled(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]guard.GateOption{"asks": nil, "reserves": {guard.WithReservation()}} {
		next := &counter{}
		ctx, cancel := context.WithCancel(t.Context())
		f := &signups{limit: 1}
		f.fails = func(r *http.Request) (*http.Response, error) {
			cancel()
			return nil, r.Context().Err()
		}
		g, log := newGuard(t, f)
		r := httptest.NewRequestWithContext(ctx, "POST", "/signup", nil)
		r.Header.Set("X-Country", "PL")
		r.Header.Set("X-User", "u1")
		w := httptest.NewRecorder()
		g.Gate(stated, opts...)(next).ServeHTTP(w, r)
		if next.runs != 0 || log.len() != 0 || w.Code != 503 {
			t.Errorf("%s: %d, %d runs and errors %v, want none", name, w.Code, next.runs, log.errs)
		}
		if res := f.held["u1"]; name == "reserves" && (res == nil || res.State != "released") {
			t.Errorf("the reservation is %+v, want it given back", res)
		}
	}
}

// TestGateHangs: a Gantry that does not answer holds nobody for longer than
// the gate's bound.
func TestGateHangs(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]guard.GateOption{"asks": nil, "reserves": {guard.WithReservation()}} {
		synctest.Test(t, func(t *testing.T) {
			g, _ := newGuard(t, roundTrip(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}))
			start := time.Now()
			w := serve(g.Gate(stated, opts...)(&counter{}), "POST", "/signup", "", "X-User", "u1")
			if took := time.Since(start); w.Code != 503 || took > 10*time.Second {
				t.Errorf("%s: %d after %v, want 503 within 10 s", name, w.Code, took)
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestGateBody: the applicant may be read from the body, and the handler gets
// it whole.
func TestGateBody(t *testing.T) {
	t.Parallel()
	long := `{"country":"PL"}` + strings.Repeat(" ", 3<<20) + "end"
	inForm := func(r *http.Request) api.EligibilityRequest {
		return api.EligibilityRequest{Country: r.FormValue("country")}
	}
	inJSON := func(r *http.Request) (a api.EligibilityRequest) {
		_ = json.NewDecoder(r.Body).Decode(&a)
		return a
	}
	all := func(r *http.Request) api.EligibilityRequest {
		b, _ := io.ReadAll(r.Body)
		if len(b) != 1<<20 {
			t.Errorf("the applicant's reader got %d bytes of %d, want the first MiB", len(b), len(long))
		}
		return api.EligibilityRequest{Country: "PL"}
	}
	for _, tt := range []struct {
		name, body  string
		contentType string
		applicant   func(*http.Request) api.EligibilityRequest
	}{
		{"json", `{"country":"PL","password":"x"}`, "application/json", inJSON},
		{"form", "country=PL&password=x", "application/x-www-form-urlencoded", inForm},
		{"not read", "anything", "text/plain", func(*http.Request) api.EligibilityRequest { return api.EligibilityRequest{Country: "PL"} }},
		{"start of much", long, "application/json", inJSON},
		{"more than it may", long, "application/json", all},
	} {
		g, _ := newGuard(t, &signups{limit: 1})
		got := ""
		h := g.Gate(tt.applicant)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil || r.Body.Close() != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			got = string(b)
		}))
		if serve(h, "POST", "/signup", tt.body, "Content-Type", tt.contentType); got != tt.body {
			t.Errorf("%s: the handler read %d bytes of %d", tt.name, len(got), len(tt.body))
		}
	}
}
