package main_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/gantrytest"
	"avalo.app/gantry/internal/store/storetest"
)

// TestAlertsSurviveKills: a process whose receiver is slow, fails and loses
// answers is killed with kill -9 at random instants while components go down
// and come back. The receiver hears of each, and in order.
func TestAlertsSurviveKills(t *testing.T) {
	t.Parallel() // what it waits for is mostly timers
	t.Run("sqlite", func(t *testing.T) { alertKills(t, "") })
	if os.Getenv("GANTRY_ACCEPT") != "" {
		t.Run("postgres", func(t *testing.T) { alertKills(t, postgresConfig(t, storetest.Postgres(t))) })
	}
}

// watched is how many components take turns, so that each has come back before
// its next.
const watched = 6

// fickle is one process after another over the same store.
type fickle struct {
	t      *testing.T
	dir    string
	config string
	key    string
	target *target
	pager  *gantrytest.Receiver
	p      *gantrytest.Process
	ahead  time.Duration // of the clock
}

func alertKills(t *testing.T, config string) {
	f := &fickle{t: t, dir: t.TempDir(), target: newTarget(t)}
	f.pager = gantrytest.NewReceiver(t, func(gantrytest.Told) gantrytest.Reply {
		time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond) // it is slow
		switch rand.IntN(10) {
		case 0:
			return gantrytest.Refuse
		case 1:
			return gantrytest.HangUp
		}
		return gantrytest.Accept
	})
	var b strings.Builder
	for i := range watched {
		fmt.Fprintf(&b, "    c%d: {critical: true, interval: 1s, failure_threshold: 1, success_threshold: 1, http: {url: '%s/c%d'}}\n", i, f.target.url, i)
	}
	f.config = config + "health:\n  components:\n" + b.String() + "incidents:\n  delay: {p1: 0s, p2: 0s}\n  receivers:\n    pager: " + f.pager.Config("node") + "\n"
	f.start()
	for round := range rounds() {
		f.round(fmt.Sprintf("c%d", round%watched))
	}
	var is []api.IncidentDetail
	await(t, "all is told", func() bool { is = incidents(t, f.p); return settled(is) })
	heardAll(t, is, f.pager)
	f.inOrder()
	found := map[string]bool{}
	for _, i := range is {
		found[i.Object] = true
	}
	if len(found) < min(watched, rounds()) {
		t.Errorf("incidents of %v only", found)
	}
	if f.p.Stop() != 0 {
		t.Errorf("it does not stop in order: %s", f.p.Stderr())
	}
}

// start starts the process with its clock past the leases of the one before,
// which nobody releases, the claim of a message, and the memory of what went up
// and down: what is tested is what was written, not the wait.
func (f *fickle) start() {
	f.t.Helper()
	f.ahead += 11 * time.Minute
	if err := os.WriteFile(filepath.Join(f.dir, "clock"), []byte(f.ahead.String()), 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.p = gantrytest.Start(f.t, gantrytest.Options{Binary: command, Dir: f.dir, Config: f.config})
	if f.key == "" {
		f.key = f.p.Key
	}
	f.p.Key = f.key
}

// killSoon lets the process live for a moment, kills it and starts another.
func (f *fickle) killSoon() {
	f.t.Helper()
	time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond) // the instant of the kill, not a wait for anything
	f.p.Kill()
	f.start()
}

// round takes a component down, and up again once the receiver knows; each
// time the process is killed meanwhile. Another component flickers.
func (f *fickle) round(name string) {
	f.t.Helper()
	other := "c" + fmt.Sprint((int(name[1]-'0')+watched/2)%watched)
	var flicker sync.WaitGroup
	end := make(chan struct{})
	flicker.Go(func() {
		for down := true; ; down = !down {
			f.target.set(other, down)
			select {
			case <-end:
				f.target.set(other, false)
				return
			case <-time.After(time.Duration(500+rand.IntN(2000)) * time.Millisecond):
			}
		}
	})
	await(f.t, name+" was up", func() bool { return f.pager.Last(name).Action != "trigger" })
	f.target.set(name, true)
	f.killSoon()
	await(f.t, "the page about "+name, func() bool { return f.pager.Last(name).Action == "trigger" })
	f.target.set(name, false)
	close(end)
	flicker.Wait()
	f.killSoon()
}

// inOrder demands that no message about an incident came after a later one.
func (f *fickle) inOrder() {
	f.t.Helper()
	last := map[string]int{}
	for _, m := range f.pager.Told() {
		var n int
		if _, err := fmt.Sscanf(m.Delivery[strings.LastIndexByte(m.Delivery, '-')+1:], "%d", &n); err != nil {
			f.t.Fatalf("delivery %q: %v", m.Delivery, err)
		}
		if n < last[m.DedupKey] {
			f.t.Errorf("%s came after %d: %+v", m.Delivery, last[m.DedupKey], m)
		}
		last[m.DedupKey] = n
	}
}
