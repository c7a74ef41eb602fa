package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"avalo.app/gantry/internal/gantrytest"
	"avalo.app/gantry/internal/store/storetest"
)

// binary is the program with the test clock and the race detector, built once
// for all tests. command is the same without the detector, which takes longer
// to start than a command to run.
var binary, command string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gantry-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if binary, err = gantrytest.Build(dir, "testclock", "-race"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if command, err = gantrytest.Build(filepath.Join(dir, "bin"), "testclock"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	storetest.Stop()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// TestScripts runs testdata/script against the real binary. Beside
// testscript's own commands:
//
//	serve [CONFIG]         start gantry serve in $WORK; sets GANTRY_URL and, at a first start,
//	                       GANTRY_KEY and GANTRY_KEY_ID; what it prints becomes stdout
//	stop, kill9            end it, orderly or not
//	hup                    send it SIGHUP
//	logged REGEXP          wait until it has logged what matches; the log becomes stdout
//	clock DURATION         shift its clock to real time plus DURATION
//	clockat RFC3339        move its clock to a moment
//	http METHOD PATH STATUS [-k KEY] [-h NAME:VALUE]… [BODY]
//	                       send a request, expect the status; the answer becomes stdout, headers first
//	repeat N COMMAND…      run a command N times
//	until COMMAND…         run http until the answer has the status, at most ten seconds
//	key NAME SPEC          create an API key from JSON; sets NAME to its secret and NAME_ID to its id
//	save NAME PATH         set NAME to the value at PATH of the last answer's JSON
//	header NAME VAR        sets VAR to a header of the last answer
//	member PATH VALUE      the last answer's JSON has VALUE at PATH ("details.limit")
//	await PATH VALUE http METHOD PATH STATUS …
//	                       run http until the answer has VALUE at PATH, at most ten seconds
//	receiver NAME STATUS   start a server that answers with the status; sets NAME_URL, also for serve
//	answer NAME STATUS     let it answer with another status
//	received NAME N REGEXP wait until it has N messages that match, no more
//	media KIND FILE        write a media file that the tests build (script_media_test.go)
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("..", "..", "testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(command)+string(os.PathListSeparator)+os.Getenv("PATH"))
			e.Setenv("GANTRY_TESTCLOCK", filepath.Join(e.WorkDir, "clock"))
			e.Values[stateKey{}] = &state{t: e.T().(testing.TB), dir: e.WorkDir}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": cmdServe, "stop": cmdStop, "kill9": cmdKill, "clock": cmdClock,
			"http": cmdHTTP, "repeat": cmdRepeat, "member": cmdMember,
			"hup": cmdHup, "logged": cmdLogged, "header": cmdHeader, "until": cmdUntil, "key": cmdKey,
			"receiver": cmdReceiver, "answer": cmdAnswer, "received": cmdReceived, "await": cmdAwait,
			"save": cmdSave, "clockat": cmdClockAt, "media": cmdMedia,
		},
	})
}

type stateKey struct{}

type state struct {
	t    testing.TB
	dir  string
	p    *gantrytest.Process
	last []byte // the last answer

	lastHeader http.Header

	receivers map[string]*receiver
	env       map[string]string // of gantry serve
}

func stateOf(ts *testscript.TestScript) *state { return ts.Value(stateKey{}).(*state) }

func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	s := stateOf(ts)
	o := gantrytest.Options{Binary: binary, Dir: s.dir, Env: s.env}
	if len(args) > 0 {
		o.Config = ts.ReadFile(args[0])
	}
	s.p = gantrytest.Start(s.t, o)
	ts.Setenv("GANTRY_URL", s.p.URL)
	if s.p.Key != "" {
		ts.Setenv("GANTRY_KEY", s.p.Key)
		ts.Setenv("GANTRY_KEY_ID", strings.Split(s.p.Key, "_")[1])
	}
	_, _ = io.WriteString(ts.Stdout(), s.p.Stdout())
}

