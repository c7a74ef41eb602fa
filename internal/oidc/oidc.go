// Package oidc verifies the tokens of OpenID Connect issuers, Firebase's ID
// tokens among them, for package access.
package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/fault"
)

// Config is one issuer and audience.
type Config struct {
	Issuer   string // the exact "iss", and where keys are discovered
	Audience string // must stand in "aud"
	// JWKSURL is where the signing keys are; empty: the issuer's discovery
	// document says it.
	JWKSURL string
	// Client fetches keys. It must bound bodies; nil means an egress.Client
	// for the two URLs, which may go where the discovery document points.
	Client *http.Client
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// maxSkew is how far a token's "nbf" and "iat" may lie in the future: the
// issuer's clock is not ours. go-oidc holds the same for "nbf".
const maxSkew = 5 * time.Minute

// algorithms are those that OpenID providers sign with by public keys. That
// "none" and the HMACs are not among them is what keeps a public key from
// serving as a shared secret.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}
}

// New returns a verifier of cfg's tokens. It makes no request before the
// first token; keys are then kept and fetched again when a token needs an
// unknown one (see keySet), so one verifier should live as long as its
// configuration does.
//
// The verifier fails with UNAUTHENTICATED for a token that is not good, and
// with SERVICE_DEGRADED when the keys cannot be fetched within 5 s.
func New(cfg Config) access.VerifyFunc {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Client == nil {
		cfg.Client = egress.Client(egress.Options{PublicHosts: true}, named(cfg.Issuer, cfg.JWKSURL)...)
	}
	v := &verifier{
		keys: &keySet{now: cfg.Now, fetch: (&source{issuer: cfg.Issuer, url: cfg.JWKSURL, fixed: cfg.JWKSURL != "", client: cfg.Client}).keys},
		cfg:  cfg,
	}
	return v.verify
}

// named parses what is a URL; the configuration refuses what is not.
func named(raw ...string) []*url.URL {
	var out []*url.URL
	for _, s := range raw {
		if u, err := url.Parse(s); err == nil && s != "" {
			out = append(out, u)
		}
	}
	return out
}

type verifier struct {
	cfg  Config
	keys *keySet
}

// attempt is the key set as go-oidc sees it for one token. It remembers what
// go-oidc's error no longer tells.
type attempt struct {
	keys   *keySet
	signed bool  // the signature is good
	err    error // keys could not be had
}

// VerifySignature implements oidc.KeySet.
func (a *attempt) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, algorithms())
	if err != nil {
		return nil, err
	}
	payload, err := a.keys.verify(ctx, jws)
	if a.signed = err == nil; !a.signed && !errors.Is(err, errSignature) {
		a.err = err
	}
	return payload, err
}

func (v *verifier) verify(ctx context.Context, token string) (access.Claims, error) {
	a := &attempt{keys: v.keys}
	conf := &oidc.Config{ClientID: v.cfg.Audience, Now: v.cfg.Now}
	for _, alg := range algorithms() {
		conf.SupportedSigningAlgs = append(conf.SupportedSigningAlgs, string(alg))
	}
	t, err := oidc.NewVerifier(v.cfg.Issuer, a, conf).Verify(ctx, token)
	if err != nil {
		return access.Claims{}, v.refusal(a, err)
	}
	if t.IssuedAt.After(v.cfg.Now().Add(maxSkew)) {
		return access.Claims{}, v.refusal(a, errors.New("iat lies in the future"))
	}
	c := access.Claims{Subject: t.Subject}
	if err := t.Claims(&c.Raw); err != nil {
		return access.Claims{}, v.refusal(a, err)
	}
	return c, nil
}

// refusal says why a token is not taken, without repeating any of it. Its
// cause, for logs, is told only of a token that the issuer did sign: that of
// any other may quote the token.
func (v *verifier) refusal(a *attempt, err error) error {
	const op = "oidc.Verify"
	if a.err != nil {
		return &fault.Error{Code: fault.ServiceDegraded, Op: op, Err: a.err,
			Msg: "the token cannot be checked: its issuer's signing keys cannot be fetched now; try again in a moment"}
	}
	f := fault.New(fault.Unauthenticated, op, "the token is not valid: it must be signed by its issuer, for this audience, and be in force")
	if a.signed {
		f.Err = err
	}
	var expired *oidc.TokenExpiredError
	if errors.As(err, &expired) {
		f.Msg = "the token has expired; get a new one from its issuer"
	}
	return f
}
