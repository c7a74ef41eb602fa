package app_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/config"
)

// TestDegradedForFiveMinutes: the whole that is DEGRADED for 5 minutes pages.
func TestDegradedForFiveMinutes(t *testing.T) {
	t.Parallel()
	h := startHost(t, func(h *host, c *config.Config) {
		cache := probeOf(h.cache)
		cache.Interval = config.Duration(2 * time.Minute) // so that its measurements outlast the test's jump
		c.Health.Components = map[string]config.Component{"cache": cache}
		h.cache.answers(500, "")
	})
	h.opened(t, row{rule: "component_impaired", object: "cache", class: "P2", channels: chatOnly, source: "a probe"})
	r := row{rule: "health_degraded", object: "cache", class: "P1", channels: onCall, source: "a probe, for 5 minutes"}
	h.later(t, 5*time.Minute+10*time.Second)
	h.opened(t, r)
	h.cache.answers(200, "")
	h.later(t, 3*time.Minute)
	h.over(t, r)
	if got := h.about(t, "cache"); len(got) != 1 {
		t.Errorf("one failure is %d incidents: %+v", len(got), got)
	}
}

// TestAuditSignals: an entry that was changed in the file is found by the
// daily verification, a log that contradicts its published checkpoint by the
// next publishing; both end when it is mended.
func TestAuditSignals(t *testing.T) {
	t.Parallel()
	h := startHost(t, func(_ *host, c *config.Config) { c.Audit.CheckpointInterval = second })
	changed := row{rule: "audit_unverified", object: "log", class: "P0", channels: everyone, source: "the daily verification"}
	h.sql(t, "UPDATE audit_leaves SET at = at + 1 WHERE idx = 1")
	h.later(t, 25*time.Hour)
	h.opened(t, changed)
	h.sql(t, "UPDATE audit_leaves SET at = at - 1 WHERE idx = 1")
	h.later(t, 61*time.Minute)
	h.over(t, changed)

	rolled := row{rule: "audit_contradicted", object: "checkpoints", class: "P0", channels: everyone, source: "the publishing of a checkpoint"}
	latest := filepath.Join(h.dir, "checkpoints", "latest")
	good, err := os.ReadFile(latest)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitN(string(good), "\n", 3) // origin, size, the rest
	if err := os.WriteFile(latest, []byte(lines[0]+"\n9"+lines[1]+"\n"+lines[2]), 0o600); err != nil {
		t.Fatal(err)
	}
	h.opened(t, rolled)
	if err := os.WriteFile(latest, good, 0o600); err != nil {
		t.Fatal(err)
	}
	h.over(t, rolled)
}

// TestStoreTrouble: a store that does not answer for 30 s is paged by the node
// itself, and its return is told.
func TestStoreTrouble(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	heard := func(what string) {
		t.Helper()
		for name, p := range map[string]*place{"pager": h.pager, "chat": h.chat, "email": h.email} {
			await(t, name+" hears "+what, func() (bool, string) {
				all := ""
				for _, m := range p.messages() {
					if strings.Contains(m.all, "store_down") {
						all += m.all
					}
				}
				return strings.Contains(all, what), all
			})
		}
	}
	h.sql(t, "ALTER TABLE revisions RENAME TO aside")
	await(t, "the store's state in the body of /readyz", func() (bool, string) {
		_, body := h.do(t, "GET", "/readyz", "", "")
		return strings.Contains(body, `"store":"down"`), body
	})
	tick := time.NewTicker(2 * time.Second) // it has looked once
	defer tick.Stop()
	<-tick.C
	h.advance(40 * time.Second)
	heard("trigger")
	h.sql(t, "ALTER TABLE aside RENAME TO revisions")
	heard("resolve")
}

// TestMaintenanceEndsDown: what is DOWN in a maintenance window pages nobody,
// and pages at the window's end while it still is.
func TestMaintenanceEndsDown(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	h.want(t, 201, "POST", "/v1/health/maintenance", `{"components":["stripe"],"for":"10m","reason":"Upgrade of the provider"}`)
	h.payments.answers(500, "")
	await(t, "stripe is DOWN", func() (bool, string) {
		body := h.want(t, 200, "GET", "/v1/health", "")
		return strings.Contains(body, `"DOWN"`) && strings.Contains(body, "maintenanceUntil"), body
	})
	if got := h.about(t, "stripe"); len(got) != 0 {
		t.Errorf("in the window: %+v", got)
	}
	h.later(t, 11*time.Minute)
	h.opened(t, row{rule: "component_down", object: "stripe", class: "P0", channels: everyone, source: "the end of a maintenance"})
}

// TestOneIncidentOfAParent: a parent that is DOWN raises one incident, not one
// for each child, and its return none of them.
func TestOneIncidentOfAParent(t *testing.T) {
	t.Parallel()
	h := startHost(t, func(h *host, c *config.Config) {
		parent := probeOf(h.payments)
		parent.Critical = true
		c.Health.Components = map[string]config.Component{"db": parent}
		for n := range 4 {
			child := probeOf(h.payments) // it answers through its parent
			child.Critical, child.DependsOn = true, []string{"db"}
			c.Health.Components[fmt.Sprintf("child-%d", n)] = child
		}
	})
	components := func() (got []api.Incident) {
		for _, i := range read[incidentList](t, h.started, "/v1/incidents?state=all").Incidents {
			if i.Group == "component" {
				got = append(got, i)
			}
		}
		return got
	}
	db := row{rule: "component_down", object: "db", class: "P0", channels: everyone, source: "a probe"}
	for range 2 { // the second time it reopens: flapping is one incident
		h.payments.answers(http.StatusServiceUnavailable, "")
		h.opened(t, db)
		await(t, "every child is DOWN and suppressed", func() (bool, string) {
			body := h.want(t, 200, "GET", "/v1/health", "")
			return strings.Count(body, `"suppressedBy"`) == 4, body
		})
		h.payments.answers(200, "")
		h.over(t, db)
	}
	await(t, "all are well", func() (bool, string) {
		body := h.want(t, 200, "GET", "/v1/health", "")
		return strings.Count(body, `"HEALTHY"`) >= 6, body
	})
	if got := components(); len(got) != 1 {
		t.Errorf("one cause is %d incidents: %+v", len(got), got)
	}
}
