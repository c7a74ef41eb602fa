package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/lease"
)

// incidentHead is locked by everything that decides over incidents.
const incidentHead = "incident"

// SaveConditions implements incident.Store.
func (db *DB) SaveConditions(ctx context.Context, raised []incident.Raised, cleared []incident.ConditionKey) error {
	// Most facts clear what does not fail: they cost one read.
	there := map[incident.ConditionKey]bool{}
	if len(cleared) > 0 {
		cs, err := conditions(ctx, db.read)
		if err != nil {
			return db.dialect.explain("store.SaveConditions", err)
		}
		for _, c := range cs {
			there[c.Key()] = true
		}
	}
	var gone []incident.ConditionKey
	for _, k := range cleared {
		if there[k] {
			gone = append(gone, k)
		}
	}
	if len(raised)+len(gone) == 0 {
		return nil
	}
	return db.Write(ctx, "store.SaveConditions", func(tx *Tx) error {
		// Under the lock, two nodes never wait for each other's rows crosswise.
		if err := tx.Lock(ctx, incidentHead); err != nil {
			return err
		}
		for _, k := range gone {
			if err := tx.deleteCondition(ctx, k); err != nil {
				return err
			}
		}
		for _, r := range raised {
			if _, err := tx.Exec(ctx, `INSERT INTO incident_conditions (rule, object, reporter, value, since, seen_at) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (rule, object, reporter) DO UPDATE SET value = excluded.value, seen_at = excluded.seen_at,
					since = CASE WHEN $7 = 1 THEN excluded.since ELSE incident_conditions.since END`,
				r.Rule, r.Object, r.Reporter, r.Value, micros(r.Since), micros(r.SeenAt), flag(r.Broke)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *Tx) deleteCondition(ctx context.Context, k incident.ConditionKey) error {
	_, err := t.Exec(ctx, `DELETE FROM incident_conditions WHERE rule = $1 AND object = $2 AND reporter = $3`, k.Rule, k.Object, k.Reporter)
	return err
}

// EvaluateIncidents implements incident.Store.
func (db *DB) EvaluateIncidents(ctx context.Context, f incident.Fence, decide func(*incident.Books, time.Time)) error {
	// A look without a lock: most turns change nothing, and need not write.
	now := db.now().UTC().Truncate(time.Microsecond)
	b, err := incidentBooks(ctx, db.read, now)
	if err != nil {
		return db.dialect.explain("store.EvaluateIncidents", err)
	}
	if decide(b, now); !b.Dirty() {
		return nil
	}
	return db.Write(ctx, "store.EvaluateIncidents", func(tx *Tx) error {
		if err := tx.underLease(ctx, lease.Held(f)); err != nil {
			return err
		}
		if err := tx.Lock(ctx, incidentHead); err != nil {
			return err
		}
		now := db.now().UTC().Truncate(time.Microsecond)
		b, err := incidentBooks(ctx, tx.tx, now)
		if err != nil {
			return err
		}
		decide(b, now)
		return tx.saveIncidentBooks(ctx, b)
	})
}

// ChangeIncident implements incident.Store.
func (db *DB) ChangeIncident(ctx context.Context, id string, decide func(*incident.Books, *incident.Incident, time.Time) error, e audit.Entry) (incident.Incident, error) {
	var out incident.Incident
	err := db.Write(ctx, "store.ChangeIncident", func(tx *Tx) error {
		if err := tx.Lock(ctx, incidentHead); err != nil {
			return err
		}
		now := db.now().UTC().Truncate(time.Microsecond)
		b, err := incidentBooks(ctx, tx.tx, now)
		if err != nil {
			return err
		}
		i, err := tx.incidentIn(ctx, b, id)
		if err != nil {
			return err
		}
		e.Before = map[string]any{"state": i.State, "class": i.Class, "version": i.Version}
		if err := decide(b, i, now); err != nil {
			return err
		}
		e.After = map[string]any{"state": i.State, "class": i.Class, "version": i.Version}
		if err := tx.saveIncidentBooks(ctx, b); err != nil {
			return err
		}
		out = *i
		_, err = tx.audit(ctx, e)
		return err
	})
	return out, err
}

// incidentIn returns the incident of the books, and loads it into them if it
// was resolved long ago.
func (t *Tx) incidentIn(ctx context.Context, b *incident.Books, id string) (*incident.Incident, error) {
	for _, i := range b.Incidents {
		if i.ID == id {
			return i, nil
		}
	}
	is, err := incidents(ctx, t.tx, `WHERE id = $1`, id)
	if err != nil {
		return nil, err
	}
	if len(is) == 0 {
		return nil, noIncident()
	}
	b.Incidents = append(b.Incidents, is[0])
	return is[0], nil
}

func noIncident() error {
	return fault.New(fault.NotFound, "store.Incident", "there is no incident with that id; list them with GET /v1/incidents")
}

func incidentBooks(ctx context.Context, q querier, now time.Time) (*incident.Books, error) {
	b := &incident.Books{Beats: map[string]incident.Beat{}}
	var err error
	if b.Conditions, err = conditions(ctx, q); err != nil {
		return nil, err
	}
	if b.Incidents, err = incidents(ctx, q, `WHERE state <> 'resolved' OR resolved_at >= $1 ORDER BY seq`, micros(now.Add(-incident.ReopenWithin))); err != nil {
		return nil, err
	}
	if b.Silences, err = silences(ctx, q, now); err != nil {
		return nil, err
	}
	if err := q.QueryRowContext(ctx, `SELECT last FROM incident_numbers WHERE name = 'incident'`).Scan(&b.LastSeq); err != nil {
		return nil, err
	}
	return b, each(ctx, q, func(r *sql.Rows) error {
		var name string
		var at, waiting int64
		err := r.Scan(&name, &at, &waiting)
		b.Beats[name] = incident.Beat{At: fromMicros(at), Waiting: waiting == 1}
		return err
	}, `SELECT receiver, MAX(created_at), MAX(CASE WHEN state = 'pending' THEN 1 ELSE 0 END)
		FROM incident_deliveries WHERE incident_id = '' GROUP BY receiver`)
}

func conditions(ctx context.Context, q querier) (out []incident.Condition, err error) {
	err = each(ctx, q, func(r *sql.Rows) error {
		var c incident.Condition
		var since, seen int64
		err := r.Scan(&c.Rule, &c.Object, &c.Reporter, &c.Value, &since, &seen)
		c.Since, c.SeenAt = fromMicros(since), fromMicros(seen)
		out = append(out, c)
		return err
	}, `SELECT rule, object, reporter, value, since, seen_at FROM incident_conditions ORDER BY rule, object, reporter`)
	return out, err
}

const incidentColumns = `id, seq, cause_group, object, rules, class, state, summary, opened_at, raised_at, first_sent,
	acked_at, acked_by, resolved_at, resolved_by, reopened, notices, notes, version`

func incidents(ctx context.Context, q querier, where string, args ...any) (out []*incident.Incident, err error) {
	err = each(ctx, q, func(r *sql.Rows) error {
		i := new(incident.Incident)
		var rules, notices string
		var opened, raised, sent, acked, resolved int64
		if err := r.Scan(&i.ID, &i.Seq, &i.Group, &i.Object, &rules, &i.Class, &i.State, &i.Summary, &opened, &raised, &sent,
			&acked, &i.AckedBy, &resolved, &i.ResolvedBy, &i.Reopened, &notices, &i.Notes, &i.Version); err != nil {
			return err
		}
		i.OpenedAt, i.RaisedAt, i.FirstSent, i.AckedAt, i.ResolvedAt = fromMicros(opened), fromMicros(raised), fromMicros(sent), fromMicros(acked), fromMicros(resolved)
		if rules != "" {
			i.Rules = strings.Split(rules, "\n") // no rule has a control character
		}
		out = append(out, i)
		return json.Unmarshal([]byte(notices), &i.Notices)
	}, `SELECT `+incidentColumns+` FROM incidents `+where, args...)
	return out, err
}

// saveIncidentBooks writes what books changed.
func (t *Tx) saveIncidentBooks(ctx context.Context, b *incident.Books) error {
	for _, k := range b.Expired {
		if err := t.deleteCondition(ctx, k); err != nil {
			return err
		}
	}
	for _, i := range b.Incidents {
		if b.Changed[i.ID] {
			if err := t.saveIncident(ctx, i); err != nil {
				return err
			}
		}
	}
	for _, u := range b.Updates {
		if _, err := t.Exec(ctx, `INSERT INTO incident_updates (incident_id, n, at, kind, by_id, text) VALUES ($1, $2, $3, $4, $5, $6)`,
			u.Incident, int64(u.N), micros(u.At), string(u.Kind), u.By, u.Text); err != nil {
			return err
		}
	}
	if _, err := t.Exec(ctx, `UPDATE incident_numbers SET last = $1 WHERE name = 'incident' AND last < $1`, b.LastSeq); err != nil {
		return err
	}
	return t.saveDeliveries(ctx, b.Deliveries)
}

func (t *Tx) saveIncident(ctx context.Context, i *incident.Incident) error {
	notices, err := json.Marshal(i.Notices)
	if err != nil {
		return err
	}
	n, err := t.Exec(ctx, `INSERT INTO incidents (`+incidentColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
		ON CONFLICT (id) DO UPDATE SET rules = excluded.rules, class = excluded.class, state = excluded.state, summary = excluded.summary,
			raised_at = excluded.raised_at, first_sent = excluded.first_sent, acked_at = excluded.acked_at, acked_by = excluded.acked_by,
			resolved_at = excluded.resolved_at, resolved_by = excluded.resolved_by, reopened = excluded.reopened,
			notices = excluded.notices, notes = excluded.notes, version = excluded.version
		WHERE incidents.version = excluded.version - 1`,
		i.ID, i.Seq, i.Group, i.Object, strings.Join(i.Rules, "\n"), string(i.Class), string(i.State), i.Summary,
		micros(i.OpenedAt), micros(i.RaisedAt), micros(i.FirstSent), micros(i.AckedAt), i.AckedBy, micros(i.ResolvedAt), i.ResolvedBy,
		int64(i.Reopened), string(notices), int64(i.Notes), i.Version)
	if err == nil && n != 1 { // behind the lock, a second line of defence
		err = errors.New("incident " + i.ID + " changed under its lock")
	}
	return err
}
