package interop_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/gantrytest"
	"avalo.app/gantry/internal/store/storetest"
)

// dependency is a real server that hangs, is killed, and comes back.
type dependency interface {
	Freeze(testing.TB)
	Thaw(testing.TB)
	Kill(testing.TB)
	Start() error
}

// process is a dependency of one process.
type process struct {
	addr, command string
	args, env     []string
	cmd           *exec.Cmd
}

// run starts a server that listens at addr, until the test ends.
func run(t *testing.T, addr string, env []string, command string, args ...string) *process {
	t.Helper()
	p := &process{addr: addr, command: command, args: args, env: env}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	return p
}

func (p *process) Start() error {
	p.cmd = exec.Command(p.command, p.args...)
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("%s (see scripts/deps.sh): %w", p.command, err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", p.addr)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not listen: %w", p.command, err)
		}
	}
}

func (p *process) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func (p *process) Freeze(t testing.TB) { t.Helper(); p.signal(t, syscall.SIGSTOP) }
func (p *process) Thaw(t testing.TB)   { t.Helper(); p.signal(t, syscall.SIGCONT) }
func (p *process) Kill(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	_ = p.cmd.Wait() // it says that it was killed
}

// issuerVar makes this test's binary an OIDC issuer at the address, for TestMain.
const issuerVar = "GANTRY_TEST_ISSUER"

