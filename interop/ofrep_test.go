package interop_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-feature/go-sdk-contrib/providers/ofrep"
	"github.com/open-feature/go-sdk/openfeature"

	"avalo.app/gantry/internal/gantrytest"
)

// reading is one line of ofrep.mjs.
type reading struct {
	Changed []string
	Flags   map[string]struct {
		Value        any
		Reason       string
		Variant      string
		ErrorCode    string
		FlagMetadata map[string]any
	}
	Stale, Error string
}

// webProvider runs ofrep.mjs.
type webProvider struct {
	t     *testing.T
	in    io.WriteCloser
	lines chan reading
}

func startWebProvider(t *testing.T, url, how, country string) *webProvider {
	t.Helper()
	cmd := exec.Command("node", "ofrep.mjs", url, how, country)
	cmd.Dir, cmd.Stderr = "js", os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (make deps installs node and the npm modules)", err)
	}
	w := &webProvider{t: t, in: in, lines: make(chan reading)}
	go func() {
		defer close(w.lines)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			r := reading{}
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				r.Error = fmt.Sprintf("%v: %s", err, lines.Text())
			}
			w.lines <- r
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		for range w.lines { // to its end
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// until waits for a reading with these values, variants and reasons.
func (w *webProvider) until(want map[string][3]any) (r reading) {
	w.t.Helper()
	timeout := time.After(30 * time.Second)
	diff := "nothing was read"
	for diff != "" {
		var ok bool
		select {
		case r, ok = <-w.lines:
			if !ok || r.Stale != "" || r.Error != "" {
				w.t.Fatalf("the web provider says %+v", r)
			}
		case <-timeout:
			w.t.Fatalf("the web provider does not see it within 30 s: %s", diff)
		}
		got := map[string][3]any{}
		for key := range want {
			got[key] = [3]any{r.Flags[key].Value, r.Flags[key].Variant, r.Flags[key].Reason}
		}
		diff = cmp.Diff(want, got)
	}
	if f := r.Flags["new_checkout"]; f.ErrorCode != "FLAG_NOT_FOUND" || f.Value != true {
		w.t.Errorf("an unknown flag: %+v", f)
	}
	if f := r.Flags["wrong_type"]; f.ErrorCode != "TYPE_MISMATCH" || f.Value != true {
		w.t.Errorf("a flag of another type: %+v", f)
	}
	return r
}

// TestOFREPWeb: OpenFeature's own provider for the web reads every flag, and
// sees a change of mode and a maintenance, by the stream of events and, where
// there is no EventSource, by polling.
func TestOFREPWeb(t *testing.T) {
	for _, how := range []string{"sse", "poll"} {
		t.Run(how, func(t *testing.T) {
			p := gantrytest.Start(t, gantrytest.Options{Binary: binary})
			w := startWebProvider(t, p.URL, how, "US")
			first := w.until(map[string][3]any{"launch_mode": {"INTERNAL_TEST", "INTERNAL_TEST", "STATIC"}, "signup_open": {true, "open", "STATIC"},
				"region_open": {true, "open", "TARGETING_MATCH"}, "maintenance": {false, "off", "STATIC"}})
			if m := first.Flags["launch_mode"].FlagMetadata; m["version"] != 0.0 || m["admission"] != "allowlist" {
				t.Errorf("metadata: %v", m)
			}

			put(t, p, "/v1/launch/mode", `{"mode":"CLOSED_BETA","reason":"the beta begins today"}`)
			r := w.until(map[string][3]any{"launch_mode": {"CLOSED_BETA", "CLOSED_BETA", "STATIC"}, "signup_open": {true, "open", "STATIC"},
				"region_open": {false, "closed", "TARGETING_MATCH"}, "maintenance": {false, "off", "STATIC"}})
			if !slices.Contains(r.Changed, "launch_mode") {
				t.Errorf("told of %v", r.Changed)
			}

			if _, err := io.WriteString(w.in, "PL\n"); err != nil {
				t.Fatal(err)
			}
			w.until(map[string][3]any{"region_open": {true, "open", "TARGETING_MATCH"}})

			put(t, p, "/v1/maintenance", `{"for":"10m","reason":"moving the database"}`)
			w.until(map[string][3]any{"launch_mode": {"CLOSED_BETA", "CLOSED_BETA", "STATIC"}, "signup_open": {false, "maintenance", "STATIC"},
				"region_open": {false, "maintenance", "TARGETING_MATCH"}, "maintenance": {true, "on", "STATIC"}})
		})
	}
}

func put(t *testing.T, p *gantrytest.Process, path, body string) {
	t.Helper()
	if a := p.Do(t, "PUT", path, body); a.Status != 200 {
		t.Fatalf("%s: %d %s", path, a.Status, a.Body)
	}
}

// TestOFREPGo: OpenFeature's own provider for Go does the same, with a key
// that means nothing here.
func TestOFREPGo(t *testing.T) {
	p := gantrytest.Start(t, gantrytest.Options{Binary: binary})
	if err := openfeature.SetProviderAndWait(ofrep.NewProvider(p.URL, ofrep.WithBearerToken("for-somebody-else"))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(openfeature.Shutdown)
	client := openfeature.NewClient("interop")
	of := func(attributes map[string]any) openfeature.EvaluationContext {
		return openfeature.NewTargetlessEvaluationContext(attributes)
	}
	mode := func(want string) {
		t.Helper()
		d, err := client.StringValueDetails(t.Context(), "launch_mode", "default", of(nil))
		if err != nil || d.Value != want || d.Variant != want || d.Reason != openfeature.StaticReason {
			t.Errorf("launch_mode: %+v %v, want %s", d, err, want)
		}
	}
	boolean := func(key string, attributes map[string]any, want bool, reason openfeature.Reason) {
		t.Helper()
		d, err := client.BooleanValueDetails(t.Context(), key, !want, of(attributes))
		if err != nil || d.Value != want || d.Reason != reason {
			t.Errorf("%s of %v: %+v %v, want %t %s", key, attributes, d, err, want, reason)
		}
	}
	america := map[string]any{"country": "US"}
	mode("INTERNAL_TEST")
	boolean("signup_open", nil, true, openfeature.StaticReason)
	boolean("region_open", america, true, openfeature.TargetingMatchReason)
	boolean("region_open", nil, false, openfeature.DefaultReason)
	boolean("maintenance", nil, false, openfeature.StaticReason)

	put(t, p, "/v1/launch/mode", `{"mode":"CLOSED_BETA","reason":"the beta begins today"}`)
	mode("CLOSED_BETA")
	boolean("region_open", america, false, openfeature.TargetingMatchReason)
	boolean("region_open", map[string]any{"countryCode": "pl"}, true, openfeature.TargetingMatchReason)
	put(t, p, "/v1/maintenance", `{"for":"10m","reason":"moving the database"}`)
	boolean("maintenance", nil, true, openfeature.StaticReason)
	boolean("signup_open", nil, false, openfeature.StaticReason)
	boolean("region_open", america, false, openfeature.TargetingMatchReason)

	for key, c := range map[string]struct {
		attributes map[string]any
		want       openfeature.ErrorCode
	}{
		"new_checkout": {nil, openfeature.FlagNotFoundCode}, "launch_mode": {nil, openfeature.TypeMismatchCode},
		"region_open": {map[string]any{"country": 48}, openfeature.InvalidContextCode},
	} {
		if d, err := client.BooleanValueDetails(t.Context(), key, true, of(c.attributes)); err == nil || d.ErrorCode != c.want || !d.Value {
			t.Errorf("%s: %+v %v, want %s", key, d, err, c.want)
		}
	}
}
