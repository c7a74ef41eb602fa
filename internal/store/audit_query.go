package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
)

// AuditCheckpoint returns the newest signed checkpoint.
func (db *DB) AuditCheckpoint(ctx context.Context) ([]byte, error) {
	var signed []byte
	err := db.read.QueryRowContext(ctx, `SELECT signed FROM audit_checkpoints ORDER BY size DESC LIMIT 1`).Scan(&signed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoLog("store.AuditCheckpoint")
	}
	if err != nil {
		return nil, fmt.Errorf("store.AuditCheckpoint: %w", err)
	}
	return signed, nil
}

// AuditTile returns the content of a tile or, for audit.EntriesLevel, of an
// entry bundle. It is NOT_FOUND while the log does not have all of it. The
// content of a tile never changes.
func (db *DB) AuditTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	// The log only grows: what this head covers needs no snapshot.
	v := &auditView{q: db.read}
	head, _, err := v.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("store.AuditTile: %w", err)
	}
	if !audit.TileIn(t, head.Size) {
		return nil, fault.New(fault.NotFound, "store.AuditTile", "the log of %d entries does not have that tile", head.Size)
	}
	var data []byte
	if t.L == audit.EntriesLevel {
		data, err = v.bundle(ctx, t)
	} else {
		data, err = tlog.ReadTileData(t, hashReader(ctx, v.q))
	}
	if err != nil {
		return nil, fmt.Errorf("store.AuditTile: %w", err)
	}
	return data, nil
}

func (v *auditView) bundle(ctx context.Context, t tlog.Tile) ([]byte, error) {
	first := t.N * audit.TileWidth
	recs, err := v.Records(ctx, first, t.W)
	if err != nil {
		return nil, err
	}
	var data []byte
	for i := range t.W {
		if i >= len(recs) || recs[i].Index != first+int64(i) {
			return nil, fmt.Errorf("audit log: entry %d is missing; run gantry audit verify", first+int64(i))
		}
		if data, err = audit.AppendEntry(data, recs[i].Leaf); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// AuditEntry returns one entry with its private part, the proof that it is
// in the log, and the checkpoint that the proof is about.
func (db *DB) AuditEntry(ctx context.Context, index int64) (p audit.Proven, err error) {
	err = db.snapshot(ctx, func(v *auditView) error {
		head, _, err := v.Head(ctx)
		if err != nil {
			return err
		}
		if index < 0 || index >= head.Size {
			return fault.New(fault.NotFound, "store.AuditEntry", "the log has entries 0 to %d, not %d", head.Size-1, index)
		}
		p, err = v.proven(ctx, index, head.Size)
		return err
	})
	if err != nil {
		return audit.Proven{}, fmt.Errorf("store.AuditEntry: %w", err)
	}
	return p, nil
}

func (v *auditView) proven(ctx context.Context, index, size int64) (audit.Proven, error) {
	recs, err1 := v.Records(ctx, index, 1)
	privs, err2 := v.Privates(ctx, index, 1)
	cps, err3 := v.Checkpoints(ctx, size, 1)
	if err := errors.Join(err1, err2, err3); err != nil {
		return audit.Proven{}, err
	}
	if len(recs) == 0 || len(privs) == 0 || len(cps) == 0 ||
		recs[0].Index != index || privs[0].Index != index || cps[0].Size != size {
		return audit.Proven{}, fmt.Errorf("audit log: a part of entry %d is missing; run gantry audit verify", index)
	}
	event, err := recs[0].Event(privs[0])
	if err != nil {
		return audit.Proven{}, err
	}
	proof, err := audit.ProveInclusion(size, index, hashReader(ctx, v.q))
	if err != nil {
		return audit.Proven{}, err
	}
	return audit.Proven{Event: event, Leaf: recs[0].Leaf, Salt: privs[0].Salt, Private: privs[0].Body,
		Size: size, Proof: proof, Checkpoint: string(cps[0].Signed)}, nil
}

// AuditConsistency proves that the log of size to begins with the log of
// size from; 1 ≤ from ≤ to.
func (db *DB) AuditConsistency(ctx context.Context, from, to int64) (tlog.TreeProof, error) {
	v := &auditView{q: db.read}
	head, _, err := v.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("store.AuditConsistency: %w", err)
	}
	if from < 1 || from > to || to > head.Size {
		return nil, fault.Invalid("store.AuditConsistency", fault.Field{Limit: head.Size, Actual: to},
			"sizes must satisfy 1 ≤ from ≤ to ≤ %d", head.Size)
	}
	proof, err := audit.ProveConsistency(from, to, hashReader(ctx, v.q))
	if err != nil {
		return nil, fmt.Errorf("store.AuditConsistency: %w", err)
	}
	return proof, nil
}

// ListAudit returns the events that match, newest first. The next page is
// the same filter with Before set to the last event's index; a page that
// ends with entry 0 is the last.
func (db *DB) ListAudit(ctx context.Context, f audit.Filter) ([]audit.Event, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	query := `SELECT l.idx, l.kind, l.at, l.leaf, p.object, p.salt, p.body
		FROM audit_leaves l JOIN audit_private p ON p.idx = l.idx WHERE l.at >= $1`
	args := []any{micros(f.Since)}
	where := func(cond string, v any) {
		args = append(args, v)
		query += fmt.Sprintf(" AND "+cond, len(args))
	}
	if f.Kind != "" {
		where("l.kind = $%d", string(f.Kind))
	}
	if f.Object != "" {
		where("p.object = $%d", f.Object)
	}
	if f.Before > 0 {
		where("l.idx < $%d", f.Before)
	}
	args = append(args, min(limit, 1000))
	query += fmt.Sprintf(" ORDER BY l.idx DESC LIMIT $%d", len(args))
	events, err := collect(ctx, db.read, func(r *sql.Rows) (audit.Event, error) {
		var rec audit.Record
		var priv audit.PrivateRecord
		if err := r.Scan(&rec.Index, &rec.Kind, &rec.At, &rec.Leaf, &priv.Object, &priv.Salt, &priv.Body); err != nil {
			return audit.Event{}, err
		}
		e, err := rec.Event(priv)
		if err != nil {
			err = fmt.Errorf("entry %d is damaged; run gantry audit verify: %w", rec.Index, err)
		}
		return e, err
	}, query, args...)
	if err != nil {
		return nil, fmt.Errorf("store.ListAudit: %w", err)
	}
	return events, nil
}
