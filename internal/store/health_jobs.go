package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/lease"
)

// RegisterJobs implements health.JobStore.
func (db *DB) RegisterJobs(ctx context.Context, plans []health.JobPlan, at time.Time) error {
	if len(plans) == 0 {
		return nil
	}
	records, err := db.JobRecords(ctx)
	if err != nil {
		return err
	}
	for _, r := range records { // what is registered already needs no write
		plans = slices.DeleteFunc(slices.Clone(plans), func(p health.JobPlan) bool { return p.Job == r.Job && p.Plan == r.Plan })
	}
	if len(plans) == 0 {
		return nil
	}
	slices.SortFunc(plans, func(a, b health.JobPlan) int { return strings.Compare(a.Job, b.Job) })
	return db.Write(ctx, "store.RegisterJobs", func(tx *Tx) error {
		for _, p := range plans {
			if _, err := tx.Exec(ctx, `INSERT INTO health_jobs (job, plan, plan_since, record) VALUES ($1, $2, $3, '{}')
				ON CONFLICT (job) DO UPDATE SET plan = excluded.plan, plan_since = excluded.plan_since WHERE health_jobs.plan <> excluded.plan`,
				p.Job, p.Plan, micros(at)); err != nil {
				return err
			}
		}
		return nil
	})
}

// UpdateJob implements health.JobStore.
func (db *DB) UpdateJob(ctx context.Context, job string, decide func(*health.JobRecord) (bool, error)) error {
	return db.Write(ctx, "store.UpdateJob", func(tx *Tx) error {
		r := health.JobRecord{Job: job}
		var since int64
		var record []byte
		// The update that changes nothing locks on both engines, and the insert
		// makes the row to lock; if decide wants none, it goes with an error.
		err := tx.QueryRow(ctx, `INSERT INTO health_jobs (job, plan, plan_since, record) VALUES ($1, '', 0, '{}')
			ON CONFLICT (job) DO UPDATE SET plan = health_jobs.plan RETURNING plan, plan_since, record`, job).Scan(&r.Plan, &since, &record)
		if err != nil {
			return err
		}
		if r.PlanSince = fromMicros(since); len(record) > 0 {
			if err := json.Unmarshal(record, &r); err != nil {
				return err
			}
		}
		save, err := decide(&r)
		if err != nil || !save {
			return err
		}
		if record, err = json.Marshal(r); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE health_jobs SET plan = $2, plan_since = $3, record = $4 WHERE job = $1`, job, r.Plan, micros(r.PlanSince), string(record))
		return err
	})
}

// JobRecords implements health.JobStore.
func (db *DB) JobRecords(ctx context.Context) ([]health.JobRecord, error) {
	out, err := collect(ctx, db.read, func(rows *sql.Rows) (r health.JobRecord, err error) {
		var since int64
		var record []byte
		if err := rows.Scan(&r.Job, &r.Plan, &since, &record); err != nil {
			return r, err
		}
		r.PlanSince = fromMicros(since)
		return r, json.Unmarshal(record, &r)
	}, `SELECT job, plan, plan_since, record FROM health_jobs ORDER BY job`)
	return out, db.dialect.explain("store.JobRecords", err)
}

// SaveSources implements health.SourceStore.
func (db *DB) SaveSources(ctx context.Context, f health.Fence, rs []health.SourceRecord) error {
	return db.Write(ctx, "store.SaveSources", func(tx *Tx) error {
		if err := tx.underLease(ctx, lease.Held(f)); err != nil {
			return err
		}
		var rows []any
		for _, r := range rs {
			rows = append(rows, r.Source, micros(r.UpdatedAt), micros(r.CheckedAt), r.Problem)
		}
		return tx.insertRows(ctx, `health_sources (source, updated_at, checked_at, problem)`,
			`ON CONFLICT (source) DO UPDATE SET updated_at = excluded.updated_at, checked_at = excluded.checked_at, problem = excluded.problem`, 4, rows)
	})
}

// SourceRecords implements health.SourceStore.
func (db *DB) SourceRecords(ctx context.Context) ([]health.SourceRecord, error) {
	out, err := collect(ctx, db.read, func(rows *sql.Rows) (r health.SourceRecord, err error) {
		var updated, checked int64
		err = rows.Scan(&r.Source, &updated, &checked, &r.Problem)
		r.UpdatedAt, r.CheckedAt = fromMicros(updated), fromMicros(checked)
		return r, err
	}, `SELECT source, updated_at, checked_at, problem FROM health_sources ORDER BY source`)
	return out, db.dialect.explain("store.SourceRecords", err)
}
