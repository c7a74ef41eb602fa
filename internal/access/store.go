package access

import (
	"context"
	"crypto/sha256"
	"time"

	"avalo.app/gantry/internal/audit"
)

// StoredKey is a key with what its secret is checked against.
type StoredKey struct {
	Key
	// Hash is the SHA-256 of the secret. A slow hash guards secrets that can
	// be guessed; this one has 256 random bits, so that nobody finds it from
	// its hash, and a fast hash keeps requests cheap.
	Hash [sha256.Size]byte
}

// KeyStore keeps the keys. Every change commits together with its audit
// entry and is visible to Keys on every node once the call returns. Callers
// do not retry; an error may hide a commit, so a caller that must know reads
// back. All methods may be called at once from many nodes.
type KeyStore interface {
	// Keys returns every key, revoked and expired ones included, oldest
	// first.
	Keys(ctx context.Context) ([]StoredKey, error)

	// CreateKey adds k, whose id must be new.
	CreateKey(ctx context.Context, k StoredKey, e audit.Entry) error

	// RevokeKey ends a key at the given time, for ever; NOT_FOUND when there
	// is none with the id. Revoking again succeeds, and leaves the first time
	// and no second entry.
	RevokeKey(ctx context.Context, id string, at time.Time, e audit.Entry) error

	// TouchKeys records last uses by key id. An earlier time than the stored
	// one and an unknown id change nothing, so a repeat is safe. No audit
	// entry: it is a high-rate fact.
	TouchKeys(ctx context.Context, uses map[string]time.Time) error

	// BootstrapKey adds k if and only if there is no key at all, whatever its
	// state, and reports whether it did. Of many nodes that start at once
	// exactly one is told true.
	BootstrapKey(ctx context.Context, k StoredKey, e audit.Entry) (created bool, err error)
}
