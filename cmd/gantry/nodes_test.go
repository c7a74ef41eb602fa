package main_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"avalo.app/gantry/internal/gantrytest"
	"avalo.app/gantry/internal/store/storetest"
)

// TestTwoNodes: nodes on one PostgreSQL that start together make one admin
// key, and a change on one is in force on the other within a second (ten
// here, for slow machines).
func TestTwoNodes(t *testing.T) {
	config := postgresConfig(t, storetest.Postgres(t))
	var nodes [2]*gantrytest.Process
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() { nodes[i] = gantrytest.Start(t, gantrytest.Options{Binary: binary, Config: config}) })
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	a, b := nodes[0], nodes[1]
	if (a.Key == "") == (b.Key == "") {
		t.Fatalf("the nodes printed the keys %q and %q: want exactly one", a.Key, b.Key)
	}
	a.Key += b.Key
	b.Key = a.Key
	within := func(what string, ok func() bool) {
		t.Helper()
		start := time.Now()
		for time.Since(start) < 10*time.Second {
			if ok() {
				t.Logf("%s after %s", what, time.Since(start).Round(time.Millisecond))
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatalf("%s: not within ten seconds\n%s", what, b.Stderr())
	}
	within("the key is known on the other node", func() bool { return b.Do(t, "GET", "/v1/keys", nil).Status == http.StatusOK })

	if r := a.Do(t, "PUT", "/v1/ratelimit/policies/KYC_SUBMIT", `{"window":"24h","rules":[{"scope":"user","limit":7}]}`); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	within("the policy is in force on the other node", func() bool {
		var v struct{ Limit int }
		b.Do(t, "POST", "/v1/ratelimit/peek", `{"action":"KYC_SUBMIT","user":"a"}`).Decode(t, &v)
		return v.Limit == 7
	})

	if r := a.Do(t, "PUT", "/v1/launch/mode", `{"mode":"CLOSED_BETA","reason":"Opening the beta"}`); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	within("the launch mode is in force on the other node", func() bool {
		var v struct{ Mode string }
		b.Do(t, "GET", "/v1/launch/mode", nil).Decode(t, &v)
		return v.Mode == "CLOSED_BETA"
	})

	var made struct{ ID, Secret string }
	a.Do(t, "POST", "/v1/keys", `{"role":"moderator","label":"ops"}`).Decode(t, &made)
	policies := func() int {
		return b.Do(t, "GET", "/v1/ratelimit/policies", nil, "Authorization", "Bearer "+made.Secret).Status
	}
	within("a new key serves on the other node", func() bool { return policies() == http.StatusOK })
	if r := a.Do(t, "DELETE", "/v1/keys/"+made.ID, nil); r.Status != http.StatusNoContent {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	within("a revoked key is refused on the other node", func() bool { return policies() == http.StatusUnauthorized })

	// Both nodes write to one audit log, and it verifies.
	if r := b.Do(t, "PUT", "/v1/ratelimit/policies/LOGIN", `{"window":"5m","rules":[{"scope":"user","limit":9}]}`); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	var log struct{ Entries []struct{ Kind string } }
	a.Do(t, "GET", "/v1/audit/entries", nil).Decode(t, &log)
	if len(log.Entries) != 7 { // start, first key, policy, mode, key, revocation, policy
		t.Errorf("%d audit entries: %+v", len(log.Entries), log.Entries)
	}
}
