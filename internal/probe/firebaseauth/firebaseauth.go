// Package firebaseauth measures whether Firebase Authentication publishes the
// keys of its tokens and whether its token endpoint answers.
package firebaseauth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/probe"
)

// Google's own addresses.
const (
	DefaultKeysURL  = "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"
	DefaultTokenURL = "https://securetoken.googleapis.com/v1/token"
)

// Config says which service.
type Config struct {
	KeysURL  string // a JWK set; empty: DefaultKeysURL
	TokenURL string // empty: DefaultTokenURL
	// APIKey is the project's web API key. Without one the token endpoint
	// shows only that it answers, with one also that the key is good.
	APIKey string
	// Emulator is the HOST:PORT of the Auth emulator, in place of the URLs.
	// It signs nothing and so publishes no keys.
	Emulator string
	// Private lets public host names lead inside the network.
	Private bool
}

type prober struct {
	key         string
	keys, token *url.URL // keys is nil for the emulator
	client      *http.Client
}

// New returns a prober. It makes no request.
func New(cfg Config) (health.Prober, error) {
	const kind = "firebase_auth"
	if strings.ContainsAny(cfg.APIKey, " \t\r\n\x00") {
		return nil, probe.Invalid(kind, "api_key", "must have no blanks or line ends")
	}
	p := &prober{key: cfg.APIKey}
	var err error
	if cfg.Emulator != "" {
		if err := probe.Address(kind, "emulator", cfg.Emulator); err != nil {
			return nil, err
		}
		p.token = &url.URL{Scheme: "http", Host: cfg.Emulator, Path: "/securetoken.googleapis.com/v1/token"}
		if p.key == "" {
			p.key = "emulator" // it takes any, and wants one
		}
		p.client = probe.Client(egress.Options{Private: cfg.Private}, p.token)
		return p, nil
	}
	if cfg.KeysURL == "" {
		cfg.KeysURL = DefaultKeysURL
	}
	if cfg.TokenURL == "" {
		cfg.TokenURL = DefaultTokenURL
	}
	if p.keys, err = probe.URL(kind, "keys_url", cfg.KeysURL, "https", "http"); err != nil {
		return nil, err
	}
	if p.token, err = probe.URL(kind, "token_url", cfg.TokenURL, "https", "http"); err != nil {
		return nil, err
	}
	p.client = probe.Client(egress.Options{Private: cfg.Private}, p.keys, p.token)
	return p, nil
}

// Probe implements health.Prober.
func (p *prober) Probe(ctx context.Context) (health.Reading, error) {
	r := health.Reading{Message: "publishes keys, and the token endpoint answers"}
	if p.keys == nil {
		r.Message = "the emulator's token endpoint answers"
	} else {
		n, err := probe.SigningKeys(ctx, p.client, p.keys)
		if err != nil {
			return health.Reading{}, err
		}
		r.Details = map[string]any{"keys": n}
	}
	busy, err := p.ask(ctx)
	if err != nil {
		return health.Reading{}, err
	}
	if busy {
		r.Degraded, r.Message = true, "the token endpoint limits this project's requests"
	}
	return r, nil
}

// ask sends a refresh token that is none: to be told so is what a token
// endpoint that works does.
func (p *prober) ask(ctx context.Context) (busy bool, err error) {
	const what = "ask the token endpoint"
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"gantry-probe"}}
	r, err := http.NewRequest(http.MethodPost, p.token.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return false, probe.Failf("%s: the address is no URL", what)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if p.key != "" {
		r.Header.Set("X-Goog-Api-Key", p.key) // in the URL it would stand in logs
	}
	status, body, err := probe.Fetch(ctx, p.client, what, r)
	if err != nil {
		return false, err
	}
	var doc struct {
		Error struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	switch bad := json.Unmarshal(body, &doc); {
	case status == http.StatusTooManyRequests:
		return true, nil
	case bad != nil || doc.Error.Code == 0:
		return false, probe.Failf("%s: %d with an answer that is not a token endpoint's", what, status)
	case doc.Error.Message == "INVALID_REFRESH_TOKEN":
		return false, nil
	case p.key == "" && (status == http.StatusForbidden || status == http.StatusBadRequest):
		return false, nil // it wants a key, which was not to be tried
	}
	return false, probe.Failf("%s: it answers %d; check the API key and its restrictions", what, status)
}
