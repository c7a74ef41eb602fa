package cli

import (
	"context"
	"fmt"
	"os/user"
	"time"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/app"
	"avalo.app/gantry/internal/config"
)

type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Create a key and print it, once."`
	List   keyListCmd   `cmd:"" help:"List keys."`
	Revoke keyRevokeCmd `cmd:"" help:"Revoke a key. Every node refuses it within a second."`
}

type keyCreateCmd struct {
	Role    string          `arg:"" enum:"app,moderator,admin" help:"app: the host's servers; moderator: ops staff; admin: everything."`
	Label   string          `required:"" help:"What it is for." placeholder:"TEXT"`
	Owner   string          `help:"Who answers for it. Required for admin." placeholder:"NAME"`
	Expires config.Duration `default:"90d" help:"How long it is valid; 0s: for ever. Readiness fails keys without an end." placeholder:"DURATION"`
}

// Help implements kong's longer help.
func (keyCreateCmd) Help() string {
	return `Works directly on the store of a server that has started once, whether or not it runs: whoever can read the data directory may.
A running server knows the key within a second.

  gantry key create app --label "web backend" --expires 365d`
}

// Run implements the command.
func (c *keyCreateCmd) Run(e *env) error {
	return withAccess(e, app.OpenAccess, func(s *access.Service) error {
		spec := access.KeySpec{Role: access.Role(c.Role), Label: c.Label, Owner: c.Owner}
		if c.Expires > 0 {
			spec.ExpiresAt = now().Add(time.Duration(c.Expires))
		}
		key, secret, err := s.Create(e.ctx, spec, operator())
		if err != nil {
			return err
		}
		if e.json {
			return printJSON(e.stdio.Out, api.CreatedKey{Key: keyOut(key), Secret: secret})
		}
		_, err = fmt.Fprintln(e.stdio.Out, secret)
		fmt.Fprintf(e.stdio.Err, "Shown this once. Role %s, id %s, %s.\n", key.Role, key.ID, expiry(key.ExpiresAt))
		return err
	})
}

type keyListCmd struct{}

// Run implements the command.
func (keyListCmd) Run(e *env) error {
	return withAccess(e, app.InspectAccess, func(s *access.Service) error {
		keys, err := s.List(e.ctx)
		if err != nil {
			return err
		}
		if e.json {
			out := make([]api.Key, len(keys))
			for i, k := range keys {
				out[i] = keyOut(k)
			}
			return printJSON(e.stdio.Out, map[string]any{"keys": out})
		}
		var rows [][]string
		for _, k := range keys {
			rows = append(rows, []string{k.ID, string(k.Role), k.Label, k.Owner, keyState(k), expiry(k.ExpiresAt), ago(k.LastUsedAt)})
		}
		return table(e.stdio.Out, []string{"ID", "ROLE", "LABEL", "OWNER", "STATE", "EXPIRY", "LAST USED"}, rows)
	})
}

type keyRevokeCmd struct {
	ID     string `arg:"" help:"The key's id, as listed."`
	Reason string `help:"Why, for the audit log." placeholder:"TEXT"`
}

// Run implements the command.
func (c *keyRevokeCmd) Run(e *env) error {
	return withAccess(e, app.OpenAccess, func(s *access.Service) error {
		if err := s.Revoke(e.ctx, c.ID, operator(), c.Reason); err != nil {
			return err
		}
		_, err := fmt.Fprintf(e.stdio.Err, "Revoked %s. Running nodes refuse it within a second.\n", c.ID)
		return err
	})
}

type openFunc func(context.Context, config.Config, func() time.Time) (*access.Service, func() error, error)

// withAccess opens the keys for the operator of this machine.
func withAccess(e *env, open openFunc, fn func(*access.Service) error) error {
	cfg, err := loadConfig(e)
	if err != nil {
		return usageError{err}
	}
	s, release, err := open(e.ctx, cfg, now)
	if err != nil {
		return err
	}
	defer release()
	return fn(s)
}

// operator is the principal of someone at the command line.
func operator() string {
	u, err := user.Current()
	if err != nil {
		return "cli"
	}
	return "cli:" + u.Username
}

// keyOut is a key for programs.
func keyOut(k access.Key) api.Key {
	return api.Key{ID: k.ID, Role: string(k.Role), Label: k.Label, Owner: k.Owner, CreatedBy: k.CreatedBy, CreatedAt: k.CreatedAt,
		ExpiresAt: optional(k.ExpiresAt), LastUsedAt: optional(k.LastUsedAt), RevokedAt: optional(k.RevokedAt), Bootstrap: k.Bootstrap}
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func keyState(k access.Key) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked"
	case !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now()):
		return "expired"
	case k.Bootstrap:
		return "bootstrap"
	}
	return "live"
}

func expiry(t time.Time) string {
	if t.IsZero() {
		return "never expires"
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}
