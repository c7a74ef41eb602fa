package access

import (
	"context"
	"crypto/subtle"
	"sync"
	"sync/atomic"
	"time"

	"avalo.app/gantry/internal/fault"
)

// DefaultStaleAfter is how long the last known keys serve without the store.
const DefaultStaleAfter = 15 * time.Minute

// Options are what a Service stands on.
type Options struct {
	Store KeyStore
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// StaleAfter is how long keys serve after the last Refresh that
	// succeeded; 0 means DefaultStaleAfter.
	StaleAfter time.Duration
}

// Service tells who a request acts for, and manages API keys. It is safe for
// concurrent use. Keys are looked up in memory: call Refresh once before the
// first request, and at least once a second from then on.
type Service struct {
	o          Options
	table      atomic.Pointer[table]
	issuers    atomic.Pointer[[]Issuer]
	refreshing sync.Mutex // one Refresh at a time, so that an older read never replaces a newer one
}

// table is every key as it was at one moment. It is replaced, never changed;
// only the uses within it move.
type table struct {
	keys map[string]*entry
	at   time.Time
}

type entry struct {
	StoredKey
	principal Principal
	uses      *uses // carried from table to table
}

// uses is when a key was last used, and which use the store knows of, in
// Unix microseconds.
type uses struct{ last, stored atomic.Int64 }

// useGrain keeps a busy key from writing shared memory at every request.
const useGrain = time.Second

// New returns a service that knows no keys before the first Refresh, and
// trusts no issuers before SetIssuers.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.StaleAfter == 0 {
		o.StaleAfter = DefaultStaleAfter
	}
	s := &Service{o: o}
	s.issuers.Store(new([]Issuer))
	return s
}

// Authenticate returns who credential, an API key or a JWT, stands for.
//
// It fails with UNAUTHENTICATED when the credential is not good,
// PERMISSION_DENIED when a good token has no role here, and SERVICE_DEGRADED
// when this cannot be told: keys were not refreshed for StaleAfter, or an
// issuer's signing keys cannot be fetched. No error repeats the credential.
func (s *Service) Authenticate(ctx context.Context, credential string) (Principal, error) {
	if IsKey(credential) {
		return s.authenticateKey(credential)
	}
	return s.authenticateToken(ctx, credential)
}

// Fresh reports whether keys can be checked: they were read from the store
// within StaleAfter.
func (s *Service) Fresh() bool { return s.fresh(s.table.Load(), s.o.Now()) }

func (s *Service) fresh(t *table, now time.Time) bool {
	return t != nil && now.Sub(t.at) <= s.o.StaleAfter
}

func (s *Service) authenticateKey(credential string) (Principal, error) {
	id, secret, ok := split(credential)
	if !ok {
		return Principal{}, notValid()
	}
	now, t := s.o.Now(), s.table.Load()
	if !s.fresh(t, now) {
		return Principal{}, fault.New(fault.ServiceDegraded, "access.Authenticate",
			"API keys cannot be checked while the store is down; try again in a moment")
	}
	// The hash is made and compared whether or not the id exists, so that the
	// time tells no more than the message does.
	var want [32]byte
	e := t.keys[id]
	if e != nil {
		want = e.Hash
	}
	got := hashSecret(secret)
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || e == nil {
		return Principal{}, notValid()
	}
	if !e.RevokedAt.IsZero() {
		return Principal{}, fault.New(fault.Unauthenticated, "access.Authenticate", "this API key was revoked; ask an admin for a new one")
	}
	if e.expired(now) {
		return Principal{}, fault.New(fault.Unauthenticated, "access.Authenticate", "this API key has expired; ask an admin for a new one")
	}
	e.uses.note(now)
	return e.principal, nil
}

// notValid tells nothing of why: a guess must not learn which ids exist.
func notValid() error {
	return fault.New(fault.Unauthenticated, "access.Authenticate", "the credential is not valid; send a key or token of this installation")
}

func (k *Key) expired(now time.Time) bool { return !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt) }

func (u *uses) note(now time.Time) {
	if us := now.UnixMicro(); us-u.last.Load() >= useGrain.Microseconds() {
		u.last.Store(us)
	}
}

// Refresh reads every key from the store. After a failure the last known
// keys serve on, until StaleAfter.
func (s *Service) Refresh(ctx context.Context) error {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	at := s.o.Now() // before the read: the table is at least as new as it says
	stored, err := s.o.Store.Keys(ctx)
	if err != nil {
		return err
	}
	old := s.table.Load()
	next := &table{keys: make(map[string]*entry, len(stored)), at: at}
	for _, k := range stored {
		e := &entry{StoredKey: k, principal: Principal{ID: "key:" + k.ID, Role: k.Role, Owner: k.Owner, KeyID: k.ID}}
		if old != nil && old.keys[k.ID] != nil {
			e.uses = old.keys[k.ID].uses
		} else {
			e.uses = new(uses)
		}
		next.keys[k.ID] = e
	}
	s.table.Store(next)
	return nil
}

// FlushUses writes the last uses that the store does not know of yet. What
// fails is written by the next call; what this node did not write when it
// ends is lost.
func (s *Service) FlushUses(ctx context.Context) error {
	t := s.table.Load()
	if t == nil {
		return nil
	}
	pending := make(map[string]time.Time)
	for id, e := range t.keys {
		if last := e.uses.last.Load(); last > e.uses.stored.Load() {
			pending[id] = time.UnixMicro(last).UTC()
		}
	}
	if len(pending) == 0 {
		return nil
	}
	if err := s.o.Store.TouchKeys(ctx, pending); err != nil {
		return err
	}
	for id, at := range pending {
		t.keys[id].uses.stored.Store(at.UnixMicro())
	}
	return nil
}
