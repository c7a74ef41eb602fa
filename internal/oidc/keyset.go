package oidc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// When keys are fetched. A token that names an unknown key, or whose
// signature fails, asks for a fetch: the issuer may have new keys. Anyone can
// make such a token, so that these fetches are bounded; issuers publish a key
// well before they sign with it.
const (
	fetchTimeout = 5 * time.Second
	fetchEvery   = 10 * time.Second // at most, after a fetch that succeeded
	retryEvery   = 2 * time.Second  // at most, after one that failed

	// Keys are fetched anew at this age, so that one which the issuer
	// withdraws loses its force here.
	freshFor = time.Hour
	// While that fails they serve on for this long in all.
	usableFor = 24 * time.Hour
)

// errSignature says that no key of the issuer made the signature.
var errSignature = errors.New("no key of the issuer made this signature")

// keySet keeps an issuer's public keys. go-oidc's RemoteKeySet would do, but
// fetches for every token with an unknown key and keeps keys for ever.
type keySet struct {
	fetch func(context.Context) ([]jose.JSONWebKey, error)
	now   func() time.Time

	mu        sync.Mutex
	keys      []jose.JSONWebKey // replaced, never changed
	fetchedAt time.Time         // of keys
	triedAt   time.Time         // of the last fetch that ended or runs
	err       error             // of the last fetch that ended
	flight    chan struct{}     // closed when the running fetch ends; nil if none runs
}

// verify returns the payload if a key of the issuer signed it, errSignature
// if none did, and another error if this cannot be told.
func (k *keySet) verify(ctx context.Context, jws *jose.JSONWebSignature) ([]byte, error) {
	if payload, ok := try(k.known(), jws); ok {
		return payload, nil
	}
	keys, err := k.latest(ctx)
	if err != nil {
		return nil, err
	}
	if payload, ok := try(keys, jws); ok {
		return payload, nil
	}
	return nil, errSignature
}

// try looks for the key that made the signature.
func try(keys []jose.JSONWebKey, jws *jose.JSONWebSignature) ([]byte, bool) {
	if len(jws.Signatures) != 1 {
		return nil, false
	}
	h := jws.Signatures[0].Header
	for i := range keys {
		key := &keys[i]
		if h.KeyID != "" && key.KeyID != h.KeyID || key.Algorithm != "" && key.Algorithm != h.Algorithm {
			continue
		}
		if payload, err := jws.Verify(key.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// known returns the keys at hand. Old ones are renewed in the background: no
// request waits for that.
func (k *keySet) known() []jose.JSONWebKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		return nil
	}
	age := k.now().Sub(k.fetchedAt)
	if age >= freshFor && k.flight == nil && k.due() {
		k.start()
	}
	if age >= usableFor {
		return nil
	}
	return k.keys
}

// latest returns the keys as of now, or as of the last fetch when that is
// too recent for another one. Callers at once share one fetch.
func (k *keySet) latest(ctx context.Context) ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	if k.flight == nil && k.due() {
		k.start()
	}
	flight := k.flight
	k.mu.Unlock()
	if flight != nil {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for signing keys: %w", ctx.Err())
		case <-flight:
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys, k.err
}

// due reports whether a fetch may start. A clock that went back does not
// hold fetches up.
func (k *keySet) due() bool {
	wait := fetchEvery
	if k.err != nil {
		wait = retryEvery
	}
	since := k.now().Sub(k.triedAt)
	return k.triedAt.IsZero() || since < 0 || since >= wait
}

// start begins a fetch, which ends within fetchTimeout and outlives the
// request that wanted it: others wait for it too. Called with mu held.
func (k *keySet) start() {
	done := make(chan struct{})
	k.flight, k.triedAt = done, k.now()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
		defer cancel()
		keys, err := k.fetch(ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.err = err; err == nil {
			k.keys, k.fetchedAt = keys, k.triedAt
		}
		k.flight = nil
		close(done)
	}()
}
