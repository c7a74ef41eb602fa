package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/httpapi"
	"avalo.app/gantry/internal/launch"
	"avalo.app/gantry/internal/signal"
)

// launchFake is a launch control over a state that the test sets, with a
// clock.
type launchFake struct {
	launch.ControlStore
	launch.OverrideStore

	mu      sync.Mutex
	now     time.Time // zero: the real time
	state   launch.State
	today   map[launch.DayKey]launch.Day
	err     error
	control *launch.Control
}

func newLaunchFake(now time.Time) *launchFake {
	f := &launchFake{now: now, state: launch.NewState()}
	f.control = launch.NewControl(launch.ControlOptions{Store: f, Now: f.clock, Signals: func(signal.Fact) {},
		Days: func(context.Context, string) (map[launch.DayKey]launch.Day, error) { return maps.Clone(f.today), f.err }})
	return f
}

func (f *launchFake) LaunchState(context.Context) (launch.State, error) {
	s := f.state
	s.Phases = maps.Clone(s.Phases)
	return s, f.err
}

func (f *launchFake) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now.IsZero() {
		return time.Now()
	}
	return f.now
}

func (f *launchFake) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// set changes the state and has the control read it.
func (f *launchFake) set(t *testing.T, change func(*launch.State)) {
	t.Helper()
	if change != nil {
		change(&f.state)
	}
	if err := f.control.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (f *launchFake) deps(d *httpapi.Deps) { d.Launch, d.Now = f.control, f.clock }

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

type flag struct {
	Key, Reason, Variant string
	Value                any
	Metadata             map[string]any
}

// flagsOf reads a bulk answer.
func flagsOf(t *testing.T, body []byte) map[string]flag {
	t.Helper()
	var bulk struct {
		Flags        []flag
		EventStreams []struct {
			Type     string
			Endpoint struct{ RequestURI string }
		}
		Metadata map[string]any
	}
	if err := json.Unmarshal(body, &bulk); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if len(bulk.EventStreams) != 1 || bulk.EventStreams[0].Type != "sse" || bulk.EventStreams[0].Endpoint.RequestURI != "/ofrep/v1/events" || bulk.Metadata["ageSeconds"] == nil {
		t.Errorf("%s", body)
	}
	out := map[string]flag{}
	for _, f := range bulk.Flags {
		out[f.Key] = f
	}
	return out
}

// TestFlags: every flag in every situation, alone and in bulk.
func TestFlags(t *testing.T) {
	type row = [4]any // value, variant, reason, and one member of metadata or nil
	mode := func(m launch.Mode, reason string) row { return row{string(m), string(m), reason, nil} }
	off, on := row{false, "off", "STATIC", nil}, row{true, "on", "STATIC", "until=2026-11-24T13:00:00Z"}
	poland := `{"context":{"targetingKey":"alice","country":"pl"}}`
	for _, c := range []struct {
		name, body                        string
		state                             func(*launch.State)
		today                             int64
		after                             time.Duration
		mode, signup, region, maintenance row
	}{
		{"closed beta", poland, nil, 0, 0, mode(launch.ClosedBeta, "STATIC"), row{true, "open", "STATIC", "admission=invite"},
			row{true, "open", "TARGETING_MATCH", "country=PL"}, off},
		{"no context", `{}`, nil, 0, 0, mode(launch.ClosedBeta, "STATIC"), row{true, "open", "STATIC", nil}, row{false, "unknown", "DEFAULT", nil}, off},
		{"null context", `{"context":null}`, nil, 0, 0, mode(launch.ClosedBeta, "STATIC"), row{true, "open", "STATIC", nil}, row{false, "unknown", "DEFAULT", nil}, off},
		{"null country, other country code", `{"context":{"country":null,"countryCode":"UK","anything":[1]}}`, nil, 0, 0, mode(launch.ClosedBeta, "STATIC"),
			row{true, "open", "STATIC", nil}, row{true, "open", "TARGETING_MATCH", "country=GB"}, off},
		{"country first", `{"context":{"country":"US","countryCode":"PL"}}`, nil, 0, 0, mode(launch.ClosedBeta, "STATIC"),
			row{true, "open", "STATIC", nil}, row{false, "closed", "TARGETING_MATCH", "country=US"}, off},
		{"no such country", `{"context":{"country":"Atlantis"}}`, nil, 0, 0, mode(launch.ClosedBeta, "STATIC"),
			row{true, "open", "STATIC", nil}, row{false, "unknown", "TARGETING_MATCH", nil}, off},
		{"blocked", poland, func(s *launch.State) { s.Settings.Blocked = []string{"PL"} }, 0, 0, mode(launch.ClosedBeta, "STATIC"),
			row{true, "open", "STATIC", nil}, row{false, "blocked", "TARGETING_MATCH", "country=PL"}, off},
		{"full", poland, nil, 500, 0, mode(launch.ClosedBeta, "STATIC"), row{false, "full", "STATIC", "opensAt=2026-11-25T00:00:00Z"}, row{true, "open", "TARGETING_MATCH", nil}, off},
		{"maintenance", poland, func(s *launch.State) { s.Maintenance.Until = noon.Add(time.Hour) }, 0, 0, mode(launch.ClosedBeta, "STATIC"),
			row{false, "maintenance", "STATIC", nil}, row{false, "maintenance", "TARGETING_MATCH", nil}, on},
		{"maintenance over, by itself", poland, func(s *launch.State) { s.Maintenance.Until = noon.Add(time.Second) }, 0, time.Second,
			mode(launch.ClosedBeta, "STATIC"), row{true, "open", "STATIC", nil}, row{true, "open", "TARGETING_MATCH", nil}, off},
		{"stale", poland, nil, 0, time.Minute, mode(launch.ClosedBeta, "STALE"), row{false, "stale", "STALE", nil}, row{false, "stale", "STALE", nil},
			row{false, "off", "STALE", nil}},
		{"stale in maintenance", poland, func(s *launch.State) { s.Maintenance.Until = noon.Add(time.Hour) }, 0, time.Minute, mode(launch.ClosedBeta, "STALE"),
			row{false, "stale", "STALE", nil}, row{false, "stale", "STALE", nil}, row{true, "on", "STALE", "until=2026-11-24T13:00:00Z"}},
		{"internal test", poland, func(s *launch.State) { s.Mode = launch.InternalTest }, 0, 0, mode(launch.InternalTest, "STATIC"),
			row{true, "open", "STATIC", "admission=allowlist"}, row{true, "open", "TARGETING_MATCH", nil}, off},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLaunchFake(noon)
			l.today = map[launch.DayKey]launch.Day{{Day: "2026-11-24"}: {Open: c.today}}
			l.set(t, func(s *launch.State) {
				s.Mode, s.Version = launch.ClosedBeta, 7
				if c.state != nil {
					c.state(s)
				}
			})
			l.advance(c.after)
			f := newFixture(t, l.deps)
			bulk := f.do("POST", "/ofrep/v1/evaluate/flags", c.body, "Authorization", "")
			if bulk.Code != http.StatusOK || bulk.Header().Get("Content-Type") != "application/json" || !strings.HasPrefix(bulk.Header().Get("ETag"), `W/"`) {
				t.Fatalf("%d %v %s", bulk.Code, bulk.Header(), bulk.Body)
			}
			flags := flagsOf(t, bulk.Body.Bytes())
			if len(flags) != 4 {
				t.Errorf("%s", bulk.Body)
			}
			for key, want := range map[string]row{"launch_mode": c.mode, "signup_open": c.signup, "region_open": c.region, "maintenance": c.maintenance} {
				single := f.do("POST", "/ofrep/v1/evaluate/flags/"+key, c.body, "Authorization", "Bearer gk_nonsense")
				var one flag
				if err := json.Unmarshal(single.Body.Bytes(), &one); err != nil || single.Code != http.StatusOK {
					t.Fatalf("%s: %d %s", key, single.Code, single.Body)
				}
				if one.Metadata["ageSeconds"] != c.after.Seconds() {
					t.Errorf("%s: age %v", key, one.Metadata)
				}
				delete(one.Metadata, "ageSeconds")
				if d := cmp.Diff(flags[key], one); d != "" {
					t.Errorf("alone it differs from bulk: %s", d)
				}
				if got := (row{one.Value, one.Variant, one.Reason, want[3]}); got != want || one.Metadata["version"] != 7.0 {
					t.Errorf("%s: %v, want %v", key, got, want)
				}
				if member, ok := want[3].(string); ok {
					name, value, _ := strings.Cut(member, "=")
					if one.Metadata[name] != value {
						t.Errorf("%s: metadata %v, want %s", key, one.Metadata, member)
					}
				}
			}
		})
	}
}

