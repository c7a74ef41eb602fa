package health_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/signal"
)

func TestOverall(t *testing.T) {
	const h, g, d, n, u = health.Healthy, health.Degraded, health.Down, health.NotConfigured, health.Unknown
	for _, tt := range []struct {
		parts []health.Part
		want  health.Status
	}{
		{nil, n},
		{[]health.Part{{n, true}, {n, false}}, n},
		{[]health.Part{{h, true}}, h},
		{[]health.Part{{h, true}, {n, true}}, h},
		{[]health.Part{{h, true}, {u, false}}, g},
		{[]health.Part{{u, true}}, g},
		{[]health.Part{{h, true}, {g, false}}, g},
		{[]health.Part{{d, false}, {h, true}}, g},
		{[]health.Part{{g, false}, {d, true}, {h, true}}, d},
	} {
		if got := health.Overall(tt.parts); got != tt.want {
			t.Errorf("%v is %s, want %s", tt.parts, got, tt.want)
		}
	}
}

// house is a database, an API on it, a page on the API, payments on their own.
func house(t tester) []health.Component {
	t.Helper()
	cs, err := health.Components([]health.Component{
		{Name: "db", Slot: "database", Published: true},
		{Name: "api", Slot: "functions", Critical: true, DependsOn: []string{"db"}},
		{Name: "page", DependsOn: []string{"api"}},
		{Name: "pay", Slot: "payments"},
		{Name: "disk", PerNode: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

var now = start.Add(time.Hour)

// at makes a result that was measured ago.
func at(name string, s health.Status, ago time.Duration) health.Result {
	o := health.Observation{At: now.Add(-ago), Outcome: health.Answered, Took: 5 * time.Millisecond, Message: "as measured"}
	st := health.State{Status: s, Since: start}
	if s == health.Down {
		o.Outcome, st.LastFailure, st.Fails = health.Failed, o.At, 3
	}
	if s == health.Down || s == health.Degraded {
		st.LastBad = o.At
	}
	if s != health.Down {
		st.LastAnswer = o.At
	}
	name, node, _ := strings.Cut(name, "/")
	return health.Result{Component: name, Node: node, State: st, Last: o}
}

// failing lists what a report raises, sorted.
func failing(facts []signal.Fact) []string {
	out := []string{}
	for _, f := range facts {
		if f.Failing {
			out = append(out, f.Rule+" "+f.Object)
		}
	}
	slices.Sort(out)
	return out
}

func TestEvaluate(t *testing.T) {
	const h, g, d, fresh = health.Healthy, health.Degraded, health.Down, time.Second
	recovered := func(r health.Result, ago time.Duration) health.Result { r.State.RecoveredAt = now.Add(-ago); return r }
	recovering := func(r health.Result, failed time.Duration) health.Result {
		r.State.Fails, r.State.Successes, r.State.LastFailure, r.Last.Outcome = 0, 1, now.Add(-failed), health.Answered
		return r
	}
	answered := func(r health.Result, ago time.Duration) health.Result { r.State.LastAnswer = now.Add(-ago); return r }
	fell := func(r health.Result, ago time.Duration) health.Result { r.State.Since = now.Add(-ago); return r }
	window := func(names ...string) []health.Window {
		return []health.Window{{ID: "w", Components: names, From: now.Add(-time.Minute), Until: now.Add(time.Minute)}}
	}
	for name, tt := range map[string]struct {
		results []health.Result
		windows []health.Window
		want    health.Status
		raises  []string
	}{
		"all well":         {[]health.Result{at("db", h, 1), at("api", h, 1), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1)}, nil, h, nil},
		"nothing measured": {nil, nil, g, []string{"health_degraded api", "health_degraded db", "health_degraded disk", "health_degraded page", "health_degraded pay"}},
		"stale": {[]health.Result{at("db", h, 38*fresh), at("api", d, 38*fresh), at("page", h, 1), at("pay", h, 37*fresh), at("disk/a", h, 1)}, nil, g,
			[]string{"health_degraded api", "health_degraded db"}},
		"a critical one is down":     {[]health.Result{at("db", h, 1), at("api", d, 1), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1)}, nil, d, []string{"component_down api"}},
		"one that is not is down":    {[]health.Result{at("db", h, 1), at("api", h, 1), at("page", d, 1), at("pay", h, 1), at("disk/a", h, 1)}, nil, g, []string{"component_impaired page", "health_degraded page"}},
		"one is slow":                {[]health.Result{at("db", h, 1), at("api", g, 1), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1)}, nil, g, []string{"component_impaired api", "health_degraded api"}},
		"payments page":              {[]health.Result{at("db", h, 1), at("api", h, 1), at("page", h, 1), at("pay", d, 1), at("disk/a", h, 1)}, nil, g, []string{"component_down pay", "health_degraded pay"}},
		"the worst node counts":      {[]health.Result{at("db", h, 1), at("api", h, 1), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1), at("disk/b", g, 1)}, nil, g, []string{"component_impaired disk", "health_degraded disk"}},
		"a node that is gone":        {[]health.Result{at("db", h, 1), at("api", h, 1), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1), at("disk/b", d, time.Hour)}, nil, h, nil},
		"a shared one of old":        {[]health.Result{at("db", h, 1), at("db/a", d, 1), at("api", h, 1), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1), at("disk", d, 1)}, nil, h, nil},
		"children are suppressed":    {[]health.Result{at("db", d, 1), at("api", h, 1), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1)}, nil, g, []string{"component_impaired db", "health_degraded db"}},
		"and make the parent's page": {[]health.Result{at("db", d, 1), at("api", d, 1), at("page", d, 1), at("pay", h, 1), at("disk/a", h, 1)}, nil, d, []string{"component_down db"}},
		"one that explains nothing": {[]health.Result{at("db", d, 1), at("api", h, 1), at("page", d, 1), at("pay", h, 1), at("disk/a", h, 1)}, nil, g,
			[]string{"component_impaired db", "component_impaired page", "health_degraded db", "health_degraded page"}},
		"held until measured again":     {[]health.Result{recovered(at("db", h, 1), 2*fresh), at("api", d, 3*fresh), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1)}, nil, d, nil},
		"released by a new failure":     {[]health.Result{recovered(at("db", h, 1), 2*fresh), at("api", d, fresh), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1)}, nil, d, []string{"component_down api"}},
		"held while it recovers":        {[]health.Result{recovered(at("db", h, 1), 2*fresh), recovering(at("api", d, fresh), 3*fresh), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1)}, nil, d, nil},
		"long after the parent's":       {[]health.Result{recovered(at("db", h, 1), time.Hour), recovering(at("api", d, fresh), 3*fresh), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1)}, nil, d, []string{"component_down api"}},
		"degraded, held":                {[]health.Result{recovered(at("db", h, 1), 2*fresh), at("api", g, 3*fresh), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1)}, nil, g, nil},
		"held until the parent answers": {[]health.Result{answered(at("db", h, 1), 20*fresh), fell(at("api", d, 1), 10*fresh), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1)}, nil, d, nil},
		"released by its answer":        {[]health.Result{answered(at("db", h, 1), 9*fresh), fell(at("api", d, 1), 10*fresh), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1)}, nil, d, []string{"component_down api"}},
		"not held for ever":             {[]health.Result{answered(at("db", h, 1), 120*fresh), fell(at("api", d, 1), 60*fresh), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1)}, nil, d, []string{"component_down api"}},
		"not by what nobody measures":   {[]health.Result{fell(at("api", d, 1), 10*fresh), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1)}, nil, d, []string{"component_down api"}},
		"maintenance of one":            {[]health.Result{at("db", h, 1), at("api", d, 1), at("page", h, 1), at("pay", d, 1), at("disk/a", h, 1)}, window("api"), d, []string{"component_down pay"}},
		"maintenance of all":            {[]health.Result{at("db", d, 1), at("api", g, 1), at("page", d, 1), at("pay", d, 1)}, window(), g, nil},
		"of the parent covers":          {[]health.Result{at("db", d, 1), at("api", d, 1), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1)}, window("db"), d, nil},
		"a child in maintenance":        {[]health.Result{at("db", d, 1), at("api", d, 1), at("page", h, 1), at("pay", h, 1), at("disk/a", h, 1)}, window("api"), d, []string{"component_impaired db"}},
	} {
		t.Run(name, func(t *testing.T) {
			rep := health.Evaluate(house(t), tt.results, tt.windows, now)
			if rep.Status != tt.want {
				t.Errorf("%s, want %s", rep.Status, tt.want)
			}
			if d := cmp.Diff(append([]string{}, tt.raises...), failing(rep.Facts())); d != "" {
				t.Error(d)
			}
		})
	}
}

