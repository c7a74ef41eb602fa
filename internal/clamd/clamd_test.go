package clamd_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"avalo.app/gantry/internal/clamd"
	"avalo.app/gantry/internal/clamd/clamdtest"
	"avalo.app/gantry/internal/media"
)

// fake listens on a socket and hands each connection to serve.
func fake(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "clamd-") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return "unix:" + filepath.Join(dir, "s")
}

// received reads a command as clamd does and returns the file.
func received(conn net.Conn) ([]byte, error) {
	command := make([]byte, len("zINSTREAM\x00"))
	if _, err := io.ReadFull(conn, command); err != nil || string(command) != "zINSTREAM\x00" {
		return nil, errors.Join(err, errors.New("not the command: "+string(command)))
	}
	var file []byte
	for {
		var n uint32
		if err := binary.Read(conn, binary.BigEndian, &n); err != nil || n == 0 {
			return file, err
		}
		at := len(file)
		file = append(file, make([]byte, n)...)
		if _, err := io.ReadFull(conn, file[at:]); err != nil {
			return file, err
		}
	}
}

func scan(t *testing.T, address string, timeout time.Duration, r io.Reader, size int64) (media.Scan, string) {
	t.Helper()
	s, err := clamd.New(address, timeout)
	if err != nil {
		t.Fatal(err)
	}
	return s.Scan(t.Context(), r, size)
}

// TestReplies: only an answer that is whole, and to the whole file, says
// clean or infected.
func TestReplies(t *testing.T) {
	const failed = "the scanner failed: "
	for _, tt := range []struct {
		reply string
		want  media.Scan
		name  string
	}{
		{"stream: OK\x00", media.Clean, ""},
		{"stream: Eicar-Test-Signature FOUND\x00", media.Infected, "Eicar-Test-Signature"},
		{"stream: A\x1b[2J" + strings.Repeat("b", 300) + " FOUND\x00", media.Infected, "A_[2J" + strings.Repeat("b", 123)},
		{"INSTREAM size limit exceeded. ERROR\x00", media.Unscanned, "the file is over the scanner's size limit"},
		{"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\x00", media.Unscanned, "the file is over the scanner's limits"},
		{"stream: Heuristics.Limits.Exceeded FOUND\x00", media.Unscanned, "the file is over the scanner's limits"},
		{"stream: Can't allocate memory ERROR\x00", media.Unscanned, failed + "stream: Can't allocate memory ERROR"},
		{"UNKNOWN COMMAND\x00", media.Unscanned, failed + "UNKNOWN COMMAND"},
		{"other: OK\x00", media.Unscanned, failed + "other: OK"},
		{"stream:  FOUND\x00", media.Unscanned, failed + "stream:  FOUND"},
		{"\x00", media.Unscanned, failed},
		{"stream: OK", media.Unscanned, "the scanner does not answer"},
		{"stream: OK\n", media.Unscanned, "the scanner does not answer"},
		{"", media.Unscanned, "the scanner does not answer"},
		{"stream: " + strings.Repeat("x", 8000) + " FOUND\x00", media.Unscanned, "the scanner does not answer"},
	} {
		file := bytes.Repeat([]byte("0123456789"), 20_000)
		address := fake(t, func(conn net.Conn) {
			if got, err := received(conn); err != nil || !bytes.Equal(got, file) {
				t.Errorf("clamd received %d bytes, %v", len(got), err)
			}
			_, _ = io.WriteString(conn, tt.reply)
		})
		if got, name := scan(t, address, 0, bytes.NewReader(file), int64(len(file))); got != tt.want || name != tt.name {
			t.Errorf("%.60q: %s %q, want %s %q", tt.reply, got, name, tt.want, tt.name)
		}
	}
}

