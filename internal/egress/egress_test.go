package egress_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"avalo.app/gantry/internal/egress"
)

func parse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// serve starts a server on 127.0.0.1 and returns its URL and how many
// requests reached it.
func serve(t *testing.T, h http.HandlerFunc) (*url.URL, *atomic.Int64) {
	t.Helper()
	hits := new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return parse(t, s.URL), hits
}

// get returns the whole body, or the error of whatever failed.
func get(t *testing.T, c *http.Client, u string) (string, error) {
	t.Helper()
	t.Cleanup(c.CloseIdleConnections)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

func TestNamedHostOnly(t *testing.T) {
	u, hits := serve(t, hello)
	other, otherHits := serve(t, hello)
	if b, err := get(t, egress.Client(egress.Options{}, other, u), u.String()+"/x?y"); err != nil || b != "hello" {
		t.Fatalf("%q %v", b, err)
	}
	hits.Store(0)
	for name, c := range map[string]*http.Client{
		"none named":         egress.Client(egress.Options{}),
		"another port":       egress.Client(egress.Options{}, other),
		"another scheme":     egress.Client(egress.Options{}, parse(t, "https://"+u.Host)),
		"public hosts too":   egress.Client(egress.Options{PublicHosts: true}, other),
		"a name for a host":  egress.Client(egress.Options{}, parse(t, "http://localhost:"+u.Port())),
		"user is not a host": egress.Client(egress.Options{}, parse(t, "http://"+u.Host+"@evil.example")),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := get(t, c, u.String()); !errors.Is(err, egress.ErrHost) {
				t.Errorf("%v", err)
			}
		})
	}
	if hits.Load() != 0 || otherHits.Load() != 0 {
		t.Errorf("%d and %d requests arrived", hits.Load(), otherHits.Load())
	}
}

func TestSpellingsOfAHost(t *testing.T) {
	u, _ := serve(t, hello)
	c := egress.Client(egress.Options{}, parse(t, "http://LOCALHOST.:"+u.Port()))
	if _, err := get(t, c, "http://localhost:"+u.Port()); err != nil {
		t.Error(err)
	}
}

func TestRedirects(t *testing.T) {
	evil, evilHits := serve(t, hello)
	u, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, evil.String(), http.StatusFound)
		case "/tls":
			http.Redirect(w, r, "https://"+r.Host+"/end", http.StatusFound)
		case "/near":
			http.Redirect(w, r, "/end", http.StatusMovedPermanently)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		default:
			hello(w, r)
		}
	})
	c := egress.Client(egress.Options{}, u, evil) // both named, and still not from one to the other
	if b, err := get(t, c, u.String()+"/near"); err != nil || b != "hello" {
		t.Errorf("%q %v", b, err)
	}
	for _, path := range []string{"/away", "/tls"} {
		if _, err := get(t, c, u.String()+path); !errors.Is(err, egress.ErrHost) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := get(t, c, u.String()+"/loop"); err == nil || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("a loop: %v", err)
	}
	if evilHits.Load() != 0 {
		t.Errorf("%d requests arrived elsewhere", evilHits.Load())
	}
}

func TestBodyIsBounded(t *testing.T) {
	text := strings.Repeat("a", 1000)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	u, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/zip":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped.Bytes())
		case "/stream":
			_, _ = io.WriteString(w, text[:500])
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, text[500:])
		default:
			_, _ = io.WriteString(w, text)
		}
	})
	for _, path := range []string{"/", "/stream", "/zip"} {
		for limit, fits := range map[int64]bool{0: true, 1000: true, 999: false, 500: false, 1: false} {
			b, err := get(t, egress.Client(egress.Options{MaxBody: limit}, u), u.String()+path)
			if fits && (err != nil || b != text) {
				t.Errorf("%s of at most %d: %d bytes, %v", path, limit, len(b), err)
			}
			if !fits && (!errors.Is(err, egress.ErrBody) || int64(len(b)) > limit) {
				t.Errorf("%s of at most %d: %d bytes, %v", path, limit, len(b), err)
			}
		}
	}
}

// TestHeadOfALargeObject: what a HEAD says of a body's size is no body.
func TestHeadOfALargeObject(t *testing.T) {
	u, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "1000000") })
	c := egress.Client(egress.Options{MaxBody: 1000}, u)
	t.Cleanup(c.CloseIdleConnections)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, u.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.ContentLength != 1000000 {
		t.Errorf("%d bytes", resp.ContentLength)
	}
}

func TestTimeIsBounded(t *testing.T) {
	release := make(chan struct{})
	u, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush() // the head is in time, the body is not
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	var timeout net.Error
	if _, err := get(t, egress.Client(egress.Options{Timeout: 50 * time.Millisecond}, u), u.String()); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%v", err)
	}
	if c := egress.Client(egress.Options{}, u); c.Timeout != 5*time.Second {
		t.Errorf("%v", c.Timeout)
	}
}

