package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
	"avalo.app/gantry/internal/notify/webhook"
	"avalo.app/gantry/internal/signal"
	"avalo.app/gantry/internal/store"
	"avalo.app/gantry/internal/store/storetest"
)

const killSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// hooks is a server that keeps what was delivered, in order, without repeats.
type hooks struct {
	*httptest.Server
	mu    sync.Mutex
	seen  map[string]bool
	heard map[string][]string // actions by key
	n     int
	onN   func(n int)
}

func listen(t *testing.T) *hooks {
	t.Helper()
	h := &hooks{seen: map[string]bool{}, heard: map[string][]string{}}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

// ServeHTTP implements http.Handler.
func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender was killed
	}
	var b struct {
		Type string
		Data struct{ DedupKey string }
	}
	if err := json.Unmarshal(body, &b); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	if id := r.Header.Get("webhook-id"); !h.seen[id] {
		h.seen[id] = true
		h.heard[b.Data.DedupKey] = append(h.heard[b.Data.DedupKey], b.Type)
	}
	h.n++
	n, on := h.n, h.onN
	h.mu.Unlock()
	if on != nil {
		on(n) // before the answer: the sender may not live to read it
	}
	w.WriteHeader(http.StatusNoContent)
}

// TestIncidentsSurviveKill kills processes that raise, resolve and send, at
// random moments, many of them between a delivery and its record: in the end
// every incident's begin and end arrived, in order, by one key.
func TestIncidentsSurviveKill(t *testing.T) {
	if to := os.Getenv("GANTRY_TEST_INCIDENT_URL"); to != "" {
		causeUntilKilled(t, to, os.Getenv("GANTRY_TEST_INCIDENT_HOOK"), os.Getenv("GANTRY_TEST_INCIDENT_ROUND"))
		return
	}
	storetest.EachURL(t, func(t *testing.T, to string) {
		h := listen(t)
		for round := range 4 {
			killed(t, h, to, round)
		}
		// One that lives clears what the dead ones raised.
		db, svc, sender, f := killNode(t, to, h.URL, "last")
		defer db.Close()
		deadline := time.Now().Add(2 * time.Minute)
		for {
			cs, err := svc.Conditions(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range cs {
				svc.Sink(signal.Fact{Rule: c.Rule, Object: c.Object})
			}
			if err := errors.Join(svc.Flush(t.Context()), svc.Evaluate(t.Context(), f)); err != nil {
				t.Fatal(err)
			}
			if _, err := sender.Next(t.Context(), f, "hook"); err != nil {
				t.Fatal(err)
			}
			st, err := svc.DeliveryStats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if st["hook"].Pending == 0 && len(cs) == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d wait after two minutes", st["hook"].Pending)
			}
		}
		checkKilled(t, svc, h)
	})
}

func checkKilled(t *testing.T, svc *incident.Service, h *hooks) {
	t.Helper()
	is, err := svc.Incidents(t.Context(), incident.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(is) < 8 || len(h.heard) != len(is) {
		t.Errorf("%d incidents, %d were heard of", len(is), len(h.heard))
	}
	for _, i := range is {
		heard := h.heard[incident.DedupKey("test", i.Cause, i.Seq)]
		if i.Active() || len(heard) != 2*(i.Reopened+1) {
			t.Errorf("%s is %s, reopened %d, heard of as %v", i.ID, i.State, i.Reopened, heard)
		}
		for n, a := range heard {
			if want := []string{"incident.trigger", "incident.resolve"}[n%2]; a != want {
				t.Errorf("%s is heard of as %v", i.ID, heard)
			}
		}
	}
	t.Logf("%d incidents, %d deliveries, %d of them repeats", len(is), h.n, h.n-len(h.seen))
}

// killed runs a process until the hooks have heard some more, or at some
// moment after.
func killed(t *testing.T, h *hooks, to string, round int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestIncidentsSurviveKill$")
	cmd.Env = append(os.Environ(), "GANTRY_TEST_INCIDENT_URL="+to, "GANTRY_TEST_INCIDENT_HOOK="+h.URL, "GANTRY_TEST_INCIDENT_ROUND="+strconv.Itoa(round))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	after := h.n + 10 + rand.IntN(10)
	h.onN = func(n int) {
		if n >= after {
			_ = cmd.Process.Kill() // Wait tells
		}
	}
	h.mu.Unlock()
	if err := cmd.Wait(); err == nil {
		t.Fatal("the process ended by itself")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.onN = nil; h.n < after {
		t.Fatalf("the process died by itself, after %d deliveries", h.n)
	}
}

// killNode is a node with a short claim, so that the next one need not wait
// long.
func killNode(t *testing.T, to, hook, name string) (*store.DB, *incident.Service, *incident.Sender, incident.Fence) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: to})
	if err != nil {
		t.Fatal(err)
	}
	c := incidenttest.Config()
	c.Contacts = []incident.Contact{{Name: "hook", Channels: incident.Channels()}}
	svc, err := incident.New(incident.Options{Store: db, Node: name, Config: c})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(hook)
	if err != nil {
		t.Fatal(err)
	}
	r, err := webhook.New(webhook.Options{URL: u, Secrets: killSecret})
	if err != nil {
		t.Fatal(err)
	}
	// The lease of the dead: its token is what fences, not how long it would last.
	h, ok, err := db.AcquireLease(t.Context(), "incidents-"+name, name, time.Hour)
	if err != nil || !ok {
		t.Fatalf("acquire: %v %v", ok, err)
	}
	sender := &incident.Sender{Store: shortClaims{db}, Stats: db.DeliveryStats, Receivers: map[string]incident.Receiver{"hook": r}, Signals: svc.Sink, Timeout: time.Second}
	return db, svc, sender, incident.Fence(h)
}

// shortClaims claims for 2 s.
type shortClaims struct{ incident.Store }

func (s shortClaims) ClaimDelivery(ctx context.Context, f incident.Fence, receiver string, _ time.Duration) (incident.Delivery, bool, error) {
	return s.Store.ClaimDelivery(ctx, f, receiver, 2*time.Second)
}

func causeUntilKilled(t *testing.T, to, hook, round string) {
	_, svc, sender, f := killNode(t, to, hook, round)
	for n := 0; ; n++ {
		for k := range 4 {
			svc.Sink(signal.Fact{Rule: "payment_failed", Object: round + "/" + strconv.Itoa((n+k)%12), Failing: k%2 == 0})
		}
		if err := errors.Join(svc.Flush(t.Context()), svc.Evaluate(t.Context(), f)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := sender.Next(t.Context(), f, "hook"); err != nil {
				t.Fatal(err)
			}
		}
	}
}
