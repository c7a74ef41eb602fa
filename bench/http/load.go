package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// load is what each worker sends: one check after another on its own
// connection. The client is written out over net.Conn, since net/http's
// would take more of the shared cores than the server under test.
type load struct {
	addr, path, action, key string
}

type result struct {
	perSecond float64
	p50, p99  time.Duration
	statuses  map[int]int
}

const users = 100_000

func (l load) run(per time.Duration, workers int) (result, error) {
	const warm = time.Second
	start := time.Now().Add(warm)
	end := start.Add(per)
	type part struct {
		took     []time.Duration
		statuses map[int]int
		err      error
	}
	parts := make([]part, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			p := &parts[w]
			p.statuses = map[int]int{}
			p.err = l.worker(w, workers, end, func(at time.Time, took time.Duration, status int) {
				if at.After(start) {
					p.took = append(p.took, took)
					p.statuses[status]++
				}
			})
		})
	}
	wg.Wait()
	r := result{statuses: map[int]int{}}
	var all []time.Duration
	for _, p := range parts {
		if p.err != nil {
			return r, p.err
		}
		all = append(all, p.took...)
		for s, n := range p.statuses {
			r.statuses[s] += n
		}
	}
	if len(all) == 0 {
		return r, errors.New("nothing was answered")
	}
	slices.Sort(all)
	r.perSecond = float64(len(all)) / per.Seconds()
	r.p50, r.p99 = all[len(all)/2].Round(10*time.Microsecond), all[len(all)*99/100].Round(10*time.Microsecond)
	return r, nil
}

func (l load) worker(w, workers int, end time.Time, done func(time.Time, time.Duration, int)) error {
	c, err := net.Dial("tcp", l.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	in := bufio.NewReaderSize(c, 8192)
	var req []byte
	for user := w; ; user = (user + workers) % users {
		req = l.request(req[:0], user)
		sent := time.Now()
		if sent.After(end) {
			return nil
		}
		if _, err := c.Write(req); err != nil {
			return err
		}
		status, err := answer(in)
		if err != nil {
			return err
		}
		now := time.Now()
		done(now, now.Sub(sent), status)
	}
}

func (l load) request(b []byte, user int) []byte {
	body := fmt.Appendf(nil, `{"action":%q,"user":"user-%06d"}`, l.action, user)
	b = fmt.Appendf(b, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", l.path, l.addr, len(body))
	if l.key != "" {
		b = fmt.Appendf(b, "Authorization: Bearer %s\r\n", l.key)
	}
	b = append(b, "\r\n"...)
	return append(b, body...)
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
