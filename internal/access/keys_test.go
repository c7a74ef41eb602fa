package access_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
)

func TestCreateValidates(t *testing.T) {
	good := access.KeySpec{Role: access.Admin, Label: "ops", Owner: "ana"}
	for _, tt := range []struct {
		name   string
		change func(*access.KeySpec)
		want   fault.Field // zero: accepted
	}{
		{"good", func(*access.KeySpec) {}, fault.Field{}},
		{"longest label", func(s *access.KeySpec) { s.Label = strings.Repeat("ü", 100) }, fault.Field{}},
		{"app without owner", func(s *access.KeySpec) { s.Role, s.Owner = access.App, "" }, fault.Field{}},
		{"ends later", func(s *access.KeySpec) { s.ExpiresAt = start.Add(1) }, fault.Field{}},
		{"no role", func(s *access.KeySpec) { s.Role = "" }, fault.Field{Field: "role", Problem: "unknown", Actual: "", Allowed: []string{"app", "moderator", "admin"}}},
		{"public", func(s *access.KeySpec) { s.Role = access.Public }, fault.Field{Field: "role", Problem: "unknown", Actual: "public", Allowed: []string{"app", "moderator", "admin"}}},
		{"no label", func(s *access.KeySpec) { s.Label = " " }, fault.Field{Field: "label", Problem: "empty", Limit: 1, Actual: 0}},
		{"long label", func(s *access.KeySpec) { s.Label = strings.Repeat("ü", 101) }, fault.Field{Field: "label", Problem: "too long", Limit: 100, Actual: 101}},
		{"terminal codes", func(s *access.KeySpec) { s.Label = "a\x1b[2K" }, fault.Field{Field: "label", Problem: "not printable"}},
		{"right to left", func(s *access.KeySpec) { s.Owner = "a\u202eb" }, fault.Field{Field: "owner", Problem: "not printable"}},
		{"not UTF-8", func(s *access.KeySpec) { s.Owner = "a\xff" }, fault.Field{Field: "owner", Problem: "not printable"}},
		{"admin without owner", func(s *access.KeySpec) { s.Owner = "\t" }, fault.Field{Field: "owner", Problem: "empty", Limit: 1, Actual: 0}},
		{"long owner", func(s *access.KeySpec) { s.Owner = strings.Repeat("a", 101) }, fault.Field{Field: "owner", Problem: "too long", Limit: 100, Actual: 101}},
		{"ends now", func(s *access.KeySpec) { s.ExpiresAt = start }, fault.Field{Field: "expiresAt", Problem: "past", Limit: start, Actual: start}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, spec := newBench(t), good
			tt.change(&spec)
			_, cred, err := b.Create(t.Context(), spec, "cli")
			if tt.want.Field == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var f *fault.Error
			if !errors.As(err, &f) || f.Code != fault.InvalidArgument || cred != "" || len(b.store.keys) != 0 {
				t.Fatalf("%q, %v, %d keys", cred, err, len(b.store.keys))
			}
			if d := cmp.Diff(tt.want, f.Detail); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestKeyChangesAreAudited(t *testing.T) {
	b := newBench(t)
	k, cred := b.create(t, access.KeySpec{Role: access.Admin, Label: "ops", Owner: "ana", ExpiresAt: start.Add(time.Hour)})
	for range 2 {
		if err := b.Revoke(t.Context(), k.ID, "key:other", "leaked"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := json.Marshal(b.store.entries)
	if err != nil {
		t.Fatal(err)
	}
	key := `"id":"` + k.ID + `","role":"admin","label":"ops","owner":"ana","expiresAt":"2026-03-01T13:00:00Z"`
	want := `[{"Kind":"access.key_created","Actor":"key:maker","Object":"key:` + k.ID + `","Reason":"","Before":null,"After":{` + key + `}},` +
		`{"Kind":"access.key_revoked","Actor":"key:other","Object":"key:` + k.ID + `","Reason":"leaked","Before":{` + key + `},"After":{` + key + `,"revokedAt":"2026-03-01T12:00:00Z"}}]`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
	stored, err := json.Marshal(b.store.keys)
	if err != nil || strings.Contains(string(stored), cred[14:]) {
		t.Errorf("the store has the secret (%v)", err)
	}
	if err := b.Revoke(t.Context(), "nothere000", "cli", ""); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("an unknown key: %v", err)
	}
	if err := b.Revoke(t.Context(), k.ID, "cli", strings.Repeat("a", 501)); fault.CodeOf(err) != fault.InvalidArgument {
		t.Errorf("a long reason: %v", err)
	}
	if n := len(b.store.entries); n != 2 {
		t.Errorf("%d entries", n)
	}
}

// TestFailures: each write × {failed, failed but persisted}, and a retry.
func TestFailures(t *testing.T) {
	down := errors.New("store down")
	spec := access.KeySpec{Role: access.Admin, Label: "ops", Owner: "ana"}
	once := func(op string, after bool) func(string, bool) error {
		done := false
		return func(o string, a bool) error {
			if done || o != op || a != after {
				return nil
			}
			done = true
			return down
		}
	}
	for _, after := range []bool{false, true} {
		name := map[bool]string{false: "failed", true: "failed but persisted"}[after]
		t.Run("create "+name, func(t *testing.T) {
			b := newBench(t)
			b.store.fail = once("CreateKey", after)
			_, cred, err := b.Create(t.Context(), spec, "cli")
			if after != (err == nil) || after != (cred != "") {
				t.Fatalf("%v", err)
			}
			if !after {
				_, cred = b.create(t, spec)
			}
			if _, err := b.Authenticate(t.Context(), cred); err != nil || len(b.store.keys) != 1 {
				t.Errorf("%v, %d keys", err, len(b.store.keys))
			}
		})
		t.Run("revoke "+name, func(t *testing.T) {
			b := newBench(t)
			k, cred := b.create(t, spec)
			b.store.fail = once("RevokeKey", after)
			if err := b.Revoke(t.Context(), k.ID, "cli", ""); !errors.Is(err, down) {
				t.Fatal(err)
			}
			if err := b.Revoke(t.Context(), k.ID, "cli", ""); err != nil {
				t.Fatal(err)
			}
			b.want(t, cred, fault.Unauthenticated)
			if len(b.store.entries) != 2 {
				t.Errorf("%d entries", len(b.store.entries))
			}
		})
		t.Run("bootstrap "+name, func(t *testing.T) {
			b := newBench(t)
			b.store.fail = once("BootstrapKey", after)
			cred, err := b.EnsureBootstrap(t.Context())
			if after != (err == nil) || after != (cred != "") {
				t.Fatalf("%v", err)
			}
			if !after {
				if cred, err = b.EnsureBootstrap(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if p, err := b.Authenticate(t.Context(), cred); err != nil || p.Role != access.Admin {
				t.Errorf("%+v %v", p, err)
			}
		})
	}
	t.Run("create, then the table cannot be read", func(t *testing.T) {
		b := newBench(t)
		b.store.fail = once("Keys", false)
		_, cred, err := b.Create(t.Context(), spec, "cli")
		if err != nil || b.Refresh(t.Context()) != nil {
			t.Fatal(err)
		}
		if _, err := b.Authenticate(t.Context(), cred); err != nil {
			t.Error(err)
		}
	})
	t.Run("create, the caller goes away at the commit", func(t *testing.T) {
		b := newBench(t)
		ctx, cancel := context.WithCancel(t.Context())
		b.store.fail = func(op string, after bool) error {
			if op == "CreateKey" && after {
				cancel()
				return ctx.Err()
			}
			return nil
		}
		if _, cred, err := b.Create(ctx, spec, "cli"); err != nil || cred == "" {
			t.Errorf("the credential is lost: %v", err)
		}
	})
}

func TestEnsureBootstrap(t *testing.T) {
	b := newBench(t)
	cred, err := b.EnsureBootstrap(t.Context())
	if err != nil || !access.IsKey(cred) {
		t.Fatal(err)
	}
	if again, err := b.EnsureBootstrap(t.Context()); again != "" || err != nil {
		t.Errorf("a second one: %v", err)
	}
	keys, err := b.List(t.Context())
	want := []access.Key{{ID: cred[3:13], Role: access.Admin, Label: "first start", Owner: "bootstrap", CreatedBy: "system", CreatedAt: start, Bootstrap: true}}
	if d := cmp.Diff(want, keys); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if e := b.store.entries; len(e) != 1 || e[0].Kind != audit.KeyCreated || e[0].Actor != "system" {
		t.Errorf("%+v", e)
	}
}
