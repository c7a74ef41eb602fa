package cli_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/cli"
)

// fake answers requests by "METHOD /path", and keeps the bodies.
type fake struct {
	answers map[string]string
	status  int // of what is not there
	bodies  map[string]string
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	if f.bodies == nil {
		f.bodies = map[string]string{}
	}
	f.bodies[r.Method+" "+r.URL.RequestURI()] = string(b)
	a, ok := f.answers[r.Method+" "+r.URL.Path]
	if !ok {
		w.WriteHeader(f.status)
	}
	_, _ = io.WriteString(w, a)
}

// run runs the program against a fake.
func run(t *testing.T, f *fake, args ...string) (code int, out, errs string) {
	t.Helper()
	srv := httptest.NewServer(f)
	defer srv.Close()
	var stdout, stderr strings.Builder
	code = cli.Main(t.Context(), append(args, "--url", srv.URL), func(string) (string, bool) { return "", false },
		cli.Stdio{In: strings.NewReader(""), Out: &stdout, Err: &stderr})
	return code, stdout.String(), stderr.String()
}

// TestQuote: a shell reads back what was quoted.
func TestQuote(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "plain", "two words", "Ana's", `$HOME "x" \ !`, "zażółć", "a;rm -rf *", "-x", "\t"} {
		out, err := exec.Command("sh", "-c", "printf %s "+cli.Quote(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q is quoted as %s and read as %q (%v)", s, cli.Quote(s), out, err)
		}
	}
}

// TestLostCodes: codes that were lost on the way are no success.
func TestLostCodes(t *testing.T) {
	t.Parallel()
	replayed := `{"batch":"inv_1","invites":[{"id":"i1","code":""}]}`
	f := &fake{answers: map[string]string{"POST /v1/invites": replayed, "POST /v1/waitlist/invite": replayed}}
	for _, args := range [][]string{{"invite", "create"}, {"invite", "create", "--json"}, {"waitlist", "invite", "1"}} {
		code, out, errs := run(t, f, args...)
		if code != cli.ExitInternal || out != "" || !strings.Contains(errs, "gantry invite revoke inv_1 ") {
			t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
		}
	}
}

// TestModeSetSendsWhatItSaw: the move is from the version that was read.
func TestModeSetSendsWhatItSaw(t *testing.T) {
	t.Parallel()
	f := &fake{answers: map[string]string{
		"GET /v1/launch/mode": `{"mode":"SOFT_LAUNCH","version":7,"ageSeconds":40}`,
		"PUT /v1/launch/mode": `{"fromMode":"SOFT_LAUNCH","toMode":"CLOSED_BETA","version":8,"revokeOpen":true,"revoked":3}`,
	}}
	code, out, _ := run(t, f, "mode", "set", "CLOSED_BETA", "--reason", "too many", "--revoke-open")
	if code != 0 || !strings.Contains(out, "3 open reservations ended") {
		t.Errorf("exit %d: %s", code, out)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(f.bodies["PUT /v1/launch/mode"]), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"mode": "CLOSED_BETA", "reason": "too many", "ifVersion": 7.0, "revokeOpen": true}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("sent (-want +got):\n%s", d)
	}
	if code, _, errs := run(t, f, "mode", "show"); code != 0 || !strings.Contains(errs, "40 seconds ago") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// TestPhaseSetKeepsTheRest: what is not named stays, under the version read.
func TestPhaseSetKeepsTheRest(t *testing.T) {
	t.Parallel()
	f := &fake{answers: map[string]string{
		"GET /v1/launch/phases":             `{"phases":[{"mode":"SOFT_LAUNCH","countries":["PL"],"groups":["EU"],"dailyCap":2000,"countryCaps":{"PL":5},"version":3}]}`,
		"PUT /v1/launch/phases/SOFT_LAUNCH": `{"mode":"SOFT_LAUNCH"}`,
	}}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--cap", "5000"}, `{"countries":["PL"],"groups":["EU"],"dailyCap":5000,"countryCaps":{"PL":5}}`},
		{[]string{"--cap", "none"}, `{"countries":["PL"],"groups":["EU"],"countryCaps":{"PL":5}}`},
		{[]string{"--countries", "none"}, `{"countries":[],"groups":["EU"],"dailyCap":2000,"countryCaps":{"PL":5}}`},
		{[]string{"--groups", "EU,NA", "--country-cap", "pl=none", "--country-cap", "DE=7"}, `{"countries":["PL"],"groups":["EU","NA"],"dailyCap":2000,"countryCaps":{"DE":7}}`},
	} {
		code, _, errs := run(t, f, append([]string{"phase", "set", "SOFT_LAUNCH", "--reason", "why"}, tt.args...)...)
		if got := f.bodies["PUT /v1/launch/phases/SOFT_LAUNCH?ifVersion=3&reason=why"]; code != 0 || got != tt.want {
			t.Errorf("%v: exit %d, sent %s, want %s\n%s", tt.args, code, got, tt.want, errs)
		}
	}
}

// TestDrift: a counter that is off is an answer of no.
func TestDrift(t *testing.T) {
	t.Parallel()
	f := &fake{answers: map[string]string{"GET /v1/signups/drift": `{"drift":[{"day":"2026-11-24","state":"open","counted":2,"rows":1}]}`}}
	for _, args := range [][]string{{"signup", "drift"}, {"signup", "drift", "--json"}} {
		if code, out, _ := run(t, f, args...); code != cli.ExitNo || !strings.Contains(out, "2026-11-24") {
			t.Errorf("%v: exit %d\n%s", args, code, out)
		}
	}
}

// TestRefusalsSayWhatToDo: each code that a check can meet has its next step.
func TestRefusalsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ answer, want string }{
		{`"code":"COUNTRY_NOT_ALLOWED","details":{"problem":"unknown"}`, "Give --country"},
		{`"code":"COUNTRY_NOT_ALLOWED","details":{"problem":"blocked","country":"RU"}`, "--unblock RU"},
		{`"code":"COUNTRY_NOT_ALLOWED","details":{"problem":"address disagrees","country":"PL"}`, "that of --ip"},
		{`"code":"LAUNCH_MODE_RESTRICTED"`, "--email or --user"},
		{`"code":"INVITE_CODE_DEPLETED"`, "gantry invite create"},
		{`"code":"RATE_LIMITED","details":{"scope":"network","limit":100,"actual":101,"resetAt":"2026-11-24T10:00:00Z"}`, "This network holds 100 open reservations of at most 100"},
		{`"code":"CONFLICT"`, "gantry signup list"},
		{`"code":"SOMETHING_NEW"`, "GET /v1/errors"},
	} {
		f := &fake{answers: map[string]string{"POST /v1/signups/eligibility": `{"mode":"SOFT_LAUNCH",` + tt.answer + `}`}}
		if code, out, errs := run(t, f, "signup", "check"); code != cli.ExitNo || !strings.Contains(out, tt.want) {
			t.Errorf("%s: exit %d, want %q in\n%s%s", tt.answer, code, tt.want, out, errs)
		}
	}
}
