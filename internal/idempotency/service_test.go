package idempotency_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/idempotency"
	"avalo.app/gantry/internal/idempotency/idempotencytest"
)

var (
	start    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	errStore = errors.New("no answer from the store")
)

// rig is a service over a store in memory, with a clock to move.
type rig struct {
	*idempotency.Service
	mem  *idempotencytest.Memory
	fake *idempotencytest.Fake
	now  time.Time
}

func newRig() *rig {
	r := &rig{mem: new(idempotencytest.Memory), now: start}
	r.fake = &idempotencytest.Fake{Next: r.mem}
	r.Service = idempotency.New(r.fake, idempotency.Options{Now: func() time.Time { return r.now }})
	return r
}

func request() idempotency.Request {
	return idempotency.Request{Scope: "key:1 createOverride", Key: "k", Fingerprint: [32]byte{1}, InSQL: true}
}

// claim expects a request to be run.
func (r *rig) claim(t *testing.T, q idempotency.Request) idempotency.Claim {
	t.Helper()
	d, err := r.Claim(t.Context(), q)
	if err != nil || d.State != idempotency.Run {
		t.Fatalf("claim: %+v, %v; want run", d, err)
	}
	return d.Claim
}

// refused expects a request to get CONFLICT with the detail.
func (r *rig) refused(t *testing.T, q idempotency.Request, want idempotency.Unsettled) {
	t.Helper()
	_, err := r.Claim(t.Context(), q)
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != fault.Conflict || f.Detail != want {
		t.Fatalf("claim: %v, want CONFLICT %+v", err, want)
	}
}

func wantCode(t *testing.T, what string, err error, want fault.Code) {
	t.Helper()
	if err == nil || fault.CodeOf(err) != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func TestBadKeysAndScopes(t *testing.T) {
	long := strings.Repeat("k", idempotency.MaxKey+1)
	for _, tt := range []struct{ scope, key string }{
		{"s", ""}, {"s", long}, {"s", "a\nb"}, {"s", "é"}, {"s", "a\x7f"},
		{"", "k"}, {strings.Repeat("s", idempotency.MaxScope+1), "k"}, {"a\x00", "k"}, {"\xff", "k"},
	} {
		name := fmt.Sprintf("scope %.20q key %.20q", tt.scope, tt.key)
		r := newRig()
		_, err := r.Claim(t.Context(), idempotency.Request{Scope: tt.scope, Key: tt.key})
		wantCode(t, "claim "+name, err, fault.InvalidArgument)
		_, err = r.Begin(t.Context(), idempotency.BeginRequest{Scope: tt.scope, Key: tt.key})
		wantCode(t, "begin "+name, err, fault.InvalidArgument)
		wantCode(t, "complete "+name, r.Complete(t.Context(), tt.scope, tt.key, "1", []byte("1")), fault.InvalidArgument)
		wantCode(t, "release "+name, r.Release(t.Context(), tt.scope, tt.key, "1"), fault.InvalidArgument)
	}
	r := newRig()
	if _, err := r.Claim(t.Context(), idempotency.Request{Scope: "użytkownik", Key: long[1:]}); err != nil {
		t.Errorf("the longest key: %v", err)
	}
}