// serveIssuer is an OIDC issuer whose key is RFC 7515's example of a P-256 one.
func serveIssuer(addr string) error {
	issuer := "http://" + addr
	mux := http.NewServeMux()
	answer := func(path string, v any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(v) // the client may be gone
		})
	}
	answer("/.well-known/openid-configuration", map[string]string{"issuer": issuer, "jwks_uri": issuer + "/keys"})
	answer("/keys", map[string]any{"keys": []map[string]string{{"kty": "EC", "use": "sig", "alg": "ES256", "kid": "1", "crv": "P-256",
		"x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}}})
	return http.ListenAndServe(addr, mux)
}

// watch is one Gantry that watches five real dependencies.
type watch struct {
	t        *testing.T
	p        *gantrytest.Process
	pager    *gantrytest.Receiver
	critical map[string]bool
}

// startWatch starts the dependencies and the Gantry that watches them.
func startWatch(t *testing.T) (*watch, map[string]dependency) {
	t.Helper()
	redis, redisPort := freeAddr(t)
	s3, _ := freeAddr(t)
	payments, _ := freeAddr(t)
	issuer, _ := freeAddr(t)
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "uploads"), 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{"AWS_ACCESS_KEY_ID": "gantry", "AWS_SECRET_ACCESS_KEY": "not-a-secret-of-anyone", "AWS_EC2_METADATA_DISABLED": "true"}
	var env []string
	for k, v := range keys {
		env = append(env, k+"="+v)
	}
	pg := storetest.StartServer(t)
	deps := map[string]dependency{
		"database": pg,
		"cache":    run(t, redis, nil, "redis-server", "--port", redisPort, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()),
		"storage":  run(t, s3, env, s3server, s3, root, t.TempDir()),
		"payments": run(t, payments, nil, stripeMock, "-http-addr", payments),
		"auth":     run(t, issuer, []string{issuerVar + "=" + issuer}, self),
	}
	w := &watch{t: t, pager: gantrytest.NewReceiver(t, nil), critical: map[string]bool{"database": true, "payments": true, "auth": true}}
	var config strings.Builder
	config.WriteString("health:\n  components:\n")
	for name, probe := range map[string]string{
		"database": fmt.Sprintf(`slot: database, postgres: {url: "%s"}`, pg.URL),
		"cache":    fmt.Sprintf(`redis: {url: "redis://%s/0"}`, redis),
		"storage":  fmt.Sprintf(`slot: storage, blob: {bucket: "s3://uploads?region=us-east-1&use_path_style=true&endpoint=http://%s", canary: gantry-probe}`, s3),
		"payments": fmt.Sprintf(`slot: payments, stripe: {api_key: sk_test_123, url: "http://%s"}`, payments),
		"auth":     fmt.Sprintf(`slot: auth, oidc: {issuer: "http://%s"}`, issuer),
	} {
		fmt.Fprintf(&config, "    %s: {critical: %t, interval: 1s, timeout: 1s, failure_threshold: 2, success_threshold: 1, %s}\n", name, w.critical[name], probe)
	}
	fmt.Fprintf(&config, "incidents:\n  delay: {p1: 0s, p2: 0s}\n  receivers:\n    pager: %s\n", w.pager.Config("node"))
	w.p = gantrytest.Start(t, gantrytest.Options{Binary: binary, Config: config.String(), Env: keys})
	w.until("everything is healthy", func(r api.HealthReport) bool { return r.Status == api.HealthHealthy })
	return w, deps
}

// until polls the report, at most a minute.
func (w *watch) until(what string, ok func(api.HealthReport) bool) api.HealthReport {
	w.t.Helper()
	var rep api.HealthReport
	began := time.Now()
	for {
		w.p.Do(w.t, "GET", "/v1/health", nil).Decode(w.t, &rep)
		if ok(rep) {
			w.t.Logf("%s after %s", what, time.Since(began).Round(100*time.Millisecond))
			return rep
		}
		if time.Since(began) > time.Minute {
			w.t.Fatalf("%s: not within a minute: %+v\n%s", what, rep, w.p.Stderr())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// fails demands that the report and the pager tell of name alone, in the words
// given, and of its end once back is called.
func (w *watch) fails(name, words string, back func()) {
	w.t.Helper()
	overall := api.HealthDegraded
	if w.critical[name] {
		overall = api.HealthDown
	}
	rep := w.until(name+" "+words, func(r api.HealthReport) bool { return r.Status != api.HealthHealthy })
	for _, c := range rep.Components {
		switch {
		case c.Component == name:
			if rep.Status != overall || c.Status != api.HealthDown || !strings.Contains(c.Message, words) {
				w.t.Errorf("the report says %s, and of %s %s %q; want %s, DOWN and %q", rep.Status, name, c.Status, c.Message, overall, words)
			}
		case c.Status != api.HealthHealthy && c.Status != api.HealthNotConfigured:
			w.t.Errorf("while %s fails, the report says %s of %s: %s", name, c.Status, c.Component, c.Message)
		}
	}
	w.told(name, "trigger", words)
	back()
	w.until(name+" is back", func(r api.HealthReport) bool { return r.Status == api.HealthHealthy })
	w.told(name, "resolve", "")
}

// told waits for the last message about a component.
func (w *watch) told(name, action, words string) {
	w.t.Helper()
	var last gantrytest.Told
	for deadline := time.Now().Add(time.Minute); last.Action != action; time.Sleep(20 * time.Millisecond) {
		if last = w.pager.Last(name); time.Now().After(deadline) {
			w.t.Fatalf("the pager hears no %s of %s: %+v", action, name, w.pager.Told())
		}
	}
	if !strings.Contains(last.Summary, words) {
		w.t.Errorf("the pager hears %q of %s, want it to say %q", last.Summary, name, words)
	}
}

// TestDependencies: each of five real dependencies hangs, and is killed, and
// comes back. The report says so, one incident opens, resolves, and opens again
// for the second failure within the hour, the receiver hears it in order by
// one key, and nothing else is raised.
func TestDependencies(t *testing.T) {
	w, deps := startWatch(t)
	names := []string{"database", "cache", "storage", "payments", "auth"}
	for _, name := range names {
		d := deps[name]
		d.Freeze(t)
		w.fails(name, "timed out", func() { d.Thaw(t) })
		d.Kill(t)
		w.fails(name, "refused", func() {
			if err := d.Start(); err != nil {
				t.Fatal(err)
			}
		})
	}
	var list struct{ Incidents []api.Incident }
	w.p.Do(t, "GET", "/v1/incidents?state=all", nil).Decode(t, &list)
	var objects []string
	for _, i := range list.Incidents {
		objects = append(objects, i.Object)
		class := "P2"
		if w.critical[i.Object] {
			class = "P0"
		}
		if i.Group != "component" || i.State != "resolved" || i.ResolvedBy != "system" || i.Reopened != 1 || i.Class != class {
			t.Errorf("%s: %+v, want a component's, %s, reopened once and resolved", i.Object, i, class)
		}
	}
	slices.Sort(objects)
	if want := slices.Sorted(slices.Values(names)); !slices.Equal(objects, want) {
		t.Errorf("there are incidents of %v, want one of each: %+v", objects, list.Incidents)
	}
	stories := w.pager.Stories()
	if len(stories) != len(names) {
		t.Errorf("the receiver heard of %d incidents, want %d: %+v", len(stories), len(names), stories)
	}
	for key, story := range stories {
		if got := strings.Join(gantrytest.Actions(story), " "); got != "trigger resolve trigger resolve" {
			t.Errorf("%s of %s: %s", key, story[0].Object, got)
		}
	}
	if n := len(w.pager.Told()); n != 4*len(names) {
		t.Errorf("the receiver was told %d times, want each word once: %d", n, 4*len(names))
	}
}
