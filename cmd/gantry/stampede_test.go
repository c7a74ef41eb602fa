package main_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"avalo.app/gantry/internal/gantrytest"
	"avalo.app/gantry/internal/store/storetest"
)

// TestStampede: 5,000 people reserve at once against the soft launch's cap
// of 2,000 while a process is killed with kill -9. A third abandons, a third
// confirms at once, a third late. Confirmed never exceeds the cap, every freed
// slot can be used, and the counters are the rows.
func TestStampede(t *testing.T) {
	t.Run("postgres, two nodes, one killed", func(t *testing.T) {
		config := postgresConfig(t, storetest.Postgres(t))
		a := gantrytest.Start(t, gantrytest.Options{Binary: binary, Config: config})
		b := gantrytest.Start(t, gantrytest.Options{Binary: binary, Config: config})
		b.Key = a.Key
		s := &stampede{t: t, nodes: []*gantrytest.Process{a, b}}
		s.run(func() { b.Kill(); s.use(a) })
	})
	t.Run("sqlite, one node, killed and started again", func(t *testing.T) {
		o := gantrytest.Options{Binary: binary, Dir: t.TempDir()}
		a := gantrytest.Start(t, o)
		s := &stampede{t: t, nodes: []*gantrytest.Process{a}}
		s.run(func() {
			a.Kill()
			again := gantrytest.Start(t, o)
			again.Key = a.Key
			s.use(again)
		})
	})
}

const (
	people   = 5000
	dailyCap = 2000 // of SOFT_LAUNCH
)

type stampede struct {
	t     *testing.T
	mu    sync.Mutex
	nodes []*gantrytest.Process

	answered atomic.Int64 // reservations, granted or refused
	refused  atomic.Int64
	granted  sync.Map // person to reservation id
}

// use leaves one node to talk to.
func (s *stampede) use(p *gantrytest.Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes = []*gantrytest.Process{p}
}

func (s *stampede) node(i int) *gantrytest.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes[i%len(s.nodes)]
}

// ask repeats a request until a node answers it: a retry of the same subject
// must not take a second slot.
func (s *stampede) ask(i int, method, path, body string) gantrytest.Answer {
	for range 600 {
		a, err := s.node(i).Try(method, path, body)
		if err == nil && a.Status < 500 && a.Status != http.StatusUnauthorized { // a node just started may not know the key yet
			return a
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Errorf("%s %s is not answered within 30 s", method, path)
	return gantrytest.Answer{}
}

func person(i int) string {
	return fmt.Sprintf(`{"country":"PL","userId":"u%d","email":"u%d@example.com","ip":"10.%d.%d.1","ttlSeconds":600}`, i, i, i/256, i%256)
}

// reserve reserves for one person and reports the state of the answer.
func (s *stampede) reserve(i int) (id string, ok bool) {
	a := s.ask(i, "POST", "/v1/signups", person(i))
	s.answered.Add(1)
	switch a.Status {
	case http.StatusCreated, http.StatusOK:
		var r struct{ ID string }
		a.Decode(s.t, &r)
		return r.ID, true
	case http.StatusForbidden:
		s.refused.Add(1)
	default:
		s.t.Errorf("person %d: %d %s", i, a.Status, a.Body)
	}
	return "", false
}

func (s *stampede) confirm(i int, id string) int {
	return s.ask(i, "POST", "/v1/signups/"+id+"/confirm", "").Status
}

type tally struct {
	Total struct{ Open, Confirmed, Cap int64 }
}

func (s *stampede) counts() (c tally) {
	s.ask(0, "GET", "/v1/signups/counts", "").Decode(s.t, &c)
	return c
}

func (s *stampede) run(kill func()) {
	t := s.t
	softLaunch(t, s.node(0))
	stop, over := make(chan struct{}), new(sync.WaitGroup)
	over.Go(func() { s.watch(stop) })
	var wg sync.WaitGroup
	next := new(atomic.Int64)
	for range 128 {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < people; i = int(next.Add(1) - 1) {
				id, ok := s.reserve(i)
				if !ok {
					continue
				}
				s.granted.Store(i, id)
				if i%3 == 1 && s.confirm(i, id) != http.StatusOK {
					t.Errorf("person %d cannot confirm", i)
				}
			}
		})
	}
	for s.answered.Load() < people/5 {
		time.Sleep(time.Millisecond)
	}
	kill()
	wg.Wait()
	close(stop)
	over.Wait()
	s.settle()
}

