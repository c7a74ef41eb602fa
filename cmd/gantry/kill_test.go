package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"avalo.app/gantry/internal/gantrytest"
	"avalo.app/gantry/internal/store/storetest"
)

// rounds is how often each engine is killed: 30 times by make accept.
func rounds() int {
	if os.Getenv("GANTRY_ACCEPT") != "" {
		return 30
	}
	return 3
}

// TestKill: a real process under load is killed with kill -9 at a random
// instant, again and again over the same store. After each restart every
// acknowledged policy, key and override is there, the violations that a query
// has told of are there, counts are there up to one snapshot interval, and the
// audit log verifies, extends each checkpoint that was seen and holds a leaf
// for each acknowledged change.
func TestKill(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { killRounds(t, "") })
	t.Run("postgres", func(t *testing.T) { killRounds(t, postgresConfig(t, storetest.Postgres(t))) })
}

func killRounds(t *testing.T, config string) {
	config += "counters: {snapshot_interval: 1s}\n"
	dir, key := t.TempDir(), ""
	start := func() *gantrytest.Process {
		p := gantrytest.Start(t, gantrytest.Options{Binary: binary, Dir: dir, Config: config})
		if key == "" {
			key = p.Key
		}
		p.Key = key
		return p
	}
	acked := &acks{policies: map[string]int64{}, puts: map[string]int{}, keys: map[string]bool{}, overrides: map[string]bool{}}
	for round := range rounds() {
		p := start()
		settled := fmt.Sprintf("settled-%d", round)
		charge(t, p, settled, 2) // and then two snapshots: it must survive
		waitSnapshots(t, p, 2)
		if err := acked.look(p); err != nil {
			t.Fatal(err)
		}
		killUnderLoad(t, p, acked, round)
		p = start()
		acked.check(t, p)
		if a := p.Do(t, "POST", "/v1/ratelimit/peek", fmt.Sprintf(`{"action":"KYC_SUBMIT","user":%q}`, settled)); remaining(t, a) != 0 { // of 3: two charged, and the one asked about
			t.Errorf("round %d: counts older than a snapshot interval are gone: %s", round, a.Body)
		}
		p.Kill()
		acked.verify(t, dir)
	}
}

// acks are the changes that were acknowledged, and what queries told.
type acks struct {
	mu         sync.Mutex
	policies   map[string]int64 // action to the highest version acknowledged
	puts       map[string]int   // action to the changes acknowledged
	keys       map[string]bool
	overrides  map[string]bool
	violations int    // as many as a query has told of
	checkpoint []byte // the newest that was seen
}

// killUnderLoad runs checks and changes side by side and kills the process
// in the middle: in every other round only after a change of each kind was
// acknowledged.
func killUnderLoad(t *testing.T, p *gantrytest.Process, a *acks, round int) {
	t.Helper()
	before := a.count()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	work := func(fn func(i int) error) {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				err := fn(i)
				if refused, ok := errors.AsType[wrong](err); ok {
					t.Errorf("under load: %v", refused)
				}
				if err != nil {
					return // the process is gone
				}
			}
		})
	}
	work(func(i int) error { return a.policy(p, i) })
	work(func(i int) error { return a.key(p, fmt.Sprintf("r%d-%d", round, i)) })
	work(func(i int) error { return a.override(p, fmt.Sprintf("u%d-%d", round, i)) })
	work(func(int) error { return a.look(p) })
	for range 4 {
		work(func(i int) error {
			r, err := p.Try("POST", "/v1/ratelimit/check", fmt.Sprintf(`{"action":"KYC_SUBMIT","user":"load%d"}`, i%5))
			if err == nil && r.Status != http.StatusOK && r.Status != http.StatusTooManyRequests {
				return wrong(r)
			}
			return err
		})
	}
	grown := func() bool {
		now := a.count()
		return now[0] > before[0] && now[1] > before[1] && now[2] > before[2]
	}
	for i := 0; round%2 == 0 && !grown(); i++ {
		if i == tries {
			t.Error("nothing is acknowledged under load")
			break
		}
		time.Sleep(patience)
	}
	time.Sleep(time.Duration(rand.IntN(1200)) * time.Millisecond) // the instant of the kill, not a wait for anything
	p.Kill()
	stop()
	wg.Wait()
}

// count is how many policy changes, keys and overrides were acknowledged.
func (a *acks) count() (n [3]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, puts := range a.puts {
		n[0] += puts
	}
	n[1], n[2] = len(a.keys), len(a.overrides)
	return n
}

func (a *acks) policy(p *gantrytest.Process, i int) error {
	action := fmt.Sprintf("LOAD_%d", i%3)
	r, err := p.Try("PUT", "/v1/ratelimit/policies/"+action, fmt.Sprintf(`{"window":"1m","rules":[{"scope":"user","limit":%d}]}`, 1+i))
	if err != nil {
		return err
	}
	if r.Status != http.StatusOK {
		return wrong(r)
	}
	var v struct{ Version int64 }
	if err := decode(r, &v); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.policies[action] = max(a.policies[action], v.Version)
	a.puts[action]++
	return nil
}

func (a *acks) key(p *gantrytest.Process, label string) error {
	r, err := p.Try("POST", "/v1/keys", fmt.Sprintf(`{"role":"app","label":%q}`, label))
	return a.ack(a.keys, r, err)
}

