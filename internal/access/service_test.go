package access_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fakeStore is a KeyStore in memory. fail is asked before and after each
// operation, by name: an error before it means failed, one after it failed
// but persisted.
type fakeStore struct {
	mu      sync.Mutex
	keys    []access.StoredKey
	entries []audit.Entry
	fail    func(op string, after bool) error
}

func (f *fakeStore) do(op string, fn func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		if err := f.fail(op, false); err != nil {
			return err
		}
	}
	if err := fn(); err != nil {
		return err
	}
	if f.fail != nil {
		return f.fail(op, true)
	}
	return nil
}

func (f *fakeStore) Keys(ctx context.Context) (out []access.StoredKey, err error) {
	err = f.do("Keys", func() error {
		out = slices.Clone(f.keys)
		return ctx.Err()
	})
	return out, err
}

func (f *fakeStore) CreateKey(_ context.Context, k access.StoredKey, e audit.Entry) error {
	return f.do("CreateKey", func() error {
		f.keys, f.entries = append(f.keys, k), append(f.entries, e)
		return nil
	})
}

func (f *fakeStore) RevokeKey(_ context.Context, id string, at time.Time, e audit.Entry) error {
	return f.do("RevokeKey", func() error {
		i := slices.IndexFunc(f.keys, func(k access.StoredKey) bool { return k.ID == id })
		if i < 0 {
			return fault.New(fault.NotFound, "fake", "no key")
		}
		if f.keys[i].RevokedAt.IsZero() {
			f.keys[i].RevokedAt, f.entries = at, append(f.entries, e)
		}
		return nil
	})
}

func (f *fakeStore) TouchKeys(_ context.Context, uses map[string]time.Time) error {
	return f.do("TouchKeys", func() error {
		for i, k := range f.keys {
			if uses[k.ID].After(k.LastUsedAt) {
				f.keys[i].LastUsedAt = uses[k.ID]
			}
		}
		return nil
	})
}

func (f *fakeStore) BootstrapKey(_ context.Context, k access.StoredKey, e audit.Entry) (created bool, err error) {
	err = f.do("BootstrapKey", func() error {
		if created = len(f.keys) == 0; created {
			f.keys, f.entries = append(f.keys, k), append(f.entries, e)
		}
		return nil
	})
	return created && err == nil, err
}

// bench is a service on a fake store, with a clock that the test moves.
type bench struct {
	*access.Service
	store *fakeStore
	now   time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{store: &fakeStore{}, now: start}
	b.Service = access.New(access.Options{Store: b.store, Now: func() time.Time { return b.now }})
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) create(t *testing.T, spec access.KeySpec) (access.Key, string) {
	t.Helper()
	k, cred, err := b.Create(t.Context(), spec, "key:maker")
	if err != nil {
		t.Fatal(err)
	}
	return k, cred
}

func (b *bench) want(t *testing.T, cred string, code fault.Code) error {
	t.Helper()
	p, err := b.Authenticate(t.Context(), cred)
	if err == nil || fault.CodeOf(err) != code {
		t.Fatalf("got %+v, %v; want %s", p, err, code)
	}
	if p != (access.Principal{}) {
		t.Errorf("an error comes with a principal: %+v", p)
	}
	if len(cred) > 4 && strings.Contains(err.Error(), cred[4:]) {
		t.Errorf("the error repeats the credential: %v", err)
	}
	return err
}

func TestAuthenticateKey(t *testing.T) {
	b := newBench(t)
	k, cred := b.create(t, access.KeySpec{Role: access.App, Label: "web", Owner: "team", ExpiresAt: start.Add(time.Hour)})
	if !regexp.MustCompile(`^gk_[0-9A-Za-z]{10}_[0-9A-Za-z]{43}$`).MatchString(cred) || !strings.HasPrefix(cred, "gk_"+k.ID+"_") || !access.IsKey(cred) {
		t.Fatalf("a key of another form")
	}
	p, err := b.Authenticate(t.Context(), cred)
	if want := (access.Principal{ID: "key:" + k.ID, Role: access.App, Owner: "team", KeyID: k.ID}); err != nil || p != want {
		t.Fatalf("got %+v, %v", p, err)
	}

	wrongSecret := cred[:14] + strings.Repeat("x", 43)
	unknownID := "gk_" + strings.Repeat("z", 10) + cred[13:]
	e1, e2 := b.want(t, wrongSecret, fault.Unauthenticated), b.want(t, unknownID, fault.Unauthenticated)
	if e1.Error() != e2.Error() {
		t.Errorf("the message tells whether the id exists: %v / %v", e1, e2)
	}
	for name, c := range map[string]string{
		"empty": "", "prefix": "gk_", "short": cred[:len(cred)-1], "long": cred + "a", "no underscore": cred[:13] + "-" + cred[14:],
		"letters": cred[:len(cred)-1] + "é"[:1], "space": cred[:len(cred)-1] + " ", "prefix of another": "gx_" + cred[3:], "upper": "GK_" + cred[3:],
	} {
		t.Run(name, func(t *testing.T) { b.want(t, c, fault.Unauthenticated) })
	}

	b.now = k.ExpiresAt.Add(-time.Nanosecond)
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Authenticate(t.Context(), cred); err != nil {
		t.Errorf("before its end: %v", err)
	}
	b.now = k.ExpiresAt
	if err := b.want(t, cred, fault.Unauthenticated); !strings.Contains(err.Error(), "expired") {
		t.Errorf("at its end: %v", err)
	}
	// Whoever does not know the secret learns nothing of the key's state.
	if err := b.want(t, wrongSecret, fault.Unauthenticated); err.Error() != e2.Error() {
		t.Errorf("an expired key shows itself: %v", err)
	}
	if err := b.Revoke(t.Context(), k.ID, "key:other", "leaked"); err != nil {
		t.Fatal(err)
	}
	if err := b.want(t, cred, fault.Unauthenticated); !strings.Contains(err.Error(), "revoked") {
		t.Errorf("revoked: %v", err)
	}
	if err := b.want(t, wrongSecret, fault.Unauthenticated); err.Error() != e2.Error() {
		t.Errorf("a revoked key shows itself: %v", err)
	}
}

