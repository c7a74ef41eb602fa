package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/health"
	"avalo.app/gantry/internal/lease"
)

// TopicHealth moves when a maintenance window begins or ends.
const TopicHealth = "health"

// SaveHealthRound implements health.Store. Results of one component and node
// come from one writer at a time: shared ones under the lease, a node's own
// from that node.
func (db *DB) SaveHealthRound(ctx context.Context, r health.Round) error {
	if len(r.Results) == 0 && r.Fence == nil {
		return nil
	}
	// In one order, so that nodes that add to one day's rows never wait for
	// each other.
	results := slices.SortedFunc(slices.Values(r.Results), func(a, b health.Result) int {
		return strings.Compare(a.Component+"\x00"+a.Node, b.Component+"\x00"+b.Node)
	})
	return db.Write(ctx, "store.SaveHealthRound", func(tx *Tx) error {
		if r.Fence != nil {
			if err := tx.underLease(ctx, lease.Held(*r.Fence)); err != nil {
				return err
			}
		}
		if len(results) == 0 {
			return nil
		}
		rose, err := tx.putResults(ctx, results)
		if err != nil {
			return err
		}
		return tx.addUptime(ctx, rose)
	})
}

// putResults stores what is newer than what is there, and returns what each of
// those rose by.
func (t *Tx) putResults(ctx context.Context, results []health.Result) ([]health.Day, error) {
	was, err := t.tallies(ctx, results)
	if err != nil {
		return nil, err
	}
	var rose []health.Day
	var rows []any
	for _, r := range results {
		old := was[[2]string{r.Component, r.Node}]
		if micros(r.Last.At) <= old.at {
			continue // repeated
		}
		state, err := json.Marshal(r.State)
		if err != nil {
			return nil, err
		}
		last, err := json.Marshal(r.Last)
		if err != nil {
			return nil, err
		}
		n := r.State.Tally
		rows = append(rows, r.Component, r.Node, micros(r.Last.At), string(state), string(last), n.Up, n.Degraded, n.Down, n.Maintenance)
		if d := n.Since(old.Tally); d != (health.Tally{}) {
			rose = append(rose, health.Day{Component: r.Component, Day: health.DayOf(r.Last.At), Tally: d})
		}
	}
	return rose, t.insertRows(ctx, `health_results (component, node, at, state, last, up, degraded, down, maintenance)`,
		`ON CONFLICT (component, node) DO UPDATE SET at = excluded.at, state = excluded.state, last = excluded.last,
			up = excluded.up, degraded = excluded.degraded, down = excluded.down, maintenance = excluded.maintenance`, 9, rows)
}

// storedTally is what an earlier result left behind.
type storedTally struct {
	at int64
	health.Tally
}

func (t *Tx) tallies(ctx context.Context, results []health.Result) (map[[2]string]storedTally, error) {
	names := make([]string, len(results))
	for i, r := range results {
		names[i] = r.Component
	}
	listed, arg := t.db.dialect.listed(1, names)
	out := make(map[[2]string]storedTally, len(results))
	err := each(ctx, t.tx, func(r *sql.Rows) error {
		var k [2]string
		var s storedTally
		err := r.Scan(&k[0], &k[1], &s.at, &s.Up, &s.Degraded, &s.Down, &s.Maintenance)
		out[k] = s
		return err
	}, `SELECT component, node, at, up, degraded, down, maintenance FROM health_results WHERE component IN (SELECT value FROM `+listed+`)`, arg)
	return out, err
}

func (t *Tx) addUptime(ctx context.Context, rose []health.Day) error {
	var rows []any
	for _, d := range rose {
		rows = append(rows, d.Day, d.Component, d.Up, d.Degraded, d.Down, d.Maintenance)
	}
	return t.insertRows(ctx, `health_uptime (day, component, up, degraded, down, maintenance)`,
		`ON CONFLICT (day, component) DO UPDATE SET up = health_uptime.up + excluded.up, degraded = health_uptime.degraded + excluded.degraded,
			down = health_uptime.down + excluded.down, maintenance = health_uptime.maintenance + excluded.maintenance`, 6, rows)
}

// insertRows inserts rows of so many columns each, in as few statements as
// suit the engine. No two may conflict with each other.
func (t *Tx) insertRows(ctx context.Context, into, onConflict string, columns int, args []any) error {
	for len(args) > 0 {
		n := t.db.dialect.rowsPerInsert(len(args) / columns)
		if _, err := t.Exec(ctx, `INSERT INTO `+into+` VALUES `+t.db.dialect.values(n, columns)+` `+onConflict, args[:n*columns]...); err != nil {
			return err
		}
		args = args[n*columns:]
	}
	return nil
}

// HealthSnapshot implements health.Store.
func (db *DB) HealthSnapshot(ctx context.Context) (health.Snapshot, error) {
	var s health.Snapshot
	var err error
	if s.Results, err = collect(ctx, db.read, scanResult, `SELECT component, node, state, last, up, degraded, down, maintenance FROM health_results`); err != nil {
		return health.Snapshot{}, db.dialect.explain("store.HealthSnapshot", err)
	}
	s.Windows, err = collect(ctx, db.read, scanWindow, windowQuery+`WHERE until_at > $1 AND ended_at = 0 ORDER BY from_at, id`, micros(db.now()))
	return s, db.dialect.explain("store.HealthSnapshot", err)
}

