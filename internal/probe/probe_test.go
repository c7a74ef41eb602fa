package probe_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/probe"
)

const secret = "sk_test_PLANTED"

// An error tells why, and repeats neither an address nor an answer.
func TestFailTellsNoSecret(t *testing.T) {
	in := func(err error) error {
		return &url.Error{Op: "Get", URL: "https://u:" + secret + "@h/?k=" + secret, Err: &net.OpError{Op: "dial " + secret, Err: err}}
	}
	cert := &x509.Certificate{DNSNames: []string{secret}}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{in(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "connection refused"},
		{in(syscall.ECONNRESET), "ended the connection"},
		{in(syscall.EHOSTUNREACH), "no route"},
		{in(io.ErrUnexpectedEOF), "before its answer"},
		{in(os.ErrDeadlineExceeded), "timed out"},
		{in(&net.DNSError{Name: secret, IsNotFound: true}), "does not resolve"},
		{in(&net.DNSError{Name: secret, IsTimeout: true}), "resolution timed out"},
		{in(&net.DNSError{Name: secret, Err: secret}), "resolution failed"},
		{in(fmt.Errorf("%w: %s", egress.ErrPrivate, secret)), "inside the network"},
		{in(fmt.Errorf("%w: %s", egress.ErrHost, secret)), "not one that the configuration names"},
		{in(&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Cert: cert, Reason: x509.Expired, Detail: secret}}), "has expired"},
		{in(&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Cert: cert, Reason: x509.NotAuthorizedToSign}}), "does not verify"},
		{in(&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: cert, Host: secret}}), "another host name"},
		{in(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{Cert: cert}}), "not trusted"},
		{in(tls.RecordHeaderError{Msg: secret}), "does not speak TLS"},
		{in(tls.AlertError(40)), "an alert"},
		{in(&os.PathError{Path: secret, Err: os.ErrNotExist}), "no such file"},
		{in(&os.PathError{Path: secret, Err: os.ErrPermission}), "permission denied"},
		{in(errors.New(secret)), "not one that is understood (*errors.errorString)"},
	} {
		err := probe.Fail(t.Context(), "step", tt.err)
		if s := err.Error(); !strings.HasPrefix(s, "step: ") || !strings.Contains(s, tt.want) || strings.Contains(s, secret) {
			t.Errorf("%T: %s, want %s", tt.err, s, tt.want)
		}
		if strings.Contains(fmt.Sprintf("%+v", err), secret) {
			t.Errorf("%T: %+v", tt.err, err)
		}
	}
}

// The end of the context is the cause, however it shows.
func TestFailTellsTheContext(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := probe.Fail(ended, "step", probe.Failf("other")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// The deadline has passed, and the context's own timer not fired yet.
	late := deadline{t.Context(), time.Now().Add(-time.Nanosecond)}
	if err := probe.Fail(late, "step", os.ErrDeadlineExceeded); !errors.Is(err, context.DeadlineExceeded) || err.Error() != "step: timed out" {
		t.Error(err)
	}
	if err := probe.Fail(t.Context(), "step", probe.Failf("as it is")); err.Error() != "as it is" || errors.Unwrap(err) != nil {
		t.Error(err)
	}
}

type deadline struct {
	context.Context
	at time.Time
}

// Deadline implements context.Context.
func (d deadline) Deadline() (time.Time, bool) { return d.at, true }

// What a measurement dialled is closed when it ends, and not when the context
// of the dial does.
func TestDialEndsWithTheMeasurement(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	measurement, end := context.WithCancel(t.Context())
	dialling, dialled := context.WithCancel(t.Context())
	c, err := probe.Dial(measurement, egress.NewDialer(egress.Options{}, l.Addr().String()))(dialling, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dialled()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Errorf("after the dial: %v", err)
	}
	end()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) { // it would wait for ever
		t.Errorf("after the measurement: %v", err)
	}
}

// Dialling too ends with the measurement: the address takes no connection.
func TestDialIsEnded(t *testing.T) {
	measurement, end := context.WithCancel(t.Context())
	end()
	_, err := probe.Dial(measurement, egress.NewDialer(egress.Options{}, "127.0.0.1:9"))(t.Context(), "tcp", "127.0.0.1:9")
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