func (a *acks) override(p *gantrytest.Process, user string) error {
	r, err := p.Try("POST", "/v1/ratelimit/overrides",
		fmt.Sprintf(`{"dimension":"user","subject":%q,"exempt":true,"expiresAt":%q,"reason":"a kill test"}`, user, time.Now().Add(time.Hour).Format(time.RFC3339)))
	return a.ack(a.overrides, r, err)
}

func (a *acks) ack(into map[string]bool, r gantrytest.Answer, err error) error {
	if err != nil {
		return err
	}
	var made struct{ ID string }
	if err := decode(r, &made); err != nil || r.Status != http.StatusCreated {
		return wrong(r)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	into[made.ID] = true
	return nil
}

// look asks for the violations and the checkpoint, as an operator and a
// witness do.
func (a *acks) look(p *gantrytest.Process) error {
	n, err := violations(p)
	if err != nil {
		return err
	}
	c, err := p.Try("GET", "/audit/log/checkpoint", nil)
	if err != nil {
		return err
	}
	if c.Status != http.StatusOK {
		return wrong(c)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.violations, a.checkpoint = max(a.violations, n), c.Body
	return nil
}

// verify runs gantry audit verify over the store that was killed.
func (a *acks) verify(t *testing.T, dir string) {
	t.Helper()
	kept := filepath.Join(dir, "kept.checkpoint")
	if err := os.WriteFile(kept, a.checkpoint, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "audit", "verify", "--config", filepath.Join(dir, "gantry.yaml"), "--since", kept)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("policies, keys, overrides %v, %d violations: %s", a.count(), a.violations, out)
}

// check looks every acknowledged change up, in the state and in the log.
func (a *acks) check(t *testing.T, p *gantrytest.Process) {
	t.Helper()
	for action, version := range a.policies {
		var got struct{ Version int64 }
		p.Do(t, "GET", "/v1/ratelimit/policies/"+action, nil).Decode(t, &got)
		if got.Version < version {
			t.Errorf("policy %s: version %d, %d was acknowledged", action, got.Version, version)
		}
		if n := leaves(t, p, "policy:"+action); n < a.puts[action] {
			t.Errorf("policy %s: %d audit entries, %d changes were acknowledged", action, n, a.puts[action])
		}
	}
	if n, err := violations(p); err != nil || n < a.violations {
		t.Errorf("%d violations (%v), a query told of %d before the kill", n, err, a.violations)
	}
	have := map[string]bool{}
	var state struct{ Keys, Overrides []struct{ ID string } }
	p.Do(t, "GET", "/v1/keys", nil).Decode(t, &state)
	p.Do(t, "GET", "/v1/ratelimit/overrides", nil).Decode(t, &state)
	for _, x := range append(state.Keys, state.Overrides...) {
		have[x.ID] = true
	}
	for id := range a.keys {
		a.inLog(t, p, have, "key:"+id, id)
	}
	for id := range a.overrides {
		a.inLog(t, p, have, "override:"+id, id)
	}
}

func (a *acks) inLog(t *testing.T, p *gantrytest.Process, have map[string]bool, object, id string) {
	t.Helper()
	if !have[id] {
		t.Errorf("%s was acknowledged and is gone", object)
	}
	if n := leaves(t, p, object); n != 1 {
		t.Errorf("%s: %d audit entries", object, n)
	}
}

// leaves counts the audit entries of an object, over all pages.
func leaves(t *testing.T, p *gantrytest.Process, object string) (n int) {
	t.Helper()
	for before := ""; ; {
		var log struct{ Entries []struct{ Index int64 } }
		p.Do(t, "GET", "/v1/audit/entries?limit=1000&object="+object+before, nil).Decode(t, &log)
		n += len(log.Entries)
		if len(log.Entries) < 1000 {
			return n
		}
		before = fmt.Sprintf("&before=%d", log.Entries[len(log.Entries)-1].Index)
	}
}

func charge(t *testing.T, p *gantrytest.Process, user string, n int) {
	t.Helper()
	for range n {
		if a := p.Do(t, "POST", "/v1/ratelimit/check", fmt.Sprintf(`{"action":"KYC_SUBMIT","user":%q}`, user)); a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
}

func remaining(t *testing.T, a gantrytest.Answer) int {
	t.Helper()
	var v struct{ Remaining int }
	a.Decode(t, &v)
	return v.Remaining
}

// violations sums the refusals that a query tells of.
func violations(p *gantrytest.Process) (n int, err error) {
	a, err := p.Try("GET", "/v1/ratelimit/violations?limit=1000", nil)
	if err != nil {
		return 0, err
	}
	if a.Status != http.StatusOK {
		return 0, wrong(a)
	}
	var v struct{ Violations []struct{ Count int } }
	err = decode(a, &v)
	for _, x := range v.Violations {
		n += x.Count
	}
	return n, err
}

// waitSnapshots returns after n more snapshots have replaced the file.
func waitSnapshots(t *testing.T, p *gantrytest.Process, n int) {
	t.Helper()
	path := filepath.Join(p.Dir, "gantry-data", "counters.snapshot")
	last := time.Time{}
	if fi, err := os.Stat(path); err == nil {
		last = fi.ModTime()
	}
	for range 600 {
		if fi, err := os.Stat(path); err == nil && fi.ModTime().After(last) {
			last = fi.ModTime()
			if n--; n == 0 {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("no snapshot is written")
}

// wrong is an answer that a living process must not give.
type wrong gantrytest.Answer

func (w wrong) Error() string { return fmt.Sprintf("%d %s", w.Status, w.Body) }

func decode(a gantrytest.Answer, v any) error { return json.Unmarshal(a.Body, v) }
