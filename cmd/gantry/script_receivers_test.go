package main_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// receiver is a server of a script: a place that alerts go to, or a part of
// the host that is up or down.
type receiver struct {
	url string

	mu     sync.Mutex
	status int
	bodies []string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	b, _ := io.ReadAll(q.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies = append(r.bodies, string(b))
	w.WriteHeader(r.status)
}

// cmdReceiver starts a server and sets NAME_URL for the script and for the
// Gantry that is served after it.
func cmdReceiver(ts *testscript.TestScript, neg bool, args []string) {
	s := stateOf(ts)
	if s.receivers == nil {
		s.receivers, s.env = map[string]*receiver{}, map[string]string{}
	}
	r := &receiver{}
	srv := httptest.NewServer(r)
	s.t.Cleanup(srv.Close)
	r.url = srv.URL
	s.receivers[args[0]], s.env[args[0]+"_URL"] = r, r.url
	ts.Setenv(args[0]+"_URL", r.url)
	cmdAnswer(ts, neg, args)
}

func cmdAnswer(ts *testscript.TestScript, neg bool, args []string) {
	status, err := strconv.Atoi(args[1])
	ts.Check(err)
	r := stateOf(ts).receivers[args[0]]
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// cmdReceived waits for the number of messages that match. More are wrong.
func cmdReceived(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	re, err := regexp.Compile(args[2])
	ts.Check(err)
	r, got := stateOf(ts).receivers[args[0]], 0
	var all []string
	for range tries {
		got = 0
		r.mu.Lock()
		all = append(all[:0], r.bodies...)
		r.mu.Unlock()
		for _, b := range all {
			if re.MatchString(b) {
				got++
			}
		}
		if got >= want {
			break
		}
		time.Sleep(patience)
	}
	if got != want {
		ts.Fatalf("%s has %d messages that match %s, want %d:\n%q", args[0], got, re, want, all)
	}
}

// cmdAwait repeats http until a member of the answer has the value.
func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	path, want := args[0], args[1]
	for range tries {
		if got, status := send(ts, args[3:]); got == status && memberIs(ts, path, want) {
			return
		}
		time.Sleep(patience)
	}
	ts.Fatalf("%v: %s is never %s\n%s", args[3:], path, want, stateOf(ts).last)
}
