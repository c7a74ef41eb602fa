package probe

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"avalo.app/gantry/internal/fault"
)

// Invalid returns the error of a constructor for one field of its Config. It
// must not repeat a value that can hold a secret: URLs, paths, headers.
func Invalid(kind, field, format string, args ...any) error {
	return fault.Invalid("probe/"+kind, fault.Field{Field: field}, field+": "+format, args...)
}

// URL parses a URL of the schemes given, with a host. Its errors do not
// repeat it.
func URL(kind, field, raw string, schemes ...string) (*url.URL, error) {
	want := strings.Join(schemes, ":// or ") + "://HOST"
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return nil, Invalid(kind, field, "is missing; give a URL such as %s", want)
	case err != nil:
		return nil, Invalid(kind, field, "is not a URL; give one such as %s, with special characters of a password percent-encoded", want)
	case !slices.Contains(schemes, u.Scheme), u.Hostname() == "":
		return nil, Invalid(kind, field, "must be a URL such as %s", want)
	}
	return u, nil
}

// Address checks a HOST:PORT.
func Address(kind, field, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	n, perr := strconv.Atoi(port)
	if err != nil || perr != nil || host == "" || n < 1 || n > 65535 {
		return Invalid(kind, field, "must be HOST:PORT with a port from 1 to 65535, such as db.internal:5432 or [::1]:5432")
	}
	return nil
}

// Port is a URL's host with a port: the one it names, or the one given.
func Port(u *url.URL, otherwise string) string {
	port := u.Port()
	if port == "" {
		port = otherwise
	}
	return net.JoinHostPort(u.Hostname(), port)
}