// TestFlagFailures: every error has OFREP's own shape.
func TestFlagFailures(t *testing.T) {
	l := newLaunchFake(noon)
	l.set(t, nil)
	f := newFixture(t, func(d *httpapi.Deps) { l.deps(d); d.MaxBody = 1000 })
	deep := strings.Repeat(`{"context":`, 400)
	for body, code := range map[string]string{
		"": "PARSE_ERROR", "nonsense": "PARSE_ERROR", "null": "PARSE_ERROR", "[]": "PARSE_ERROR", `"context"`: "PARSE_ERROR", `{"context":{}} {}`: "PARSE_ERROR",
		`{"context":{}`: "PARSE_ERROR", "\xff": "PARSE_ERROR", deep: "PARSE_ERROR", `{"context":{"a":"` + strings.Repeat("a", 2000) + `"}}`: "PARSE_ERROR",
		`{"context":"PL"}`: "INVALID_CONTEXT", `{"context":[]}`: "INVALID_CONTEXT", `{"context":1}`: "INVALID_CONTEXT",
		`{"context":{"country":48}}`: "INVALID_CONTEXT", `{"context":{"countryCode":["PL"]}}`: "INVALID_CONTEXT", `{"context":{"country":"PL","countryCode":1}}`: "INVALID_CONTEXT",
		`{"context":{"targetingKey":5}}`: "INVALID_CONTEXT",
	} {
		for path, key := range map[string]string{"/ofrep/v1/evaluate/flags": "", "/ofrep/v1/evaluate/flags/launch_mode": "launch_mode"} {
			w := f.do("POST", path, body)
			var got struct{ Key, ErrorCode, ErrorDetails string }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusBadRequest || got.ErrorCode != code || got.Key != key || got.ErrorDetails == "" {
				t.Errorf("%s %.40q: %d %s, want %s", path, body, w.Code, w.Body, code)
			}
		}
	}
	for _, key := range []string{"new_checkout", "LAUNCH_MODE", "%2e%2e%2fkeys", "launch_mode%00", strings.Repeat("k", 5000)} {
		w := f.do("POST", "/ofrep/v1/evaluate/flags/"+key, `{"context":{}}`)
		var got struct{ Key, ErrorCode string }
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusNotFound || got.ErrorCode != "FLAG_NOT_FOUND" || got.Key == "" || len(got.Key) > 100 {
			t.Errorf("%.20s: %d %s", key, w.Code, w.Body)
		}
	}
	if w := f.do("GET", "/ofrep/v1/evaluate/flags", ""); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", w.Code)
	}
}

