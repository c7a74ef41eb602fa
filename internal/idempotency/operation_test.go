package idempotency_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/idempotency"
)

func payout() idempotency.BeginRequest {
	return idempotency.BeginRequest{Scope: "app payout", Key: "p1", Fingerprint: "100 EUR", Lease: 10 * time.Second}
}

// begin expects a state, and returns its token.
func (r *rig) begin(t *testing.T, q idempotency.BeginRequest, state string) string {
	t.Helper()
	b, err := r.Begin(t.Context(), q)
	if err != nil || b.State != state {
		t.Fatalf("begin: %+v, %v; want %s", b, err, state)
	}
	held := state == idempotency.BegunNew || state == idempotency.BegunInDoubt
	if held != (b.Token != "") || (state == idempotency.BegunReplay) != (b.Answer != nil) ||
		(state == idempotency.BegunReplay) != b.LeaseExpiresAt.IsZero() {
		t.Fatalf("begin: %+v", b)
	}
	if held && !b.LeaseExpiresAt.Equal(r.now.Add(q.Lease)) {
		t.Fatalf("the lease ends at %v, began at %v", b.LeaseExpiresAt, r.now)
	}
	return b.Token
}

func (r *rig) complete(t *testing.T, token, answer string) error {
	t.Helper()
	return r.Complete(t.Context(), payout().Scope, payout().Key, token, []byte(answer))
}

func (r *rig) release(t *testing.T, token string) error {
	t.Helper()
	return r.Release(t.Context(), payout().Scope, payout().Key, token)
}

func TestOperation(t *testing.T) {
	r := newRig()
	q := payout()
	token := r.begin(t, q, idempotency.BegunNew)
	r.begin(t, q, idempotency.BegunInProgress)
	other := q
	other.Fingerprint = "101 EUR"
	_, err := r.Begin(t.Context(), other)
	wantCode(t, "another fingerprint", err, fault.IdempotencyMismatch)
	r.now = r.now.Add(time.Hour) // the lease is over, but nobody took over
	must(t, "complete", r.complete(t, token, ` {"paid": true} `))
	must(t, "complete again", r.complete(t, token, `{"paid":true}`))
	wantCode(t, "complete otherwise", r.complete(t, token, `{"paid":false}`), fault.Conflict)
	wantCode(t, "release of a completed", r.release(t, token), fault.Conflict)
	r.now = r.now.Add(day - 1)
	b, err := r.Begin(t.Context(), q)
	if diff := cmp.Diff(idempotency.Begun{State: idempotency.BegunReplay, Answer: []byte(`{"paid":true}`)}, b); err != nil || diff != "" {
		t.Fatalf("%v %s", err, diff)
	}
	r.now = r.now.Add(1)
	wantCode(t, "complete of a forgotten", r.complete(t, token, `1`), fault.NotFound)
	r.begin(t, other, idempotency.BegunNew)
}

func TestInDoubtIsNeverNewByItself(t *testing.T) {
	r := newRig()
	q := payout()
	first := r.begin(t, q, idempotency.BegunNew)
	r.now = r.now.Add(365 * day)
	second := r.begin(t, q, idempotency.BegunInDoubt)
	r.begin(t, q, idempotency.BegunInProgress) // somebody looks into it
	wantCode(t, "the old holder's complete", r.complete(t, first, `1`), fault.Conflict)
	wantCode(t, "the old holder's release", r.release(t, first), fault.Conflict)
	r.now = r.now.Add(q.Lease)
	third := r.begin(t, q, idempotency.BegunInDoubt)
	wantCode(t, "the second's complete", r.complete(t, second, `1`), fault.Conflict)
	a, _ := strconv.ParseInt(first, 10, 64)
	b, _ := strconv.ParseInt(second, 10, 64)
	c, _ := strconv.ParseInt(third, 10, 64)
	if a >= b || b >= c {
		t.Errorf("tokens %d, %d, %d do not rise", a, b, c)
	}
	for range 2 {
		must(t, "release", r.release(t, third))
	}
	wantCode(t, "complete of a released", r.complete(t, third, `1`), fault.Conflict)
	q.Fingerprint = "another"
	fourth := r.begin(t, q, idempotency.BegunNew) // at the same instant
	if d, _ := strconv.ParseInt(fourth, 10, 64); d <= c {
		t.Errorf("token %d after %d", d, c)
	}
	wantCode(t, "release by the released", r.release(t, third), fault.Conflict)
	must(t, "complete", r.complete(t, fourth, `1`))
}