// What is not measured is silent where only a measurement can tell; all else
// is told as a level, failing or not.
func TestFactsOfTheUnknown(t *testing.T) {
	rep := health.Evaluate(house(t), []health.Result{at("db", health.Healthy, 1), at("api", health.Down, time.Hour)}, nil, now)
	got := map[string][]string{}
	for _, f := range rep.Facts() {
		got[f.Object] = append(got[f.Object], f.Rule)
	}
	all := []string{"component_down", "component_impaired", "health_degraded"}
	if d := cmp.Diff(map[string][]string{"db": all, "api": all[2:], "page": all[2:], "pay": all[2:], "disk": all[2:]}, got); d != "" {
		t.Error(d)
	}
}

// Whatever depends on whatever: as long as anything that pages is DOWN, and
// nobody is in maintenance, something pages.
func TestSuppressionLosesNoPage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "n")
		cs := make([]health.Component, n)
		var results []health.Result
		pages := false
		for i := range cs {
			cs[i] = health.Component{Name: fmt.Sprintf("c%d", i), Critical: rapid.Bool().Draw(t, "critical")}
			for p := range i {
				if rapid.IntRange(0, 2).Draw(t, "depends") == 0 {
					cs[i].DependsOn = append(cs[i].DependsOn, fmt.Sprintf("c%d", p))
				}
			}
			s := rapid.SampledFrom([]health.Status{health.Healthy, health.Down, health.Down, health.Degraded}).Draw(t, "status")
			pages = pages || s == health.Down && cs[i].Critical
			results = append(results, at(cs[i].Name, s, time.Second))
		}
		cs, err := health.Components(cs)
		if err != nil {
			t.Fatal(err)
		}
		rep := health.Evaluate(cs, results, nil, now)
		raised := failing(rep.Facts())
		if got := slices.ContainsFunc(raised, func(f string) bool { return strings.HasPrefix(f, "component_down") }); got != pages {
			t.Fatalf("something pages is DOWN: %v; raised %v", pages, raised)
		}
		if pages != (rep.Status == health.Down) {
			t.Fatalf("%s, something critical is DOWN: %v", rep.Status, pages)
		}
		for _, e := range rep.Components {
			for _, p := range e.SuppressedBy { // and whoever suppresses speaks itself, or is suppressed in turn
				i := slices.IndexFunc(rep.Components, func(o health.Entry) bool { return o.Component == p })
				if len(rep.Components[i].SuppressedBy) == 0 && !slices.ContainsFunc(raised, func(f string) bool { return strings.HasSuffix(f, " "+p) }) {
					t.Fatalf("%s suppresses %s and raises nothing: %v", p, e.Component, raised)
				}
			}
		}
	})
}

