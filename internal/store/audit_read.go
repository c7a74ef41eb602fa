package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
)

// querier is a transaction or a pool.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// collect runs a query and returns what scan makes of each of its rows.
func collect[T any](ctx context.Context, q querier, scan func(*sql.Rows) (T, error), query string, args ...any) (out []T, err error) {
	err = each(ctx, q, func(r *sql.Rows) error {
		v, err := scan(r)
		out = append(out, v)
		return err
	}, query, args...)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// in returns n placeholders from $first on, for an IN list.
func in(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("$" + strconv.Itoa(first+i))
	}
	return b.String()
}

// hashReader reads the tree's stored hashes. tlog.HashReader knows no
// context, so it carries one.
func hashReader(ctx context.Context, q querier) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		if len(indexes) == 0 {
			return nil, nil
		}
		args := make([]any, len(indexes))
		for i, x := range indexes {
			args[i] = x
		}
		found := make(map[int64]tlog.Hash, len(indexes))
		_, err := collect(ctx, q, func(r *sql.Rows) (struct{}, error) {
			h, err := scanHash(r)
			if err == nil && len(h.Hash) != tlog.HashSize {
				err = fmt.Errorf("audit log: stored hash %d is damaged; run gantry audit verify", h.Index)
			}
			if err == nil {
				found[h.Index] = tlog.Hash(h.Hash)
			}
			return struct{}{}, err
		}, `SELECT idx, hash FROM audit_hashes WHERE idx IN (`+in(1, len(args))+`)`, args...)
		if err != nil {
			return nil, err
		}
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			h, ok := found[x]
			if !ok {
				return nil, fmt.Errorf("audit log: stored hash %d is missing; run gantry audit verify", x)
			}
			out[i] = h
		}
		return out, nil
	})
}

func scanHash(r *sql.Rows) (h audit.HashRecord, err error) {
	err = r.Scan(&h.Index, &h.Hash)
	return h, err
}

// ReadAudit runs fn over one consistent snapshot of the audit log. Writers
// go on meanwhile; on SQLite the write-ahead log grows until fn returns.
func (db *DB) ReadAudit(ctx context.Context, fn func(audit.Reader) error) error {
	return db.snapshot(ctx, func(v *auditView) error { return fn(v) })
}

func (db *DB) snapshot(ctx context.Context, fn func(*auditView) error) error {
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return fmt.Errorf("store: read the audit log: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	return fn(&auditView{q: tx})
}

// VerifyAudit checks the whole stored log; see audit.Verify.
func (db *DB) VerifyAudit(ctx context.Context, o audit.Options) (rep *audit.Report, err error) {
	err = db.ReadAudit(ctx, func(r audit.Reader) error {
		rep, err = audit.Verify(ctx, r, o)
		return err
	})
	return rep, err
}

// auditView implements audit.Reader over one snapshot.
type auditView struct{ q querier }

// Key implements audit.Reader.
func (v *auditView) Key(ctx context.Context) (string, error) {
	var key string
	err := v.q.QueryRowContext(ctx, `SELECT value FROM installation WHERE name = $1`, installationAuditKey).Scan(&key)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return key, err
}

// Head implements audit.Reader.
func (v *auditView) Head(ctx context.Context) (h audit.Head, ok bool, err error) {
	err = v.q.QueryRowContext(ctx, `SELECT size, root FROM audit_head WHERE name = 'log'`).Scan(&h.Size, &h.Root)
	if errors.Is(err, sql.ErrNoRows) {
		return h, false, nil
	}
	return h, err == nil, err
}

// Records implements audit.Reader.
func (v *auditView) Records(ctx context.Context, from int64, limit int) ([]audit.Record, error) {
	return collect(ctx, v.q, func(r *sql.Rows) (x audit.Record, err error) {
		err = r.Scan(&x.Index, &x.Kind, &x.At, &x.Leaf)
		return x, err
	}, `SELECT idx, kind, at, leaf FROM audit_leaves WHERE idx >= $1 ORDER BY idx LIMIT $2`, from, limit)
}

// Privates implements audit.Reader.
func (v *auditView) Privates(ctx context.Context, from int64, limit int) ([]audit.PrivateRecord, error) {
	return collect(ctx, v.q, func(r *sql.Rows) (x audit.PrivateRecord, err error) {
		err = r.Scan(&x.Index, &x.Object, &x.Salt, &x.Body)
		return x, err
	}, `SELECT idx, object, salt, body FROM audit_private WHERE idx >= $1 ORDER BY idx LIMIT $2`, from, limit)
}

// Hashes implements audit.Reader.
func (v *auditView) Hashes(ctx context.Context, from int64, limit int) ([]audit.HashRecord, error) {
	return collect(ctx, v.q, scanHash, `SELECT idx, hash FROM audit_hashes WHERE idx >= $1 ORDER BY idx LIMIT $2`, from, limit)
}

// Checkpoints implements audit.Reader.
func (v *auditView) Checkpoints(ctx context.Context, from int64, limit int) ([]audit.CheckpointRecord, error) {
	return collect(ctx, v.q, func(r *sql.Rows) (x audit.CheckpointRecord, err error) {
		err = r.Scan(&x.Size, &x.Signed)
		return x, err
	}, `SELECT size, signed FROM audit_checkpoints WHERE size >= $1 ORDER BY size LIMIT $2`, from, limit)
}

// AuditKey returns the verifier key recorded when the log started. Whoever
// can rewrite the whole database can replace it: an outsider pins it.
func (db *DB) AuditKey(ctx context.Context) (string, error) {
	key, err := (&auditView{q: db.read}).Key(ctx)
	if err != nil {
		return "", fmt.Errorf("store.AuditKey: %w", err)
	}
	if key == "" {
		return "", errNoLog("store.AuditKey")
	}
	return key, nil
}

func errNoLog(op string) error {
	return fault.New(fault.NotFound, op, "the audit log has not started: it starts when gantry runs with an audit key")
}
