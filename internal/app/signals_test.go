package app_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/app"
	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/signal"
)

// row is a rule of system.md section 8, where its fact comes from, and what
// ends it.
type row struct {
	rule, object string
	class        string
	channels     string // whose receivers are told, in the order of the alphabet
	source       string
	raise, clear func(t *testing.T)
	passes       bool // it ends when time passes and nothing more is reported
}

// host is what Gantry watches in these tests: servers that are well or not,
// receivers, and the store's file.
type host struct {
	started
	dir                                         string
	payments, cache, pager, chat, email, broken *place
	renewed                                     atomic.Int64 // how long ago the index was, in nanoseconds
	full                                        atomic.Bool  // the disk
	clock                                       atomic.Pointer[atomic.Int64]
}

const second = config.Duration(time.Second)

// probeOf is a component that is measured every second, and is what its last
// measurement was.
func probeOf(p *place) config.Component {
	return config.Component{Interval: second, Timeout: second, FailureThreshold: 1, SuccessThreshold: 1, HTTP: &config.HTTPProbe{URL: config.NewSecret(p.url)}}
}

// toldBy is a receiver by channel.
func toldBy(p *place, channel string) config.Receiver {
	return config.Receiver{Channels: []string{channel}, Webhook: &config.WebhookReceiver{URL: p.url, Secrets: config.NewSecret("whsec_" + hookKey)}}
}

func startHost(t *testing.T, change func(*host, *config.Config)) *host {
	t.Helper()
	h := &host{payments: newPlace(t, 200, ""), cache: newPlace(t, 200, ""), pager: newPlace(t, 200, ""), chat: newPlace(t, 200, ""), email: newPlace(t, 200, ""), broken: newPlace(t, 400, "")}
	index := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]time.Time{"updatedAt": h.now().Add(-time.Duration(h.renewed.Load()))})
	}))
	t.Cleanup(index.Close)
	h.started = startWith(t, func(c *config.Config) {
		h.dir = c.DataDir
		payments := probeOf(h.payments)
		payments.Slot = "payments"
		c.Health.Components = map[string]config.Component{"stripe": payments, "cache": probeOf(h.cache)}
		c.Health.Jobs = map[string]config.Job{"nightly": {Period: config.Duration(time.Hour), Grace: config.Duration(time.Minute)}, "export": {Period: config.Duration(100 * time.Hour)}}
		c.Health.Freshness = map[string]config.Freshness{"index": {MaxAge: config.Duration(10 * time.Minute), Every: second, URL: config.NewSecret(index.URL), Field: "updatedAt"}}
		c.Signals.ViolationsPerHour, c.Signals.AuthFailuresPerHour = 10, 5
		c.Incidents.Receivers = map[string]config.Receiver{"pager": toldBy(h.pager, "pager"), "chat": toldBy(h.chat, "chat"), "email": toldBy(h.email, "email")}
		if change != nil {
			change(h, c)
		}
	}, func(a *app.App) {
		a.SetDisk(func(_ string, st *syscall.Statfs_t) error {
			st.Blocks, st.Bavail = 100, 90
			if h.full.Load() {
				st.Bavail = 1
			}
			return nil
		})
	})
	h.clock.Store(h.ahead)
	return h
}

// again starts another program on the directory of one that stopped. Its
// credentials are those of the first.
func again(t *testing.T, dir string, first *host) *host {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir, cfg.Server.Listen = dir, "127.0.0.1:0"
	cfg.Incidents.Receivers = map[string]config.Receiver{"pager": toldBy(first.pager, "pager"), "chat": toldBy(first.chat, "chat"), "email": toldBy(first.email, "email")}
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test", Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.Background()); err != nil { // the test's context is over
			t.Error(err)
		}
	})
	return &host{started: started{url: "http://" + a.Addr(), creds: first.creds, app: a}}
}

// now is the program's clock.
func (h *host) now() time.Time {
	if ahead := h.clock.Load(); ahead != nil {
		return time.Now().Add(time.Duration(ahead.Load()))
	}
	return time.Now() // it is starting
}

