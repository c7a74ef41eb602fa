package main_test

import (
	"database/sql"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"avalo.app/gantry/internal/gantrytest"
	"avalo.app/gantry/internal/store/storetest"
)

// takeover is how long work may rest after its node is gone. The lease of ten
// seconds is asked for every third of it, so the design gives 13.4 s; the rest
// is for slow machines.
const takeover = 30 * time.Second

// pair is nodes on one PostgreSQL that watch one target and tell one receiver,
// each under its name.
type pair struct {
	t       *testing.T
	config  string
	target  *target
	pager   *gantrytest.Receiver
	key     string
	running map[string]*gantrytest.Process
}

func newPair(t *testing.T, storeURL string) *pair {
	return &pair{t: t, config: postgresConfig(t, storeURL), target: newTarget(t), pager: gantrytest.NewReceiver(t, nil), running: map[string]*gantrytest.Process{}}
}

// start starts a node.
func (n *pair) start(name string) *gantrytest.Process {
	n.t.Helper()
	p := gantrytest.Start(n.t, gantrytest.Options{Binary: binary, Config: n.config + fmt.Sprintf(`
health:
  components:
    api: {critical: true, interval: 1s, failure_threshold: 1, success_threshold: 1, http: {url: "%[1]s/api"}}
  freshness:
    index: {max_age: 1h, every: 5s, url: "%[1]s/index", field: updatedAt}
  jobs:
    late: {period: 10s, grace: 1s}
incidents:
  delay: {p1: 0s, p2: 0s}
  receivers:
    pager: %[2]s
    switch: %[3]s
`, n.target.url, n.pager.Config(name), strings.Replace(n.pager.Config(name), "[pager, chat, email]", "[], heartbeat: 10s", 1))})
	if n.key == "" {
		n.key = p.Key
	}
	p.Key = n.key
	n.running[name] = p
	return p
}

// pace is how many probes, readings of the index and heartbeats there were,
// and by whom the heartbeats were sent.
func (n *pair) pace() (probes, readings, beats int, by map[string]bool) {
	by = map[string]bool{}
	for _, m := range n.pager.Told() {
		if m.Action == "heartbeat" {
			beats++
			by[m.Node] = true
		}
	}
	return n.target.count("api"), n.target.count("index"), beats, by
}

// oneDoes demands that over a while nothing is done more often than by one
// node, and that all is done.
func (n *pair) oneDoes() {
	n.t.Helper()
	began := time.Now()
	p0, r0, b0, _ := n.pace()
	await(n.t, "six more probes, a reading and a heartbeat", func() bool {
		p, r, b, _ := n.pace()
		return p >= p0+6 && b > b0 && r > r0
	})
	p, r, b, _ := n.pace()
	seconds := time.Since(began).Seconds()
	// Intervals are jittered by a twentieth; two more of each may fall on the edges.
	for what, got := range map[string]struct {
		n     int
		every float64
	}{"probes": {p - p0, 0.95}, "readings": {r - r0, 4.75}, "heartbeats": {b - b0, 10}} {
		if limit := seconds/got.every + 2; float64(got.n) > limit {
			n.t.Errorf("%d %s in %.1f s, one node does at most %.0f", got.n, what, seconds, limit)
		}
	}
}

// takesOver waits until name does all that one node does, and returns how long
// the probes and the heartbeats rested.
func (n *pair) takesOver(name string, since time.Time) {
	n.t.Helper()
	probes := n.target.count("api")
	rest := map[string]time.Duration{}
	await(n.t, name+" takes over", func() bool {
		if _, ok := rest["probes"]; !ok && n.target.count("api") > probes {
			rest["probes"] = time.Since(since)
		}
		for _, m := range n.pager.Told() {
			if _, ok := rest["heartbeats"]; !ok && m.Action == "heartbeat" && m.Node == name && m.At.After(since) {
				rest["heartbeats"] = m.At.Sub(since)
			}
		}
		return len(rest) == 2
	})
	n.t.Logf("they rested for %v", rest)
	for what, d := range rest {
		if d > takeover {
			n.t.Errorf("%s rested for %s, want less than %s", what, d, takeover)
		}
	}
}

// round takes the component down and up, and waits until the receiver knows.
func (n *pair) round() {
	n.t.Helper()
	n.target.set("api", true)
	await(n.t, "the page", func() bool { return n.pager.Last("api").Action == "trigger" })
	n.target.set("api", false)
	await(n.t, "its end", func() bool { return n.pager.Last("api").Action == "resolve" })
}

// stopped reports whether a node logged that it lost the lease of a work.
func stopped(p *gantrytest.Process, work string) bool {
	for line := range strings.Lines(p.Stderr()) {
		if strings.Contains(line, "background work stopped here") && strings.Contains(line, work) {
			return true
		}
	}
	return false
}

func open(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// TestTwoNodesHealth: of two nodes, one probes, checks and tells. When it is
// killed, and when it is paused, the other goes on; when it wakes, it changes
// nothing. Nobody is paged twice, and nobody is not.
func TestTwoNodesHealth(t *testing.T) {
	t.Parallel() // it waits for leases to end
	url := storetest.Postgres(t)
	n := newPair(t, url)
	first := n.start("first")
	await(t, "the first node leads", func() bool { p, r, b, _ := n.pace(); return p > 0 && r > 0 && b > 0 })
	second := n.start("second")
	n.oneDoes()
	if _, _, _, by := n.pace(); by["second"] {
		t.Error("both nodes send heartbeats")
	}
	n.round()

	n.target.set("api", true) // fails while nobody looks
	gone := time.Now()
	first.Kill()
	n.takesOver("second", gone)
	await(t, "the page by the second node", func() bool { m := n.pager.Last("api"); return m.Action == "trigger" })
	n.target.set("api", false)
	await(t, "its end", func() bool { return n.pager.Last("api").Action == "resolve" })

	third := n.start("third")
	gone = time.Now()
	second.Signal(syscall.SIGSTOP)
	n.takesOver("third", gone)
	n.round()
	n.target.set("api", true)
	await(t, "another page", func() bool { return n.pager.Last("api").Action == "trigger" })
	second.Signal(syscall.SIGCONT)
	for _, work := range []string{"health", "incidents", "notifications", "heartbeats", "freshness"} {
		await(t, "the sleeper notices that it lost "+work, func() bool {
			return stopped(second, work)
		})
	}
	n.oneDoes()
	n.target.set("api", false)
	await(t, "its end", func() bool { return n.pager.Last("api").Action == "resolve" })
	await(t, "all is told", func() bool { return settled(incidents(t, third), "late") })
	var holders int
	if err := open(t, url).QueryRowContext(t.Context(), "SELECT count(DISTINCT holder) FROM leases WHERE name IN ('health', 'incidents', 'notifications', 'heartbeats', 'freshness')").Scan(&holders); err != nil || holders != 1 {
		t.Errorf("the leases have %d holders, want the third node alone (%v)", holders, err)
	}
	var told, late int
	for _, i := range incidents(t, third) {
		switch {
		case i.Group == "job":
			late++ // it never ran, and is late all along: one page in all, by whichever node
		case i.Object != "api":
			t.Errorf("raised, although nothing else fails: %s %s %s", i.ID, i.Object, i.Summary)
		default:
			told += i.Reopened + 1
		}
	}
	if told != 4 || late != 1 {
		t.Errorf("%d failures of the component are incidents and %d of the job, want 4 and 1", told, late)
	}
	heardAll(t, incidents(t, third), n.pager)
	if second.Stop() != 0 || third.Stop() != 0 {
		t.Error("the nodes do not stop in order")
	}
}
