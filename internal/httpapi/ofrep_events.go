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

// ofrepEventsPath is the stream that a bulk answer names.
const ofrepEventsPath = "/ofrep/v1/events"

const (
	// maxFlagStreams bounds the open streams of one node; who comes later
	// polls.
	maxFlagStreams = 1000
	// maxClientStreams bounds those of one address, so that one client cannot
	// take all: browsers open one a tab, and a household or office shares one
	// address.
	maxClientStreams = 20
	// lookEvery is how often the state is compared while anybody listens.
	lookEvery = time.Second
	// pingLooks is after how many looks a silent stream gets a comment, so that
	// proxies keep it.
	pingLooks = 10
	// againLooks is after how many looks an event is repeated: a client may
	// have asked another node, which follows within a second.
	againLooks = 2
	// streamWriteTimeout ends the stream of a client that does not read.
	streamWriteTimeout = 10 * time.Second
)

// flagStreams tells connected clients to evaluate again whenever a flag may
// have changed for anybody. One goroutine looks at the state for all of them;
// it runs only while there are streams.
type flagStreams struct {
	fingerprint func() string
	ended       chan struct{} // closed by end

	mu       sync.Mutex
	streams  map[*flagStream]struct{}
	clients  map[string]int // streams by client; no zeros
	watching bool
	id       string // of the state that was last looked at
	again    int    // looks until an event is repeated; 0: none is due
	closed   bool
}

// flagStream is one client's stream.
type flagStream struct {
	client string
	wake   chan struct{} // of capacity one: what comes while it writes is told at once afterwards
	event  bool          // under flagStreams.mu: the client must evaluate again
}

func newFlagStreams(fingerprint func() string) *flagStreams {
	return &flagStreams{fingerprint: fingerprint, ended: make(chan struct{}), streams: map[*flagStream]struct{}{}, clients: map[string]int{}}
}

// join adds a stream of the client, or returns nil if there are too many, of
// it or of all, or no more will be served. A stream begins with an event, since the flags may have changed
// after the client read them, unless lastID says that it has the newest.
func (f *flagStreams) join(client, lastID string) *flagStream {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.streams) >= maxFlagStreams || f.clients[client] >= maxClientStreams {
		return nil
	}
	if !f.watching {
		f.watching = true
		f.id, f.again = f.stateID(), againLooks
		go f.watch()
	}
	s := &flagStream{client: client, wake: make(chan struct{}, 1)}
	f.streams[s] = struct{}{}
	f.clients[client]++
	if lastID != f.id {
		s.tell(true)
	}
	return s
}

func (f *flagStreams) leave(s *flagStream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.streams, s)
	if f.clients[s.client]--; f.clients[s.client] == 0 {
		delete(f.clients, s.client)
	}
}

// end ends every stream, and refuses new ones.
func (f *flagStreams) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.ended)
	}
}

func (f *flagStreams) watch() {
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
func (f *flagStreams) look(ping bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.streams) == 0 {
		f.watching = false
		return false
	}
	id := f.stateID()
	event := id != f.id || f.again == 1
	switch {
	case id != f.id:
		f.id, f.again = id, againLooks
	case f.again > 0:
		f.again--
	}
	for s := range f.streams {
		if event || ping {
			s.tell(event)
		}
	}
	return true
}

func (f *flagStreams) stateID() string {
	sum := sha256.Sum256([]byte(f.fingerprint()))
	return hex.EncodeToString(sum[:12])
}

// tell wakes the stream; the caller holds the lock.
func (s *flagStream) tell(event bool) {
	s.event = s.event || event
	select {
	case s.wake <- struct{}{}:
	default: // it is awake, and will see
	}
}

// next is what to write after a wake-up: an event of the newest state, or a
// comment.
func (f *flagStreams) next(s *flagStream) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !s.event {
		return ": ping\n\n"
	}
	s.event = false
	return "id: " + f.id + "\nevent: message\ndata: {\"type\":\"refetchEvaluation\"}\n\n"
}

func (f *flagStreams) count() float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return float64(len(f.streams))
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

// ofrepEvents is the stream of one client. It ends when the client leaves or
// does not read, and at shutdown.
func (s *Server) ofrepEvents(w http.ResponseWriter, r *http.Request) {
	stream := s.flags.join(streamClient(s.d.Proxies().ClientIP(r)), r.Header.Get("Last-Event-ID"))
	if stream == nil { // not logged: it is no failure, and comes in crowds
		s.writeProblem(w, false, s.caller(w, r, access.Principal{}).problem(fault.New(fault.ServiceDegraded, "httpapi.ofrepEvents",
			"this node serves no more event streams, or no more to your address; poll POST /ofrep/v1/evaluate/flags instead")))
		return
	}
	defer s.flags.leave(stream)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would wait for its buffer to fill
	if r.Method == http.MethodHead {
		return
	}
	conn := http.NewResponseController(w)
	for text := ": connected\n\n"; ; text = s.flags.next(stream) {
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
		case <-s.flags.ended:
			return
		case <-stream.wake:
		}
	}
}

// EndStreams ends the answers that would not end by themselves. The HTTP
// server's Shutdown waits for every answer: register it there.
func (s *Server) EndStreams() { s.flags.end() }
