package main_test

import (
	"encoding/json"
	"io"
	"regexp"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// tries of patience between them are ten seconds: bounded waits for what
// happens in the background.
const (
	tries    = 200
	patience = 50 * time.Millisecond
)

func cmdHup(ts *testscript.TestScript, neg bool, args []string) {
	stateOf(ts).p.Signal(syscall.SIGHUP)
}

func cmdLogged(ts *testscript.TestScript, neg bool, args []string) {
	re, err := regexp.Compile(args[0])
	ts.Check(err)
	log := ""
	for range tries {
		if log = stateOf(ts).p.Stderr(); re.MatchString(log) {
			_, _ = io.WriteString(ts.Stdout(), log)
			return
		}
		time.Sleep(patience)
	}
	ts.Fatalf("nothing logged matches %q:\n%s", re, log)
}

func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	got, want := 0, 0
	for range tries {
		if got, want = send(ts, args[1:]); got == want {
			return
		}
		time.Sleep(patience)
	}
	ts.Fatalf("%v: status %d at last, want %d\n%s", args[1:], got, want, stateOf(ts).last)
}

func cmdHeader(ts *testscript.TestScript, neg bool, args []string) {
	v := stateOf(ts).lastHeader.Get(args[0])
	if v == "" {
		ts.Fatalf("the last answer has no header %s", args[0])
	}
	ts.Setenv(args[1], v)
}

func cmdKey(ts *testscript.TestScript, neg bool, args []string) {
	if got, want := send(ts, []string{"POST", "/v1/keys", "201", args[1]}); got != want {
		ts.Fatalf("key %s: status %d\n%s", args[0], got, stateOf(ts).last)
	}
	var made struct{ ID, Secret string }
	ts.Check(json.Unmarshal(stateOf(ts).last, &made))
	ts.Setenv(args[0], made.Secret)
	ts.Setenv(args[0]+"_ID", made.ID)
}

func cmdSave(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv(args[0], memberOf(ts, args[1]))
}

func cmdClockAt(ts *testscript.TestScript, neg bool, args []string) {
	at, err := time.Parse(time.RFC3339, args[0])
	ts.Check(err)
	cmdClock(ts, neg, []string{time.Until(at).String()})
}
