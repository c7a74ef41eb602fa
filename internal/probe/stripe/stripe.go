// Package stripe measures whether Stripe answers an authenticated read.
package stripe

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/stripe/stripe-go/v85"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/probe"
)

// Config says which account.
type Config struct {
	Key string // a secret key; a restricted one needs only to read the balance
	// BaseURL is where the API is; empty: https://api.stripe.com.
	BaseURL string
	// Private lets a public host name lead inside the network.
	Private bool
}

// prober calls the backend: stripe.Client would link every service that Stripe
// has, ten megabytes of them.
type prober struct {
	key     string
	backend stripe.Backend
}

// New returns a prober. It makes no request.
func New(cfg Config) (health.Prober, error) {
	if !strings.HasPrefix(cfg.Key, "sk_") && !strings.HasPrefix(cfg.Key, "rk_") || strings.ContainsAny(cfg.Key, " \t\r\n\x00") {
		return nil, probe.Invalid("stripe", "key", "must be a secret key (sk_…) or a restricted key (rk_…) that may read the balance; a publishable key reads nothing")
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = stripe.APIURL
	}
	u, err := probe.URL("stripe", "base_url", cfg.BaseURL, "https", "http")
	if err != nil {
		return nil, err
	}
	if u.RawQuery != "" || u.User != nil {
		return nil, probe.Invalid("stripe", "base_url", "must have no user and no query")
	}
	none := int64(0) // the monitor measures again in its own time
	return &prober{cfg.Key, stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL: &cfg.BaseURL, HTTPClient: probe.Client(egress.Options{Private: cfg.Private}, u),
		MaxNetworkRetries: &none, EnableTelemetry: new(false), LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})}, nil
}

// Probe implements health.Prober.
func (p *prober) Probe(ctx context.Context) (health.Reading, error) {
	var b stripe.Balance
	params := &stripe.BalanceRetrieveParams{Params: stripe.Params{Context: ctx}}
	if err := p.backend.Call(http.MethodGet, "/v1/balance", p.key, params, &b); err != nil {
		return health.Reading{}, fail(ctx, err)
	}
	if b.Object != "balance" {
		return health.Reading{}, probe.Failf("read the balance: the answer is no balance: this is not Stripe's API")
	}
	r := health.Reading{Message: "answers an authenticated read in test mode", Details: map[string]any{"live": 0}}
	if b.Livemode {
		r.Message, r.Details["live"] = "answers an authenticated read", 1
	}
	return r, nil
}

// fail tells a refusal by its status: the message quotes a part of the key.
func fail(ctx context.Context, err error) error {
	const what = "read the balance"
	var e *stripe.Error
	if ctx.Err() != nil || !errors.As(err, &e) || e.HTTPStatusCode == 0 {
		return probe.Fail(ctx, what, err)
	}
	switch s := e.HTTPStatusCode; {
	case s == http.StatusUnauthorized:
		return probe.Failf("%s: Stripe does not know the key (401): it was revoked, has expired or is of another account", what)
	case s == http.StatusForbidden:
		return probe.Failf("%s: the key may not (403): let it read the balance", what)
	case s == http.StatusTooManyRequests:
		return probe.Failf("%s: Stripe limits this account's requests (429)", what)
	case s >= 500:
		return probe.Failf("%s: Stripe fails with %d; see status.stripe.com", what, s)
	default:
		return probe.Failf("%s: Stripe refuses with %d", what, s)
	}
}