// later lets time pass, and waits until the keys are read again.
func (h *host) later(t *testing.T, d time.Duration) {
	t.Helper()
	h.advance(d)
	await(t, "keys are read again", func() (bool, string) {
		status, body := h.do(t, "GET", "/v1/incidents", h.creds["moderator"], "")
		return status == http.StatusOK, body
	})
}

// sql changes the store behind the program's back.
func (h *host) sql(t *testing.T, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(h.dir, "gantry.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(context.WithoutCancel(t.Context()), query); err != nil {
		t.Fatal(err)
	}
}

// post sends as the host does.
func (h *host) post(t *testing.T, path, body string) {
	t.Helper()
	if status, answer := h.do(t, "POST", path, h.creds["app"], body, "Idempotency-Key", fmt.Sprint(path, body, time.Now().UnixNano())); status/100 != 2 {
		t.Fatalf("POST %s: %d %s", path, status, answer)
	}
}

// about are the incidents of an object, the last opened first.
func (h *host) about(t *testing.T, object string) []api.Incident {
	t.Helper()
	return read[incidentList](t, h.started, "/v1/incidents?state=all&object="+object).Incidents
}

// incident is the one about an object that a rule belongs to.
func (h *host) incident(t *testing.T, r row) (api.Incident, bool) {
	t.Helper()
	for _, i := range h.about(t, r.object) {
		if slices.Contains(i.Rules, r.rule) {
			return i, true
		}
	}
	return api.Incident{}, false
}

