package incidenttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/incident"
)

// Heard is what a service understood of one request.
type Heard struct {
	Key    string // under which it joins messages
	Action incident.Action
}

// Service is a fake of the service that a receiver over HTTP talks to.
type Service struct {
	// Open returns the receiver, of a server at the URL.
	Open func(t *testing.T, server *url.URL) incident.Receiver
	// Read checks a request as strictly as the service does and more, and says
	// what it asks. It is called once for each request.
	Read func(r *http.Request, body []byte) (Heard, error)
	// OK is the answer of a service that accepts.
	OK func(w http.ResponseWriter)
	// Actions are those that it understands.
	Actions []incident.Action
	// Secrets must be in no error and no answer.
	Secrets []string
}

// Sample is a message with everything in it.
func Sample(a incident.Action) incident.Message {
	at := time.Date(2026, 3, 3, 10, 0, 0, 123000, time.UTC)
	m := incident.Message{Action: a, DedupKey: incident.DedupKey("test", incident.Cause{Group: "component", Object: "db"}, 7), Incident: "inc-7", Class: incident.P0,
		State: incident.Open, Group: "component", Object: "db", Rules: []string{"component_down", "component_impaired"}, Source: "test", Link: "https://gantry.example/incidents/inc-7",
		Summary: "db is down: <żółw> & \"co\" " + strings.Repeat("x", 950), OpenedAt: at, At: at.Add(time.Minute)}
	if a == incident.Resolve {
		m.State = incident.Resolved
	}
	if a == incident.Heartbeat {
		m = incident.Message{Action: a, DedupKey: m.DedupKey, Source: "test", Summary: "Gantry's alerts work", OpenedAt: at, At: at}
	}
	m.Delivery = m.DedupKey + "-3"
	return m
}

// server is a running fake. next says how it answers; nil accepts.
type server struct {
	*httptest.Server
	t *testing.T
	s Service

	mu    sync.Mutex
	heard []Heard
	next  func(w http.ResponseWriter, r *http.Request) bool // true: it answered
}

func start(t *testing.T, s Service) (*server, incident.Receiver) {
	t.Helper()
	f := &server{t: t, s: s}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	u, err := url.Parse(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	return f, s.Open(t, u)
}

func (f *server) answer(next func(http.ResponseWriter, *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = next
}

func (f *server) all() []Heard {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.heard)
}

// ServeHTTP implements http.Handler.
func (f *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Errorf("read the request: %v", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	h, err := f.s.Read(r, body)
	if err != nil {
		f.t.Errorf("%s %s: %v\n%s", r.Method, r.URL.Path, err, body)
	}
	f.mu.Lock()
	next := f.next
	f.mu.Unlock()
	if next == nil || !next(w, r) {
		f.mu.Lock()
		f.heard = append(f.heard, h)
		f.mu.Unlock()
		f.s.OK(w)
	}
}

// keep records the request as accepted, whatever is answered.
func (f *server) keep(r *http.Request) {
	body, _ := io.ReadAll(r.Body) // of a buffer
	h, _ := f.s.Read(r, body)     // it was read before
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = append(f.heard, h)
}

func status(code int, header, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		if header != "" {
			w.Header().Set("Retry-After", header)
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
		return true
	}
}

// drop closes the connection without an answer.
func drop(w http.ResponseWriter, _ *http.Request) bool {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
	return true
}

// hang answers when the client has gone.
func hang(_ http.ResponseWriter, r *http.Request) bool {
	<-r.Context().Done()
	return true
}

// RunReceiver checks that a receiver over HTTP says what the service
// understands, that it tells what may be tried again from what may not, and
// that, out of the outbox, its messages arrive whatever the service does.
func RunReceiver(t *testing.T, s Service) {
	t.Run("says what it means", func(t *testing.T) { meaning(t, s) })
	t.Run("judges answers", func(t *testing.T) { judging(t, s) })
	t.Run("returns in time", func(t *testing.T) { inTime(t, s) })
	t.Run("keeps secrets", func(t *testing.T) { secrets(t, s) })
	t.Run("stays where it is sent", func(t *testing.T) { redirects(t, s) })
	if slices.Contains(s.Actions, incident.Trigger) {
		t.Run("delivers at least once and in order", func(t *testing.T) { delivers(t, s) })
	}
}

func deliver(t *testing.T, r incident.Receiver, a incident.Action) error {
	t.Helper()
	_, err := r.Deliver(t.Context(), Sample(a))
	return err
}

func meaning(t *testing.T, s Service) {
	f, r := start(t, s)
	var want []Heard
	key := ""
	for _, a := range s.Actions {
		answer, err := r.Deliver(t.Context(), Sample(a))
		if err != nil || answer.Text == "" {
			t.Errorf("%s: %q %v", a, answer.Text, err)
		}
		got := f.all()
		if len(got) != len(want)+1 {
			t.Fatalf("%s: %d requests were accepted, want %d", a, len(got), len(want)+1)
		}
		if key == "" {
			key = got[0].Key
		}
		want = append(want, Heard{Key: key, Action: a})
	}
	if d := cmp.Diff(want, f.all()); d != "" {
		t.Errorf("(-want +got): %s", d)
	}
	other := Sample(s.Actions[0])
	other.DedupKey, other.Delivery = "another", "another-1"
	if _, err := r.Deliver(t.Context(), other); err != nil {
		t.Error(err)
	}
	if got := f.all(); key != "" && got[len(got)-1].Key == key {
		t.Error("another incident has the same key")
	}
}

func judging(t *testing.T, s Service) {
	f, r := start(t, s)
	for _, tt := range []struct {
		name      string
		answer    func(http.ResponseWriter, *http.Request) bool
		permanent bool
		after     time.Duration
	}{
		{"429", status(429, "7", "slow down"), false, 7 * time.Second},
		{"429 without a time", status(429, "", ""), false, 0},
		{"500", status(500, "", "oops"), false, 0},
		{"503", status(503, "3", ""), false, 3 * time.Second},
		{"400", status(400, "", "invalid"), true, 0},
		{"401", status(401, "", ""), true, 0},
		{"404", status(404, "", ""), true, 0},
		{"a connection that drops", drop, false, 0},
	} {
		f.answer(tt.answer)
		err := deliver(t, r, s.Actions[0])
		var d *incident.DeliveryError
		if err == nil || errors.As(err, &d) && (d.Permanent != tt.permanent || d.RetryAfter != tt.after) || d == nil && tt.permanent {
			t.Errorf("%s: %#v", tt.name, err)
		}
		if d != nil && !strings.Contains(d.Text, tt.name[:3]) && tt.permanent {
			t.Errorf("%s is told as %q", tt.name, d.Text)
		}
	}
	f.answer(nil)
	if err := deliver(t, r, s.Actions[0]); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func inTime(t *testing.T, s Service) {
	f, r := start(t, s)
	f.answer(hang)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var d *incident.DeliveryError
	if _, err := r.Deliver(ctx, Sample(s.Actions[0])); err == nil || errors.As(err, &d) && d.Permanent {
		t.Errorf("a service that hangs: %v", err)
	}
	f.answer(func(w http.ResponseWriter, r *http.Request) bool { // without an end
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				break
			}
		}
		return true
	})
	ctx, cancel = context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, _ = r.Deliver(ctx, Sample(s.Actions[0])) // accepted or not: it returns
	if ctx.Err() != nil {
		t.Error("an answer without an end is read to the end")
	}
}

func secrets(t *testing.T, s Service) {
	f, r := start(t, s)
	check := func(what string, text string) {
		t.Helper()
		for _, secret := range s.Secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s: the text holds the secret %q: %s", what, secret, text)
			}
		}
	}
	for _, code := range []int{200, 202, 400, 500} { // a service that repeats what it was sent
		f.answer(func(w http.ResponseWriter, r *http.Request) bool {
			return status(code, "", r.URL.String()+" "+strings.Join(s.Secrets, " "))(w, r)
		})
		answer, err := r.Deliver(t.Context(), Sample(s.Actions[0]))
		check(fmt.Sprint(code), answer.Text+fmt.Sprintf("%v %+v", err, err))
	}
	f.answer(drop)
	check("dropped", fmt.Sprint(deliver(t, r, s.Actions[0])))
	f.Close()
	err := deliver(t, r, s.Actions[0])
	check("nobody listens", fmt.Sprintf("%v %+v %#v", err, err, err))
	if err == nil {
		t.Error("nobody listens, and it was accepted")
	}
}