func scanResult(r *sql.Rows) (v health.Result, err error) {
	var state, last []byte
	n := &v.State.Tally
	if err := r.Scan(&v.Component, &v.Node, &state, &last, &n.Up, &n.Degraded, &n.Down, &n.Maintenance); err != nil {
		return v, err
	}
	return v, errors.Join(json.Unmarshal(state, &v.State), json.Unmarshal(last, &v.Last))
}

const windowQuery = `SELECT id, components, from_at, until_at, reason, by_id, ended_at, ended_by FROM health_windows `

func scanWindow(r *sql.Rows) (w health.Window, err error) {
	var components []byte
	var from, until, ended int64
	if err := r.Scan(&w.ID, &components, &from, &until, &w.Reason, &w.By, &ended, &w.EndedBy); err != nil {
		return w, err
	}
	w.From, w.Until, w.EndedAt = fromMicros(from), fromMicros(until), fromMicros(ended)
	if err := json.Unmarshal(components, &w.Components); err != nil || len(w.Components) == 0 {
		w.Components = nil
		return w, err
	}
	return w, nil
}

// SaveHealthWindow implements health.Store.
func (db *DB) SaveHealthWindow(ctx context.Context, w health.Window, e audit.Entry) error {
	components, err := json.Marshal(append([]string{}, w.Components...))
	if err != nil {
		return err
	}
	return db.Write(ctx, "store.SaveHealthWindow", func(tx *Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO health_windows (id, components, from_at, until_at, reason, by_id, ended_at, ended_by) VALUES ($1, $2, $3, $4, $5, $6, 0, '')`,
			w.ID, string(components), micros(w.From), micros(w.Until), w.Reason, w.By); err != nil {
			return err
		}
		return tx.changed(ctx, TopicHealth, e)
	})
}

// EndHealthWindow implements health.Store.
func (db *DB) EndHealthWindow(ctx context.Context, w health.Window, e audit.Entry) (health.Window, error) {
	const op = "store.EndHealthWindow"
	var out health.Window
	err := db.Write(ctx, op, func(tx *Tx) error {
		// The update that changes nothing locks the row on both engines.
		if _, err := tx.Exec(ctx, `UPDATE health_windows SET ended_at = ended_at WHERE id = $1`, w.ID); err != nil {
			return err
		}
		was, err := collect(ctx, tx.tx, scanWindow, windowQuery+`WHERE id = $1`, w.ID)
		switch {
		case err != nil:
			return err
		case len(was) == 0:
			return fault.New(fault.NotFound, op, "there is no maintenance window of this id; GET /v1/health/maintenance lists them")
		case !was[0].EndedAt.IsZero() || !w.EndedAt.Before(was[0].Until):
			return fault.New(fault.Conflict, op, "the maintenance window is over already")
		}
		out = was[0]
		out.EndedAt, out.EndedBy = w.EndedAt, w.EndedBy
		if _, err := tx.Exec(ctx, `UPDATE health_windows SET ended_at = $2, ended_by = $3 WHERE id = $1`, w.ID, micros(w.EndedAt), w.EndedBy); err != nil {
			return err
		}
		e.Before, e.After = was[0], out
		return tx.changed(ctx, TopicHealth, e)
	})
	return out, err
}

// HealthWindows implements health.Store.
func (db *DB) HealthWindows(ctx context.Context, limit int) ([]health.Window, error) {
	out, err := collect(ctx, db.read, scanWindow, windowQuery+`ORDER BY from_at DESC, id LIMIT $1`, int64(limit))
	return out, db.dialect.explain("store.HealthWindows", err)
}

// HealthUptime implements health.Store.
func (db *DB) HealthUptime(ctx context.Context, from string) ([]health.Day, error) {
	out, err := collect(ctx, db.read, func(r *sql.Rows) (d health.Day, err error) {
		err = r.Scan(&d.Component, &d.Day, &d.Up, &d.Degraded, &d.Down, &d.Maintenance)
		return d, err
	}, `SELECT component, day, up, degraded, down, maintenance FROM health_uptime WHERE day >= $1 ORDER BY component, day`, from)
	return out, db.dialect.explain("store.HealthUptime", err)
}

// PruneHealth forgets, under the lease, uptime of days before the moment's and
// windows that were over then, and results of nodes and components that are
// gone (health.ForgetAfter), up to limit of each, and returns how many rows
// went.
func (db *DB) PruneHealth(ctx context.Context, before time.Time, limit int, h lease.Held) (int64, error) {
	var n int64
	err := db.Write(ctx, "store.PruneHealth", func(tx *Tx) error {
		n = 0
		if err := tx.underLease(ctx, h); err != nil {
			return err
		}
		for _, q := range [...]struct {
			text string
			arg  any
		}{
			{`DELETE FROM health_uptime WHERE (day, component) IN (SELECT day, component FROM health_uptime WHERE day < $1 ORDER BY day LIMIT `, health.DayOf(before)},
			{`DELETE FROM health_windows WHERE id IN (SELECT id FROM health_windows WHERE until_at < $1 ORDER BY until_at LIMIT `, micros(before)},
			{`DELETE FROM health_results WHERE at < $1 AND (component, node) IN (SELECT component, node FROM health_results WHERE at < $1 ORDER BY at LIMIT `, micros(db.now().Add(-health.ForgetAfter))},
		} {
			gone, err := tx.Exec(ctx, q.text+strconv.Itoa(limit)+`)`, q.arg)
			if err != nil {
				return err
			}
			n += gone
		}
		return nil
	})
	return n, err
}
