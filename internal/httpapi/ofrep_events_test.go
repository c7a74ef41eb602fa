package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/httpapi"
	"avalo.app/gantry/internal/launch"
)

// sink is a client's end of a stream within a test's own time.
type sink struct {
	header http.Header
	code   int
	block  chan struct{} // if not nil, writes wait for it

	mu   sync.Mutex
	text strings.Builder
}

func (s *sink) Header() http.Header  { return s.header }
func (s *sink) WriteHeader(code int) { s.code = code }
func (s *sink) Flush()               {}
func (s *sink) Write(b []byte) (int, error) {
	if s.block != nil {
		<-s.block
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

// take returns what came since the last call: how many events and pings, and
// the last event's id.
func (s *sink) take() (events, pings int, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.text.String()
	s.text.Reset()
	for block := range strings.SplitSeq(text, "\n\n") {
		switch {
		case strings.HasPrefix(block, "id: "):
			var rest string
			id, rest, _ = strings.Cut(strings.TrimPrefix(block, "id: "), "\n")
			if rest != "event: message\ndata: {\"type\":\"refetchEvaluation\"}" {
				id = "not an event of OFREP: " + block
			}
			events++
		case block == ": ping":
			pings++
		}
	}
	return events, pings, id
}

// streams is the surface inside a synctest bubble, where nothing may come
// from outside: no store.
type streams struct {
	t      *testing.T
	launch *launchFake
	server *httpapi.Server
	log    *logBuffer
}

func newStreams(t *testing.T) *streams {
	s := &streams{t: t, launch: newLaunchFake(time.Time{}), log: &logBuffer{}}
	d := httpapi.Deps{Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(s.log, nil)), CORSOrigins: func() []string { return nil }, MaxBody: 1 << 20,
		Proxies: func() *httpapi.Proxies { p, _ := httpapi.NewProxies(nil); return p }}
	s.launch.deps(&d)
	s.server = httpapi.New(d)
	s.launch.set(t, nil)
	return s
}

// open connects a client; cancel is its leaving.
func (s *streams) open(client *sink, headers ...string) (cancel func()) {
	s.t.Helper()
	return s.openFrom("192.0.2.1", client, headers...)
}

func (s *streams) openFrom(ip string, client *sink, headers ...string) (cancel func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	r := httptest.NewRequestWithContext(ctx, "GET", "/ofrep/v1/events", nil)
	r.RemoteAddr = net.JoinHostPort(ip, "1234")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client.header = http.Header{}
	go s.server.Handler().ServeHTTP(client, r)
	synctest.Wait()
	return cancel
}

// pass lets time pass; the state is read anew every second.
func (s *streams) pass(d time.Duration) {
	for range d / time.Second {
		time.Sleep(time.Second)
		s.launch.set(s.t, nil)
		synctest.Wait()
	}
}

// TestFlagStream follows one client through a day: an event comes within a
// second of every change, twice for the nodes that learn it later, and none
// without one.
func TestFlagStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreams(t)
		day := launch.NewCalendar("Etc/GMT+1") // a bubble's time begins an hour before its midnight
		s.launch.set(t, func(st *launch.State) { st.Mode, st.Calendar = launch.ClosedBeta, day })
		client := &sink{}
		cancel := s.open(client)
		if client.header.Get("Content-Type") != "text/event-stream" || client.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v", client.header)
		}
		ids := map[string]string{}
		changed := func(why, back string) { // back: what the state is as it was at
			t.Helper()
			s.launch.set(t, nil)
			s.pass(time.Second)
			events, _, id := client.take()
			if was, seen := ids[id]; events != 1 || seen != (back != "") || was != back {
				t.Errorf("%s: %d events, state %q as at %q", why, events, id, was)
			}
			s.pass(2 * time.Second)
			if again, _, same := client.take(); again != 1 || same != id {
				t.Errorf("%s: %d events afterwards, of %s after %s", why, again, same, id)
			}
			if back == "" {
				ids[id] = why
			}
			s.pass(15 * time.Second)
			if events, pings, _ := client.take(); events != 0 || pings == 0 {
				t.Errorf("%s: %d events and %d pings in 15 quiet seconds", why, events, pings)
			}
		}
		if events, _, id := client.take(); events != 1 || id == "" {
			t.Errorf("the stream begins with %d events", events)
		} else {
			ids[id] = "start"
		}
		s.pass(2 * time.Second)
		if events, _, _ := client.take(); events != 1 {
			t.Errorf("%d events after the start, want a second one", events)
		}
		s.launch.state.Mode, s.launch.state.Version = launch.SoftLaunch, 1
		changed("mode", "")
		s.launch.state.Maintenance.Until = time.Now().Add(time.Minute)
		changed("maintenance", "")
		s.pass(time.Until(s.launch.state.Maintenance.Until) - time.Second)
		changed("maintenance over by itself", "mode")
		s.launch.today = map[launch.DayKey]launch.Day{{Day: day.Day(time.Now())}: {Open: 2000}}
		changed("full", "")
		s.pass(time.Until(day.Ends(time.Now())) - time.Second)
		client.take()
		changed("the next day", "mode")
		time.Sleep(6 * time.Second) // nobody reads the state
		synctest.Wait()
		if events, _, _ := client.take(); events == 0 {
			t.Error("no event when the state becomes stale")
		}
		if s.log.line("") != "" {
			t.Errorf("a stream is logged: %s", s.log.line(""))
		}
		cancel()
		time.Sleep(time.Second) // the bubble fails if anything runs on
	})
}