// TestFlagsNotModified: a tag holds as long as what is evaluated, and no
// longer.
func TestFlagsNotModified(t *testing.T) {
	l := newLaunchFake(noon)
	l.set(t, func(s *launch.State) { s.Mode = launch.ClosedBeta })
	f := newFixture(t, l.deps)
	const poland = `{"context":{"country":"PL"}}`
	ask := func(body string, tags ...string) (int, string) {
		var headers []string
		for _, tag := range tags {
			headers = append(headers, "If-None-Match", tag)
		}
		w := f.do("POST", "/ofrep/v1/evaluate/flags", body, headers...)
		if w.Code == http.StatusNotModified && w.Body.Len() > 0 {
			t.Errorf("304 with a body: %s", w.Body)
		}
		return w.Code, w.Header().Get("ETag")
	}
	_, tag := ask(poland)
	same := func(why string, want int, body string, tags ...string) {
		t.Helper()
		if code, _ := ask(body, tags...); code != want {
			t.Errorf("%s: %d, want %d", why, code, want)
		}
	}
	same("the tag", 304, poland, tag)
	same("one of several", 304, poland, `"other", `+tag)
	same("strong", 304, poland, strings.TrimPrefix(tag, "W/"))
	same("another tag", 200, poland, `"other"`)
	same("any", 200, poland, "*")
	same("garbage", 200, poland, `,,W/,"`)
	same("another context, another value", 200, `{}`, tag)
	l.advance(3 * time.Second)
	same("older", 304, poland, tag)
	l.set(t, nil)
	same("read again", 304, poland, tag)
	l.advance(time.Minute)
	same("stale", 200, poland, tag)
	l.set(t, nil)
	same("fresh again", 304, poland, tag)
	l.set(t, func(s *launch.State) { s.Maintenance.Until = l.clock().Add(time.Minute) })
	same("maintenance", 200, poland, tag)
	l.advance(time.Minute)
	l.set(t, nil)
	same("its end", 304, poland, tag)
	l.today = map[launch.DayKey]launch.Day{{Day: "2026-11-24"}: {Confirmed: 500}}
	l.set(t, nil)
	same("full", 200, poland, tag)
	l.today = nil
	l.set(t, func(s *launch.State) { s.Mode, s.Version = launch.SoftLaunch, 1 })
	same("another mode", 200, poland, tag)
}

