package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/app"
	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/incident"
)

// place is somewhere messages go to. It answers as a test wants, and repeats
// what it was sent, as careless servers do.
type place struct {
	url string

	mu     sync.Mutex
	status int
	answer string
	got    []message
}

// message is one request in the words of PagerDuty, or of Slack.
type message struct {
	path, all string
	Action    string `json:"event_action"`
	Dedup     string `json:"dedup_key"`
	Key       string `json:"routing_key"`
	Text      string `json:"text"`
	Payload   struct{ Summary, Severity, Class string }
}

func newPlace(t *testing.T, status int, answer string) *place {
	t.Helper()
	p := &place{status: status, answer: answer}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		m := message{path: r.URL.Path, all: string(b)}
		_ = json.Unmarshal(b, &m)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.got = append(p.got, m)
		w.WriteHeader(p.status)
		_, _ = io.WriteString(w, strings.ReplaceAll(p.answer, "{body}", string(b)))
	}))
	t.Cleanup(srv.Close)
	p.url = srv.URL
	return p
}

func (p *place) answers(status int, answer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.answer = status, answer
}

func (p *place) messages() []message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

// await asks until ok, and says at last what it saw.
func await(t *testing.T, what string, ok func() (bool, string)) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	last := ""
	for {
		var done bool
		if done, last = ok(); done {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("after a minute: %s: %s", what, last)
		}
	}
}

// read decodes the answer to a GET by a moderator.
func read[T any](t *testing.T, s started, path string) T {
	t.Helper()
	var v T
	status, body := s.do(t, "GET", path, s.creds["moderator"], "")
	if err := json.Unmarshal([]byte(body), &v); err != nil || status != http.StatusOK {
		t.Fatalf("GET %s: %d %s (%v)", path, status, body, err)
	}
	return v
}

type incidentList struct{ Incidents []api.Incident }

const routingKey = "R0123456789ABCDEF0123456789ABCDE"

// watched is the program with a payments component that is up or down as the
// place is, an on-call by PagerDuty, a chat, and a chat that refuses.
func watched(t *testing.T) (s started, payments, oncall, team, broken *place) {
	t.Helper()
	payments, oncall = newPlace(t, 200, ""), newPlace(t, 202, `{"status":"success"}`)
	team, broken = newPlace(t, 503, "busy"), newPlace(t, 400, "no such hook: {body}")
	s = start(t, func(c *config.Config) {
		second := config.Duration(time.Second)
		c.Health.Components = map[string]config.Component{"stripe": {Slot: "payments", Interval: second, FailureThreshold: 1, SuccessThreshold: 1,
			HTTP: &config.HTTPProbe{URL: config.NewSecret(payments.url)}}}
		c.Incidents.Receivers = map[string]config.Receiver{
			"oncall": {Channels: []string{"pager"}, PagerDuty: &config.PagerDutyReceiver{URL: oncall.url, RoutingKey: config.NewSecret(routingKey)}},
			"team":   {Channels: []string{"chat"}, Slack: &config.SlackReceiver{WebhookURL: config.NewSecret(team.url + "/services/T0/B0/hook-secret")}},
			"broken": {Channels: []string{"chat"}, Slack: &config.SlackReceiver{WebhookURL: config.NewSecret(broken.url + "/services/T0/B0/hook-secret")}},
		}
	})
	return s, payments, oncall, team, broken
}

// deliveries are an incident's to one receiver, as "action state".
func deliveries(d api.IncidentDetail, receiver string) (out []string) {
	for _, x := range d.Deliveries {
		if x.Receiver == receiver {
			out = append(out, x.Action+" "+x.State)
		}
	}
	return out
}

