package healthtest_test

import (
	"testing"
	"time"

	"avalo.app/gantry/internal/health"
)

// TestSlotOfAName: a component with the name of a slot fills that slot, since
// a report names an empty slot by its name, too.
func TestSlotOfAName(t *testing.T) {
	cs, err := health.Components([]health.Component{{Name: "payments", Kind: "stripe"}, {Name: "db", Kind: "tcp"}})
	if err != nil || cs[0].Slot != health.SlotPayments || cs[1].Slot != "" {
		t.Errorf("%+v, %v", cs, err)
	}
	for _, bad := range [][]health.Component{
		{{Name: "payments", Slot: "storage"}},
		{{Name: "payments"}, {Name: "stripe", Slot: "payments"}},
	} {
		if _, err := health.Components(bad); err == nil {
			t.Errorf("%+v passes", bad)
		}
	}
}

// TestOwnComponent: what Gantry measures of itself is at most DEGRADED, and
// waits for nobody while it is not known.
func TestOwnComponent(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	cs, err := health.Components([]health.Component{{Name: "gantry", Own: true}, {Name: "db"}})
	if err != nil {
		t.Fatal(err)
	}
	result := func(name string, s health.Status) health.Result {
		return health.Result{Component: name, State: health.State{Status: s, Since: now}, Last: health.Observation{At: now, Outcome: health.Answered}}
	}
	for _, tt := range []struct {
		results []health.Result
		want    health.Status
	}{
		{[]health.Result{result("db", health.Healthy)}, health.Healthy},
		{[]health.Result{result("gantry", health.Healthy)}, health.Degraded}, // db is not known
		{[]health.Result{result("db", health.Healthy), result("gantry", health.Down)}, health.Degraded},
		{[]health.Result{result("db", health.Healthy), result("gantry", health.Healthy)}, health.Healthy},
	} {
		if got := health.Evaluate(cs, tt.results, nil, now).Status; got != tt.want {
			t.Errorf("%v: %s, want %s", tt.results, got, tt.want)
		}
	}
	if !health.Evaluate(cs[:1], nil, nil, now).Public("v").OwnOnly || health.Evaluate(cs, nil, nil, now).Public("v").OwnOnly {
		t.Error("OwnOnly does not tell whether the app is measured")
	}
}

// TestLastSuccess outlives a failure, and nothing stands for none.
func TestLastSuccess(t *testing.T) {
	j, err := health.Jobs([]health.Job{{Name: "nightly", Period: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	r := health.JobRecord{Job: "nightly"}
	for _, step := range []struct {
		kind health.PingKind
		want time.Time
	}{{health.PingFail, time.Time{}}, {health.PingSuccess, at.Add(time.Minute)}, {health.PingFail, at.Add(time.Minute)}} {
		var err error
		if r, _, err = r.Apply(health.Ping{Job: "nightly", Kind: step.kind, At: at}); err != nil {
			t.Fatal(err)
		}
		if got := health.JobState(j[0], r, at).LastSuccessAt; !got.Equal(step.want) {
			t.Errorf("after %s: %s, want %s", step.kind, got, step.want)
		}
		at = at.Add(time.Minute)
	}
}