// TestFailures: whatever fails, the file is unscanned, in time.
func TestFailures(t *testing.T) {
	big := make([]byte, 8<<20) // more than a socket takes in
	hangs := make(chan struct{})
	t.Cleanup(func() { close(hangs) })
	early := func(reply string) func(net.Conn) {
		return func(conn net.Conn) {
			_, _ = io.CopyN(io.Discard, conn, 100_000)
			_, _ = io.WriteString(conn, reply)
		}
	}
	for _, tt := range []struct {
		name  string
		serve func(net.Conn)
		file  io.Reader
		size  int64
		want  string
	}{
		{"never reads", func(net.Conn) { <-hangs }, bytes.NewReader(big), int64(len(big)), "the scanner took too long"},
		{"never answers", func(conn net.Conn) { _, _ = received(conn); <-hangs }, bytes.NewReader(big), int64(len(big)), "the scanner took too long"},
		{"closes at once", func(net.Conn) {}, bytes.NewReader(big), int64(len(big)), "the scanner does not answer"},
		{"limit in the middle", early("INSTREAM size limit exceeded. ERROR\x00"), bytes.NewReader(big), int64(len(big)), "the file is over the scanner's size limit"},
		{"clean in the middle", early("stream: OK\x00"), bytes.NewReader(big), int64(len(big)), "the scanner does not answer"},
		{"infected in the middle", early("stream: X FOUND\x00"), bytes.NewReader(big), int64(len(big)), "the scanner does not answer"},
		{"short file", func(conn net.Conn) { _, _ = received(conn); _, _ = io.WriteString(conn, "stream: OK\x00") }, strings.NewReader("abc"), 10, "the file could not be read whole"},
		{"broken file", func(conn net.Conn) { _, _ = received(conn); _, _ = io.WriteString(conn, "stream: OK\x00") }, iotest.ErrReader(errors.New("disk")), 10, "the file could not be read whole"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			got, why := scan(t, fake(t, tt.serve), 500*time.Millisecond, tt.file, tt.size)
			if got != media.Unscanned || why != tt.want {
				t.Errorf("%s %q, want %q", got, why, tt.want)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	for _, a := range []string{"tcp:" + address, "unix:" + filepath.Join(t.TempDir(), "none")} {
		if got, why := scan(t, a, 0, strings.NewReader("x"), 1); got != media.Unscanned || why != "the scanner does not answer" {
			t.Errorf("%s: %s %q", a, got, why)
		}
	}
}

// TestCallerGoes: a scan ends with its caller's patience.
func TestCallerGoes(t *testing.T) {
	hangs := make(chan struct{})
	defer close(hangs)
	s, err := clamd.New(fake(t, func(net.Conn) { <-hangs }), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	if got, _ := s.Scan(ctx, strings.NewReader("x"), 1); got != media.Unscanned || time.Since(start) > 10*time.Second {
		t.Errorf("%s after %s", got, time.Since(start))
	}
}

func TestAddress(t *testing.T) {
	for _, ok := range []string{"unix:/run/clamav/clamd.ctl", "tcp:127.0.0.1:3310", "tcp:[::1]:3310", "tcp:clamav:3310"} {
		if _, err := clamd.New(ok, 0); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for _, bad := range []string{"", "unix:", "unix:relative", "/run/clamav/clamd.ctl", "tcp:", "tcp:127.0.0.1", "tcp:host:", "http://host:3310"} {
		if _, err := clamd.New(bad, 0); err == nil || !strings.Contains(err.Error(), "unix:/PATH or tcp:HOST:PORT") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestClamd asks Debian's clamd.
func TestClamd(t *testing.T) {
	d := clamdtest.Start(t)
	for _, tt := range []struct {
		name, file string
		want       media.Scan
		why        string
	}{
		{"clean", "nothing in it", media.Clean, ""},
		{"empty", "", media.Clean, ""},
		{"infected", "x" + clamdtest.Malware + "y", media.Infected, clamdtest.Signature},
		{"infected in a later chunk", strings.Repeat("x", 200_000) + clamdtest.Malware, media.Infected, clamdtest.Signature},
		{"over what it scans", strings.Repeat("x", clamdtest.ScanMax+1), media.Unscanned, "the file is over the scanner's limits"},
		{"over what it takes", strings.Repeat("x", 8*clamdtest.StreamMax), media.Unscanned, "the file is over the scanner's size limit"},
	} {
		if got, why := scan(t, d.Address, 0, strings.NewReader(tt.file), int64(len(tt.file))); got != tt.want || why != tt.why {
			t.Errorf("%s: %s %q, want %s %q", tt.name, got, why, tt.want, tt.why)
		}
	}
	d.Stop()
	if got, why := scan(t, d.Address, 0, strings.NewReader("x"), 1); got != media.Unscanned || why != "the scanner does not answer" {
		t.Errorf("stopped: %s %q", got, why)
	}
}
