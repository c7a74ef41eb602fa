package oidc_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/oidc"
)

func TestUnknownKidFlood(t *testing.T) {
	s := ed(t, "k")
	i := newIssuer(t, nil, s.public(t))
	good := s.sign(t, i.claims(nil))
	var wg sync.WaitGroup
	for n := range 200 {
		wg.Go(func() {
			bad := signer{s.alg, fmt.Sprint("kid", n), s.key}.sign(t, i.claims(nil))
			if _, err := i.verify(t.Context(), bad); fault.CodeOf(err) != fault.Unauthenticated {
				t.Errorf("unknown kid: %v", err)
			}
			if _, err := i.verify(t.Context(), good); err != nil {
				t.Errorf("a good token amid the flood: %v", err)
			}
		})
	}
	wg.Wait()
	if n := i.fetches.Load(); n > 2 {
		t.Errorf("%d fetches", n)
	}
}

func TestRotation(t *testing.T) {
	old, next := ec(t, "1"), ec(t, "2")
	i := newIssuer(t, nil, old.public(t))
	accepted(t, i, old.sign(t, i.claims(nil)))
	i.set(func() { i.keys = []any{next.public(t)} })
	refused(t, i, next.sign(t, i.claims(nil)), fault.Unauthenticated) // just fetched
	i.pass(10 * time.Second)
	accepted(t, i, next.sign(t, i.claims(nil)))
	refused(t, i, old.sign(t, i.claims(nil)), fault.Unauthenticated) // withdrawn
	if n := i.fetches.Load(); n != 2 {
		t.Errorf("%d fetches", n)
	}
	// A new key may come under an old name.
	again := ec(t, "2")
	i.set(func() { i.keys = []any{again.public(t)} })
	i.pass(10 * time.Second)
	accepted(t, i, again.sign(t, i.claims(nil)))
	// A clock that goes back holds nothing up.
	i.set(func() { i.keys = []any{old.public(t)} })
	i.pass(-24 * time.Hour)
	accepted(t, i, old.sign(t, i.claims(nil)))
}

// TestWithdrawnKey: a key that the issuer no longer has loses its force
// although no token with a new one comes.
func TestWithdrawnKey(t *testing.T) {
	old := ec(t, "1")
	i := newIssuer(t, nil, old.public(t))
	accepted(t, i, old.sign(t, i.claims(nil)))
	i.set(func() { i.keys = []any{ec(t, "2").public(t)} })
	i.pass(time.Hour)
	accepted(t, i, old.sign(t, i.claims(nil))) // starts a fetch, and does not wait for it
	deadline, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for fault.CodeOf(verifyErr(t, i, old)) != fault.Unauthenticated {
		if deadline.Err() != nil {
			t.Fatal("the withdrawn key is still good")
		}
	}
}

func verifyErr(t *testing.T, i *issuer, s signer) error {
	t.Helper()
	_, err := i.verify(t.Context(), s.sign(t, i.claims(nil)))
	return err
}

