package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// source fetches an issuer's keys. One fetch runs at a time.
type source struct {
	issuer string
	url    string // of the keys; empty until it is discovered
	fixed  bool   // url is configured
	client *http.Client
}

func (s *source) keys(ctx context.Context) ([]jose.JSONWebKey, error) {
	if s.url == "" {
		if err := s.discover(ctx); err != nil {
			return nil, err
		}
	}
	keys, err := s.get(ctx)
	if err != nil && !s.fixed {
		s.url = "" // the issuer may have moved them
	}
	return keys, err
}

func (s *source) discover(ctx context.Context) error {
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, s.client), s.issuer)
	if err != nil { // it may quote a whole page
		return fmt.Errorf("discover signing keys: %.300s", err.Error())
	}
	var doc struct {
		JWKSURI string `json:"jwks_uri"`
	}
	if err := p.Claims(&doc); err != nil {
		return fmt.Errorf("discover signing keys: %w", err)
	}
	if doc.JWKSURI == "" {
		return errors.New("discover signing keys: the discovery document has no jwks_uri; set jwks_url")
	}
	if strings.HasPrefix(s.issuer, "https:") && !strings.HasPrefix(doc.JWKSURI, "https:") {
		return errors.New("discover signing keys: the discovery document names a jwks_uri without TLS")
	}
	s.url = doc.JWKSURI
	return nil
}

func (s *source) get(ctx context.Context) ([]jose.JSONWebKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch signing keys: %w", err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch signing keys: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch signing keys: %s answers %s", req.URL.Host, resp.Status)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("fetch signing keys: %w", err)
	}
	return parseKeys(b)
}

// parseKeys reads a JWK set. Keys that cannot sign tokens for us are left
// out, as RFC 7517 section 5 wants; a set with none left is an error.
func parseKeys(b []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, fmt.Errorf("signing keys: not a JWK set: %w", err)
	}
	var out []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && (key.Use == "" || key.Use == "sig") && usable(key.Key) {
			out = append(out, key)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("signing keys: the JWK set has no public key for RS256, ES256 or EdDSA")
	}
	return out, nil
}

// minRSABits is what RFC 7518 section 3.3 demands.
const minRSABits = 2048

func usable(key any) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		return k.Curve.Params().BitSize == 256
	case ed25519.PublicKey:
		return true
	}
	return false
}