// TestFlagStreamResumes: who reconnects with the newest state has missed
// nothing, also on another node; everyone else is told at once.
func TestFlagStreamResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreams(t)
		first := &sink{}
		leave := s.open(first)
		_, _, id := first.take()
		leave()
		time.Sleep(2 * time.Second)
		s.launch.set(t, nil)
		for last, want := range map[string]int{id: 0, "": 1, "other": 1} {
			for _, node := range []*streams{s, newStreams(t)} {
				client := &sink{}
				leave := node.open(client, "Last-Event-ID", last)
				if events, _, got := client.take(); events != want || want > 0 && got != id {
					t.Errorf("Last-Event-ID %q: %d events of %q, want %d of %q", last, events, got, want, id)
				}
				leave()
				time.Sleep(time.Second)
				s.launch.set(t, nil)
			}
		}
	})
}

// refused reports whether one more stream of an address would be, and leaves.
func (s *streams) refused(ip string) bool {
	s.t.Helper()
	w := httptest.NewRecorder()
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r := httptest.NewRequestWithContext(ctx, "GET", "/ofrep/v1/events", nil)
		r.RemoteAddr = net.JoinHostPort(ip, "1234")
		s.server.Handler().ServeHTTP(w, r)
	}()
	synctest.Wait()
	cancel()
	<-done
	if w.Code == http.StatusOK {
		return false
	}
	problemOf(s.t, w, http.StatusServiceUnavailable, api.CodeServiceDegraded)
	if w.Header().Get("Retry-After") == "" {
		s.t.Error("no Retry-After")
	}
	return true
}

// TestFlagStreamsPerClient: one address, or one /64, takes so many and no
// more, which keeps nobody else out; who leaves makes room.
func TestFlagStreamsPerClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreams(t)
		var leave []func()
		for i := range 20 {
			leave = append(leave, s.openFrom("198.51.100.1", &sink{}), s.openFrom(fmt.Sprintf("2001:db8::%x", i+1), &sink{}))
		}
		for ip, want := range map[string]bool{"198.51.100.1": true, "198.51.100.2": false, "2001:db8::ffff": true, "2001:db8:0:1::1": false} {
			if s.refused(ip) != want {
				t.Errorf("a stream of %s: refused is not %t", ip, want)
			}
		}
		leave[0]()
		synctest.Wait()
		if s.refused("198.51.100.1") {
			t.Error("no room after one left")
		}
		for _, l := range leave[1:] {
			l()
		}
		synctest.Wait()
		s.server.EndStreams()
	})
}

// TestFlagStreamsBounded: a node serves so many and no more; who leaves makes
// room; the end ends all of them at once.
func TestFlagStreamsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreams(t)
		var leave []func()
		for i := range 1000 {
			leave = append(leave, s.openFrom(fmt.Sprintf("198.51.100.%d", i/20), &sink{}))
		}
		if !s.refused("192.0.2.1") {
			t.Error("stream 1001 is served")
		}
		leave[500]()
		synctest.Wait()
		if s.refused("192.0.2.1") {
			t.Error("no room after one left")
		}
		s.server.EndStreams()
		s.server.EndStreams()
		synctest.Wait()
		if !s.refused("192.0.2.1") {
			t.Error("a stream is served after the end")
		}
		for _, l := range leave {
			l()
		}
	})
}

// TestFlagStreamSlow: a client that does not read keeps nobody waiting, and
// hears of the newest state once it reads.
func TestFlagStreamSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreams(t)
		slow, quick := &sink{block: make(chan struct{})}, &sink{}
		defer s.open(slow)()
		defer s.open(quick)()
		quick.take()
		for range 5 {
			s.launch.set(t, func(st *launch.State) { st.Version++ })
			s.pass(time.Second)
			if events, _, _ := quick.take(); events == 0 {
				t.Error("a client waits for another")
			}
		}
		s.pass(5 * time.Second)
		_, _, id := quick.take()
		close(slow.block)
		synctest.Wait()
		if events, _, got := slow.take(); events != 1 || got != id {
			t.Errorf("%d events of %s, want one of %s", events, got, id)
		}
		s.server.EndStreams()
	})
}

// TestFlagStreamOverHTTP: a stream outlives the server's timeouts, and the
// server's shutdown does not wait for it.
func TestFlagStreamOverHTTP(t *testing.T) {
	s := newStreams(t)
	const timeout = 200 * time.Millisecond
	server := &http.Server{Handler: s.server.Handler(), ReadTimeout: timeout, WriteTimeout: timeout}
	server.RegisterOnShutdown(s.server.EndStreams)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	res, err := http.Get("http://" + l.Addr().String() + "/ofrep/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	events := 0
	for events < 2 && lines.Scan() { // the second comes two seconds after the first
		if strings.HasPrefix(lines.Text(), "data: ") {
			events++
		}
	}
	if events < 2 {
		t.Fatalf("the stream ended after %d events: %v", events, lines.Err())
	}
	begin := time.Now()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("shutdown took %s", took)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Errorf("the stream is cut, not ended: %v", err)
	}
}

// TestFlagStreamHead: HEAD, which a GET route takes too, ends.
func TestFlagStreamHead(t *testing.T) {
	s := newStreams(t)
	w := httptest.NewRecorder()
	s.server.Handler().ServeHTTP(w, httptest.NewRequest("HEAD", "/ofrep/v1/events", nil))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/event-stream" || w.Body.Len() > 0 {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	s.server.EndStreams()
}