func cmdStop(ts *testscript.TestScript, neg bool, args []string) {
	if code := stateOf(ts).p.Stop(); code != 0 {
		ts.Fatalf("exit code %d: %s", code, stateOf(ts).p.Stderr())
	}
}

func cmdKill(ts *testscript.TestScript, neg bool, args []string) { stateOf(ts).p.Kill() }

func cmdClock(ts *testscript.TestScript, neg bool, args []string) {
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	s := stateOf(ts)
	s.p.SetClock(s.t, d)
	// A jump makes the keys look unrefreshed until the next poll (within a
	// second): a real clock's jump does not, since the age is monotonic.
	for range 100 {
		if a, err := s.p.Try("GET", "/v1/keys", nil, "Authorization", "Bearer "+ts.Getenv("GANTRY_KEY")); err == nil && a.Status == http.StatusOK {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("keys do not come back after the clock moved")
}

func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if got, want := send(ts, args); (got == want) == neg {
		ts.Fatalf("%s: status %d, want %d (neg=%t)\n%s", strings.Join(args[:2], " "), got, want, neg, stateOf(ts).last)
	}
}

// send sends the request that the arguments of http describe. The answer
// becomes stdout.
func send(ts *testscript.TestScript, args []string) (got, want int) {
	if len(args) < 3 {
		ts.Fatalf("usage: http METHOD PATH STATUS [-k KEY] [-h NAME:VALUE]… [BODY]")
	}
	method, path, status, rest := args[0], args[1], args[2], args[3:]
	key, body := ts.Getenv("GANTRY_KEY"), ""
	header := http.Header{}
	for len(rest) > 0 {
		switch rest[0] {
		case "-k":
			key, rest = rest[1], rest[2:]
		case "-h":
			name, value, _ := strings.Cut(rest[1], ":")
			header.Set(name, strings.TrimSpace(value))
			rest = rest[2:]
		default:
			body, rest = rest[0], rest[1:]
		}
	}
	req, err := http.NewRequest(method, ts.Getenv("GANTRY_URL")+path, strings.NewReader(body))
	ts.Check(err)
	req.Header = header
	if key != "none" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	ts.Check(err)
	var out bytes.Buffer
	ts.Check(res.Header.Write(&out))
	fmt.Fprintf(&out, "\n%s\n", answer)
	stateOf(ts).last, stateOf(ts).lastHeader = answer, res.Header
	_, _ = ts.Stdout().Write(out.Bytes())
	want, err = strconv.Atoi(status)
	ts.Check(err)
	return res.StatusCode, want
}

func cmdRepeat(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	for range n {
		cmdHTTP(ts, neg, args[2:])
	}
}

var index = regexp.MustCompile(`^\d+$`)

func cmdMember(ts *testscript.TestScript, neg bool, args []string) {
	if got := memberOf(ts, args[0]); (got == args[1]) == neg {
		ts.Fatalf("%s is %s, want %s (neg=%t)\n%s", args[0], got, args[1], neg, stateOf(ts).last)
	}
}

// memberOf is the value at a path of the last answer's JSON, as text.
func memberOf(ts *testscript.TestScript, path string) string {
	v, ok := memberAt(ts, path)
	if !ok {
		ts.Fatalf("%s: nothing there in %s", path, stateOf(ts).last)
	}
	return v
}

func memberIs(ts *testscript.TestScript, path, want string) bool {
	v, ok := memberAt(ts, path)
	return ok && v == want
}

func memberAt(ts *testscript.TestScript, path string) (text string, ok bool) {
	var v any
	ts.Check(json.Unmarshal(stateOf(ts).last, &v))
	for name := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			i, err := strconv.Atoi(name)
			if !index.MatchString(name) || err != nil || i >= len(x) {
				return "", false
			}
			v = x[i]
		default:
			return "", false
		}
	}
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64), true
	}
	return fmt.Sprint(v), true
}
