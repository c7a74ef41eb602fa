package store

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/incident"
)

// Incidents implements incident.Reader.
func (db *DB) Incidents(ctx context.Context, f incident.Filter) ([]incident.Incident, error) {
	var conds []string
	var args []any
	where := func(cond string, arg any) {
		args = append(args, arg)
		conds = append(conds, cond+" $"+strconv.Itoa(len(args)))
	}
	if f.Active {
		where("state <>", string(incident.Resolved))
	}
	if f.Class != "" {
		where("class =", string(f.Class))
	}
	if f.Group != "" {
		where("cause_group =", f.Group)
	}
	if f.Object != "" {
		where("object =", f.Object)
	}
	if f.Before > 0 {
		where("seq <", f.Before)
	}
	text := ""
	if len(conds) > 0 {
		text = "WHERE " + strings.Join(conds, " AND ")
	}
	args = append(args, int64(f.Limit))
	is, err := incidents(ctx, db.read, text+" ORDER BY seq DESC LIMIT $"+strconv.Itoa(len(args)), args...)
	out := make([]incident.Incident, len(is))
	for n, i := range is {
		out[n] = *i
	}
	return out, db.dialect.explain("store.Incidents", err)
}

// Incident implements incident.Reader.
func (db *DB) Incident(ctx context.Context, id string) (incident.Detail, error) {
	var d incident.Detail
	is, err := incidents(ctx, db.read, `WHERE id = $1`, id)
	if err == nil && len(is) == 0 {
		err = noIncident()
	}
	if err != nil {
		return d, db.dialect.explain("store.Incident", err)
	}
	d.Incident = *is[0]
	err = db.rows(ctx, "store.Incident", func(r *sql.Rows) error {
		u := incident.Update{Incident: id}
		var at int64
		err := r.Scan(&u.N, &at, &u.Kind, &u.By, &u.Text)
		u.At = fromMicros(at)
		d.Updates = append(d.Updates, u)
		return err
	}, `SELECT n, at, kind, by_id, text FROM incident_updates WHERE incident_id = $1 ORDER BY n`, id)
	if err != nil {
		return d, err
	}
	return d, db.rows(ctx, "store.Incident", func(r *sql.Rows) error {
		one, err := scanDelivery(r)
		d.Deliveries = append(d.Deliveries, one)
		return err
	}, `SELECT `+deliveryColumns+` FROM incident_deliveries WHERE incident_id = $1 ORDER BY id`, id)
}

// Conditions implements incident.Reader.
func (db *DB) Conditions(ctx context.Context) ([]incident.Condition, error) {
	cs, err := conditions(ctx, db.read)
	return cs, db.dialect.explain("store.Conditions", err)
}

// Silences implements incident.SilenceStore.
func (db *DB) Silences(ctx context.Context) ([]incident.Silence, error) {
	ss, err := silences(ctx, db.read, db.now())
	return ss, db.dialect.explain("store.Silences", err)
}

func silences(ctx context.Context, q querier, now time.Time) (out []incident.Silence, err error) {
	err = each(ctx, q, func(r *sql.Rows) error {
		var s incident.Silence
		var created, ends int64
		err := r.Scan(&s.ID, &s.Rule, &s.Object, &s.Class, &s.Reason, &s.By, &created, &ends)
		s.CreatedAt, s.EndsAt = fromMicros(created), fromMicros(ends)
		out = append(out, s)
		return err
	}, `SELECT id, rule, object, class, reason, by_id, created_at, ends_at FROM incident_silences WHERE ends_at > $1 ORDER BY created_at, id`, micros(now))
	return out, err
}

// CreateSilence implements incident.SilenceStore.
func (db *DB) CreateSilence(ctx context.Context, s incident.Silence, e audit.Entry) error {
	return db.Write(ctx, "store.CreateSilence", func(tx *Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO incident_silences (id, rule, object, class, reason, by_id, created_at, ends_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			s.ID, s.Rule, s.Object, string(s.Class), s.Reason, s.By, micros(s.CreatedAt), micros(s.EndsAt)); err != nil {
			return err
		}
		_, err := tx.audit(ctx, e)
		return err
	})
}

// EndSilence implements incident.SilenceStore.
func (db *DB) EndSilence(ctx context.Context, id string, e audit.Entry) error {
	return db.Write(ctx, "store.EndSilence", func(tx *Tx) error {
		now := micros(db.now())
		n, err := tx.Exec(ctx, `UPDATE incident_silences SET ends_at = $1 WHERE id = $2 AND ends_at > $1`, now, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "store.EndSilence", "there is no silence with that id that has not ended; list them with GET /v1/silences")
		}
		_, err = tx.audit(ctx, e)
		return err
	})
}
