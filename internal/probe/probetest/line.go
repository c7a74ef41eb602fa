package probetest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// Mode is a condition of a dependency.
type Mode string

// The conditions that a prober is shown.
const (
	Healthy  Mode = "healthy"
	Refusing Mode = "refusing" // nothing is there
	Hanging  Mode = "hanging"  // takes a connection and never answers
	Stalling Mode = "stalling" // begins its answer and stops
	Garbage  Mode = "garbage"  // answers without end with what is no answer, and holds a secret
)

// begun is how many bytes of an answer a stalling line lets through.
const begun = 8

// Line is a TCP address in front of a healthy server, with faults.
type Line struct {
	addr            string
	network, server string

	mu      sync.Mutex
	mode    Mode
	l       net.Listener
	clients map[net.Conn]bool
	reached chan struct{}
}

// NewLine opens a line to the server at an address of a network, until the
// test ends.
func NewLine(t testing.TB, network, server string) *Line {
	t.Helper()
	n := &Line{network: network, server: server, mode: Healthy, addr: "127.0.0.1:0", clients: make(map[net.Conn]bool), reached: make(chan struct{}, 1)}
	n.listen(t)
	t.Cleanup(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.stop()
	})
	return n
}

// Serve opens a line to a server that is a function of one connection.
func Serve(t testing.TB, fn func(net.Conn)) *Line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fn(c)
			}()
		}
	}()
	return NewLine(t, "tcp", l.Addr().String())
}

// Addr is the line's own HOST:PORT. It stays the same.
func (n *Line) Addr() string { return n.addr }

// Set implements Dependency. It ends the connections that are open.
func (n *Line) Set(t testing.TB, m Mode) {
	t.Helper()
	n.mu.Lock()
	n.stop()
	n.mode = m
	n.mu.Unlock()
	select {
	case <-n.reached:
	default:
	}
	if m != Refusing {
		n.listen(t)
	}
}

// Reached implements Dependency.
func (n *Line) Reached() <-chan struct{} { return n.reached }

// Open implements Dependency.
func (n *Line) Open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.clients)
}

// stop is called with mu held.
func (n *Line) stop() {
	_ = n.l.Close()
	for c := range n.clients {
		_ = c.Close()
	}
}

func (n *Line) listen(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	n.l, n.addr = l, l.Addr().String()
	n.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n.mu.Lock()
			n.clients[c] = true
			m := n.mode
			n.mu.Unlock()
			select {
			case n.reached <- struct{}{}:
			default:
			}
			go n.serve(c, m)
		}
	}()
}

func (n *Line) serve(c net.Conn, m Mode) {
	defer func() {
		_ = c.Close()
		n.mu.Lock()
		delete(n.clients, c)
		n.mu.Unlock()
	}()
	switch m {
	case Hanging:
		_, _ = io.Copy(io.Discard, c) // until the client closes
	case Garbage:
		go func() { _, _ = io.Copy(io.Discard, c) }()
		line := bytes.Repeat([]byte(Secret+" "), 1000)
		for {
			if _, err := c.Write(line); err != nil {
				return
			}
		}
	default:
		n.forward(c, m)
	}
}

// forward connects a client with the server until the client is gone.
func (n *Line) forward(c net.Conn, m Mode) {
	s, err := net.Dial(n.network, n.server)
	if err != nil {
		return
	}
	defer s.Close()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if m == Stalling {
			_, _ = io.CopyN(c, s, begun)
			_, _ = io.Copy(io.Discard, s)
			return
		}
		_, _ = io.Copy(c, s)
		_ = c.Close()
	}()
	_, _ = io.Copy(s, c)
	_ = s.Close()
	<-answered
}
