package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"avalo.app/gantry/internal/egress"
)

// Failure is the error of a measurement. Its text is made of words of
// Gantry's own and numbers: errors of the network and of clients quote URLs
// with their passwords, and servers' answers.
type Failure struct {
	text  string
	cause error // of this package's choice: context.DeadlineExceeded or Canceled
}

// Error returns the text.
func (f *Failure) Error() string { return f.text }

// Unwrap returns context.DeadlineExceeded or context.Canceled for a
// measurement that did not end by itself.
func (f *Failure) Unwrap() error { return f.cause }

// Failf returns a failure with a text, whose arguments must be of Gantry's own
// making.
func Failf(format string, args ...any) error {
	return &Failure{text: fmt.Sprintf(format, args...)}
}

// Fail returns the failure of one step of a measurement: what was done, and
// why it failed as far as that can be told without repeating err. A *Failure
// is returned as it is.
func Fail(ctx context.Context, what string, err error) error {
	var f *Failure
	// A connection with the deadline of ctx may fail a moment before ctx does.
	end, bounded := ctx.Deadline()
	switch {
	case errors.Is(ctx.Err(), context.Canceled): // err is then only how it showed
		return &Failure{cause: context.Canceled, text: what + ": stopped before an answer came"}
	case ctx.Err() != nil, bounded && !time.Now().Before(end):
		return &Failure{cause: context.DeadlineExceeded, text: what + ": timed out"}
	case errors.As(err, &f):
		return f
	}
	return &Failure{text: what + ": " + reason(err)}
}

// reason says in words of our own why something failed.
func reason(err error) string {
	for _, r := range [...]func(error) string{refused, resolving, securing, dialling} {
		if s := r(err); s != "" {
			return s
		}
	}
	// The type alone repeats nothing, and helps whoever looks for the cause.
	for next := err; next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return fmt.Sprintf("the answer is not one that is understood (%T)", err)
}

// refused names what Gantry's own rules refused.
func refused(err error) string {
	for _, e := range [...]error{egress.ErrHost, egress.ErrPrivate, egress.ErrBody} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	return ""
}

func resolving(err error) string {
	var e *net.DNSError
	switch {
	case !errors.As(err, &e):
		return ""
	case e.IsNotFound:
		return "the name does not resolve; check its spelling and the DNS zone"
	case e.IsTimeout:
		return "name resolution timed out"
	}
	return "name resolution failed"
}

// securing names what is wrong with a TLS session.
func securing(err error) string {
	var (
		invalid x509.CertificateInvalidError
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
		record  tls.RecordHeaderError
		alert   tls.AlertError
		any     *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate has expired or is not valid yet; renew it, or check the clocks"
	case errors.As(err, &host):
		return "the certificate is for another host name"
	case errors.As(err, &unknown):
		return "the certificate is signed by an authority that is not trusted here"
	case errors.As(err, &any), errors.As(err, &invalid):
		return "the certificate does not verify"
	case errors.As(err, &record):
		return "the server does not speak TLS at this port"
	case errors.As(err, &alert):
		return "the server ended the TLS handshake with an alert"
	}
	return ""
}

func dialling(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused; nothing listens there"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the server ended the connection"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no route to the host"
	case errors.Is(err, os.ErrNotExist):
		return "there is no such file"
	case errors.Is(err, os.ErrPermission):
		return "permission denied"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "the server ended the connection before its answer"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timed out"
	}
	return ""
}
