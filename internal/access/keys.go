package access

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
)

// Bounds of what an admin writes about a key, in runes.
const (
	MaxLabel  = 100
	MaxOwner  = 100
	MaxReason = 500
)

// KeySpec is what an admin chooses about a new key.
type KeySpec struct {
	Role  Role   // App, Moderator or Admin
	Label string // what it is for; 1 to MaxLabel runes
	// Owner is the person or system that answers for it; at most MaxOwner
	// runes, required for Admin: two approvals need two owners.
	Owner     string
	ExpiresAt time.Time // zero: never
}

func (k KeySpec) validate(now time.Time) error {
	const op = "access.Create"
	if k.Role != App && k.Role != Moderator && k.Role != Admin {
		return fault.Invalid(op, fault.Field{Field: "role", Problem: "unknown", Actual: string(k.Role),
			Allowed: []string{string(App), string(Moderator), string(Admin)}}, "role must be app, moderator or admin")
	}
	if strings.TrimSpace(k.Label) == "" {
		return fault.Invalid(op, fault.Field{Field: "label", Problem: "empty", Limit: 1, Actual: 0}, "label must say what the key is for")
	}
	if err := text(op, "label", k.Label, MaxLabel); err != nil {
		return err
	}
	if k.Role == Admin && strings.TrimSpace(k.Owner) == "" {
		return fault.Invalid(op, fault.Field{Field: "owner", Problem: "empty", Limit: 1, Actual: 0}, "owner must name who answers for an admin key")
	}
	if err := text(op, "owner", k.Owner, MaxOwner); err != nil {
		return err
	}
	if !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now) {
		return fault.Invalid(op, fault.Field{Field: "expiresAt", Problem: "past", Limit: now.UTC(), Actual: k.ExpiresAt.UTC()},
			"expiresAt must be in the future, or absent for a key that never expires")
	}
	return nil
}

// text bounds what is shown in lists, where control characters could move a
// terminal's cursor and rewrite what an admin reads.
func text(op, field, s string, limit int) error {
	if n := utf8.RuneCountInString(s); n > limit {
		return fault.Invalid(op, fault.Field{Field: field, Problem: "too long", Limit: limit, Actual: n}, "%s must have at most %d characters", field, limit)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return fault.Invalid(op, fault.Field{Field: field, Problem: "not printable"}, "%s must be printable text", field)
	}
	return nil
}

// facts are a key in the audit log: everything but the hash.
type facts struct {
	ID        string     `json:"id"`
	Role      Role       `json:"role"`
	Label     string     `json:"label"`
	Owner     string     `json:"owner,omitempty"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	RevokedAt *time.Time `json:"revokedAt,omitempty"`
	Bootstrap bool       `json:"bootstrap,omitempty"`
}

func (k Key) facts() facts {
	f := facts{ID: k.ID, Role: k.Role, Label: k.Label, Owner: k.Owner, Bootstrap: k.Bootstrap}
	if !k.ExpiresAt.IsZero() {
		f.ExpiresAt = &k.ExpiresAt
	}
	if !k.RevokedAt.IsZero() {
		f.RevokedAt = &k.RevokedAt
	}
	return f
}

// mint makes a key and its credential, which is nowhere else.
func (s *Service) mint(spec KeySpec, createdBy string) (StoredKey, string, audit.Entry) {
	id, secret := letters(idLen), letters(secretLen)
	k := StoredKey{Hash: hashSecret(secret), Key: Key{
		ID: id, Role: spec.Role, Label: spec.Label, Owner: spec.Owner, CreatedBy: createdBy,
		CreatedAt: stored(s.o.Now()), ExpiresAt: stored(spec.ExpiresAt),
	}}
	return k, keyPrefix + id + "_" + secret, audit.Entry{Kind: audit.KeyCreated, Actor: createdBy, Object: "key:" + id, After: k.facts()}
}

// stored is t in the precision that a store keeps.
func stored(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Microsecond)
}

// Create makes a key and returns it with its credential, which cannot be had
// again. This node knows the key at once, others within a second.
//
// A caller that got an error may repeat: at worst a key stays behind whose
// credential nobody has.
func (s *Service) Create(ctx context.Context, spec KeySpec, createdBy string) (Key, string, error) {
	if err := spec.validate(s.o.Now()); err != nil {
		return Key{}, "", err
	}
	k, credential, e := s.mint(spec, createdBy)
	if err := s.o.Store.CreateKey(ctx, k, e); err != nil && !s.persisted(ctx, k.ID) {
		return Key{}, "", err
	}
	// The key exists: a failure to read the table must not lose the
	// credential, and the next Refresh is due within a second.
	_ = s.Refresh(ctx)
	return k.Key, credential, nil
}

// readBack bounds the look after an error.
const readBack = 2 * time.Second

// persisted reports whether the key is in the store after all; an error may
// hide a commit, that of a caller who went away in particular.
func (s *Service) persisted(ctx context.Context, id string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readBack)
	defer cancel()
	keys, err := s.o.Store.Keys(ctx)
	if err != nil {
		return false
	}
	for _, k := range keys {
		if k.ID == id {
			return true
		}
	}
	return false
}

// Revoke ends a key; NOT_FOUND when there is none with the id. It may be
// repeated, after an error in particular: revoking twice is recorded once.
// When it returns nil this node refuses the key; others do within a second.
func (s *Service) Revoke(ctx context.Context, id, by, reason string) error {
	if err := text("access.Revoke", "reason", reason, MaxReason); err != nil {
		return err
	}
	keys, err := s.List(ctx)
	if err != nil {
		return err
	}
	at := stored(s.o.Now())
	e := audit.Entry{Kind: audit.KeyRevoked, Actor: by, Object: "key:" + id, Reason: reason}
	for _, k := range keys {
		if k.ID == id {
			e.Before = k.facts()
			k.RevokedAt = at
			e.After = k.facts()
		}
	}
	if err := s.o.Store.RevokeKey(ctx, id, at, e); err != nil {
		return err
	}
	return s.Refresh(ctx)
}

// List returns every key, oldest first. Last uses include this node's, and
// those of other nodes up to a minute ago.
func (s *Service) List(ctx context.Context) ([]Key, error) {
	all, err := s.o.Store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	t := s.table.Load()
	out := make([]Key, len(all))
	for i, k := range all {
		out[i] = k.Key
		if t == nil || t.keys[k.ID] == nil {
			continue
		}
		if last := t.keys[k.ID].uses.last.Load(); last > k.LastUsedAt.UnixMicro() && last > 0 {
			out[i].LastUsedAt = time.UnixMicro(last).UTC()
		}
	}
	return out, nil
}

// EnsureBootstrap makes the first admin key if there is no key at all, and
// returns its credential; "" if this call did not make one. Of many nodes
// that start at once one gets it.
func (s *Service) EnsureBootstrap(ctx context.Context) (credential string, err error) {
	k, credential, e := s.mint(KeySpec{Role: Admin, Label: "first start", Owner: "bootstrap"}, "system")
	k.Bootstrap = true
	e.After = k.facts()
	created, err := s.o.Store.BootstrapKey(ctx, k, e)
	if err != nil {
		// Were it lost here, no start would ever print a key again.
		if created = s.persisted(ctx, k.ID); !created {
			return "", err
		}
	}
	if !created {
		return "", nil
	}
	_ = s.Refresh(ctx) // as in Create
	return credential, nil
}