// watch sees that the cap holds at every moment.
func (s *stampede) watch(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
		if c := s.counts(); c.Total.Open+c.Total.Confirmed > dailyCap {
			s.t.Errorf("%d open and %d confirmed of %d", c.Total.Open, c.Total.Confirmed, dailyCap)
		}
	}
}

// settle plays the rest of the day.
func (s *stampede) settle() {
	t := s.t
	c := s.counts()
	granted, confirmed, late := 0, 0, []int{}
	s.granted.Range(func(k, _ any) bool {
		granted++
		switch k.(int) % 3 {
		case 1:
			confirmed++
		case 2:
			late = append(late, k.(int))
		}
		return true
	})
	if c.Total.Cap != dailyCap || granted != dailyCap || int(s.refused.Load()) != people-dailyCap || int(c.Total.Confirmed) != confirmed || c.Total.Open+c.Total.Confirmed != dailyCap {
		t.Errorf("granted %d, refused %d, confirmed %d; counted %+v", granted, s.refused.Load(), confirmed, c)
	}
	s.noDrift()

	// All that was not confirmed expires, and frees its slot.
	s.node(0).SetClock(t, 11*time.Minute)
	s.eventually("the expiry", func() bool { c := s.counts(); return c.Total.Open == 0 && int(c.Total.Confirmed) == confirmed })
	half := len(late) / 2
	for _, i := range late[:half] {
		if id, _ := s.granted.Load(i); s.confirm(i, id.(string)) != http.StatusOK {
			t.Errorf("person %d is late and finds no slot, with %d of them free", i, dailyCap-confirmed)
		}
		confirmed++
	}
	// Others take exactly what is left.
	free := int64(dailyCap - confirmed)
	took, sure := s.fill(people, dailyCap)
	confirmed += int(sure)
	if c = s.counts(); took != free || int(c.Total.Confirmed) != confirmed || c.Total.Open+c.Total.Confirmed != dailyCap {
		t.Errorf("%d slots were free and %d took one; counted %+v, confirmed %d", free, took, c, confirmed)
	}
	// Who is later still has an account and no slot.
	for _, i := range late[half:min(half+20, len(late))] {
		if id, _ := s.granted.Load(i); s.confirm(i, id.(string)) != http.StatusConflict {
			t.Errorf("person %d confirmed on a full day", i)
		}
	}
	if c = s.counts(); c.Total.Confirmed > dailyCap || int(c.Total.Confirmed) != confirmed {
		t.Errorf("confirmed %d of %d, counted %+v", confirmed, dailyCap, c)
	}
	s.noDrift()
	t.Logf("%d people, %d granted, %d took what expired, %d confirmed", people, granted, took, confirmed)
}