// told are the channels whose receivers heard of an incident.
func told(i api.Incident) string {
	var names []string
	for _, n := range i.Told {
		if n.Receiver != "broken" {
			names = append(names, n.Receiver)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// opened waits until what a row raised is an incident as the table says.
func (h *host) opened(t *testing.T, r row) {
	t.Helper()
	await(t, r.rule+" of "+r.object+" is raised by "+r.source, func() (bool, string) {
		i, ok := h.incident(t, r)
		want, tells := r.class+" "+r.channels, told(i)
		if r.class == "P3" { // nobody is told before the morning
			tells = h.tells(t, r.rule)
		}
		return ok && i.State != "resolved" && i.Class+" "+tells == want, fmt.Sprintf("want %s: %+v", want, i)
	})
}

// tells are the channels whose receivers a rule will tell.
func (h *host) tells(t *testing.T, rule string) string {
	t.Helper()
	i := api.Incident{}
	for _, r := range read[api.IncidentRules](t, h.started, "/v1/incidents/rules").Rules {
		for _, to := range r.Tells {
			if r.Name == rule {
				i.Told = append(i.Told, api.IncidentNotice{Receiver: to.Receiver})
			}
		}
	}
	return told(i)
}

// over waits until a row's incident resolved by itself, and whoever was told
// of it heard the end.
func (h *host) over(t *testing.T, r row) {
	t.Helper()
	await(t, r.rule+" of "+r.object+" is cleared", func() (bool, string) {
		i, ok := h.incident(t, r)
		ok = ok && i.State == "resolved" && i.ResolvedBy == "system"
		for _, n := range i.Told {
			ok = ok && n.Action == "resolve"
		}
		return ok, fmt.Sprintf("%+v", i)
	})
}

const (
	everyone = "chat email pager"
	onCall   = "chat pager"
	chatOnly = "chat"
	later    = "chat email"
)

// nothing is how what passes is cleared.
func nothing(*testing.T) {}

// counts is a row that the host's counts raise.
func (h *host) counts(rule, object, class, channels, body string) row {
	return row{rule: rule, object: object, class: class, channels: channels, source: "POST /v1/signals", passes: true, clear: nothing,
		raise: func(t *testing.T) { h.post(t, "/v1/signals", `{"signals":[`+body+`]}`) }}
}

// sink is a row whose feature is to come: it will tell its facts so.
func (h *host) sink(rule, object, class, channels string) row {
	tell := func(failing bool) func(*testing.T) {
		return func(*testing.T) {
			h.app.Signal(signal.Fact{Rule: rule, Object: object, Failing: failing, Value: "told by the test"})
		}
	}
	return row{rule: rule, object: object, class: class, channels: channels, source: "the signal sink, as the feature to come will", raise: tell(true), clear: tell(false)}
}

// rows are all rows of section 8 that can fail at once in one program.
func (h *host) rows() []row {
	answer := func(p *place, status int) func(*testing.T) { return func(*testing.T) { p.answers(status, "") } }
	beat := func(job, kind string) func(*testing.T) {
		return func(t *testing.T) { h.post(t, "/v1/heartbeats/"+job, `{"kind":"`+kind+`"}`) }
	}
	var reserved string
	return []row{
		{rule: "component_down", object: "stripe", class: "P0", channels: everyone, source: "a probe of the payments component", raise: answer(h.payments, 500), clear: answer(h.payments, 200)},
		{rule: "component_impaired", object: "cache", class: "P2", channels: chatOnly, source: "a probe of a component that is not critical", raise: answer(h.cache, 500), clear: answer(h.cache, 200)},
		h.counts("payment_failed", "adyen", "P0", everyone, `{"type":"payment_failed","object":"adyen","count":1}`),
		h.counts("security_event", "login", "P0", everyone, `{"type":"security_event","object":"login","count":1}`),
		h.counts("query_error", "ledger", "P1", onCall, `{"type":"query_error","object":"ledger","count":3}`),
		h.counts("error_rate", "api", "P1", onCall, `{"type":"requests","object":"api","count":100},{"type":"errors","object":"api","count":6}`),
		{rule: "violations_high", object: "all", class: "P2", channels: chatOnly, source: "requests over a limit", passes: true, clear: nothing, raise: func(t *testing.T) {
			refused := 0
			for range 115 { // of which 100 pass
				if status, _ := h.do(t, "POST", "/v1/ratelimit/check", h.creds["app"], `{"action":"MESSAGE_SEND","user":"mallory"}`); status == http.StatusTooManyRequests {
					refused++
				}
			}
			if refused < 11 {
				t.Errorf("%d refused", refused)
			}
		}},
		{rule: "auth_failures", object: "all", class: "P2", channels: chatOnly, source: "credentials that are wrong", passes: true, clear: nothing, raise: func(t *testing.T) {
			for range 40 { // of which 30 are let try
				h.do(t, "GET", "/v1/keys", "gk_bad", "")
			}
		}},
		{rule: "launch_misconfigured", object: "CLOSED_BETA", class: "P2", channels: chatOnly, source: "a blocked country that a phase opens by name", raise: func(t *testing.T) {
			h.want(t, 200, "PUT", "/v1/launch/mode", `{"mode":"CLOSED_BETA","reason":"Opening the beta"}`)
			h.want(t, 200, "PUT", "/v1/launch/phases/CLOSED_BETA?reason=Two+countries+at+first", `{"countries":["PL","DE"],"dailyCap":3}`)
			var r struct{ ID string }
			_, body := h.do(t, "POST", "/v1/signups", h.creds["app"], `{"country":"DE","userId":"e","inviteCode":"`+h.code(t, 1)+`","ttlSeconds":3600}`)
			if err := json.Unmarshal([]byte(body), &r); err != nil || r.ID == "" {
				t.Fatalf("reserve: %s", body)
			}
			reserved = r.ID
			h.want(t, 200, "PUT", "/v1/launch/settings?reason=Sanctions+on+a+country", `{"timeZone":"UTC","blockedCountries":["DE"],"reservationTTL":"15m","hookTTL":"24h"}`)
		}, clear: func(t *testing.T) {
			h.want(t, 200, "PUT", "/v1/launch/settings?reason=Sanctions+are+over", `{"timeZone":"UTC","blockedCountries":[],"reservationTTL":"15m","hookTTL":"24h"}`)
		}},
		{rule: "signup_unbacked", object: "signups", class: "P2", channels: chatOnly, source: "a signup that is confirmed and has no slot", raise: func(t *testing.T) {
			if status, body := h.do(t, "POST", "/v1/signups/"+reserved+"/confirm", h.creds["app"], ""); status != http.StatusConflict {
				t.Fatalf("confirm: %d %s", status, body)
			}
		}, clear: func(t *testing.T) {
			if status, body := h.do(t, "DELETE", "/v1/signups/"+reserved, h.creds["app"], ""); status != http.StatusOK {
				t.Fatalf("release: %d %s", status, body)
			}
		}},
		{rule: "job_failed", object: "export", class: "P2", channels: chatOnly, source: "a heartbeat", raise: beat("export", "fail"), clear: beat("export", "success")},
		{rule: "job_overdue", object: "nightly", class: "P2", channels: chatOnly, source: "a heartbeat that does not come", raise: nothing, clear: beat("nightly", "success")},
		{rule: "freshness_stale", object: "index", class: "P2", channels: chatOnly, source: "a URL with an old moment",
			raise: func(*testing.T) { h.renewed.Store(int64(11 * time.Minute)) }, clear: func(*testing.T) { h.renewed.Store(0) }},
		{rule: "disk_low", object: "data_dir", class: "P2", channels: chatOnly, source: "the disk's free space", raise: func(*testing.T) { h.full.Store(true) }, clear: func(*testing.T) { h.full.Store(false) }},
		{rule: "background_failing", object: "read_health", class: "P2", channels: chatOnly, source: "a loop that cannot read the store",
			raise: func(t *testing.T) { h.sql(t, "ALTER TABLE health_windows RENAME TO aside") }, clear: func(t *testing.T) { h.sql(t, "ALTER TABLE aside RENAME TO health_windows") }},
		{rule: "receiver_failing", object: "broken", class: "P2", channels: everyone, source: "a receiver that refuses what the others accept", raise: nothing, clear: func(t *testing.T) {
			h.broken.answers(200, "")
			h.want(t, 200, "POST", "/v1/alerts/test", `{"receiver":"broken"}`)
		}},
		h.sink("ratelimit_degraded", "counters", "P1", onCall), // counters in memory do not fail
		h.sink("integrity_failed", "creator_balances", "P0", everyone),
		h.sink("backup_failed", "earnings_ledger", "P1", onCall),
		h.sink("backup_overdue", "payout_requests", "P1", onCall),
		h.sink("drill_missed", "critical", "P1", onCall),
		h.sink("backup_warning", "user_sessions", "P2", chatOnly),
		h.sink("ops_overdue", "weekly", "P2", chatOnly),
		h.sink("readiness_warn", "load_test", "P3", later),
	}
}

// TestEveryRuleIsRaisedAndCleared goes through the table of section 8: each
// row is raised by its source and by nothing else, as an incident of the
// table's class that tells the table's channels, and ends by itself. Features
// that are to come are represented by what they will call.
func TestEveryRuleIsRaisedAndCleared(t *testing.T) {
	t.Parallel()
	h := startHost(t, func(h *host, c *config.Config) { c.Incidents.Receivers["broken"] = toldBy(h.broken, "chat") })
	rows := h.rows()
	elsewhere := []string{"health_degraded", "audit_unverified", "audit_contradicted", "store_down", "config_minor"} // tests of their own, below
	seen := slices.Clone(elsewhere)
	for _, r := range rows {
		seen = append(seen, r.rule)
		if got := h.about(t, r.object); len(got) != 0 {
			t.Fatalf("before the failure: %+v", got)
		}
	}
	var want []string
	for _, r := range incident.Rules() {
		want = append(want, r.Name)
	}
	slices.Sort(seen)
	slices.Sort(want)
	if d := cmp.Diff(want, seen); d != "" {
		t.Fatalf("rules of the table and rows of this test: %s", d)
	}
	h.later(t, 62*time.Minute) // the nightly job does not come
	for _, r := range rows {
		r.raise(t)
	}
	await(t, "the loop fails", func() (bool, string) {
		body := h.want(t, 200, "GET", "/v1/incidents/conditions", "")
		return strings.Contains(body, "read_health"), body
	})
	h.later(t, 62*time.Second) // which must last a minute to count
	for _, r := range rows {
		h.opened(t, r)
	}
	h.later(t, 62*time.Minute)
	for _, r := range rows {
		if i, ok := h.incident(t, r); !r.passes && (!ok || i.State == "resolved" && !strings.Contains("disk_low ratelimit_degraded background_failing", r.rule)) {
			t.Errorf("%s ended by itself: %+v", r.rule, i)
		}
		r.clear(t)
	}
	for _, r := range rows {
		h.over(t, r)
	}
}
