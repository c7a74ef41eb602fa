package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
)

// installationAuditKey is the row of installation that names the log's key,
// by its public half.
const installationAuditKey = "audit_verifier_key"

// UseAuditKey gives the store the key that signs the audit log; it is called
// once, before the first write. When the log is empty, it starts it: the
// verifier key is recorded and LogStarted becomes entry 0, in one
// transaction. Nodes that start together with the same key agree; a key that
// is not the log's is refused, since a log signed by two keys verifies under
// neither.
func (db *DB) UseAuditKey(ctx context.Context, secret string) error {
	key, err := audit.ParseKey(secret)
	if err != nil {
		return fault.Wrap(fault.InvalidArgument, "store.UseAuditKey", err)
	}
	err = db.Write(ctx, "store.UseAuditKey", func(tx *Tx) error { return tx.startLog(ctx, key) })
	if err != nil {
		return err
	}
	db.auditKey.Store(key)
	return nil
}

func (t *Tx) startLog(ctx context.Context, key *audit.Key) error {
	if err := t.Lock(ctx, "audit"); err != nil {
		return err
	}
	var recorded string
	err := t.QueryRow(ctx, `SELECT value FROM installation WHERE name = $1`, installationAuditKey).Scan(&recorded)
	if err == nil && recorded == key.VerifierKey() {
		return nil
	}
	if err == nil {
		return fault.New(fault.Conflict, "store.UseAuditKey",
			"the audit log of this database is signed by key %s, not by %s: set audit.key_file or GANTRY_AUDIT_KEY to the log's own key",
			keyID(recorded), keyID(key.VerifierKey()))
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var size int64
	err = t.QueryRow(ctx, `SELECT size FROM audit_head WHERE name = 'log'`).Scan(&size)
	if err == nil {
		return fault.New(fault.Conflict, "store.UseAuditKey",
			"the audit log has %d entries but the record of its key is gone: the database was tampered with or restored in part; run gantry audit verify with the pinned verifier key", size)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if _, err := t.Exec(ctx, `INSERT INTO installation (name, value) VALUES ($1, $2)`,
		installationAuditKey, key.VerifierKey()); err != nil {
		return err
	}
	empty, err := tlog.TreeHash(0, nil)
	if err != nil {
		return err
	}
	if _, err := t.Exec(ctx, `INSERT INTO audit_head (name, size, root) VALUES ('log', 0, $1)`, empty[:]); err != nil {
		return err
	}
	_, err = t.append(ctx, key, audit.Entry{
		Kind: audit.LogStarted, Actor: "system", Object: "log:" + key.Name(),
		After: map[string]string{"verifierKey": key.VerifierKey()},
	})
	return err
}

// keyID returns name and hash of a verifier key, without the key.
func keyID(vkey string) string {
	name, rest, _ := strings.Cut(vkey, "+")
	hash, _, _ := strings.Cut(rest, "+")
	return name + "+" + hash
}

// RecordAudit appends an entry for an event that changes nothing else in the
// store, such as a reloaded configuration. It returns the entry's index.
func (db *DB) RecordAudit(ctx context.Context, e audit.Entry) (index int64, err error) {
	err = db.Write(ctx, "store.RecordAudit", func(tx *Tx) error {
		index, err = tx.audit(ctx, e)
		return err
	})
	return index, err
}

// audit appends an entry to the audit log within the transaction of the
// change it records, and returns its index: leaf, hashes, private part, head
// and a newly signed checkpoint commit with the change or not at all.
//
// Lock order: it takes the head "audit", which every audited change of every
// node wants. A method calls it last, after its own Lock and statements:
// that keeps the queue short, and no two transactions can wait for each
// other.
func (t *Tx) audit(ctx context.Context, e audit.Entry) (index int64, err error) {
	key := t.db.auditKey.Load()
	if key == nil {
		return 0, fault.New(fault.Internal, "store.audit",
			"the change must be recorded in the audit log, but no audit key is in use: set audit.key_file or GANTRY_AUDIT_KEY")
	}
	if err := t.Lock(ctx, "audit"); err != nil {
		return 0, err
	}
	return t.append(ctx, key, e)
}

// append does the work of audit; the caller holds the head.
func (t *Tx) append(ctx context.Context, key *audit.Key, e audit.Entry) (int64, error) {
	var size int64
	err := t.QueryRow(ctx, `SELECT size FROM audit_head WHERE name = 'log'`).Scan(&size)
	if err != nil {
		return 0, fmt.Errorf("audit log: read the head: %w", err)
	}
	var salt audit.Salt
	if _, err := rand.Read(salt[:]); err != nil {
		return 0, fmt.Errorf("audit log: %w", err)
	}
	rec, priv, err := audit.NewRecord(size, e, t.db.now(), salt)
	if err != nil {
		return 0, err
	}
	hashes, root, err := audit.Append(size, rec.Leaf, hashReader(ctx, t.tx))
	if err != nil {
		return 0, err
	}
	signed, err := audit.Checkpoint{Origin: key.Name(), Size: size + 1, Root: root}.Sign(key)
	if err != nil {
		return 0, err
	}
	if err := t.insertEntry(ctx, rec, priv, hashes); err != nil {
		return 0, fmt.Errorf("audit log: append entry %d: %w", size, err)
	}
	if _, err := t.Exec(ctx, `INSERT INTO audit_checkpoints (size, signed) VALUES ($1, $2)`, size+1, signed); err != nil {
		return 0, fmt.Errorf("audit log: store checkpoint %d: %w", size+1, err)
	}
	// The condition is a second line of defence behind the lock: two writers
	// at one size would fork the log.
	n, err := t.Exec(ctx, `UPDATE audit_head SET size = $1, root = $2 WHERE name = 'log' AND size = $3`, size+1, root[:], size)
	if err != nil {
		return 0, fmt.Errorf("audit log: move the head: %w", err)
	}
	if n != 1 {
		return 0, fmt.Errorf("audit log: the head moved from %d under its lock", size)
	}
	return size, nil
}

func (t *Tx) insertEntry(ctx context.Context, rec audit.Record, priv audit.PrivateRecord, hashes []tlog.Hash) error {
	if _, err := t.Exec(ctx, `INSERT INTO audit_leaves (idx, kind, at, leaf) VALUES ($1, $2, $3, $4)`,
		rec.Index, rec.Kind, rec.At, rec.Leaf); err != nil {
		return err
	}
	if _, err := t.Exec(ctx, `INSERT INTO audit_private (idx, object, salt, body) VALUES ($1, $2, $3, $4)`,
		priv.Index, priv.Object, priv.Salt, priv.Body); err != nil {
		return err
	}
	first := tlog.StoredHashIndex(0, rec.Index)
	for i, h := range hashes {
		if _, err := t.Exec(ctx, `INSERT INTO audit_hashes (idx, hash) VALUES ($1, $2)`, first+int64(i), h[:]); err != nil {
			return err
		}
	}
	return nil
}