func TestProxiesAreIgnored(t *testing.T) {
	proxy, hits := serve(t, hello)
	t.Setenv("HTTP_PROXY", proxy.String())
	t.Setenv("http_proxy", proxy.String())
	c := egress.Client(egress.Options{Resolver: dns(t, netip.MustParseAddr("127.0.0.1"))}, parse(t, "http://status.example.com"))
	if _, err := get(t, c, "http://status.example.com"); !errors.Is(err, egress.ErrPrivate) {
		t.Errorf("%v", err)
	}
	if hits.Load() != 0 {
		t.Error("the request went through the proxy")
	}
}

// TestPublicNameLeadsInside: what DNS says when the host is dialled does not
// matter; a public name gets nobody inside.
func TestPublicNameLeadsInside(t *testing.T) {
	u, hits := serve(t, hello)
	at := func(host string) *url.URL { return parse(t, "http://"+host+":"+u.Port()) }
	inside := dns(t, netip.MustParseAddr("127.0.0.1"))
	for _, tt := range []struct {
		host string
		want error
	}{
		{"status.example.com", egress.ErrPrivate},
		{"internal.example.com", egress.ErrPrivate},
		{"local", nil},
		{"db.internal", nil},
		{"db.home.arpa", nil},
		{"app.localhost", nil},
	} {
		_, err := get(t, egress.Client(egress.Options{Resolver: inside}, at(tt.host)), at(tt.host).String())
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.host, err)
		}
	}
	// With PublicHosts too, and a private name must itself be named.
	for _, host := range []string{"status.example.com", "db.internal"} {
		c := egress.Client(egress.Options{Resolver: inside, PublicHosts: true}, at("other.internal"))
		if _, err := get(t, c, "https://"+host+":"+u.Port()); !errors.Is(err, egress.ErrPrivate) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if hits.Load() != 4 {
		t.Errorf("%d requests arrived", hits.Load())
	}
}

func TestMayDial(t *testing.T) {
	for _, tt := range []struct {
		host, addr string
		named      bool
		want       bool
	}{
		{"a.example", "93.184.216.34", true, true},
		{"a.example", "2606:2800:220:1::1", false, true},
		{"a.example", "10.0.0.1", true, false},
		{"a.example", "172.16.0.1", true, false},
		{"a.example", "192.168.1.1", true, false},
		{"a.example", "127.0.0.1", true, false},
		{"a.example", "::1", true, false},
		{"a.example", "0.0.0.0", true, false},
		{"a.example", "::", true, false},
		{"a.example", "169.254.169.254", true, false},
		{"a.example", "fe80::1%eth0", true, false},
		{"a.example", "fd00:ec2::254", true, false},
		{"a.example", "fec0::1", true, false},
		{"a.example", "100.64.0.1", true, false},
		{"a.example", "192.0.0.8", true, false},
		{"a.example", "198.18.0.1", true, false},
		{"a.example", "224.0.0.1", true, false},
		{"a.example", "ff02::1", true, false},
		{"a.example", "255.255.255.255", true, false},
		{"a.example", "::ffff:10.0.0.1", true, false},
		{"a.example", "::ffff:93.184.216.34", true, true},
		{"a.example", "::10.0.0.1", true, false},
		{"a.example", "64:ff9b::a00:1", true, false},
		{"a.example", "64:ff9b:1::a00:1", true, false},
		{"a.example", "2002:a00:1::1", true, false},
		{"a.example", "2001:0:a00:1::1", true, false},
		{"10.0.0.1", "10.0.0.1", true, true},
		{"10.0.0.1", "10.0.0.2", true, false},
		{"10.0.0.1", "10.0.0.1", false, false},
		{"169.254.169.254", "169.254.169.254", true, true},
		{"::1", "::1", true, true},
		{"::1", "127.0.0.1", true, false},
		{"fe80::1%eth0", "fe80::1%eth0", true, true},
		{"localhost", "127.0.0.1", true, true},
		{"localhost", "::1", true, true},
		{"localhost", "10.0.0.1", true, false},
		{"keycloak", "172.18.0.3", true, true},
		{"keycloak", "172.18.0.3", false, false},
		{"keycloak", "169.254.169.254", true, false},
		{"metadata.google.internal", "169.254.169.254", true, false},
		{"db.internal", "fd00::1", true, true},
		{"db.internal", "100.64.0.1", true, true},
		{"db.internal", "0.0.0.0", true, false},
		{"internal", "10.0.0.1", true, true},
		{"xinternal.example", "10.0.0.1", true, false},
	} {
		if got := egress.MayDial(tt.host, tt.named, netip.MustParseAddr(tt.addr)); got != tt.want {
			t.Errorf("%s (named %v) at %s: %v", tt.host, tt.named, tt.addr, got)
		}
	}
}

// dns is a resolver whose one answer to every question is addr, an IPv4
// address.
func dns(t *testing.T, addr netip.Addr) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo(reply(buf[:n], addr), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

// reply answers one DNS question (RFC 1035, section 4): an A record for an A
// question, nothing for others.
func reply(q []byte, addr netip.Addr) []byte {
	end := 12
	for q[end] != 0 {
		end += int(q[end]) + 1
	}
	end += 5 // the root label, type and class
	out := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
	if binary.BigEndian.Uint16(q[end-4:]) == 1 {
		out[7] = 1
		out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // the name above, A, IN, no TTL
		out = append(out, addr.AsSlice()...)
	}
	return out
}
