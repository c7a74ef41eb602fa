package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// Reply is an answer, as far as one must look at it.
type Reply struct {
	Status     int
	RetryAfter string // the header
	Body       string // its first 2 KB
}

// maxReply is how much of a body a Reply keeps.
const maxReply = 2 << 10

// Exchange sends a request and reads the answer. Its errors hold no URL: of a
// webhook, the URL is the secret. What the answer repeats of the request's
// credentials, and of other secrets, is removed from it.
func Exchange(c *http.Client, r *http.Request, secrets ...string) (Reply, error) {
	resp, err := c.Do(r)
	if err != nil {
		return Reply{}, WithoutURL(err)
	}
	defer resp.Body.Close()
	out := Reply{Status: resp.StatusCode, RetryAfter: resp.Header.Get("Retry-After")}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	out.Body = string(b)
	for _, s := range append(credentials(r), secrets...) {
		if len(s) > 3 {
			out.Body = strings.ReplaceAll(out.Body, s, "[removed]")
		}
	}
	if err != nil {
		return out, WithoutURL(err)
	}
	return out, nil
}

// credentials returns what of a request may be a secret: the Authorization,
// and whatever of the URL is long enough to be one.
func credentials(r *http.Request) []string {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	password, _ := r.URL.User.Password()
	out := []string{token, password}
	for _, values := range r.URL.Query() {
		out = append(out, values...)
	}
	for part := range strings.SplitSeq(r.URL.Path, "/") {
		if len(part) > 7 {
			out = append(out, part)
		}
	}
	return out
}

// WithoutURL returns what went wrong with a request, without its URL.
func WithoutURL(err error) error {
	var u *url.Error
	if !errors.As(err, &u) {
		return err
	}
	if u.Timeout() {
		return errors.New("no answer in time")
	}
	return u.Err
}

// Dial connects to a host and port that the configuration names, by the rules
// of Client for addresses.
func Dial(ctx context.Context, o Options, host, port string) (net.Conn, error) {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	g := &guard{o: o, hosts: map[string]bool{hostname(host): true}}
	return g.dial(ctx, "tcp", net.JoinHostPort(host, port))
}
