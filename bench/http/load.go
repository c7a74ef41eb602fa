package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"avalo.app/gantry/bench/internal/servers"
)

const users = 100_000

// load is what each worker sends: one check after another on its own
// connection.
type load struct {
	server   *servers.Process
	request  []byte // ends in a user's six digits and `"}`
	want     int    // the status of every answer
	sequence []*rand.Rand
}

func newLoad(p *servers.Process, path, action string, want, workers int) *load {
	l := &load{server: p, want: want, request: p.Request("POST", path, fmt.Sprintf(`{"action":%q,"user":"user-000000"}`, action))}
	for w := range workers {
		l.sequence = append(l.sequence, rand.New(rand.NewPCG(uint64(w), 7)))
	}
	return l
}

// fill checks every user once, so that the servers know all of them and a
// limit of 1 is used up. All must pass.
func (l *load) fill(workers int) error {
	return l.each(workers, func(w int, c *conn) error {
		for user := w; user < users; user += workers {
			status, err := c.check(user)
			if err != nil {
				return err
			}
			if status != 200 {
				return fmt.Errorf("status %d at a user's first check", status)
			}
		}
		return nil
	})
}

// run checks users at random for d and returns the time that every answer
// took. It needs no warm-up: fill was one, and connecting is quick.
func (l *load) run(d time.Duration, workers int) (all []time.Duration, elapsed time.Duration, err error) {
	start := time.Now()
	parts := make([][]time.Duration, workers)
	err = l.each(workers, func(w int, c *conn) error {
		for {
			sent := time.Now()
			if sent.After(start.Add(d)) {
				return nil
			}
			status, err := c.check(l.sequence[w].IntN(users))
			if err != nil {
				return err
			}
			if status != l.want {
				return fmt.Errorf("status %d where %d was due", status, l.want)
			}
			parts[w] = append(parts[w], time.Since(sent))
		}
	})
	for _, p := range parts {
		all = append(all, p...)
	}
	if err == nil && len(all) == 0 {
		err = errors.New("nothing was answered")
	}
	return all, time.Since(start), err
}

// conn is a worker's connection and its copy of the request.
type conn struct {
	*servers.Conn
	request []byte
}

// each runs work on a connection per worker.
func (l *load) each(workers int, work func(w int, c *conn) error) error {
	return l.server.Each(workers, func(w int, c *servers.Conn) error {
		return work(w, &conn{Conn: c, request: bytes.Clone(l.request)})
	})
}

// check sends the user's check and returns the status of the answer.
func (c *conn) check(user int) (int, error) {
	for i := range 6 {
		c.request[len(c.request)-3-i] = byte('0' + user%10)
		user /= 10
	}
	status, _, err := c.Do(c.request)
	return status, err
}
