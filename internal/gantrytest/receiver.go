package gantrytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Told is a message of an incident that a Receiver was given.
type Told struct {
	Node     string // who sent it: the word of the URL
	Delivery string
	Action   string // trigger, resolve, …
	DedupKey string
	Incident string
	Class    string
	Cause    string
	Object   string
	Rules    []string
	Summary  string
	At       time.Time // when it came
	Accepted bool      // or it was answered with an error, as far as the receiver knows
}

// What a Receiver makes of a message.
type Reply int

// The replies. HangUp accepts the message and hangs up without an answer, as a
// receiver does whose answer gets lost.
const (
	Accept Reply = iota
	Refuse
	HangUp
)

// Receiver is a webhook that records what it is told, in order.
type Receiver struct {
	URL string

	mu   sync.Mutex
	told []Told
}

// NewReceiver starts a receiver that lasts until the test ends. answer, unless
// it is nil, is asked about each message before it counts, and may take its
// time.
func NewReceiver(t testing.TB, answer func(Told) Reply) *Receiver {
	t.Helper()
	r := &Receiver{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		m, err := told(req)
		if err != nil {
			t.Errorf("the receiver is told what it does not understand: %v", err)
			return
		}
		reply := Accept
		if answer != nil {
			reply = answer(m)
		}
		m.Accepted = reply != Refuse
		r.mu.Lock()
		r.told = append(r.told, m)
		r.mu.Unlock()
		switch reply {
		case Accept:
			w.WriteHeader(http.StatusNoContent)
		case Refuse:
			w.WriteHeader(http.StatusInternalServerError)
		case HangUp:
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(s.Close)
	r.URL = s.URL
	return r
}

func told(req *http.Request) (Told, error) {
	m := Told{At: time.Now(), Node: strings.Trim(req.URL.Path, "/"), Delivery: req.Header.Get("webhook-id")}
	var b struct {
		Type string
		Data *Told
	}
	b.Data = &m
	err := json.NewDecoder(req.Body).Decode(&b)
	action, ok := strings.CutPrefix(b.Type, "incident.")
	if err == nil && (!ok || m.Delivery == "" || m.DedupKey == "") {
		err = fmt.Errorf("type %q, delivery %q, dedup key %q", b.Type, m.Delivery, m.DedupKey)
	}
	m.Action = action
	return m, err
}

// Config is the receiver for all channels as a member of incidents.receivers.
// node becomes Told.Node.
func (r *Receiver) Config(node string) string {
	return fmt.Sprintf(`{channels: [pager, chat, email], webhook: {url: "%s/%s", secrets: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}`, r.URL, node)
}

// Told returns every message so far, in the order in which they were answered.
func (r *Receiver) Told() []Told {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Told(nil), r.told...)
}

// Stories returns what was accepted of each incident, by dedup key: without
// heartbeats, and without the repeats of one delivery.
func (r *Receiver) Stories() map[string][]Told {
	out := map[string][]Told{}
	seen := map[string]bool{}
	for _, m := range r.Told() {
		if m.Accepted && m.Action != "heartbeat" && !seen[m.Delivery] {
			seen[m.Delivery] = true
			out[m.DedupKey] = append(out[m.DedupKey], m)
		}
	}
	return out
}

// Last returns the last message that was accepted about an object.
func (r *Receiver) Last(object string) (last Told) {
	for _, story := range r.Stories() {
		for _, m := range story {
			if m.Object == object && m.At.After(last.At) {
				last = m
			}
		}
	}
	return last
}

// Actions lists the actions of a story.
func Actions(story []Told) (out []string) {
	for _, m := range story {
		out = append(out, m.Action)
	}
	return out
}
