// Package clamd asks ClamAV's daemon whether a file is malware, over its
// INSTREAM command.
package clamd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"strings"
	"time"

	"avalo.app/gantry/internal/media"
)

// DefaultTimeout bounds one scan, from the dial to the answer. clamd scans
// 100 MB of video in a few seconds; what takes longer waits in its queue.
const DefaultTimeout = 30 * time.Second

const (
	chunk    = 64 << 10 // of a file, in one message
	maxReply = 4 << 10  // clamd's own are below 1 KiB
	shownMax = 128      // of a signature's name or a reason
)

// Scanner implements media.Scanner. It is safe for concurrent use: each scan
// has a connection of its own, and clamd queues what is too much at once.
type Scanner struct {
	network, address string
	timeout          time.Duration
}

// New returns a scanner that asks the clamd at an address: unix:PATH or
// tcp:HOST:PORT. It makes no connection. A timeout of 0 is DefaultTimeout.
func New(address string, timeout time.Duration) (*Scanner, error) {
	network, at, err := parse(address)
	if err != nil {
		return nil, err
	}
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return &Scanner{network: network, address: at, timeout: timeout}, nil
}

func parse(address string) (network, at string, err error) {
	network, at, _ = strings.Cut(address, ":")
	switch {
	case network == "unix" && path.IsAbs(at):
		return network, at, nil
	case network == "tcp":
		if _, port, err := net.SplitHostPort(at); err == nil && port != "" {
			return network, at, nil
		}
	}
	return "", "", errors.New("an address of clamd is unix:/PATH or tcp:HOST:PORT, such as unix:/run/clamav/clamd.ctl or tcp:127.0.0.1:3310")
}

// Scan implements media.Scanner. Only an answer to the whole file counts:
// whatever else happens, the file is unscanned, and the name says why, in
// words that an uploader may read.
func (s *Scanner) Scan(ctx context.Context, r io.Reader, size int64) (media.Scan, string) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	reply, err := s.ask(ctx, r, size)
	switch {
	case err == nil:
		return judge(reply)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return media.Unscanned, "the scanner took too long"
	case errors.Is(err, errChanged):
		return media.Unscanned, "the file could not be read whole"
	}
	return media.Unscanned, "the scanner does not answer"
}

var errChanged = errors.New("clamd: the file ended early, or could not be read")

// ask sends a file and returns the answer. The answer is an error's, never
// OK's, unless every byte was sent.
func (s *Scanner) ask(ctx context.Context, r io.Reader, size int64) (string, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, s.network, s.address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // ends a read or write at once
	defer stop()
	sent := send(conn, r, size)
	if errors.Is(sent, errChanged) {
		return "", sent
	}
	// clamd stops reading what is over its limit, says so, and closes: its
	// answer matters more than that writing failed.
	reply, err := readReply(conn)
	if err != nil {
		return "", errors.Join(sent, err)
	}
	if state, _ := judge(reply); sent != nil && state != media.Unscanned {
		return "", sent // an answer to a part of the file is none
	}
	return reply, nil
}

// send writes the command and the file in chunks: a 4-byte length each, and
// a length of 0 at the end.
func send(conn net.Conn, r io.Reader, size int64) error {
	if _, err := conn.Write([]byte("zINSTREAM\x00")); err != nil {
		return err
	}
	buf := make([]byte, 4+chunk)
	for left := size; left > 0; {
		n := min(left, chunk)
		if _, err := io.ReadFull(r, buf[4:4+n]); err != nil {
			return fmt.Errorf("%w: %w", errChanged, err)
		}
		binary.BigEndian.PutUint32(buf, uint32(n))
		if _, err := conn.Write(buf[:4+n]); err != nil {
			return err
		}
		left -= n
	}
	_, err := conn.Write([]byte{0, 0, 0, 0})
	return err
}

// readReply reads one answer, which ends with a zero byte: one that was cut
// off could be read as something else.
func readReply(r io.Reader) (string, error) {
	reply, err := bufio.NewReader(io.LimitReader(r, maxReply)).ReadString(0)
	return strings.TrimSuffix(reply, "\x00"), err
}

// judge reads an answer: "stream: OK", "stream: NAME FOUND", or something
// that ends with ERROR.
func judge(reply string) (media.Scan, string) {
	answer, ok := strings.CutPrefix(strings.TrimSpace(reply), "stream: ")
	name, found := strings.CutSuffix(answer, " FOUND")
	switch {
	case ok && answer == "OK":
		return media.Clean, ""
	// What AlertExceedsMax makes of a file that clamd did not scan whole.
	case ok && found && strings.HasPrefix(name, "Heuristics.Limits.Exceeded"):
		return media.Unscanned, "the file is over the scanner's limits"
	case ok && found && name != "":
		return media.Infected, shown(name)
	case strings.Contains(reply, "size limit exceeded"):
		return media.Unscanned, "the file is over the scanner's size limit"
	}
	return media.Unscanned, "the scanner failed: " + shown(reply)
}

// shown is a part of an answer as a log or another answer may repeat it.
func shown(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
	return s[:min(len(s), shownMax)]
}
