package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/lease"
)

// keepHeartbeats is how long a heartbeat that was sent is kept.
const keepHeartbeats = time.Hour

// saveDeliveries numbers deliveries and puts them into the outbox; the caller
// holds the head.
func (t *Tx) saveDeliveries(ctx context.Context, ds []incident.Delivery) error {
	if len(ds) == 0 {
		return nil
	}
	var last int64
	if err := t.QueryRow(ctx, `UPDATE incident_numbers SET last = last + $1 WHERE name = 'delivery' RETURNING last`, int64(len(ds))).Scan(&last); err != nil {
		return err
	}
	for n, d := range ds {
		d.Number(last - int64(len(ds)-1-n))
		m, err := json.Marshal(d.Message)
		if err != nil {
			return err
		}
		if _, err := t.Exec(ctx, `INSERT INTO incident_deliveries (id, incident_id, receiver, action, class, message, state, attempts, created_at, next_at, done_at, answer)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, 0, '')`, d.ID, d.Incident, d.Receiver, string(d.Action), string(d.Message.Class), string(m),
			string(d.State), micros(d.CreatedAt), micros(d.NextAt)); err != nil {
			return err
		}
		if err := t.dropOutdated(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// dropOutdated deletes what a delivery replaces: heartbeats of an hour ago, and
// repeats before the last that are not on their way. It makes due what a page
// would wait behind.
func (t *Tx) dropOutdated(ctx context.Context, d incident.Delivery) (err error) {
	switch d.Action {
	case incident.Heartbeat:
		_, err = t.Exec(ctx, `DELETE FROM incident_deliveries WHERE incident_id = '' AND receiver = $1 AND state <> 'pending' AND created_at < $2`,
			d.Receiver, micros(d.CreatedAt.Add(-keepHeartbeats)))
	case incident.Trigger: // a resolve that waits for its hour must not hold back a page
		_, err = t.Exec(ctx, `UPDATE incident_deliveries SET next_at = $1 WHERE incident_id = $2 AND receiver = $3 AND action = 'resolve' AND state = 'pending'
			AND next_at > $4`, micros(d.NextAt), d.Incident, d.Receiver, micros(d.NextAt.Add(incident.LongestClaim)))
	case incident.Repeat:
		_, err = t.Exec(ctx, `DELETE FROM incident_deliveries WHERE incident_id = $1 AND receiver = $2 AND action = 'repeat' AND id < $3
			AND (state <> 'pending' OR attempts = 0)`, d.Incident, d.Receiver, d.ID)
	}
	return err
}

const deliveryColumns = `id, incident_id, receiver, action, message, state, attempts, created_at, next_at, done_at, answer`

func scanDelivery(r interface{ Scan(...any) error }) (d incident.Delivery, err error) {
	var message string
	var created, next, done int64
	if err = r.Scan(&d.ID, &d.Incident, &d.Receiver, &d.Action, &message, &d.State, &d.Attempts, &created, &next, &done, &d.Answer); err != nil {
		return d, err
	}
	d.CreatedAt, d.NextAt, d.DoneAt = fromMicros(created), fromMicros(next), fromMicros(done)
	return d, json.Unmarshal([]byte(message), &d.Message)
}

// nextDelivery is the one that a receiver gets next: the most urgent, then the
// oldest, of those that are due and have none of their incident before them.
// Rows of the same incident that wait, or are claimed, hold back those behind.
// (Said with NOT EXISTS, PostgreSQL joins the table with itself.)
const nextDelivery = `SELECT d.id FROM incident_deliveries d WHERE d.receiver = $1 AND d.state = 'pending' AND d.next_at <= $2
	AND d.id = (SELECT MIN(e.id) FROM incident_deliveries e WHERE e.receiver = d.receiver AND e.incident_id = d.incident_id AND e.state = 'pending')
	ORDER BY d.class, d.id LIMIT 1`

// ClaimDelivery implements incident.Store.
func (db *DB) ClaimDelivery(ctx context.Context, f incident.Fence, receiver string, hold time.Duration) (d incident.Delivery, ok bool, err error) {
	var id int64
	err = db.read.QueryRowContext(ctx, nextDelivery, receiver, micros(db.now())).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return d, false, nil
	}
	if err != nil {
		return d, false, db.dialect.explain("store.ClaimDelivery", err)
	}
	err = db.Write(ctx, "store.ClaimDelivery", func(tx *Tx) error {
		if err := tx.underLease(ctx, lease.Held(f)); err != nil {
			return err
		}
		now := db.now()
		var err error
		d, err = scanDelivery(tx.QueryRow(ctx, `UPDATE incident_deliveries SET attempts = attempts + 1, next_at = $3 WHERE id = (`+nextDelivery+`)
			RETURNING `+deliveryColumns, receiver, micros(now), micros(now.Add(hold))))
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return incident.Delivery{}, false, nil
	}
	return d, err == nil, err
}

// FinishDelivery implements incident.Store.
func (db *DB) FinishDelivery(ctx context.Context, f incident.Fence, d incident.Delivery, r incident.Result) error {
	return db.Write(ctx, "store.FinishDelivery", func(tx *Tx) error {
		if err := tx.underLease(ctx, lease.Held(f)); err != nil {
			return err
		}
		if r.Refused {
			var behind int64
			if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM incident_deliveries WHERE receiver = $1 AND incident_id = $2 AND id > $3 AND state = 'pending'`,
				d.Receiver, d.Incident, d.ID).Scan(&behind); err != nil {
				return err
			}
			if behind > 0 {
				r.State = incident.Failed
			}
		}
		done := time.Time{}
		if r.State != incident.Pending {
			done = db.now()
		}
		_, err := tx.Exec(ctx, `UPDATE incident_deliveries SET state = $3, next_at = $4, done_at = $5, answer = $6
			WHERE id = $1 AND attempts = $2 AND state = 'pending'`, d.ID, int64(d.Attempts), string(r.State), micros(r.NextAt), micros(done), r.Answer)
		return err
	})
}

// deliveryStats asks what indexes answer, whatever the outbox has seen: what
// is delivered is looked at once for each receiver, not once for each message.
const deliveryStats = `SELECT receiver, 'pending', COUNT(*), MIN(created_at) FROM incident_deliveries WHERE state = 'pending' GROUP BY receiver
	UNION ALL SELECT receiver, 'failed', COUNT(*), 0 FROM incident_deliveries WHERE state = 'failed' GROUP BY receiver
	UNION ALL SELECT name, 'delivered', 0, (SELECT MAX(d.done_at) FROM incident_deliveries d WHERE d.state = 'delivered' AND d.receiver = name) FROM (
		WITH RECURSIVE names(name) AS (
			SELECT MIN(receiver) FROM incident_deliveries WHERE state = 'delivered'
			UNION ALL SELECT (SELECT MIN(d.receiver) FROM incident_deliveries d WHERE d.state = 'delivered' AND d.receiver > names.name) FROM names WHERE names.name IS NOT NULL)
		SELECT name FROM names WHERE name IS NOT NULL) AS known`

// DeliveryStats implements incident.Reader.
func (db *DB) DeliveryStats(ctx context.Context) (map[string]incident.Stats, error) {
	out := map[string]incident.Stats{}
	err := db.rows(ctx, "store.DeliveryStats", func(r *sql.Rows) error {
		var name, state string
		var n, at int64
		if err := r.Scan(&name, &state, &n, &at); err != nil {
			return err
		}
		s := out[name]
		switch incident.DeliveryState(state) {
		case incident.Pending:
			s.Pending, s.OldestPending = n, fromMicros(at)
		case incident.Failed:
			s.Failed = n
		case incident.Delivered:
			s.LastDelivered = fromMicros(at)
		}
		out[name] = s
		return nil
	}, deliveryStats)
	return out, err
}

// PruneIncidents implements incident.Store.
func (db *DB) PruneIncidents(ctx context.Context, f incident.Fence, before time.Time, limit int) (int64, error) {
	var n int64
	err := db.Write(ctx, "store.PruneIncidents", func(tx *Tx) error {
		if err := tx.underLease(ctx, lease.Held(f)); err != nil {
			return err
		}
		if err := tx.Lock(ctx, incidentHead); err != nil {
			return err
		}
		const old = `SELECT i.id FROM incidents i WHERE i.state = 'resolved' AND i.resolved_at < $1
			AND NOT EXISTS (SELECT 1 FROM incident_deliveries d WHERE d.incident_id = i.id AND d.state = 'pending') ORDER BY i.resolved_at, i.id LIMIT $2`
		for _, table := range []string{"incident_updates", "incident_deliveries"} {
			if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE incident_id IN (`+old+`)`, micros(before), int64(limit)); err != nil {
				return err
			}
		}
		var err error
		if n, err = tx.Exec(ctx, `DELETE FROM incidents WHERE id IN (`+old+`)`, micros(before), int64(limit)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM incident_deliveries WHERE incident_id = '' AND state <> 'pending' AND created_at < $1`, micros(before)); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM incident_silences WHERE ends_at < $1`, micros(before))
		return err
	})
	return n, err
}
