package interop_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"avalo.app/gantry/internal/gantrytest"
)

func deployed(name ...string) string {
	return filepath.Join(append([]string{"..", "deploy"}, name...)...)
}

// promtool runs a check over what it is given.
func promtool(t *testing.T, in []byte, args ...string) {
	t.Helper()
	cmd := exec.Command("promtool", args...)
	cmd.Stdin = bytes.NewReader(in)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v (apt-get install prometheus): %v\n%s", args, err, out)
	}
}

// busy is a running Gantry that has done a little of everything, and its
// metrics.
func busy(t *testing.T) (p *gantrytest.Process, scrape string) {
	t.Helper()
	// The receiver is away: nothing listens on the port of discard.
	p = gantrytest.Start(t, gantrytest.Options{Binary: binary, Config: `
health:
  components: {api: {interval: 1s, http: {url: "http://127.0.0.1:9/"}}}
  jobs: {nightly: {schedule: "0 3 * * *"}}
  freshness: {index: {max_age: 1h, url: "http://127.0.0.1:9/", field: at}}
incidents:
  receivers:
    team: {channels: [chat], slack: {webhook_url: "http://127.0.0.1:9/services/x"}}
`})
	p.Do(t, "POST", "/v1/ratelimit/check", map[string]any{"action": "LOGIN", "user": "a", "ip": "203.0.113.9"})
	if status, _, _ := get(t, "nobody", p.URL+"/v1/keys"); status != http.StatusUnauthorized {
		t.Fatalf("no credential: %d", status)
	}
	for range 200 {
		scrape = metricsOf(t, p)
		if !slices.ContainsFunc([]string{"gantry_incidents{", "gantry_component_response_seconds{", "gantry_job_status{", "gantry_freshness{"}, func(name string) bool { return !strings.Contains(scrape, "\n"+name) }) {
			return p, scrape
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("incidents or health are not counted:\n%s", scrape)
	return nil, ""
}

func metricsOf(t *testing.T, p *gantrytest.Process) string {
	t.Helper()
	return string(ask(t, p.URL+"/metrics", p.Key))
}

// ask sends a GET that must succeed.
func ask(t *testing.T, address, key string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d %s (%v)", address, res.StatusCode, b, err)
	}
	return b
}

var metricName = regexp.MustCompile(`\b(?:gantry|process)_[a-z0-9_]+`)

// TestPrometheusRules: the rules are well-formed, every alert has a test in
// which it fires and one in which it does not, and the tests pass.
func TestPrometheusRules(t *testing.T) {
	promtool(t, nil, "check", "rules", deployed("prometheus", "gantry-rules.yml"))
	promtool(t, nil, "test", "rules", deployed("prometheus", "gantry-rules-test.yml"))
	tests := string(readFile(t, deployed("prometheus", "gantry-rules-test.yml")))
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllSubmatch(readFile(t, deployed("prometheus", "gantry-rules.yml")), -1)
	if len(alerts) < 20 {
		t.Errorf("%d alerts", len(alerts))
	}
	for _, m := range alerts {
		name := string(m[1])
		if name == "GantryWatchdog" {
			continue // it always fires
		}
		if !strings.Contains(tests, name+" fires") || !strings.Contains(tests, name+" does not fire") {
			t.Errorf("%s has no test", name)
		}
	}
}

// TestMetricsExist: a scrape is well-formed by Prometheus' own linter, and
// has every metric that the rules and the dashboard name.
func TestMetricsExist(t *testing.T) {
	_, scrape := busy(t)
	promtool(t, []byte(scrape), "check", "metrics")
	for _, path := range []string{deployed("prometheus", "gantry-rules.yml"), deployed("grafana", "gantry.json")} {
		text := readFile(t, path)
		if filepath.Ext(path) == ".json" && !json.Valid(text) {
			t.Errorf("%s is no JSON", path)
		}
		var names []string
		for _, m := range metricName.FindAll(text, -1) {
			names = append(names, string(m))
		}
		slices.Sort(names)
		names = slices.Compact(names)
		if len(names) < 10 {
			t.Errorf("%s names %v only", path, names)
		}
		for _, name := range names {
			if found := strings.Contains(scrape, "\n"+name+" ") || strings.Contains(scrape, "\n"+name+"{"); !found {
				t.Errorf("%s names %s, which a scrape does not have", path, name)
			}
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// freeAddress is one that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// background runs a server until the test ends, and waits until it is ready.
func background(t *testing.T, ready string, name string, args ...string) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s is needed for this test (scripts/deps.sh installs it): %v", name, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", name, log.String())
		}
	})
	for range 400 {
		if res, err := http.Get(ready); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s is not ready", name)
}

// TestPrometheusScrapes: a real Prometheus scrapes Gantry with a moderator's
// key as documented, loads the rules, and evaluates them.
func TestPrometheusScrapes(t *testing.T) {
	p, _ := busy(t)
	rules, err := filepath.Abs(deployed("prometheus", "gantry-rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(`global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - job_name: gantry
    authorization: {credentials: %q}
    static_configs: [{targets: [%q]}]
`, rules, newKey(t, p, "moderator"), strings.TrimPrefix(p.URL, "http://"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, nil, "check", "config", config)
	address := freeAddress(t)
	background(t, "http://"+address+"/-/ready", "prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	awaitQuery(t, address, `gantry_store_up{job="gantry"} and on (instance) up == 1`, "1")
	awaitQuery(t, address, `ALERTS{alertname="GantryWatchdog",alertstate="firing"}`, "1")
	awaitQuery(t, address, `count(gantry_incidents{job="gantry"})`, "8")
	if body := ask(t, "http://"+address+"/api/v1/rules", ""); bytes.Contains(body, []byte(`"health":"err"`)) || !bytes.Contains(body, []byte("GantryStoreDown")) {
		t.Errorf("rules fail: %s", body)
	}
}

// awaitQuery asks Prometheus until the one sample has the value.
func awaitQuery(t *testing.T, address, query, want string) {
	t.Helper()
	var body []byte
	for range 400 {
		body = ask(t, "http://"+address+"/api/v1/query?query="+url.QueryEscape(query), "")
		var out struct {
			Data struct{ Result []struct{ Value [2]any } }
		}
		if err := json.Unmarshal(body, &out); err != nil {
			t.Fatal(err)
		}
		if len(out.Data.Result) == 1 && out.Data.Result[0].Value[1] == want {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("%s is not %s: %s", query, want, body)
}
