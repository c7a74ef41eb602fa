package store_test

import (
	"bytes"
	"testing"
	"time"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
	"avalo.app/gantry/internal/lease"
	"avalo.app/gantry/internal/store"
	"avalo.app/gantry/internal/store/storetest"
)

var _ incidenttest.Backend = (*store.DB)(nil)

// onStore returns a harness around an empty store with an audit key.
func onStore(t *testing.T, url string) (incidenttest.Harness, *store.DB) {
	t.Helper()
	clock := incidenttest.NewClock(incidenttest.Start())
	db, err := store.Open(t.Context(), store.Options{URL: url, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	secret, _ := newKey(t)
	if err := db.UseAuditKey(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	var last lease.Held
	take := func() incident.Fence {
		t.Helper()
		if err := db.ReleaseLease(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		h, ok, err := db.AcquireLease(t.Context(), "incidents", "test", 10_000*time.Hour)
		if err != nil || !ok {
			t.Fatalf("acquire: %v %v", ok, err)
		}
		last = h
		return incident.Fence(h)
	}
	return incidenttest.Harness{Backend: db, Clock: clock, Take: take}, db
}

func TestIncidents(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		incidenttest.RunStore(t, func(t *testing.T) incidenttest.Harness {
			if url[:6] == "sqlite" {
				h, _ := onStore(t, "sqlite:"+t.TempDir()+"/gantry.db")
				return h
			}
			h, _ := onStore(t, storetest.Postgres(t))
			return h
		})
	})
}

// TestIncidentAudit: what people do to incidents commits with its entry, and
// no note is in a leaf.
func TestIncidentAudit(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		h, db := onStore(t, url)
		w := incidenttest.NewWorld(t, h, incidenttest.Config(), "a", nil)
		wantLog(t, db, incidenttest.Audits(t, h, w))
		for i := int64(1); i < logSize(t, db); i++ {
			p, err := db.AuditEntry(t.Context(), i)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(p.Leaf, []byte("secretnote")) || !bytes.Contains(p.Private, []byte("secretnote")) {
				t.Errorf("entry %d: leaf %s, private %s", i, p.Leaf, p.Private)
			}
		}
	})
}

// TestIncidentsWithoutAuditKey: a change that cannot be audited is not made.
func TestIncidentsWithoutAuditKey(t *testing.T) {
	withClock(t, func(t *testing.T, db *store.DB, clock *testClock) {
		h, ok, err := db.AcquireLease(t.Context(), "incidents", "test", time.Hour)
		if err != nil || !ok {
			t.Fatal(err)
		}
		c := incidenttest.NewClock(clock.Now())
		w := incidenttest.NewWorld(t, incidenttest.Harness{Backend: db, Clock: c, Take: func() incident.Fence { return incident.Fence(h) }}, incidenttest.Config(), "a", nil)
		w.Fail("x", "payment_failed")
		w.MustTurn(0)
		if _, err := w.Acknowledge(t.Context(), "inc-1", "key:ana", ""); err == nil {
			t.Error("acknowledged without an audit key")
		}
		w.Is("P0 open")
	})
}
