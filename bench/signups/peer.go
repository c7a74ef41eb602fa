package main

import (
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // database/sql driver "pgx"
	_ "modernc.org/sqlite"             // database/sql driver "sqlite"

	"avalo.app/gantry/bench/internal/servers"
)

// peer is what one writes in an afternoon and that is exact: net/http,
// encoding/json, and a transaction per request. Drivers, pragmas and the
// number of connections are Gantry's. It has no authentication, expiry,
// invites, countries, limits or audit log.
type peer struct{ write, read *sql.DB }

const peerSchema = `
	CREATE TABLE days (day text PRIMARY KEY, used bigint NOT NULL, cap bigint NOT NULL);
	CREATE TABLE signups (id text PRIMARY KEY, user_id text NOT NULL UNIQUE, day text NOT NULL, country text NOT NULL,
		state text NOT NULL, created_at bigint NOT NULL);
	INSERT INTO days VALUES ('today', 0, 0);`

func servePeer(url string) error {
	p := &peer{}
	var err error
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		const pragmas = "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(ON)"
		if p.write, err = sql.Open("sqlite", "file:"+path+pragmas+"&_txlock=immediate"); err != nil {
			return err
		}
		p.write.SetMaxOpenConns(1)
		if p.read, err = sql.Open("sqlite", "file:"+path+pragmas+"&_pragma=query_only(ON)"); err != nil {
			return err
		}
		p.read.SetMaxOpenConns(4)
	} else {
		if p.write, err = sql.Open("pgx", url); err != nil {
			return err
		}
		p.write.SetMaxOpenConns(8)
		p.write.SetMaxIdleConns(8)
		p.read = p.write
	}
	for statement := range strings.SplitSeq(peerSchema, ";") {
		if _, err := p.write.Exec(statement); err != nil {
			return err
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /cap", handle(func(_ *http.Request, n json.Number) (any, error) {
		_, err := p.write.Exec(`UPDATE days SET cap = $1`, n.String())
		return struct{}{}, err
	}))
	mux.HandleFunc("POST /signups", handle(p.reserve))
	mux.HandleFunc("POST /signups/{id}/confirm", handle(p.confirm))
	mux.HandleFunc("POST /signups/eligibility", handle(p.eligible))
	return servers.ServePeer(mux)
}

type peerSignup struct {
	ID      string `json:"id"`
	UserID  string `json:"userId"`
	Country string `json:"country"`
	State   string `json:"state"`
}

var errFull = errors.New("the day is full")

// reserve takes a slot and writes the row, or neither. The update locks the
// counter's row until the commit: the cap holds exactly.
func (p *peer) reserve(r *http.Request, in peerSignup) (any, error) {
	in.ID, in.State = rand.Text(), "open"
	tx, err := p.write.BeginTx(r.Context(), nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it is a no-op
	res, err := tx.ExecContext(r.Context(), `UPDATE days SET used = used + 1 WHERE day = 'today' AND used < cap`)
	if err != nil {
		return nil, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return nil, errors.Join(errFull, err)
	}
	if _, err := tx.ExecContext(r.Context(), `INSERT INTO signups (id, user_id, day, country, state, created_at) VALUES ($1, $2, 'today', $3, 'open', $4)`,
		in.ID, in.UserID, in.Country, time.Now().UnixMicro()); err != nil {
		return nil, err
	}
	return in, tx.Commit()
}

// confirm is one statement, and so one transaction.
func (p *peer) confirm(r *http.Request, _ struct{}) (any, error) {
	res, err := p.write.ExecContext(r.Context(), `UPDATE signups SET state = 'confirmed' WHERE id = $1 AND state = 'open'`, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return nil, errors.Join(errors.New("there is no such signup"), err)
	}
	return peerSignup{ID: r.PathValue("id"), State: "confirmed"}, nil
}

// eligible asks the store, whoever asks.
func (p *peer) eligible(r *http.Request, in peerSignup) (any, error) {
	var there, room bool
	err := p.read.QueryRowContext(r.Context(), `SELECT EXISTS (SELECT 1 FROM signups WHERE user_id = $1), used < cap FROM days WHERE day = 'today'`, in.UserID).
		Scan(&there, &room)
	return map[string]bool{"allowed": there || room}, err
}

// handle decodes the body, if there is one, and encodes the answer.
func handle[In any](do func(*http.Request, In) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		var answer any
		err := json.NewDecoder(r.Body).Decode(&in)
		if err == nil || errors.Is(err, io.EOF) {
			answer, err = do(r, in)
		}
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			status := http.StatusInternalServerError
			if errors.Is(err, errFull) {
				status = http.StatusForbidden
			}
			w.WriteHeader(status)
			answer = map[string]string{"error": err.Error()}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}
}