func TestKeysDown(t *testing.T) {
	s := ed(t, "k")
	for name, handler := range map[string]http.HandlerFunc{
		"500": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "secret trace", http.StatusInternalServerError)
		},
		"no JSON":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"no keys":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}`) },
		"cut":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"too large": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(" ", 2<<20)) },
		"redirected away": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/keys", http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t, nil, s.public(t))
			i.set(func() { i.handler = handler })
			tok := s.sign(t, i.claims(nil))
			for range 20 {
				if err := refused(t, i, tok, fault.ServiceDegraded); strings.Contains(err.Error(), "secret trace") {
					t.Errorf("the error quotes the answer: %v", err)
				}
			}
			if n := i.fetches.Load(); n != 1 {
				t.Errorf("%d fetches", n)
			}
			i.set(func() { i.handler = nil })
			i.pass(2 * time.Second)
			accepted(t, i, tok)

			// Keys that were had once serve on through an outage, for a day.
			i.set(func() { i.handler = handler })
			i.pass(24*time.Hour - time.Second)
			accepted(t, i, s.sign(t, i.claims(nil)))
			i.pass(time.Second)
			refused(t, i, s.sign(t, i.claims(nil)), fault.ServiceDegraded)
		})
	}
}

func TestKeysSlow(t *testing.T) {
	s := ed(t, "k")
	release := make(chan struct{})
	i := newIssuer(t, func(c *oidc.Config) { c.Client = &http.Client{Timeout: 50 * time.Millisecond} }, s.public(t))
	i.set(func() {
		i.handler = func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	})
	refused(t, i, s.sign(t, i.claims(nil)), fault.ServiceDegraded)
	// A caller that goes away does not wait for the fetch.
	i.pass(2 * time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := i.verify(ctx, s.sign(t, i.claims(nil))); fault.CodeOf(err) != fault.ServiceDegraded {
		t.Error(err)
	}
	close(release)
}

// TestHangingIssuer: requests wait five seconds for its keys and no longer,
// and meanwhile time alone starts no second fetch beside the first.
func TestHangingIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches, clock atomic.Int64
		verify := oidc.New(oidc.Config{Issuer: "https://id.example", Audience: "app", JWKSURL: "https://id.example/keys",
			Now: func() time.Time { return start.Add(time.Duration(clock.Load())) },
			Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				fetches.Add(1)
				<-r.Context().Done()
				return nil, r.Context().Err()
			})}})
		tok := ed(t, "k").sign(t, map[string]any{"iss": "https://id.example", "aud": "app", "sub": "u1", "exp": start.Add(time.Hour).Unix()})
		began := time.Now()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := verify(t.Context(), tok); fault.CodeOf(err) != fault.ServiceDegraded || time.Since(began) != 5*time.Second {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
			})
			synctest.Wait()
			clock.Add(int64(time.Minute))
		}
		wg.Wait()
		if n := fetches.Load(); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

// TestDiscoveryKeepsTLS: an issuer that is spoken to over TLS cannot send us
// for its keys to where anyone in between may answer.
func TestDiscoveryKeepsTLS(t *testing.T) {
	s := ed(t, "k")
	asked := make(chan string, 4)
	verify := oidc.New(oidc.Config{Issuer: "https://id.example", Audience: "app", Now: func() time.Time { return start },
		Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			asked <- r.URL.String()
			return answer(`{"issuer":"https://id.example","jwks_uri":"http://id.example/keys"}`).RoundTrip(r)
		})}})
	tok := s.sign(t, map[string]any{"iss": "https://id.example", "aud": "app", "sub": "u1", "exp": start.Add(time.Hour).Unix()})
	if _, err := verify(t.Context(), tok); fault.CodeOf(err) != fault.ServiceDegraded {
		t.Error(err)
	}
	if got := <-asked; got != "https://id.example/.well-known/openid-configuration" || len(asked) != 0 {
		t.Errorf("asked %s and %d more", got, len(asked))
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestDiscovery(t *testing.T) {
	s := ed(t, "k")
	discover := func(c *oidc.Config) { c.JWKSURL = "" }
	i := newIssuer(t, discover, s.public(t))
	accepted(t, i, s.sign(t, i.claims(nil)))

	i = newIssuer(t, discover, s.public(t))
	i.set(func() { i.jwksURI = "" })
	refused(t, i, s.sign(t, i.claims(nil)), fault.ServiceDegraded)
	i.set(func() { i.jwksURI = i.URL + "/gone" })
	i.pass(2 * time.Second)
	refused(t, i, s.sign(t, i.claims(nil)), fault.ServiceDegraded)
	i.set(func() { i.jwksURI = i.URL + "/keys" }) // moved: found by the next try
	i.pass(2 * time.Second)
	accepted(t, i, s.sign(t, i.claims(nil)))

	i = newIssuer(t, func(c *oidc.Config) { c.JWKSURL, c.Issuer = "", strings.Replace(c.Issuer, "127.0.0.1", "localhost", 1) }, s.public(t))
	refused(t, i, s.sign(t, i.claims(nil)), fault.ServiceDegraded) // the document is another issuer's
}

// TestKeySetWithStrangers: keys we cannot use do not spoil those we can, and
// are not used.
func TestKeySetWithStrangers(t *testing.T) {
	s, weak := ed(t, "k"), rs(t, "weak", 1024)
	enc := ec(t, "enc")
	encKey := enc.public(t)
	encKey.Use = "enc"
	i := newIssuer(t, nil,
		map[string]any{"kty": "OKP", "crv": "X448", "x": "AAAA", "kid": "x"},
		map[string]any{"kty": "oct", "k": b64("shared secret"), "kid": "oct"},
		map[string]any{"kty": "RSA"}, 7,
		weak.public(t), encKey, s.public(t))
	accepted(t, i, s.sign(t, i.claims(nil)))
	refused(t, i, enc.sign(t, i.claims(nil)), fault.Unauthenticated)
	refused(t, i, signer{jose.HS256, "oct", []byte("shared secret, padded to be long enough")}.sign(t, i.claims(nil)), fault.Unauthenticated)
}
