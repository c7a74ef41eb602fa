package httpapi_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/health/healthtest"
	"avalo.app/gantry/internal/hostsignal"
	"avalo.app/gantry/internal/httpapi"
	"avalo.app/gantry/internal/ratelimit"
	"avalo.app/gantry/internal/signal"
)

// watched is a surface whose components are what the test stores of them.
type watched struct {
	*fixture
	monitor *health.Monitor
	probes  map[string]*healthtest.Answers
}

// watch builds it. No loop runs: what is measured is what a test says.
func watch(t *testing.T, cs []health.Component, change func(*httpapi.Deps)) *watched {
	t.Helper()
	w := &watched{probes: map[string]*healthtest.Answers{}}
	w.fixture = newFixture(t, func(d *httpapi.Deps) {
		db := d.Audit.(health.Store)
		probers := map[string]health.Prober{}
		for _, c := range cs {
			w.probes[c.Name] = new(healthtest.Answers).OK()
			probers[c.Name] = w.probes[c.Name]
		}
		var err error
		if w.monitor, err = health.NewMonitor(health.Options{Components: cs, Probers: probers, Store: db, Signals: signal.Discard, Now: time.Now, Node: "node", Version: "test"}); err != nil {
			t.Fatal(err)
		}
		beats, err := health.NewHeartbeats(health.HeartbeatOptions{Jobs: []health.Job{{Name: "nightly", Period: 24 * time.Hour}}, Store: db.(health.JobStore), Signals: signal.Discard, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		sources, err := health.NewSources(health.SourceOptions{Sources: []health.Source{{Name: "index", MaxAge: time.Hour}}, Readers: map[string]health.Reader{
			"index": func(context.Context) (time.Time, error) { return time.Time{}, errSecret }}, Store: db.(health.SourceStore), Signals: signal.Discard, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		counts, err := health.NewDiagnostics(map[string]health.Count{
			"payouts.pending":  func(context.Context) (int64, error) { return 0, nil },
			"discovery.active": func(context.Context) (int64, error) { return 7, nil },
			"kyc.pending":      func(context.Context) (int64, error) { return 0, errors.New("no such table") }}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		d.Monitor, d.Heartbeats, d.Sources, d.Diagnostics, d.Discovery = w.monitor, beats, sources, counts, "index"
		d.HostSignals = hostsignal.New(hostsignal.Options{Store: d.Audit.(hostsignal.Store), Now: time.Now})
		d.RateLimitStatus = func(context.Context) (httpapi.RateLimitStatus, error) {
			return httpapi.RateLimitStatus{ActiveWindows: 3, Refused: 5, Top: []ratelimit.ActionCount{{Action: "LOGIN", Count: 4}}}, nil
		}
		if err := errors.Join(beats.Refresh(t.Context()), sources.Refresh(t.Context())); err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(d)
		}
	})
	return w
}

// is stores what a component was measured to be.
func (w *watched) is(t *testing.T, name string, status health.Status, message string) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	o := health.Observation{At: now, Took: 12 * time.Millisecond, Outcome: health.Answered, Message: message, Details: map[string]any{"detail": message}}
	if status == health.Down {
		o.Outcome = health.Failed
	}
	st := health.State{Status: status, Since: now, Tally: health.Tally{Up: 3, Down: 1}}
	r := health.Round{Results: []health.Result{{Component: name, State: st, Last: o}}}
	if err := w.db.SaveHealthRound(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.monitor.Refresh(t.Context()), w.monitor.RefreshUptime(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// public asks without a credential.
func (w *watched) public(path string) *httptest.ResponseRecorder {
	return w.do("GET", path, "", "Authorization", "")
}

// TestHealthWord: the public word is the worst of the app and of Gantry
// itself, on every surface alike.
func TestHealthWord(t *testing.T) {
	ill := errors.New("ill")
	for _, tt := range []struct {
		name, database, search string // statuses; "" is never measured, "-" not configured
		storeErr               error
		failing                int32
		want                   string
		status                 int
	}{
		{name: "nothing configured", database: "-", search: "-", want: "HEALTHY", status: 200},
		{name: "healthy", database: "HEALTHY", search: "HEALTHY", want: "HEALTHY", status: 200},
		{name: "not critical", database: "HEALTHY", search: "DOWN", want: "DEGRADED", status: 200},
		{name: "critical", database: "DOWN", search: "HEALTHY", want: "DOWN", status: 503},
		{name: "slow", database: "DEGRADED", search: "-", want: "DEGRADED", status: 200},
		{name: "never measured", database: "", search: "HEALTHY", want: "DEGRADED", status: 200},
		{name: "background work", database: "HEALTHY", search: "-", failing: 1, want: "DEGRADED", status: 200},
		{name: "own store", database: "-", search: "-", storeErr: ill, want: "DOWN", status: 503},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cs := []health.Component{{Name: "gantry", Kind: "self", PerNode: true, Own: true}}
			for name, status := range map[string]string{"database": tt.database, "search": tt.search} {
				if status != "-" {
					cs = append(cs, health.Component{Name: name, Kind: "tcp", Critical: name == "database", Published: name == "search"})
				}
			}
			w := watch(t, cs, func(d *httpapi.Deps) {
				d.StoreErr, d.Failing = func() error { return tt.storeErr }, func() int32 { return tt.failing }
			})
			for name, status := range map[string]string{"database": tt.database, "search": tt.search} {
				if status != "-" && status != "" {
					w.is(t, name, health.Status(status), "m")
				}
			}
			word := map[string]string{"HEALTHY": "pass ok", "DEGRADED": "warn degraded", "DOWN": "fail down"}[tt.want]
			drafted, legacy, _ := strings.Cut(word, " ")
			got := w.public("/healthz")
			var h struct{ Status, Health, Version string }
			if err := json.Unmarshal(got.Body.Bytes(), &h); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]any{tt.status, drafted, tt.want, "test", "application/health+json"}, []any{got.Code, h.Status, h.Health, h.Version, got.Header().Get("Content-Type")}); d != "" {
				t.Errorf("healthz: %s", d)
			}
			if published := strings.Contains(got.Body.String(), `"search":[{`); published != (tt.search != "-") || strings.Contains(got.Body.String(), "database") {
				t.Errorf("healthz shows %s", got.Body)
			}
			get, call := w.public("/callable/pack100_healthCheck"), w.do("POST", "/callable/pack100_healthCheck", `{"data":null}`, "Authorization", "")
			if want := `"status":"` + legacy + `"`; get.Code != tt.status || call.Code != tt.status || !strings.Contains(get.Body.String(), want) || !strings.Contains(call.Body.String(), `{"result":{`+want) {
				t.Errorf("pack100_healthCheck: %d %s and %d %s, want %d %s", get.Code, get.Body, call.Code, call.Body, tt.status, want)
			}
			if full := w.do("GET", "/v1/health", ""); !strings.HasPrefix(full.Body.String(), `{"status":"`+tt.want+`"`) {
				t.Errorf("the full report says %s", full.Body)
			}
		})
	}
}

// TestHealthCausesNoProbe: a thousand clients of what is public, and a scrape,
// measure nothing; a fresh report does.
func TestHealthCausesNoProbe(t *testing.T) {
	w := watch(t, []health.Component{{Name: "database", Kind: "tcp", Critical: true, Published: true}}, nil)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for range 10 {
				for _, path := range []string{"/healthz", "/readyz", "/status", "/callable/pack100_healthCheck"} {
					if got := w.public(path); got.Code != http.StatusOK {
						t.Errorf("%s: %d", path, got.Code)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, path := range []string{"/metrics", "/v1/health", "/v1/health/uptime", "/v1/diagnostics"} {
		if got := w.do("GET", path, ""); got.Code != http.StatusOK {
			t.Errorf("%s: %d %s", path, got.Code, got.Body)
		}
	}
	if n := w.probes["database"].Asked(); n != 0 {
		t.Errorf("reading caused %d probes", n)
	}
	w.do("GET", "/v1/health?fresh=true", "")
	if n := w.probes["database"].Asked(); n != 1 {
		t.Errorf("a fresh report made %d probes, want 1", n)
	}
}

// TestFreshReportOfWhatHangs answers although nothing does, and names it.
func TestFreshReportOfWhatHangs(t *testing.T) {
	var cs []health.Component
	var want []string
	for i := range 20 {
		cs = append(cs, health.Component{Name: fmt.Sprintf("c%02d", i), Kind: "tcp"})
		want = append(want, cs[i].Name)
	}
	w := watch(t, cs, nil)
	for _, p := range w.probes {
		p.Set(health.Reading{}, nil, time.Hour)
	}
	begin := time.Now()
	got := w.do("GET", "/v1/health?fresh=true", "")
	// Package health holds it to 2 s on a clock of its own; this one is busy.
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	var rep struct {
		Fresh    bool
		TimedOut []string
	}
	if err := json.Unmarshal(got.Body.Bytes(), &rep); err != nil || !rep.Fresh {
		t.Fatal(err, got.Body)
	}
	if d := cmp.Diff(want, rep.TimedOut); d != "" {
		t.Error(d)
	}
}

// TestPublicHidesWhatIsNotPublished plants a secret in every message, detail
// and name, and looks for it wherever anyone may look.
func TestPublicHidesWhatIsNotPublished(t *testing.T) {
	const planted = "s3cr3t-host"
	w := watch(t, []health.Component{{Name: planted, Kind: "postgres", Critical: true}, {Name: "storefront", Kind: "http", Published: true, DependsOn: []string{planted}}}, nil)
	w.is(t, planted, health.Down, "dial "+planted+": password rejected")
	w.is(t, "storefront", health.Down, "GET https://"+planted+"/: refused")
	for _, components := range [][]string{nil, {planted}, {"storefront"}} {
		if _, err := w.monitor.BeginMaintenance(t.Context(), health.Window{Components: components, Until: time.Now().Add(time.Hour), Reason: planted + " is replaced"}, planted); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(w.handler)
	defer server.Close()
	surfaces := map[string]string{"SSE": events(t, server.URL+"/status/events", "", 1)[0]}
	for _, path := range []string{"/healthz", "/status", "/callable/pack100_healthCheck", "/readyz", "/livez"} {
		got := w.public(path)
		surfaces[path] = fmt.Sprint(got.Header(), got.Body)
	}
	for surface, text := range surfaces {
		if strings.Contains(text, planted) {
			t.Errorf("%s shows what is not published: %s", surface, text)
		}
	}
	if !strings.Contains(surfaces["/status"], "storefront") || !strings.Contains(surfaces["SSE"], "storefront") || !strings.Contains(surfaces["/healthz"], "storefront") {
		t.Error("what is published is missing")
	}
	if n := strings.Count(surfaces["/status"], "<strong>Maintenance</strong>"); n != 2 {
		t.Errorf("%d maintenance windows on the page, want that of all and that of storefront", n)
	}
	metrics := w.do("GET", "/metrics", "").Body.String()
	for _, leak := range []string{"password", "refused", "replaced", "https"} {
		if strings.Contains(strings.ReplaceAll(metrics, `outcome="refused"`, ""), leak+" ") || strings.Contains(metrics, planted+":") || strings.Contains(metrics, planted+"/") {
			t.Errorf("metrics hold %q of a message", leak)
		}
	}
	if full := w.do("GET", "/v1/health", "").Body.String(); !strings.Contains(full, "password rejected") {
		t.Errorf("moderators do not see why: %s", full)
	}
}

// events reads so many events of a stream.
func events(t *testing.T, url, key string, n int) (data []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for sc := bufio.NewScanner(res.Body); len(data) < n && sc.Scan(); {
		if text, ok := strings.CutPrefix(sc.Text(), "data: "); ok {
			data = append(data, text)
		}
	}
	if len(data) < n {
		t.Fatalf("%d events of %d, status %d", len(data), n, res.StatusCode)
	}
	return data
}

// TestHealthEvents: each change is an event with the whole report.
func TestHealthEvents(t *testing.T) {
	w := watch(t, []health.Component{{Name: "database", Kind: "tcp", Critical: true}}, nil)
	w.is(t, "database", health.Healthy, "fine")
	server := httptest.NewServer(w.handler)
	defer server.Close()
	heard := make(chan []string, 1)
	go func() { heard <- events(t, server.URL+"/v1/health/events", w.key, 2) }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for ; !strings.Contains(w.do("GET", "/metrics", "").Body.String(), "gantry_health_streams 1"); runtime.Gosched() {
		if ctx.Err() != nil {
			t.Fatal("no stream opens")
		}
	}
	w.is(t, "database", health.Down, "refused")
	got := <-heard
	if !strings.HasPrefix(got[0], `{"status":"HEALTHY"`) || !strings.HasPrefix(got[1], `{"status":"DOWN"`) || !strings.Contains(got[1], `"message":"failed; refused`) {
		t.Errorf("heard %q", got)
	}
}

// TestStatusPage: headers, words and history of the public page.
func TestStatusPage(t *testing.T) {
	w := watch(t, []health.Component{{Name: "storefront", Kind: "http", Published: true}}, nil)
	w.is(t, "storefront", health.Degraded, "slow")
	got := w.public("/status")
	page, policy := got.Body.String(), got.Header().Get("Content-Security-Policy")
	for _, want := range []string{"The service is impaired", "Degraded", "storefront", "<b>75.00 %</b> up", "Measured on 1 of 90 days", `role="status"`, `lang="en"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, tag := range []string{"style", "script"} {
		m := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(page, -1)
		if len(m) != 1 {
			t.Fatalf("%d %s elements", len(m), tag)
		}
		sum := sha256.Sum256([]byte(m[0][1]))
		if !strings.Contains(policy, tag+"-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			t.Errorf("the policy does not allow the page's %s: %s", tag, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(page, "style=") || !strings.HasPrefix(policy, "default-src 'none'") {
		t.Errorf("policy %s", policy)
	}
	if c := got.Header().Get("Cache-Control"); c != "public, max-age=5" {
		t.Errorf("Cache-Control %q", c)
	}
	etag := got.Header().Get("ETag")
	if again := w.do("GET", "/status", "", "Authorization", "", "If-None-Match", etag); etag == "" || again.Code != http.StatusNotModified {
		t.Errorf("%d to If-None-Match %s", again.Code, etag)
	}
	if head := w.do("HEAD", "/status", "", "Authorization", ""); head.Code != http.StatusOK || head.Body.Len() != 0 {
		t.Errorf("HEAD: %d with %d bytes", head.Code, head.Body.Len())
	}
	w.is(t, "storefront", health.Healthy, "fine")
	if page := w.public("/status").Body.String(); !strings.Contains(page, "Everything works") {
		t.Errorf("a change does not show at once: %s", page)
	}
}

// TestLegacyHealth: the shapes that old clients read; what is not known is
// null.
func TestLegacyHealth(t *testing.T) {
	w := watch(t, []health.Component{{Name: "db", Slot: "database", Kind: "tcp"}}, nil)
	w.is(t, "db", health.Healthy, "fine")
	var got map[string]any
	if err := json.Unmarshal(w.do("POST", "/callable/pack100_getSystemHealth", `{"data":{}}`).Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	got = got["result"].(map[string]any)
	entry := func(name, status, message string, ms any, details map[string]any) map[string]any {
		return map[string]any{"component": name, "status": status, "message": message, "responseTimeMs": ms, "details": details}
	}
	empty := map[string]any{}
	const slot = "no component fills this slot"
	want := map[string]any{"success": true,
		"health": map[string]any{"status": "HEALTHY", "timestamp": got["health"].(map[string]any)["timestamp"], "components": []any{
			entry("db", "HEALTHY", "fine", 12.0, map[string]any{"detail": "fine"}),
			entry("functions", "NOT_CONFIGURED", slot, nil, empty), entry("storage", "NOT_CONFIGURED", slot, nil, empty),
			entry("auth", "NOT_CONFIGURED", slot, nil, empty), entry("payments", "NOT_CONFIGURED", slot, nil, empty)}},
		"rateLimiter":    map[string]any{"activeWindows": 3.0, "recentViolations24h": 5.0, "topViolatedActions": []any{map[string]any{"action": "LOGIN", "count": 4.0}}},
		"backgroundJobs": []any{map[string]any{"jobName": "nightly", "lastRunAt": nil, "lastRunStatus": nil, "status": "WAITING", "nextScheduledRun": got["backgroundJobs"].([]any)[0].(map[string]any)["nextScheduledRun"]}},
		"discovery":      map[string]any{"totalProfiles": nil, "activeProfiles": 7.0, "lastIndexUpdate": nil, "indexFreshness": "UNKNOWN"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if at, _ := got["health"].(map[string]any)["timestamp"].(float64); time.Since(time.UnixMilli(int64(at))) > time.Minute {
		t.Errorf("timestamp %v", at)
	}
	body := w.do("POST", "/callable/pack100_admin_getSystemDiagnostics", `{"data":{}}`).Body.String()
	for _, part := range []string{`"success":true`, `"payouts":{"pending":0}`, `"kyc":{"pending":null}`, `"disputes":{"open":null}`, `"sessions":{"active":null}`, `"users":{"active":null,"total":null}`, `"timestamp":1`} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in %s", part, body)
		}
	}
}

// TestHealthWhileTheStoreIsAway: reports are from memory; what only the store
// knows is null.
func TestHealthWhileTheStoreIsAway(t *testing.T) {
	w := watch(t, []health.Component{{Name: "db", Kind: "tcp"}}, func(d *httpapi.Deps) {
		d.StoreErr = func() error { return errSecret }
		d.RateLimitStatus = func(context.Context) (httpapi.RateLimitStatus, error) {
			return httpapi.RateLimitStatus{ActiveWindows: 3}, errSecret
		}
	})
	w.is(t, "db", health.Healthy, "fine")
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	body := w.do("POST", "/callable/pack100_getSystemHealth", `{"data":{}}`).Body.String()
	for _, part := range []string{`"status":"DOWN"`, `"component":"db","status":"HEALTHY"`, `"activeWindows":3,"recentViolations24h":null,"topViolatedActions":null`, `"backgroundJobs":null`, `"indexFreshness":"UNKNOWN"`} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in %s", part, body)
		}
	}
	if strings.Contains(body, "SELECT") || strings.Contains(body, "10.1.2.3") {
		t.Errorf("a cause shows: %s", body)
	}
	if got := w.public("/status"); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), "The service is down") {
		t.Errorf("/status: %d %s", got.Code, got.Body)
	}
	problemOf(t, w.do("GET", "/v1/heartbeats", ""), http.StatusInternalServerError, "INTERNAL")
}

// TestVerdictMetrics: every verdict has its series, from memory.
func TestVerdictMetrics(t *testing.T) {
	w := watch(t, []health.Component{{Name: "db", Slot: "database", Kind: "tcp", Critical: true}}, nil)
	w.is(t, "db", health.Down, "refused")
	text := w.do("GET", "/metrics", "").Body.String()
	for _, want := range []string{
		`gantry_health_status{status="DOWN"} 1`, `gantry_health_status{status="HEALTHY"} 0`,
		`gantry_component_status{component="db",status="DOWN"} 1`, `gantry_component_status{component="db",status="HEALTHY"} 0`,
		`gantry_component_status{component="payments",status="NOT_CONFIGURED"} 1`,
		`gantry_component_response_seconds{component="db"} 0.012`, `gantry_component_measured_timestamp_seconds{component="db"} 1.`,
		"gantry_probes_started_total 0", "gantry_probes_given_up_total 0",
		`gantry_job_status{job="nightly",status="WAITING"} 1`, `gantry_job_status{job="nightly",status="SUCCESS"} 0`,
		`gantry_freshness{freshness="UNKNOWN",source="index"} 1`, `gantry_freshness{freshness="FRESH",source="index"} 0`,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	for _, absent := range []string{`gantry_component_response_seconds{component="payments"}`, "gantry_job_last_success", "gantry_job_last_run", "gantry_freshness_updated"} {
		if strings.Contains(text, "\n"+absent) {
			t.Errorf("%s has a value that nobody measured", absent)
		}
	}
}