// TestIncidentFromFailureToResolve: a component that goes down is one
// incident; it pages, is acknowledged over HTTP, resolves when the component
// returns, and the outbox has what each receiver said. One that is away gets
// its messages later; one that refuses is reported itself.
func TestIncidentFromFailureToResolve(t *testing.T) {
	t.Parallel()
	s, payments, oncall, team, _ := watched(t)
	if got := read[incidentList](t, s, "/v1/incidents?object=stripe&state=all"); len(got.Incidents) != 0 {
		t.Fatalf("before the failure: %+v", got)
	}
	payments.answers(500, "")
	var id string
	await(t, "an open P0 about stripe", func() (bool, string) {
		got := read[incidentList](t, s, "/v1/incidents?object=stripe").Incidents
		for _, i := range got {
			if i.Class == "P0" && i.State == "open" && i.Group == "component" {
				id = i.ID
			}
		}
		return id != "", fmt.Sprintf("%+v", got)
	})
	await(t, "on-call paged, the broken chat closed, the team waiting", func() (bool, string) {
		d := read[api.IncidentDetail](t, s, "/v1/incidents/"+id)
		seen := fmt.Sprint(deliveries(d, "oncall"), deliveries(d, "broken"), deliveries(d, "team"))
		i := slices.IndexFunc(d.Deliveries, func(x api.IncidentDelivery) bool {
			return x.Receiver == "team" && x.Attempts > 0 && strings.Contains(x.Answer, "503") && x.NextAt != nil
		})
		return seen == "[trigger delivered] [trigger failed] [trigger pending]" && i >= 0, seen
	})
	if status, body := s.do(t, "POST", "/v1/incidents/"+id+"/resolve", s.creds["moderator"], ""); status != http.StatusForbidden {
		t.Errorf("a moderator resolves: %d %s", status, body)
	}
	status, body := s.do(t, "POST", "/v1/incidents/"+id+"/acknowledge", s.creds["moderator"], `{"note":"calling the provider"}`)
	if status != http.StatusOK || !strings.Contains(body, `"acknowledged"`) {
		t.Fatalf("acknowledge: %d %s", status, body)
	}
	if status, body := s.do(t, "POST", "/v1/incidents/"+id+"/acknowledge", s.creds["moderator"], ""); status != http.StatusConflict {
		t.Errorf("acknowledge again: %d %s", status, body)
	}
	team.answers(200, "ok")
	await(t, "the acknowledgement at all who take messages", func() (bool, string) {
		d := read[api.IncidentDetail](t, s, "/v1/incidents/"+id)
		seen := fmt.Sprint(deliveries(d, "oncall"), deliveries(d, "team"))
		return seen == "[trigger delivered acknowledge delivered] [trigger delivered acknowledge delivered]", seen
	})
	payments.answers(200, "")
	await(t, "resolved, and everybody told", func() (bool, string) {
		d := read[api.IncidentDetail](t, s, "/v1/incidents/"+id)
		seen := d.State + " " + d.ResolvedBy + fmt.Sprint(deliveries(d, "oncall"), deliveries(d, "team"))
		return seen == "resolved system[trigger delivered acknowledge delivered resolve delivered] [trigger delivered acknowledge delivered resolve delivered]", seen
	})
	if got := read[incidentList](t, s, "/v1/incidents?object=stripe&state=all").Incidents; len(got) != 1 {
		t.Errorf("one failure is %d incidents: %+v", len(got), got)
	}
	checkTrail(t, s, id, oncall)
	await(t, "the broken chat reported", func() (bool, string) {
		got := read[incidentList](t, s, "/v1/incidents?object=broken").Incidents
		return len(got) == 1 && got[0].Group == "receiver_failing" && got[0].Class == "P2", fmt.Sprintf("%+v", got)
	})
}

