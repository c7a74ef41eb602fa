// Package guard is net/http middleware over Gantry: limits for any endpoint,
// a gate before signups, a verdict on uploads, and one effect per
// Idempotency-Key for endpoints that move money.
//
//	c, err := client.New("http://127.0.0.1:8640", client.WithKey(os.Getenv("GANTRY_KEY")))
//	g := guard.New(c)
//	ip := guard.RemoteIP(netip.MustParsePrefix("10.0.0.0/8")) // the load balancer
//	limit := g.Limit("PAYOUT", func(r *http.Request) guard.Subject {
//		return guard.Subject{User: userOf(r), IP: ip(r)}
//	})
//	mux.Handle("POST /payouts", limit(g.Idempotent(userOf)(payouts)))
//
// Limit goes outside Idempotent: a refused request then claims no key.
package guard

import (
	"log/slog"
	"net/http"

	"avalo.app/gantry/client"
)

// Guard makes middleware. It is safe for concurrent use.
type Guard struct {
	c    *client.Client
	hook func(*http.Request, error)
}

// Option changes a Guard.
type Option func(*Guard)

// WithErrorHook calls f with every error that is no verdict: a wrong key, an
// action without a policy, Gantry away, an answer that could not be kept, a
// reservation that could not be settled. f must be safe for concurrent use.
// The default logs to slog.Default.
func WithErrorHook(f func(*http.Request, error)) Option {
	return func(g *Guard) { g.hook = f }
}

// New returns a Guard that asks c. What happens to limits while Gantry is away
// is c's choice: see client.WithFailClosed and client.WithoutFallback.
func New(c *client.Client, opts ...Option) *Guard {
	g := &Guard{c: c, hook: func(r *http.Request, err error) {
		slog.ErrorContext(r.Context(), "gantry guard", "error", err)
	}}
	for _, o := range opts {
		o(g)
	}
	return g
}
