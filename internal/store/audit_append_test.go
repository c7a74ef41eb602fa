package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/store"
	"avalo.app/gantry/internal/store/storetest"
)

func TestAuditConcurrent(t *testing.T) {
	const writers, each = 16, 20
	secret, _ := newKey(t)
	storetest.EachURL(t, func(t *testing.T, url string) {
		// Two nodes, so that on SQLite two processes' worth of connections meet.
		nodes := []*store.DB{openLog(t, url, secret), openLog(t, url, secret)}
		var wg sync.WaitGroup
		indexes := make(chan int64, writers*each)
		for w := range writers {
			wg.Go(func() {
				for n := range each {
					i, err := nodes[w%2].RecordAudit(t.Context(), entryN(n))
					if err != nil {
						t.Errorf("writer %d: %v", w, err)
						return
					}
					indexes <- i
				}
			})
		}
		wg.Wait()
		close(indexes)
		seen := map[int64]bool{}
		for i := range indexes {
			seen[i] = true
		}
		if len(seen) != writers*each {
			t.Errorf("%d distinct indexes, want %d", len(seen), writers*each)
		}
		wantSound(t, nodes[0], writers*each+1)
	})
}

func TestAuditCommitsWithItsChange(t *testing.T) {
	secret, _ := newKey(t)
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := openLog(t, url, secret)
		stop := errors.New("stop")
		err := db.Write(t.Context(), "test", func(tx *store.Tx) error {
			if _, err := tx.Audit(t.Context(), entryN(1)); err != nil {
				return err
			}
			return stop
		})
		if !errors.Is(err, stop) {
			t.Fatal(err)
		}
		wantSound(t, db, 1)

		ctx, cancel := context.WithCancel(t.Context())
		err = db.Write(ctx, "test", func(tx *store.Tx) error {
			_, err := tx.Audit(ctx, entryN(1))
			cancel() // the process is going away between the statements and the commit
			return err
		})
		if err == nil {
			t.Fatal("a cancelled transaction committed")
		}
		wantSound(t, db, 1)

		err = db.Write(t.Context(), "test", func(tx *store.Tx) error {
			for n := range 3 { // several entries in one transaction
				if _, err := tx.Audit(t.Context(), entryN(n)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		wantSound(t, db, 4)
	})
}

// TestAuditStatementFails makes each table unusable in turn: the append must
// fail as a whole and work again afterwards.
func TestAuditStatementFails(t *testing.T) {
	secret, _ := newKey(t)
	storetest.EachURL(t, func(t *testing.T, url string) {
		db, raw := openLog(t, url, secret), rawDB(t, url)
		size := int64(1)
		for _, table := range []string{"audit_head", "audit_leaves", "audit_private", "audit_hashes", "audit_checkpoints"} {
			rawExec(t, raw, `ALTER TABLE `+table+` RENAME TO away`)
			if _, err := db.RecordAudit(t.Context(), entryN(1)); err == nil {
				t.Errorf("without %s an append succeeds", table)
			}
			rawExec(t, raw, `ALTER TABLE away RENAME TO `+table)
			wantSound(t, db, size)
			fill(t, db, int(size)+1)
			size++
			wantSound(t, db, size)
		}
	})
}

func TestAuditKeyRules(t *testing.T) {
	secret, vkey := newKey(t)
	other, _ := newKey(t)
	storetest.EachURL(t, func(t *testing.T, url string) {
		db, err := store.Open(t.Context(), store.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		if _, err := db.RecordAudit(t.Context(), entryN(1)); err == nil || !strings.Contains(err.Error(), "GANTRY_AUDIT_KEY") {
			t.Errorf("a write without a key: %v, want an error that says how to set it", err)
		}
		if _, err := db.AuditCheckpoint(t.Context()); fault.CodeOf(err) != fault.NotFound {
			t.Errorf("checkpoint of no log: %v", err)
		}
		if rep := verify(t, db, audit.Options{Key: vkey}); rep.OK() {
			t.Error("a log that never started verifies")
		}
		for range 2 { // a restart
			if err := db.UseAuditKey(t.Context(), secret+"\n"); err != nil {
				t.Fatal(err)
			}
		}
		err = db.UseAuditKey(t.Context(), other)
		if fault.CodeOf(err) != fault.Conflict || !strings.Contains(err.Error(), "audit.key_file") {
			t.Errorf("another key: %v, want CONFLICT that says what to do", err)
		}
		if strings.Contains(err.Error(), "PRIVATE") {
			t.Error("the error repeats the secret")
		}
		if err := db.UseAuditKey(t.Context(), "PRIVATE+KEY+x"); err == nil || strings.Contains(err.Error(), "KEY+x") {
			t.Errorf("a malformed key: %v", err)
		}
		wantSound(t, db, 1)
		if rep := verify(t, db, audit.Options{Key: vkey}); !rep.OK() {
			t.Error(rep.Findings)
		}
		if _, err := db.RecordAudit(t.Context(), audit.Entry{Kind: "no.such_kind"}); err == nil {
			t.Error("an unlisted kind is recorded")
		}
		wantSound(t, db, 1)
	})
}
