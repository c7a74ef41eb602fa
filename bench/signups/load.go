package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"avalo.app/gantry/bench/internal/servers"
)

// task is what the servers are measured at.
type task struct {
	name, unit string
	calls      []string // that one unit consists of, at most two
	limit      int64    // the day's cap meanwhile
	once       func(*worker) error
}

var tasks = []task{
	{"Signups reserved and confirmed", "pair", []string{"reserve", "confirm"}, plenty, (*worker).pair},
	{"Reservations refused, the day is full", "refusal", []string{"reserve"}, 1, (*worker).refused},
	{"Eligibility of a country", "check", []string{"check"}, plenty, func(w *worker) error { return w.eligible(false) }},
	{"Eligibility of a user", "check", []string{"check"}, plenty, func(w *worker) error { return w.eligible(true) }},
}

// worker is one client: a connection, and what each of its calls took.
type worker struct {
	*contestant
	c    *servers.Conn
	took [2][]time.Duration
}

// load lets all workers do the task for a turn. Who has begun a unit ends it.
func (x *contestant) load(t task, c contest) (took [2][]time.Duration, elapsed time.Duration, err error) {
	workers := make([]*worker, c.workers)
	start := time.Now()
	err = x.Each(c.workers, func(i int, conn *servers.Conn) error {
		w := &worker{contestant: x, c: conn}
		workers[i] = w
		for time.Since(start) < c.turn {
			if err := t.once(w); err != nil {
				return err
			}
		}
		return nil
	})
	elapsed = time.Since(start)
	if err != nil {
		return took, elapsed, err
	}
	for _, w := range workers {
		for i := range took {
			took[i] = append(took[i], w.took[i]...)
		}
	}
	if len(took[0]) == 0 {
		err = errors.New("nothing was answered")
	}
	return took, elapsed, err
}

// call measures one request, as the unit's i-th.
func (w *worker) call(i, want int, path, body string) ([]byte, error) {
	request := w.Request(http.MethodPost, w.prefix+path, body)
	start := time.Now()
	status, answer, err := w.c.Do(request)
	if err == nil && status != want {
		err = fmt.Errorf("%s: %d %s, want %d", path, status, answer, want)
	}
	w.took[i] = append(w.took[i], time.Since(start))
	return answer, err
}

// stranger is the body of a subject that nobody has seen before. It names no
// address: a limit per network would come first.
func (w *worker) stranger() string {
	return `{"country":"PL","userId":"u` + strconv.FormatInt(w.subjects.Add(1), 10) + `"}`
}

func (w *worker) pair() error {
	answer, err := w.call(0, w.created, "/signups", w.stranger())
	if err != nil {
		return err
	}
	_, id, _ := bytes.Cut(answer, []byte(`"id":"`))
	id, _, ok := bytes.Cut(id, []byte(`"`))
	if !ok {
		return fmt.Errorf("no id in %s", answer)
	}
	if _, err := w.call(1, 200, "/signups/"+string(id)+"/confirm", ""); err != nil {
		return err
	}
	w.pairs.Add(1)
	return nil
}

func (w *worker) refused() error {
	_, err := w.call(0, 403, "/signups", w.stranger())
	return err
}

func (w *worker) eligible(user bool) error {
	body := `{"country":"PL"}`
	if user {
		body = w.stranger()
	}
	answer, err := w.call(0, 200, "/signups/eligibility", body)
	if err == nil && !bytes.Contains(answer, []byte(`"allowed":true`)) {
		err = fmt.Errorf("not allowed: %s", answer)
	}
	return err
}