// fill lets n people from one on reserve, and every second of them confirm.
func (s *stampede) fill(from, n int) (took, confirmed int64) {
	var wg sync.WaitGroup
	var next, granted, sure atomic.Int64
	for range 64 {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < n; i = int(next.Add(1) - 1) {
				id, ok := s.reserve(from + i)
				if !ok {
					continue
				}
				granted.Add(1)
				if i%2 == 0 && s.confirm(from+i, id) == http.StatusOK {
					sure.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return granted.Load(), sure.Load()
}

func (s *stampede) noDrift() {
	s.t.Helper()
	if a := s.ask(0, "GET", "/v1/signups/drift", ""); string(a.Body) != "{\"drift\":[]}\n" {
		s.t.Errorf("counters are not the rows: %s", a.Body)
	}
}

func (s *stampede) eventually(what string, ok func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			s.t.Fatalf("%s: not within 30 s: %+v", what, s.counts())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// softLaunch opens SOFT_LAUNCH by the override of two admins, in a time zone
// where it is about noon, so that no test runs over a midnight.
func softLaunch(t *testing.T, p *gantrytest.Process) {
	t.Helper()
	zone := "Etc/GMT"
	if off := 12 - time.Now().UTC().Hour(); off > 0 {
		zone = fmt.Sprintf("Etc/GMT-%d", off) // the sign of these names is that of POSIX
	} else if off < 0 {
		zone = fmt.Sprintf("Etc/GMT+%d", -off)
	}
	do := func(key string, want int, method, path, body string) gantrytest.Answer {
		t.Helper()
		a := p.Do(t, method, path, body, "Authorization", "Bearer "+key)
		if a.Status != want {
			t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
		}
		return a
	}
	do(p.Key, 200, "PUT", "/v1/launch/settings?reason=Noon+in+the+test", `{"timeZone":"`+zone+`","blockedCountries":[],"reservationTTL":"15m","hookTTL":"24h"}`)
	var bob, dave struct{ Secret string }
	do(p.Key, 201, "POST", "/v1/keys", `{"role":"admin","label":"bob","owner":"bob"}`).Decode(t, &bob)
	do(p.Key, 201, "POST", "/v1/keys", `{"role":"admin","label":"dave","owner":"dave"}`).Decode(t, &dave)
	var o struct{ ID string }
	do(bob.Secret, 201, "POST", "/v1/launch/overrides", `{"mode":"SOFT_LAUNCH","reason":"Opening for the test"}`).Decode(t, &o)
	do(dave.Secret, 200, "POST", "/v1/launch/overrides/"+o.ID+"/approve", "")
	do(bob.Secret, 200, "PUT", "/v1/launch/mode", `{"mode":"SOFT_LAUNCH","reason":"Opening for the test","override":"`+o.ID+`"}`)
}

// TestExpandedSoftLaunch: 5,000 a day for the EU and North America, set while
// people come: the 5,001st is refused.
func TestExpandedSoftLaunch(t *testing.T) {
	p := gantrytest.Start(t, gantrytest.Options{Binary: binary})
	softLaunch(t, p)
	canada := `{"country":"CA","userId":"ca"}`
	if a := p.Do(t, "POST", "/v1/signups", canada); a.Status != http.StatusForbidden {
		t.Errorf("Canada before: %d %s", a.Status, a.Body)
	}
	if a := p.Do(t, "PUT", "/v1/launch/phases/SOFT_LAUNCH?reason=Expanded+soft+launch", `{"countries":["GB","CH"],"groups":["EU","NA"],"dailyCap":5000}`); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a := p.Do(t, "POST", "/v1/signups", canada); a.Status != http.StatusCreated {
		t.Errorf("Canada after: %d %s", a.Status, a.Body)
	}
	s := &stampede{t: t, nodes: []*gantrytest.Process{p}}
	if took, _ := s.fill(0, 4999); took != 4999 {
		t.Errorf("%d of 4999 took a slot", took)
	}
	a := p.Do(t, "POST", "/v1/signups", person(4999))
	var problem struct {
		Code    string
		Details struct{ Limit, Actual int }
	}
	if a.Decode(t, &problem); a.Status != http.StatusForbidden || problem.Code != "DAILY_LIMIT_REACHED" || problem.Details.Limit != 5000 || problem.Details.Actual != 5000 {
		t.Errorf("the 5,001st: %d %s", a.Status, a.Body)
	}
	s.noDrift()
}

// TestInviteStampede: 500 people with one code of 50 uses, each asking three
// times, over two nodes: exactly 50 come in, and none of them burns two uses.
func TestInviteStampede(t *testing.T) {
	config := postgresConfig(t, storetest.Postgres(t))
	a := gantrytest.Start(t, gantrytest.Options{Binary: binary, Config: config})
	b := gantrytest.Start(t, gantrytest.Options{Binary: binary, Config: config})
	b.Key = a.Key
	if r := a.Do(t, "PUT", "/v1/launch/mode", `{"mode":"CLOSED_BETA","reason":"Opening for the test"}`); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	var made struct{ Invites []struct{ ID, Code string } }
	a.Do(t, "POST", "/v1/invites", `{"maxUses":50}`).Decode(t, &made)
	s := &stampede{t: t, nodes: []*gantrytest.Process{a, b}}
	var in sync.Map
	var depleted atomic.Int64
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			for range 3 {
				body := fmt.Sprintf(`{"country":"PL","userId":"u%d","ip":"10.%d.%d.1","inviteCode":%q}`, i, i/256, i%256, made.Invites[0].Code)
				r := s.ask(i, "POST", "/v1/signups", body)
				switch r.Status {
				case http.StatusCreated, http.StatusOK:
					var res struct{ ID string }
					r.Decode(t, &res)
					if was, _ := in.LoadOrStore(i, res.ID); was != res.ID {
						t.Errorf("person %d has %s and %s", i, was, res.ID)
					}
				case http.StatusForbidden:
					depleted.Add(1)
				default:
					t.Errorf("%d %s", r.Status, r.Body)
				}
			}
		})
	}
	wg.Wait()
	n := 0
	in.Range(func(any, any) bool { n++; return true })
	var list struct{ Invites []struct{ Used int } }
	a.Do(t, "GET", "/v1/invites", nil).Decode(t, &list)
	if n != 50 || depleted.Load() != 450*3 || list.Invites[0].Used != 50 {
		t.Errorf("%d came in, %d refusals, used %d", n, depleted.Load(), list.Invites[0].Used)
	}
	s.noDrift()
}
