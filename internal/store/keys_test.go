package store_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/access"
	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/store"
)

var _ access.KeyStore = (*store.DB)(nil)

func accessKey(id string) access.StoredKey {
	return access.StoredKey{Hash: [32]byte{1, 2, 31: 9}, Key: access.Key{ID: id, Role: access.Admin, Label: "l\u00fcbel", Owner: "ana",
		CreatedBy: "cli:root", CreatedAt: testTime, ExpiresAt: testTime.Add(time.Hour)}}
}

func made(id string) audit.Entry {
	return audit.Entry{Kind: audit.KeyCreated, Actor: "cli:root", Object: "key:" + id}
}

// logSize verifies the audit log and returns how many leaves it has beside
// the one that starts it.
func logSize(t *testing.T, db *store.DB) int64 {
	t.Helper()
	head, err := db.VerifyAudit(t.Context(), audit.Options{})
	if err != nil || !head.OK() {
		t.Fatalf("log: %+v %v", head, err)
	}
	return int64(head.Size) - 1
}

func TestKeys(t *testing.T) {
	withKey(t, func(t *testing.T, db *store.DB) {
		want := []access.StoredKey{accessKey("aaaaaaaaaa"), accessKey("bbbbbbbbbb")}
		want[1].ExpiresAt, want[1].Bootstrap, want[1].Role = time.Time{}, true, access.App
		for _, k := range want {
			if err := db.CreateKey(t.Context(), k, made(k.ID)); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.CreateKey(t.Context(), want[0], made("aaaaaaaaaa")); err == nil {
			t.Error("an id was given twice")
		}
		at := testTime.Add(time.Minute)
		gone := audit.Entry{Kind: audit.KeyRevoked, Object: "key:aaaaaaaaaa"}
		for i := range 2 { // the second time is a repeat
			if err := db.RevokeKey(t.Context(), "aaaaaaaaaa", at.Add(time.Duration(i)*time.Hour), gone); err != nil {
				t.Fatal(err)
			}
		}
		want[0].RevokedAt = at
		if err := db.RevokeKey(t.Context(), "cccccccccc", at, gone); fault.CodeOf(err) != fault.NotFound {
			t.Errorf("an unknown key: %v", err)
		}
		for _, used := range []time.Time{at, testTime} { // the earlier one comes late
			if err := db.TouchKeys(t.Context(), map[string]time.Time{"bbbbbbbbbb": used, "unknown": used}); err != nil {
				t.Fatal(err)
			}
		}
		want[1].LastUsedAt = at
		got, err := db.Keys(t.Context())
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Fatalf("%v %s", err, d)
		}
		if n := logSize(t, db); n != 3 { // two made, one revoked: the repeat and the refusals left none
			t.Errorf("%d leaves", n)
		}
		revs, err := db.Revisions(t.Context())
		if err != nil || revs[store.TopicKeys] != 3 {
			t.Errorf("revision %d, %v", revs[store.TopicKeys], err)
		}
	})
}

// TestBootstrapKeyRace: of many nodes that start at once one makes the key.
func TestBootstrapKeyRace(t *testing.T) {
	withKey(t, func(t *testing.T, db *store.DB) {
		var wg sync.WaitGroup
		var told atomic.Int64
		for i := range 16 {
			wg.Go(func() {
				id := fmt.Sprintf("node%06d", i)
				created, err := db.BootstrapKey(t.Context(), accessKey(id), made(id))
				if err != nil {
					t.Error(err)
				}
				if created {
					told.Add(1)
				}
			})
		}
		wg.Wait()
		keys, err := db.Keys(t.Context())
		if err != nil || len(keys) != 1 || told.Load() != 1 {
			t.Fatalf("%d told so, %d keys, %v", told.Load(), len(keys), err)
		}
		// A revoked key is still one: nobody gets in by revoking the last.
		if err := db.RevokeKey(t.Context(), keys[0].ID, testTime, audit.Entry{Kind: audit.KeyRevoked}); err != nil {
			t.Fatal(err)
		}
		if created, err := db.BootstrapKey(t.Context(), accessKey("late000000"), made("late000000")); created || err != nil {
			t.Errorf("a second first key: %v %v", created, err)
		}
		if n := logSize(t, db); n != 2 {
			t.Errorf("%d leaves", n)
		}
	})
}

// TestKeyChangeWithoutLeaf: a change whose leaf cannot be written is none.
func TestKeyChangeWithoutLeaf(t *testing.T) {
	withKey(t, func(t *testing.T, db *store.DB) {
		bad := audit.Entry{Kind: audit.KeyCreated, After: func() {}} // no JSON
		if err := db.CreateKey(t.Context(), accessKey("aaaaaaaaaa"), bad); err == nil {
			t.Error("made")
		}
		if created, err := db.BootstrapKey(t.Context(), accessKey("bbbbbbbbbb"), bad); created || err == nil {
			t.Errorf("made: %v %v", created, err)
		}
		if keys, err := db.Keys(t.Context()); len(keys) != 0 || err != nil {
			t.Errorf("%v %v", keys, err)
		}
		if n := logSize(t, db); n != 0 {
			t.Errorf("%d leaves", n)
		}
	})
}