func TestKeysServeWithoutTheStoreForAWhile(t *testing.T) {
	b := newBench(t)
	_, cred := b.create(t, access.KeySpec{Role: access.App, Label: "web"})
	down := errors.New("store down")
	b.store.fail = func(string, bool) error { return down }
	b.now = b.now.Add(access.DefaultStaleAfter)
	if err := b.Refresh(t.Context()); !errors.Is(err, down) {
		t.Fatal(err)
	}
	if _, err := b.Authenticate(t.Context(), cred); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	b.now = b.now.Add(time.Nanosecond)
	b.want(t, cred, fault.ServiceDegraded)
	b.want(t, "gk_"+strings.Repeat("z", 10)+cred[13:], fault.ServiceDegraded)
	b.store.fail = nil
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Authenticate(t.Context(), cred); err != nil {
		t.Errorf("after the store is back: %v", err)
	}

	never := access.New(access.Options{Store: b.store})
	if _, err := never.Authenticate(t.Context(), cred); fault.CodeOf(err) != fault.ServiceDegraded {
		t.Errorf("before the first Refresh: %v", err)
	}
}

func TestUsesAreBatched(t *testing.T) {
	b := newBench(t)
	k, cred := b.create(t, access.KeySpec{Role: access.App, Label: "web"})
	touches := 0
	var down error
	b.store.fail = func(op string, after bool) error {
		if op != "TouchKeys" || after {
			return nil
		}
		touches++
		return down
	}
	used := start.Add(10 * time.Second)
	b.now = used
	for range 100 {
		if _, err := b.Authenticate(t.Context(), cred); err != nil {
			t.Fatal(err)
		}
	}
	if keys, err := b.List(t.Context()); err != nil || !keys[0].LastUsedAt.Equal(used) {
		t.Errorf("the list lacks this node's use: %+v %v", keys, err)
	}
	down = errors.New("store down")
	if err := b.FlushUses(t.Context()); !errors.Is(err, down) {
		t.Fatal(err)
	}
	down = nil
	for range 3 { // the first writes what failed, the others have nothing to say
		if err := b.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.FlushUses(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if touches != 2 || !b.store.keys[0].LastUsedAt.Equal(used) {
		t.Errorf("%d writes, last use of %s: %v", touches, k.ID, b.store.keys[0].LastUsedAt)
	}
	if err := access.New(access.Options{Store: b.store}).FlushUses(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAuthenticateAllocatesNothing(t *testing.T) {
	b := newBench(t)
	_, cred := b.create(t, access.KeySpec{Role: access.App, Label: "web"})
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := b.Authenticate(ctx, cred); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestConcurrent is for the race detector: requests, changes and refreshes.
func TestConcurrent(t *testing.T) {
	b := newBench(t)
	_, cred := b.create(t, access.KeySpec{Role: access.App, Label: "web"})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if _, err := b.Authenticate(t.Context(), cred); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 20 {
				k, _, err := b.Create(t.Context(), access.KeySpec{Role: access.App, Label: "x"}, "cli")
				if err := errors.Join(err, b.FlushUses(t.Context()), b.Revoke(t.Context(), k.ID, "cli", "")); err != nil {
					t.Error(err)
				}
				b.SetIssuers(nil)
			}
		})
	}
	wg.Wait()
}

func BenchmarkAuthenticate(b *testing.B) {
	s := access.New(access.Options{Store: &fakeStore{}})
	if err := s.Refresh(b.Context()); err != nil {
		b.Fatal(err)
	}
	_, cred, err := s.Create(b.Context(), access.KeySpec{Role: access.App, Label: "web"}, "cli")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Authenticate(b.Context(), cred); err != nil {
			b.Fatal(err)
		}
	}
}
