package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/fault"
)

const (
	// maxStreams bounds the open streams of one node and kind; who comes later
	// polls.
	maxStreams = 1000
	// maxClientStreams bounds those of one address, so that one client cannot
	// take all: browsers open one a tab, and a household or office shares one
	// address.
	maxClientStreams = 20
	// lookEvery is how often the state is compared while anybody listens.
	lookEvery = time.Second
	// pingLooks is after how many looks a silent stream gets a comment, so that
	// proxies keep it.
	pingLooks = 10
	// streamWriteTimeout ends the stream of a client that does not read.
	streamWriteTimeout = 10 * time.Second
)

// streams tell connected clients whenever a state has changed. One goroutine
// looks at the state for all of them; it runs only while there are any.
type streams struct {
	state  func() (id, data string) // what is told now, in one line; id changes when it must be told
	repeat int                      // looks after which an event is repeated; 0: never
	ended  chan struct{}            // closed by end

	mu       sync.Mutex
	open     map[*stream]struct{}
	clients  map[string]int // streams by client; no zeros
	watching bool
	id, data string // of the state that was last looked at
	again    int    // looks until an event is repeated; 0: none is due
	closed   bool
}

// stream is one client's stream.
type stream struct {
	client string
	wake   chan struct{} // of capacity one: what comes while it writes is told at once afterwards
	event  bool          // under streams.mu: there is something to tell
}

func newStreams(state func() (id, data string), repeat int) *streams {
	return &streams{state: state, repeat: repeat, ended: make(chan struct{}), open: map[*stream]struct{}{}, clients: map[string]int{}}
}

// join adds a stream of the client, or returns nil if there are too many, of
// it or of all, or no more will be served. A stream begins with an event, since
// the state may have changed after the client read it, unless lastID says that
// it has the newest.
func (f *streams) join(client, lastID string) *stream {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.open) >= maxStreams || f.clients[client] >= maxClientStreams {
		return nil
	}
	if !f.watching {
		f.watching = true
		f.id, f.data = f.state()
		f.again = f.repeat
		go f.watch()
	}
	s := &stream{client: client, wake: make(chan struct{}, 1)}
	f.open[s] = struct{}{}
	f.clients[client]++
	if lastID != f.id {
		s.tell(true)
	}
	return s
}

func (f *streams) leave(s *stream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, s)
	if f.clients[s.client]--; f.clients[s.client] == 0 {
		delete(f.clients, s.client)
	}
}

// end ends every stream, and refuses new ones.
func (f *streams) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.ended)
	}
}

func (f *streams) watch() {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for looks := 1; ; looks++ {
		select {
		case <-f.ended:
			return
		case <-t.C:
		}
		if !f.look(looks%pingLooks == 0) {
			return
		}
	}
}

// look compares the state with what the streams were told, and reports
// whether there is anybody left to tell.
func (f *streams) look(ping bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.open) == 0 {
		f.watching = false
		return false
	}
	id, data := f.state()
	event := id != f.id || f.again == 1
	switch {
	case id != f.id:
		f.id, f.data, f.again = id, data, f.repeat
	case f.again > 0:
		f.again--
	}
	for s := range f.open {
		if event || ping {
			s.tell(event)
		}
	}
	return true
}

// stateID is a fingerprint, short and without its text.
func stateID(fingerprint string) string {
	sum := sha256.Sum256([]byte(fingerprint))
	return hex.EncodeToString(sum[:12])
}

// tell wakes the stream; the caller holds the lock.
func (s *stream) tell(event bool) {
	s.event = s.event || event
	select {
	case s.wake <- struct{}{}:
	default: // it is awake, and will see
	}
}

// next is what to write after a wake-up: an event of the newest state, or a
// comment.
func (f *streams) next(s *stream) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !s.event {
		return ": ping\n\n"
	}
	s.event = false
	return "id: " + f.id + "\nevent: message\ndata: " + f.data + "\n\n"
}

func (f *streams) count() float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return float64(len(f.open))
}

// streamClient is whose streams are counted together: an IPv4 address, or a
// /64, which one client of IPv6 has to itself.
func streamClient(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil || !a.Is6() {
		return ip
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}

// stream serves one client. It ends when the client leaves or does not read,
// at shutdown, and once still says that the client may not hear more. instead
// says what to do when there is no room.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, all *streams, instead string, still func() bool) {
	stream := all.join(streamClient(s.d.Proxies().ClientIP(r)), r.Header.Get("Last-Event-ID"))
	if stream == nil { // not logged: it is no failure, and comes in crowds
		s.writeProblem(w, false, s.caller(w, r, access.Principal{}).problem(fault.New(fault.ServiceDegraded, "httpapi.stream",
			"this node serves no more event streams, or no more to your address; %s", instead)))
		return
	}
	defer all.leave(stream)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would wait for its buffer to fill
	if r.Method == http.MethodHead {
		return
	}
	conn := http.NewResponseController(w)
	for text := ": connected\n\n"; ; text = all.next(stream) {
		// The server's own deadline is for answers that end. A writer that has
		// none, as in tests, needs none lifted.
		_ = conn.SetWriteDeadline(time.Now().Add(streamWriteTimeout))
		if _, err := io.WriteString(w, text); err != nil {
			return
		}
		if err := conn.Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-all.ended:
			return
		case <-stream.wake:
		}
		if !still() {
			return
		}
	}
}

// EndStreams ends the answers that would not end by themselves. The HTTP
// server's Shutdown waits for every answer: register it there.
func (s *Server) EndStreams() {
	for _, all := range []*streams{s.flags, s.health, s.public} {
		all.end()
	}
}