func TestEntries(t *testing.T) {
	slow := at("pay", health.Degraded, time.Second)
	slow.Last.Took, slow.Last.Details = 3*time.Second, map[string]any{"balance": 1}
	failing := at("page", health.Healthy, time.Second)
	failing.Last = health.Observation{At: now, Outcome: health.TimedOut, Message: "timed out"}
	failing.State.Fails = 2
	cs := house(t)
	i := slices.IndexFunc(cs, func(c health.Component) bool { return c.Name == "pay" })
	cs[i].DegradedAbove = 2 * time.Second
	rep := health.Evaluate(cs, []health.Result{at("db", health.Down, time.Second), at("api", health.Down, 45*time.Second), failing, slow, at("disk/b", health.Healthy, 1), at("disk/a", health.Down, 1)}, nil, now)
	got := map[string]string{}
	for _, e := range rep.Components {
		got[e.Component] = fmt.Sprintf("%s %s %v %v", e.Status, e.Message, e.SuppressedBy, e.ResponseTimeMS)
		if e.Component == "disk" && (len(e.Nodes) != 2 || e.Nodes[0].Node != "a" || e.Nodes[1].Status != health.Healthy) {
			t.Errorf("nodes %+v", e.Nodes)
		}
	}
	want := map[string]string{
		"db":      "DOWN failed; as measured [] 5",
		"api":     "UNKNOWN not measured since 2026-03-01T12:59:15Z [] 0",
		"page":    "HEALTHY timed out; 2 of 3 failures until DOWN [] 0",
		"pay":     "DEGRADED slow: 3s, over 2s; as measured [] 3000",
		"disk":    "DOWN failed; as measured [] 5",
		"storage": "NOT_CONFIGURED no component fills this slot [] 0",
		"auth":    "NOT_CONFIGURED no component fills this slot [] 0",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The public word names what is published, and nothing else.
func TestPublicTellsNothing(t *testing.T) {
	r := at("db", health.Down, time.Second)
	r.Last.Message, r.Last.Details = "dial tcp 10.0.0.7: password authentication failed for alice@example.com", map[string]any{"host": "10.0.0.7"}
	rep := health.Evaluate(house(t), []health.Result{r, at("api", health.Healthy, 1), at("page", health.Healthy, 1), at("pay", health.Healthy, 1), at("disk/node-7", health.Healthy, 1)}, nil, now)
	b, err := json.Marshal(rep.Public("v1"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b), `{"status":"DEGRADED","version":"v1","components":[{"name":"db","status":"DOWN","measuredAt":"2026-03-01T12:59:59Z"}],"at":"2026-03-01T13:00:00Z"}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if all, _ := json.Marshal(rep); !strings.Contains(string(all), "10.0.0.7") {
		t.Error("moderators see no cause")
	}
}

func TestWindowOn(t *testing.T) {
	w := health.Window{Components: []string{"a"}, From: start, Until: now}
	for _, tt := range []struct {
		w    health.Window
		name string
		at   time.Time
		want bool
	}{
		{w, "a", start, true}, {w, "a", start.Add(-1), false}, {w, "a", now.Add(-1), true}, {w, "a", now, false}, {w, "b", start, false},
		{health.Window{From: start, Until: now}, "b", start, true},
		{health.Window{From: start, Until: now, EndedAt: start.Add(1)}, "b", start, true},
		{health.Window{From: start, Until: now, EndedAt: start.Add(1)}, "b", start.Add(1), false},
	} {
		if got := tt.w.On(tt.name, tt.at); got != tt.want {
			t.Errorf("%+v at %s covers %s: %v", tt.w, tt.at, tt.name, got)
		}
	}
}