// checkTrail looks at what the incident left: at PagerDuty, in the timeline,
// in the audit log, in the metrics.
func checkTrail(t *testing.T, s started, id string, oncall *place) {
	t.Helper()
	d := read[api.IncidentDetail](t, s, "/v1/incidents/"+id)
	var actions []string
	for _, m := range oncall.messages() {
		if m.Dedup != d.Deliveries[0].DedupKey {
			continue // about the broken receiver
		}
		actions = append(actions, m.Action)
		if m.path != "/v2/enqueue" || m.Key != routingKey || m.Action == "trigger" && (m.Payload.Severity != "critical" || !strings.Contains(m.Payload.Summary, "stripe")) {
			t.Errorf("PagerDuty got %s", m.all)
		}
	}
	if got := strings.Join(actions, " "); got != "trigger acknowledge resolve" {
		t.Errorf("PagerDuty got %q by one key", got)
	}
	var kinds []string
	for _, u := range d.Updates {
		if u.Kind != "sent" && u.Kind != "rule" {
			kinds = append(kinds, u.Kind)
		}
	}
	if got := strings.Join(kinds, " "); got != "opened acknowledged resolved" {
		t.Errorf("timeline %v", d.Updates)
	}
	if log := s.want(t, 200, "GET", "/v1/audit/entries", ""); !strings.Contains(log, "incident.acknowledged") {
		t.Errorf("the audit log lacks the acknowledgement: %s", log)
	}
	metrics := s.want(t, 200, "GET", "/metrics", "")
	for _, line := range []string{`gantry_incident_deliveries_total{outcome="accepted",receiver="oncall"}`, `gantry_incident_deliveries_total{outcome="refused",receiver="broken"}`,
		`gantry_incident_deliveries_total{outcome="retry",receiver="team"}`, `gantry_signals_dropped_total 0`} {
		if !strings.Contains(metrics, line) || strings.Contains(metrics, line+" 0\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
	detail := s.want(t, 200, "GET", "/v1/incidents/"+id, "")
	for _, secret := range []string{routingKey, "hook-secret"} {
		if strings.Contains(detail+metrics, secret) {
			t.Errorf("a secret is shown: %s", secret)
		}
	}
}

// TestAlertTest: a test goes through the real drivers, ends what it began, and
// answers what each receiver said, without secrets.
func TestAlertTest(t *testing.T) {
	t.Parallel()
	s, _, oncall, team, broken := watched(t)
	oncall.answers(202, "queued by {body}")
	team.answers(200, "ok")
	var out struct{ Receivers []api.AlertTest }
	body := s.want(t, 200, "POST", "/v1/alerts/test", `{"class":"P1"}`)
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range out.Receivers {
		steps := ""
		for _, x := range r.Steps {
			steps += fmt.Sprintf(" %s:%t", x.Action, x.Accepted)
		}
		got[r.Receiver] = fmt.Sprintf("%s %t%s", r.Kind, r.OK, steps)
	}
	want := "map[broken:slack false trigger:false resolve:false oncall:pagerduty true trigger:true resolve:true team:slack true trigger:true resolve:true]"
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
	if strings.Contains(body, routingKey) || strings.Contains(body, "hook-secret") || !strings.Contains(body, "no such hook") {
		t.Errorf("the answer must say what receivers said, and no secret: %s", body)
	}
	ms := oncall.messages()
	if len(ms) != 2 || ms[0].Action != "trigger" || ms[0].Payload.Severity != "error" || ms[1].Action != "resolve" || ms[0].Dedup != ms[1].Dedup || ms[0].Dedup == "" {
		t.Errorf("PagerDuty got %+v", ms)
	}
	if n := len(broken.messages()); n != 2 {
		t.Errorf("a refused trigger is followed by its resolve all the same: %d messages", n)
	}
	s.want(t, 200, "POST", "/v1/alerts/test", `{"receiver":"oncall"}`)
	if ms = oncall.messages(); len(ms) != 4 || ms[2].Payload.Severity != "info" || ms[2].Dedup == ms[0].Dedup {
		t.Errorf("a test that names no class wakes nobody, and is another one: %+v", ms)
	}
	s.want(t, 404, "POST", "/v1/alerts/test", `{"receiver":"nobody"}`)
	s.want(t, 400, "POST", "/v1/alerts/test", `{"class":"P9"}`)
	again := read[struct{ Receivers []api.AlertReceiver }](t, s, "/v1/alerts/receivers").Receivers
	if len(again) != 3 || again[1].Name != "oncall" || again[1].Kind != "pagerduty" || again[1].Pending != 0 {
		t.Errorf("receivers %+v", again)
	}
}

// TestRulesSayWhoIsTold: the table names rules that tell nobody.
func TestRulesSayWhoIsTold(t *testing.T) {
	t.Parallel()
	none := read[api.IncidentRules](t, start(t, nil), "/v1/incidents/rules")
	if len(none.Rules) < 25 || len(none.Unreached) != len(none.Rules) {
		t.Errorf("without receivers %d of %d rules tell nobody", len(none.Unreached), len(none.Rules))
	}
	s := start(t, func(c *config.Config) {
		ping := func(channels []string, level int) config.Receiver {
			return config.Receiver{Channels: channels, Level: level, Webhook: &config.WebhookReceiver{URL: "http://127.0.0.1:9", Secrets: config.NewSecret("whsec_" + hookKey)}}
		}
		c.Incidents.Receivers = map[string]config.Receiver{"ops": ping([]string{"pager"}, 0), "lead": ping([]string{"pager"}, 1), "cto": ping([]string{"pager"}, 2)}
		c.Incidents.Delay.P1 = config.Duration(2 * time.Minute)
		c.Incidents.Rules = map[string]config.RuleOverride{"job_failed": {Class: "P1"}}
	})
	got := map[string]string{}
	for _, r := range read[api.IncidentRules](t, s, "/v1/incidents/rules").Rules {
		text := fmt.Sprintf("%s %t %t", r.Class, r.Changed, r.Fallback)
		for _, to := range r.Tells {
			text += " " + to.Receiver + "/" + to.Wait
		}
		got[r.Name] = text
	}
	for rule, want := range map[string]string{
		"component_down": "P0 false false ops/0s lead/10m0s cto/20m0s", "error_rate": "P1 false false ops/2m0s lead/32m0s cto/1h2m0s", "job_failed": "P1 true true ops/2m0s",
		"freshness_stale": "P2 false true ops/0s", "config_minor": "P3 false true ops/next business morning",
	} {
		if got[rule] != want {
			t.Errorf("%s: %s, want %s", rule, got[rule], want)
		}
	}
}

// TestIncidentsDocument: the rule table of the document is that of the
// program, and its configuration is valid and tells somebody of every rule.
func TestIncidentsDocument(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/INCIDENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	var rows []string
	_, rest, _ := strings.Cut(doc, "<!-- test:rules -->")
	rest, _, _ = strings.Cut(rest, "\n\n")
	for line := range strings.Lines(rest) {
		if cells := strings.Split(line, " | "); len(cells) == 5 {
			rows = append(rows, strings.Join(cells[:4], " | "))
		}
	}
	want := []string{"| rule | class | after | channels"}
	for _, r := range incident.Rules() {
		want = append(want, fmt.Sprintf("| %s | %s | %s | %s", r.Name, r.Class, r.After, strings.Trim(strings.ReplaceAll(fmt.Sprint(r.Channels), " ", ", "), "[]")))
	}
	if d := cmp.Diff(want, rows); d != "" {
		t.Error(d)
	}
	_, example, _ := strings.Cut(doc, "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	path := filepath.Join(t.TempDir(), "gantry.yaml")
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, func(name string) (string, bool) {
		return "https://example.com/" + name, strings.ToUpper(name) == name && name != "" && !strings.HasPrefix(name, "GANTRY")
	})
	if err != nil {
		t.Fatal(err)
	}
	if notes := cfg.Notes(); len(notes) != 0 {
		t.Errorf("the example is not as it should be: %+v", notes)
	}
}

// TestOldCountsAreNotShown: a node that has not read incidents lately shows
// none, rather than that there are none.
func TestOldCountsAreNotShown(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.DataDir, cfg.Server.Listen = t.TempDir(), "127.0.0.1:0"
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test", Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.Background()); err != nil { // the test's context is over
			t.Error(err)
		}
	})
	series := func() (incidents, age int) {
		t.Helper()
		families, err := a.Registry().Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			switch f.GetName() {
			case "gantry_incidents":
				incidents = len(f.GetMetric())
			case "gantry_incident_counts_age_seconds":
				age = len(f.GetMetric())
			}
		}
		return incidents, age
	}
	if n, age := series(); n != 0 || age != 0 {
		t.Errorf("before the first count: %d series, %d of age", n, age)
	}
	if err := a.CountIncidents(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, age := series(); n != 8 || age != 1 { // four classes, open or acknowledged
		t.Errorf("after a count: %d series, %d of age", n, age)
	}
	a.AgeCounts(31 * time.Second)
	if n, age := series(); n != 0 || age != 1 {
		t.Errorf("of an old count: %d series, %d of age", n, age)
	}
}

// TestAlertsOutlastTheirRepeats: two repeats may be lost before an alert ends
// in Alertmanager.
func TestAlertsOutlastTheirRepeats(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ repeat, heartbeat, want time.Duration }{
		{0, 0, 10 * time.Minute}, {time.Minute, 0, 10 * time.Minute}, {time.Hour, 0, 3 * time.Hour}, {time.Minute, 2 * time.Hour, 6 * time.Hour},
	} {
		if got := app.Lasts(config.Receiver{Repeat: config.Duration(tt.repeat), Heartbeat: config.Duration(tt.heartbeat)}); got != tt.want {
			t.Errorf("repeat %v, heartbeat %v: %v, want %v", tt.repeat, tt.heartbeat, got, tt.want)
		}
	}
}
