// Package access decides who may do what: roles, API keys, tokens, and the
// one table in which every route's permission stands.
package access

import "time"

// Role is what a credential may do; see system.md section 2.
type Role string

// The roles. Public is the role of a request without a credential.
const (
	Public    Role = "public"
	App       Role = "app"
	Moderator Role = "moderator"
	Admin     Role = "admin"
)

// Principal is who a request acts for, once authenticated.
type Principal struct {
	// ID is stable and distinct per credential holder: "key:<id>" or
	// "oidc:<issuer>|<subject>"; "public" without a credential.
	ID   string
	Role Role
	// Owner is the person or system behind the credential: a key's owner or
	// the token's subject. Two admins are distinct only if owners differ.
	Owner string
	KeyID string // set for API keys
}

// Key is an API key as it is stored and listed; the secret itself is shown
// once and only its hash is kept.
type Key struct {
	ID         string
	Role       Role
	Label      string
	Owner      string
	CreatedBy  string // principal that made it
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	LastUsedAt time.Time // zero: never; written in batches, a minute behind
	RevokedAt  time.Time // zero: live
	Bootstrap  bool      // printed at first start; readiness wants it replaced
}
