package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	stdlog "log"

	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/idempotency"
	"avalo.app/gantry/internal/oidc"
)

// openAccess loads the keys, and makes the first one when there is none.
func (a *App) openAccess(ctx context.Context) error {
	cfg := a.config()
	a.access = access.New(access.Options{Store: a.db, Now: a.o.Now, StaleAfter: time.Duration(cfg.Access.KeysStaleAfter)})
	secret, err := a.access.EnsureBootstrap(ctx)
	if err != nil {
		return fmt.Errorf("first admin key: %w", err)
	}
	a.bootstrap = secret
	if err := a.access.Refresh(ctx); err != nil {
		return err
	}
	a.onStop("key use", a.access.FlushUses)
	a.access.SetIssuers(a.tokenIssuers(cfg))
	a.idem = idempotency.New(a.db, idempotency.Options{TTL: time.Duration(cfg.Idempotency.TTL), Now: a.o.Now})
	return nil
}

// tokenIssuers makes the verifiers of the configured issuers. One that has
// not changed keeps its cached keys.
func (a *App) tokenIssuers(cfg *config.Config) []access.Issuer {
	verifiers := map[oidcID]access.VerifyFunc{}
	var out []access.Issuer
	for _, i := range cfg.Access.Issuers {
		id := oidcID{i.Issuer, i.Audience, i.JWKSURL}
		verify := a.verifiers[id]
		if verify == nil {
			verify = oidc.New(oidc.Config{Issuer: i.Issuer, Audience: i.Audience, JWKSURL: i.JWKSURL, Now: a.o.Now})
		}
		verifiers[id] = verify
		roles := make(map[string]access.Role, len(i.Roles))
		for value, role := range i.Roles {
			roles[value] = access.Role(role)
		}
		out = append(out, access.Issuer{Issuer: i.Issuer, Verify: verify, RoleClaim: i.RoleClaim, Roles: roles, Default: access.Role(i.DefaultRole)})
	}
	a.verifiers = verifiers
	return out
}

// oidcID is what makes two verifiers the same.
type oidcID struct{ issuer, audience, jwks string }

// InspectAccess opens the store for reading keys at the command line. release
// closes it.
func InspectAccess(ctx context.Context, cfg config.Config, now func() time.Time) (s *access.Service, release func() error, err error) {
	db, err := InspectStore(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	return access.New(access.Options{Store: db, Now: now}), db.Close, nil
}

// OpenAccess opens the store for one change of keys at the command line.
// release closes it. It makes no store: where there is none, the command was
// given the wrong configuration or directory.
func OpenAccess(ctx context.Context, cfg config.Config, now func() time.Time) (s *access.Service, release func() error, err error) {
	found, err := InspectStore(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	if err := found.Close(); err != nil {
		return nil, nil, err
	}
	db, err := OpenStore(ctx, cfg, now)
	if err != nil {
		return nil, nil, err
	}
	s = access.New(access.Options{Store: db, Now: now})
	if err := s.Refresh(ctx); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return s, db.Close, nil
}

// quietServerLog sends the HTTP server's own complaints (broken handshakes,
// resets) to the debug level: they are the clients', and there are many.
func quietServerLog(log *slog.Logger) *stdlog.Logger {
	return slog.NewLogLogger(log.Handler(), slog.LevelDebug)
}