func redirects(t *testing.T, s Service) {
	var reached bool
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reached = true; s.OK(w) }))
	defer other.Close()
	f, r := start(t, s)
	f.answer(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		return true
	})
	if err := deliver(t, r, s.Actions[0]); err == nil || reached {
		t.Errorf("it went where it was not sent: %v", err)
	}
}

// delivers sends an incident's begin and end through the outbox while the
// service answers 429 and 500, hangs, drops the connection before and after it
// accepts, and then accepts.
func delivers(t *testing.T, s Service) {
	f, r := start(t, s)
	w := NewWorld(t, OnMemory(), Config(), "a", nil)
	w.Sender.Receivers = map[string]incident.Receiver{"pager": r}
	w.Sender.Timeout = 100 * time.Millisecond
	after := func(w http.ResponseWriter, r *http.Request) bool { f.keep(r); return drop(w, r) }
	send := func(answers ...func(http.ResponseWriter, *http.Request) bool) {
		t.Helper()
		if err := errors.Join(w.Flush(t.Context()), w.Evaluate(t.Context(), w.Fence)); err != nil {
			t.Fatal(err)
		}
		for _, a := range append(answers, nil) {
			f.answer(a)
			if _, err := w.Sender.Next(t.Context(), w.Fence, "pager"); err != nil {
				t.Fatal(err)
			}
			w.Clock.Add(6 * time.Minute) // past every backoff
		}
	}
	w.Fail("db", "component_down")
	send(status(429, "7", ""), status(500, "", ""), hang, drop, after)
	w.Clear("db", "component_down")
	send(after, status(503, "2", ""))
	if st, err := w.DeliveryStats(t.Context()); err != nil || st["pager"].Pending != 0 || st["pager"].Failed != 0 {
		t.Errorf("the outbox: %+v %v", st["pager"], err)
	}
	got := f.all()
	want := []incident.Action{incident.Trigger, incident.Trigger, incident.Resolve, incident.Resolve}
	var actions []incident.Action
	for _, h := range got {
		actions = append(actions, h.Action)
		if h.Key != got[0].Key {
			t.Errorf("another key: %+v", got)
		}
	}
	if d := cmp.Diff(want, actions); d != "" {
		t.Errorf("(-want +got): %s", d)
	}
}

// Once delivers one message to a service that accepts, and returns what it
// heard.
func Once(t *testing.T, s Service, m incident.Message) (h Heard, err error) {
	t.Helper()
	f, r := start(t, s)
	if _, err = r.Deliver(t.Context(), m); err != nil {
		return h, err
	}
	all := f.all()
	return all[len(all)-1], nil
}

// Many delivers n messages at once.
func Many(t *testing.T, s Service, n int) {
	t.Helper()
	_, r := start(t, s)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if _, err := r.Deliver(t.Context(), Sample(incident.Trigger)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
