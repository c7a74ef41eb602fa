// Package egress makes the HTTP clients and dialers for what leaves Gantry: to
// named hosts only, without proxies, redirects elsewhere or addresses inside
// the network, and with bounded bodies and time.
package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The bounds of a client whose Options state none.
const (
	DefaultTimeout = 5 * time.Second
	DefaultMaxBody = 1 << 20

	maxHeader    = 64 << 10
	maxRedirects = 5
)

// Errors of a request that is refused; errors.Is finds them in what the
// client returns.
var (
	ErrHost    = errors.New("egress: the host is not one that the configuration names")
	ErrPrivate = errors.New("egress: the host resolves to an address inside the network; if that is meant, name the host by that address, or by a name under .internal, .local or .home.arpa")
	ErrBody    = errors.New("egress: the response is larger than allowed")
)

// Options bound a client.
type Options struct {
	// Timeout covers the whole exchange, from dialling to the last byte of
	// the body. 0 means DefaultTimeout.
	Timeout time.Duration
	// MaxBody is the most bytes of a response, after decompression. 0 means
	// DefaultMaxBody.
	MaxBody int64
	// PublicHosts lets requests go to public https hosts that are not named,
	// for URLs that a named host hands out, such as an issuer's jwks_uri.
	PublicHosts bool
	// Private lets the named hosts lie inside the network under a public
	// name, as a cloud's databases do. Never at a link-local address.
	Private bool
	// OneShot closes each connection after its exchange, so that nothing
	// stays behind and every exchange shows that a connection can be made.
	OneShot bool
	// Resolver looks names up; nil means the system's.
	Resolver *net.Resolver
}

// bounded fills in the bounds that are not stated.
func (o Options) bounded() Options {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	return o
}

// Client returns a client whose requests may go to the scheme, host and port
// of each URL named, and nowhere else. It follows redirects within a host.
//
// It dials public addresses only. The exception is a host that is itself
// named as private: by a literal address, which is then the only one dialled,
// or by a private name (localhost, a name without a dot, or one under
// .localhost, .local, .internal or .home.arpa). The check is made on the
// address that is dialled, after resolution, so that a public name cannot
// lead inside by what DNS says at that moment.
func Client(o Options, named ...*url.URL) *http.Client {
	o = o.bounded()
	g := &guard{o: o, named: make(map[string]bool), hosts: make(map[string]bool)}
	for _, u := range named {
		g.named[origin(u)] = true
		g.hosts[hostname(u.Hostname())] = true
	}
	g.next = &http.Transport{
		Proxy:                  nil, // one from the environment would resolve and dial in our place
		DialContext:            g.dial,
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      o.OneShot,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
	}
	return &http.Client{Transport: g, Timeout: o.Timeout, CheckRedirect: sameOrigin}
}

// guard is the RoundTripper around the transport.
type guard struct {
	o     Options
	named map[string]bool // by origin
	hosts map[string]bool // by host name, in lower case
	next  *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if !g.named[origin(r.URL)] && !(g.o.PublicHosts && r.URL.Scheme == "https") {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper must, also when it fails
		}
		return nil, fmt.Errorf("%w: %s", ErrHost, r.URL.Host)
	}
	resp, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.ContentLength > g.o.MaxBody && r.Method != http.MethodHead { // to a HEAD it is no body's length
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%w: %d bytes of at most %d", ErrBody, resp.ContentLength, g.o.MaxBody)
	}
	resp.Body = &body{ReadCloser: resp.Body, left: g.o.MaxBody}
	return resp, nil
}

// CloseIdleConnections lets http.Client's method of that name through.
func (g *guard) CloseIdleConnections() { g.next.CloseIdleConnections() }

func (g *guard) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	return g.o.dial(ctx, network, addr, g.hosts[hostname(host)])
}

// sameOrigin lets redirects stay within scheme, host and port. The client
// would drop credentials on the way to another host, but not a probe's trust
// in who answered.
func sameOrigin(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("egress: more than %d redirects", maxRedirects)
	}
	if via[0].Method != r.Method {
		return http.ErrUseLastResponse // a POST that became a GET of a login page was not accepted
	}
	if from := via[len(via)-1].URL; origin(from) != origin(r.URL) {
		return fmt.Errorf("%w: %s redirects to %s; name the final URL", ErrHost, from.Host, r.URL.Host)
	}
	return nil
}

// origin is scheme, host and port, with the scheme's own port filled in.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(hostname(u.Hostname()), port)
}

// hostname is a host in one spelling.
func hostname(h string) string { return strings.TrimSuffix(strings.ToLower(h), ".") }

// body fails once more than left bytes were there.
type body struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrBody
	}
	if int64(len(p)) > b.left+1 { // one more tells a full body from a longer one
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, ErrBody
	}
	return n, err
}
