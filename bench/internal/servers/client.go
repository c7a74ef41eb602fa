package servers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
)

// Conn is a connection that is kept alive. The client is written out over
// net.Conn, since net/http's would take more of the shared cores than the
// server under test.
type Conn struct {
	c    net.Conn
	in   *bufio.Reader
	body []byte
}

// Each runs work on a connection per worker.
func (p *Process) Each(workers int, work func(w int, c *Conn) error) error {
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			c, err := net.Dial("tcp", p.Addr)
			if err != nil {
				errs[w] = err
				return
			}
			defer c.Close()
			errs[w] = work(w, &Conn{c: c, in: bufio.NewReaderSize(c, 8192)})
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Request writes out an HTTP/1.1 request. It ends in the body.
func (p *Process) Request(method, path, body string) []byte {
	auth := ""
	if p.Key != "" {
		auth = "Authorization: Bearer " + p.Key + "\r\n"
	}
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		method, path, p.Addr, auth, len(body), body)
}

// Do sends a request and returns the answer, whose body holds until the
// next Do.
func (c *Conn) Do(request []byte) (status int, body []byte, err error) {
	if _, err := c.c.Write(request); err != nil {
		return 0, nil, err
	}
	length := -1
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case first:
			if len(line) < 12 {
				return 0, nil, fmt.Errorf("not an HTTP answer: %q", line)
			}
			if status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return 0, nil, err
			}
		case len(line) == 0:
			if length < 0 {
				return 0, nil, errors.New("an answer without Content-Length")
			}
			c.body = append(c.body[:0], make([]byte, length)...)
			_, err := io.ReadFull(c.in, c.body)
			return status, c.body, err
		case bytes.HasPrefix(line, []byte("Content-Length: ")):
			if length, err = strconv.Atoi(string(line[16:])); err != nil {
				return 0, nil, err
			}
		}
	}
}