func TestOperationArguments(t *testing.T) {
	r := newRig()
	for name, change := range map[string]func(*idempotency.BeginRequest){
		"lease too short":      func(q *idempotency.BeginRequest) { q.Lease = idempotency.MinLease - 1 },
		"lease too long":       func(q *idempotency.BeginRequest) { q.Lease = idempotency.MaxLease + 1 },
		"lease negative":       func(q *idempotency.BeginRequest) { q.Lease = -1 },
		"fingerprint too long": func(q *idempotency.BeginRequest) { q.Fingerprint = strings.Repeat("x", idempotency.MaxFingerprint+1) },
	} {
		q := payout()
		change(&q)
		_, err := r.Begin(t.Context(), q)
		wantCode(t, name, err, fault.InvalidArgument)
	}
	wantCode(t, "complete of an unknown key", r.complete(t, "1", `1`), fault.NotFound)
	wantCode(t, "release of an unknown key", r.release(t, "1"), fault.NotFound)

	q := payout()
	q.Lease = 0
	b, err := r.Begin(t.Context(), q)
	if err != nil || !b.LeaseExpiresAt.Equal(start.Add(idempotency.DefaultLease)) {
		t.Fatalf("%+v %v", b, err)
	}
	for _, token := range []string{"", "0", "-1", "+1", "01", "x", "99999999999999999999"} {
		wantCode(t, "token "+token, r.complete(t, token, `1`), fault.InvalidArgument)
		wantCode(t, "token "+token, r.release(t, token), fault.InvalidArgument)
	}
	wantCode(t, "unknown token", r.complete(t, "1", `1`), fault.Conflict)
	for _, answer := range []string{"", "{", "1 2", strconv.Quote(strings.Repeat("x", idempotency.MaxAnswer-1))} {
		wantCode(t, "answer", r.complete(t, b.Token, answer), fault.InvalidArgument)
	}
	must(t, "the longest answer", r.complete(t, b.Token, strconv.Quote(strings.Repeat("x", idempotency.MaxAnswer-2))))
}

func TestOperationWritesFail(t *testing.T) {
	for name, persisted := range map[string]bool{"failed": false, "failed but persisted": true} {
		t.Run("begin "+name, func(t *testing.T) {
			r := newRig()
			r.fake.FailNext(1, persisted, errStore)
			if _, err := r.Begin(t.Context(), payout()); err != errStore {
				t.Fatal(err)
			}
			r.begin(t, payout(), idempotency.BegunNew)
		})
		t.Run("begin and its release "+name, func(t *testing.T) {
			r := newRig()
			r.fake.FailNext(1, persisted, errStore)
			persist := r.fake.OnUpdate
			r.fake.OnUpdate = func(ctx context.Context, id idempotency.ID, decide func(*idempotency.Record) (bool, error)) error {
				err := persist(ctx, id, decide)
				r.fake.FailNext(1, false, errStore)
				return err
			}
			if _, err := r.Begin(t.Context(), payout()); err != errStore {
				t.Fatal(err)
			}
			if !persisted {
				r.begin(t, payout(), idempotency.BegunNew)
				return
			}
			r.begin(t, payout(), idempotency.BegunInProgress)
			r.now = r.now.Add(payout().Lease)
			r.begin(t, payout(), idempotency.BegunInDoubt)
		})
		t.Run("begin in doubt "+name, func(t *testing.T) {
			r := newRig()
			r.begin(t, payout(), idempotency.BegunNew)
			r.now = r.now.Add(payout().Lease)
			r.fake.FailNext(1, persisted, errStore)
			if _, err := r.Begin(t.Context(), payout()); err != errStore {
				t.Fatal(err)
			}
			r.now = r.now.Add(payout().Lease)
			r.begin(t, payout(), idempotency.BegunInDoubt)
		})
		t.Run("complete "+name, func(t *testing.T) {
			r := newRig()
			token := r.begin(t, payout(), idempotency.BegunNew)
			r.fake.FailNext(1, persisted, errStore)
			if err := r.complete(t, token, `1`); err != errStore {
				t.Fatal(err)
			}
			must(t, "repeat", r.complete(t, token, `1`))
			r.begin(t, payout(), idempotency.BegunReplay)
		})
		t.Run("release "+name, func(t *testing.T) {
			r := newRig()
			token := r.begin(t, payout(), idempotency.BegunNew)
			r.fake.FailNext(1, persisted, errStore)
			if err := r.release(t, token); err != errStore {
				t.Fatal(err)
			}
			must(t, "repeat", r.release(t, token))
			r.begin(t, payout(), idempotency.BegunNew)
		})
	}
}
