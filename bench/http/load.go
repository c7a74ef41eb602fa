package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"
)

const users = 100_000

// load is what each worker sends: one check after another on its own
// connection. The client is written out over net.Conn, since net/http's
// would take more of the shared cores than the server under test.
type load struct {
	addr     string
	request  []byte // ends in a user's six digits and `"}`
	want     int    // the status of every answer
	sequence []*rand.Rand
}

func newLoad(p *process, path, action string, want, workers int) *load {
	body := fmt.Sprintf(`{"action":%q,"user":"user-000000"}`, action)
	auth := ""
	if p.key != "" {
		auth = "Authorization: Bearer " + p.key + "\r\n"
	}
	l := &load{addr: p.addr, want: want, request: fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, p.addr, auth, len(body), body)}
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

// each runs work on a connection per worker.
func (l *load) each(workers int, work func(w int, c *conn) error) error {
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			c, err := net.Dial("tcp", l.addr)
			if err != nil {
				errs[w] = err
				return
			}
			defer c.Close()
			errs[w] = work(w, &conn{c: c, in: bufio.NewReaderSize(c, 8192), request: bytes.Clone(l.request)})
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// conn is a connection that is kept alive.
type conn struct {
	c       net.Conn
	in      *bufio.Reader
	request []byte
}

// check sends the user's check and returns the status of the answer.
func (c *conn) check(user int) (int, error) {
	for i := range 6 {
		c.request[len(c.request)-3-i] = byte('0' + user%10)
		user /= 10
	}
	if _, err := c.c.Write(c.request); err != nil {
		return 0, err
	}
	return answer(c.in)
}

// answer reads one HTTP/1.1 answer with a Content-Length.
func answer(in *bufio.Reader) (status int, err error) {
	length := -1
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case first:
			if len(line) < 12 {
				return 0, fmt.Errorf("not an HTTP answer: %q", line)
			}
			if status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return 0, err
			}
		case len(line) == 0:
			if length < 0 {
				return 0, errors.New("an answer without Content-Length")
			}
			_, err := io.CopyN(io.Discard, in, int64(length))
			return status, err
		case bytes.HasPrefix(line, []byte("Content-Length: ")):
			if length, err = strconv.Atoi(string(line[16:])); err != nil {
				return 0, err
			}
		}
	}
}
