// Package oidc measures whether an OpenID Connect issuer can be discovered and
// publishes a key that verifies tokens.
package oidc

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/probe"
)

// Config says which issuer.
type Config struct {
	Issuer string // exactly as its tokens name it
	// Private lets a public host name lead inside the network.
	Private bool
}

type prober struct {
	issuer    string
	discovery *url.URL
	client    *http.Client
}

// New returns a prober. It makes no request.
func New(cfg Config) (health.Prober, error) {
	u, err := probe.URL("oidc", "issuer", cfg.Issuer, "http", "https")
	if err != nil {
		return nil, err
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, probe.Invalid("oidc", "issuer", "must have no user, query or fragment (OpenID Connect Discovery, section 4)")
	}
	p := &prober{issuer: cfg.Issuer, discovery: u.JoinPath(".well-known", "openid-configuration")}
	p.client = probe.Client(egress.Options{PublicHosts: true, Private: cfg.Private}, u)
	return p, nil
}

// Probe implements health.Prober.
func (p *prober) Probe(ctx context.Context) (health.Reading, error) {
	var doc struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := probe.FetchJSON(ctx, p.client, "fetch the discovery document", p.discovery, &doc); err != nil {
		return health.Reading{}, err
	}
	at, err := url.Parse(doc.JWKSURI)
	switch {
	case doc.Issuer != p.issuer:
		return health.Reading{}, probe.Failf("the discovery document is of another issuer: the two must be equal to the letter, also in a last slash")
	case doc.JWKSURI == "" || err != nil || at.Host == "":
		return health.Reading{}, probe.Failf("the discovery document names no jwks_uri")
	case strings.HasPrefix(p.issuer, "https:") && at.Scheme != "https":
		return health.Reading{}, probe.Failf("the discovery document names a jwks_uri without TLS")
	}
	n, err := probe.SigningKeys(ctx, p.client, at)
	if err != nil {
		return health.Reading{}, err
	}
	return health.Reading{Message: "can be discovered and publishes keys", Details: map[string]any{"keys": n}}, nil
}
