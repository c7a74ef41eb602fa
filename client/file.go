package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// verdictWaits is how many timeouts Gantry has for a verdict once it has the
// whole file: it may still be scanned, and goes to a bucket.
const verdictWaits = 12

// file is the body of one request, read once. The transport may still be
// reading it when the request has failed.
type file struct {
	r    io.Reader
	mime string
	size int64 // 0: not known

	mu     sync.Mutex
	n      int64
	begun  bool
	closed bool
	failed error       // of r, or of what is not as declared
	timer  *time.Timer // ends the request when nothing moves
	every  time.Duration
}

var errFileClosed = errors.New("client: the request has ended")

// watch makes cancel end the request when Gantry takes no bytes for a time.
// Reading from r does not count: a slow reader is not Gantry's failure.
func (f *file) watch(every time.Duration, cancel context.CancelFunc) (stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.every, f.timer, f.closed = every, time.AfterFunc(every, cancel), false
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.closed = true
		f.timer.Stop()
	}
}

// Read implements io.Reader for the transport.
func (f *file) Read(p []byte) (int, error) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return 0, errFileClosed
	}
	f.begun = true
	f.timer.Stop()
	f.mu.Unlock()
	n, err := f.r.Read(p)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n += int64(n)
	if e := f.misfit(err); e != nil {
		f.failed, err = e, e
	}
	switch {
	case f.closed:
		return 0, errFileClosed
	case err == io.EOF, f.size > 0 && f.n == f.size:
		f.timer.Reset(verdictWaits * f.every)
	default:
		f.timer.Reset(f.every)
	}
	return n, err
}

// misfit is the error of a reader that fails, or has other than size bytes.
func (f *file) misfit(err error) error {
	switch {
	case err != nil && err != io.EOF:
		return fmt.Errorf("client: the file could not be read after %d bytes: %w", f.n, err)
	case f.size > 0 && (f.n > f.size || err == io.EOF && f.n < f.size):
		return fmt.Errorf("client: the file has %d bytes so far, and its metadata says %d: give its Size, or 0 if it is not known", f.n, f.size)
	}
	return nil
}

// Close leaves r open: it is the caller's.
func (f *file) Close() error { return nil }

// state is whether anything was read, and what went wrong with reading.
func (f *file) state() (begun bool, failed error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.begun, f.failed
}

// declared is a type as a request of one file may carry it: whoever chose it
// must not make a form of the body, or a header that cannot be sent.
func declared(mime string) string {
	switch {
	case mime == "":
		return "application/octet-stream"
	case strings.ContainsFunc(mime, func(r rune) bool { return r < ' ' || r > '~' }):
		return "application/x-unreadable"
	case strings.HasPrefix(strings.ToLower(strings.TrimSpace(mime)), "multipart/"):
		return "application/x-multipart"
	}
	return mime
}
