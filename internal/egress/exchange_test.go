package egress_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"avalo.app/gantry/internal/egress"
)

// TestExchange: neither an answer nor an error holds what the request had of
// secrets, and an answer's begin is enough.
func TestExchange(t *testing.T) {
	var answer func(w http.ResponseWriter, r *http.Request)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) }))
	defer s.Close()
	base, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := egress.Client(egress.Options{Timeout: 5 * time.Second}, base)
	do := func(ctx context.Context) (egress.Reply, error) {
		u := base.JoinPath("/hooks/pathsecret")
		u.User = url.UserPassword("gantry", "userinfosecret")
		u.RawQuery = "token=querysecret"
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer headersecret")
		return egress.Exchange(c, r, "othersecret")
	}
	answer = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(429)
		_, _ = io.WriteString(w, "you sent "+r.URL.String()+" "+r.Header.Get("Authorization")+" userinfosecret othersecret"+strings.Repeat("x", 5000))
	}
	reply, err := do(t.Context())
	if err != nil || reply.Status != 429 || reply.RetryAfter != "7" || !strings.HasPrefix(reply.Body, "you sent /hooks/[removed]?token=[removed] Bearer [removed] ") ||
		strings.Contains(reply.Body, "secret") || len(reply.Body) > 2<<10 {
		t.Errorf("%+v %v", reply, err)
	}
	answer = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := do(ctx); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("no answer: %v", err)
	}
	s.Close()
	if _, err := do(t.Context()); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody listens: %v", err)
	}
}

// TestDial: the same addresses as for HTTP.
func TestDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := egress.Dial(t.Context(), egress.Options{}, "127.0.0.1", port) // named by its address
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	// A public name leads nobody inside.
	inside := egress.Options{Resolver: dns(t, netip.MustParseAddr("127.0.0.1"))}
	if c, err := egress.Dial(t.Context(), inside, "mail.example.com", port); !errors.Is(err, egress.ErrPrivate) {
		if err == nil {
			_ = c.Close()
		}
		t.Errorf("a public name inside: %v", err)
	}
	if c, err = egress.Dial(t.Context(), inside, "mail.internal", port); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}