// TestFlagsWithoutStore: with the store down the mode is the last known, and
// nothing is open; nothing asks the store.
func TestFlagsWithoutStore(t *testing.T) {
	l := newLaunchFake(noon)
	l.set(t, func(s *launch.State) { s.Mode = launch.GlobalLaunch })
	f := newFixture(t, l.deps)
	l.err = errors.New("down")
	for range 3 {
		l.advance(3 * time.Second)
		if err := l.control.Refresh(t.Context()); err == nil {
			t.Fatal("the fake does not fail")
		}
	}
	flags := flagsOf(t, f.do("POST", "/ofrep/v1/evaluate/flags", `{"context":{"country":"PL"}}`).Body.Bytes())
	if m := flags["launch_mode"]; m.Value != "GLOBAL_LAUNCH" || m.Reason != "STALE" {
		t.Errorf("%+v", m)
	}
	for _, key := range []string{"signup_open", "region_open"} {
		if flags[key].Value != false || flags[key].Reason != "STALE" {
			t.Errorf("%+v", flags[key])
		}
	}
}

// TestFlagsCORS: browsers of a configured origin may ask with the headers
// that providers send, and read the tag.
func TestFlagsCORS(t *testing.T) {
	l := newLaunchFake(noon)
	l.set(t, nil)
	const ours = "https://app.example.com"
	f := newFixture(t, func(d *httpapi.Deps) { l.deps(d); d.CORSOrigins = func() []string { return []string{ours} } })
	for _, path := range []string{"/ofrep/v1/evaluate/flags", "/ofrep/v1/evaluate/flags/launch_mode"} {
		w := f.do("OPTIONS", path, "", "Origin", ours, "Authorization", "", "Access-Control-Request-Method", "POST",
			"Access-Control-Request-Headers", "authorization,content-type,if-none-match,x-api-key")
		allowed := w.Header().Get("Access-Control-Allow-Headers")
		for _, name := range []string{"authorization", "x-api-key", "content-type", "if-none-match"} {
			if !strings.Contains(allowed, name) {
				t.Errorf("%s may not be sent: %q", name, allowed)
			}
		}
		if w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Methods") != "POST, GET" || w.Header().Get("Access-Control-Allow-Origin") != ours {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		if w := f.do("OPTIONS", path, "", "Origin", "https://evil.example"); w.Header().Get("Access-Control-Allow-Headers") != "" {
			t.Errorf("a foreign origin may ask: %v", w.Header())
		}
		for _, body := range []string{`{}`, `nonsense`} {
			w := f.do("POST", path, body, "Origin", ours)
			if w.Header().Get("Access-Control-Allow-Origin") != ours || !strings.Contains(w.Header().Get("Access-Control-Expose-Headers"), "ETag") || w.Header().Get("Vary") != "Origin" {
				t.Errorf("%s: %v", body, w.Header())
			}
		}
	}
	tag := f.do("POST", "/ofrep/v1/evaluate/flags", `{}`).Header().Get("ETag")
	if w := f.do("POST", "/ofrep/v1/evaluate/flags", `{}`, "Origin", ours, "If-None-Match", tag); w.Code != 304 || w.Header().Get("Access-Control-Allow-Origin") != ours {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := f.do("GET", "/ofrep/v1/nothing", "", "Origin", ours); w.Code != 404 || w.Header().Get("Access-Control-Allow-Origin") != ours {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}
