package health_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/health"
)

// field returns the field that an INVALID_ARGUMENT is about, "" for no error.
func field(t tester, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var e *fault.Error
	if !errors.As(err, &e) || e.Code != fault.InvalidArgument {
		t.Fatalf("%v, want INVALID_ARGUMENT", err)
	}
	f, ok := e.Detail.(fault.Field)
	if !ok {
		t.Fatalf("%v has no field", err)
	}
	return f.Field
}

func TestComponents(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(c *health.Component)
		want   string
	}{
		"as it is":              {func(*health.Component) {}, ""},
		"no name":               {func(c *health.Component) { c.Name = "" }, "components..name"},
		"a name with a capital": {func(c *health.Component) { c.Name = "DB" }, "components.DB.name"},
		"a long name":           {func(c *health.Component) { c.Name = strings.Repeat("a", 65) }, "components." + strings.Repeat("a", 65) + ".name"},
		"name taken":            {func(c *health.Component) { c.Name = "net" }, "components.net.name"},
		"unknown slot":          {func(c *health.Component) { c.Slot = "queue" }, "components.db.slot"},
		"slot taken":            {func(c *health.Component) { c.Slot = "auth" }, "components.net.slot"},
		"free slot":             {func(c *health.Component) { c.Slot = "database" }, ""},
		"itself":                {func(c *health.Component) { c.DependsOn = []string{"db"} }, "components.db.dependsOn"},
		"a circle":              {func(c *health.Component) { c.DependsOn = []string{"api"} }, "components.api.dependsOn"},
		"unknown parent":        {func(c *health.Component) { c.DependsOn = []string{"none"} }, "components.db.dependsOn"},
		"too often":             {func(c *health.Component) { c.Interval, c.Timeout = time.Millisecond, time.Millisecond }, "components.db.interval"},
		"too seldom":            {func(c *health.Component) { c.Interval = 25 * time.Hour }, "components.db.interval"},
		"timeout over interval": {func(c *health.Component) { c.Interval, c.Timeout = 5*time.Second, 6*time.Second }, "components.db.timeout"},
		"timeout too long":      {func(c *health.Component) { c.Interval, c.Timeout = time.Hour, 2*time.Minute }, "components.db.timeout"},
		"negative timeout":      {func(c *health.Component) { c.Timeout = -1 }, "components.db.timeout"},
		"slow over timeout":     {func(c *health.Component) { c.DegradedAbove = 3 * time.Second }, "components.db.degradedAbove"},
		"negative slow":         {func(c *health.Component) { c.DegradedAbove = -1 }, "components.db.degradedAbove"},
		"failures":              {func(c *health.Component) { c.FailureThreshold = 21 }, "components.db.failureThreshold"},
		"successes":             {func(c *health.Component) { c.SuccessThreshold = -1 }, "components.db.successThreshold"},
	} {
		t.Run(name, func(t *testing.T) {
			db := health.Component{Name: "db"}
			tt.change(&db)
			_, err := health.Components([]health.Component{{Name: "api", DependsOn: []string{"db"}}, db, {Name: "net", Slot: "auth"}})
			if got := field(t, err); got != tt.want {
				t.Errorf("field %q, want %q: %v", got, tt.want, err)
			}
		})
	}
	_, err := health.Components(make([]health.Component, health.MaxComponents+1))
	if field(t, err) != "components" {
		t.Error(err)
	}
}

func TestComponentDefaults(t *testing.T) {
	got, err := health.Components([]health.Component{{Name: "api", DependsOn: []string{"db"}, Interval: time.Second}, {Name: "db"}})
	want := []health.Component{
		{Name: "db", Interval: 10 * time.Second, Timeout: 2 * time.Second, FailureThreshold: 3, SuccessThreshold: 2},
		{Name: "api", DependsOn: []string{"db"}, Interval: time.Second, Timeout: time.Second, FailureThreshold: 3, SuccessThreshold: 2},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
}

// Parents come before children, whatever the order; a circle is found however
// long.
func TestComponentsAreSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "n")
		cs := make([]health.Component, n)
		for i := range cs {
			cs[i].Name = fmt.Sprintf("c%d", i)
			for p := range i {
				if rapid.Bool().Draw(t, "depends") {
					cs[i].DependsOn = append(cs[i].DependsOn, fmt.Sprintf("c%d", p))
				}
			}
		}
		shuffled := rapid.Permutation(cs).Draw(t, "order")
		got, err := health.Components(shuffled)
		if err != nil || len(got) != n {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, c := range got {
			for _, p := range c.DependsOn {
				if !seen[p] {
					t.Fatalf("%s comes before its parent %s", c.Name, p)
				}
			}
			seen[c.Name] = true
		}
		// A way from the first to the last, closed by one more edge.
		to := rapid.IntRange(0, n-1).Draw(t, "to")
		for i := 1; i <= to; i++ {
			if p := fmt.Sprintf("c%d", i-1); !slices.Contains(cs[i].DependsOn, p) {
				cs[i].DependsOn = append(cs[i].DependsOn, p)
			}
		}
		cs[0].DependsOn = append(cs[0].DependsOn, fmt.Sprintf("c%d", to))
		if _, err := health.Components(cs); err == nil {
			t.Fatal("a circle was accepted")
		}
	})
}
