package hostdb_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"avalo.app/gantry/internal/hostdb"
	"avalo.app/gantry/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// host is a database of a host, and a connection that may write into it.
type host struct {
	engine string
	db     *hostdb.DB
	own    *sql.DB
}

// each runs fn with both kinds of databases.
func each(t *testing.T, fn func(t *testing.T, h host)) {
	t.Helper()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			address, driver, source := "", "pgx", ""
			if engine == "sqlite" {
				path := filepath.Join(t.TempDir(), "host.db")
				address, driver, source = "sqlite:"+path, "sqlite", path
			} else {
				source = storetest.Postgres(t)
				address = source
			}
			own, err := sql.Open(driver, source)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = own.Close() })
			for _, q := range []string{"CREATE TABLE users (id integer, email text)", "INSERT INTO users VALUES (1, 'alice@example.com'), (2, 'bob@example.com')"} {
				if _, err := own.ExecContext(t.Context(), q); err != nil {
					t.Fatal(err)
				}
			}
			db, err := hostdb.Open(address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			fn(t, host{engine, db, own})
		})
	}
}

// users counts them as the host does.
func (h host) users(t *testing.T) (n int) {
	t.Helper()
	if err := h.own.QueryRowContext(t.Context(), "SELECT count(*) FROM users").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNumber(t *testing.T) {
	each(t, func(t *testing.T, h host) {
		for query, want := range map[string]int64{
			"SELECT count(*) FROM users":                   2,
			"SELECT id FROM users WHERE email LIKE 'bob%'": 2,
			"SELECT 0":                    0,
			"SELECT -9223372036854775807": -9223372036854775807,
			"SELECT coalesce(max(id), 0) FROM users WHERE 1 = 0": 0,
		} {
			if n, err := h.db.Number(t.Context(), query); err != nil || n != want {
				t.Errorf("%s: %d %v", query, n, err)
			}
		}
		for query, says := range map[string]string{
			"SELECT max(id) FROM users WHERE 1 = 0": "NULL",
			"SELECT id FROM users":                  "more than one row",
			"SELECT id FROM users WHERE 1 = 0":      "no row",
			"SELECT id, email FROM users":           "2 columns",
			"SELECT email FROM users WHERE id = 1":  "not a whole number",
			"SELECT CAST(1.5 AS double precision)":  "not a whole number",
			"SELECT count(*) FROM no_such_table":    "",
			"SELECT no_such_column FROM users":      "",
			"SELEKT":                                "",
			"":                                      "",
		} {
			_, err := h.db.Number(t.Context(), query)
			refused(t, query, err, says)
		}
	})
}

// refused checks an error: it says why, and nothing of what is stored.
func refused(t *testing.T, query string, err error, says string) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("%s: no error", query)
	case !strings.Contains(err.Error(), says):
		t.Errorf("%s: %v, want %q in it", query, err, says)
	case strings.Contains(err.Error(), "alice"), query != "" && strings.Contains(err.Error(), query):
		t.Errorf("%s: the error repeats it, or what it read: %v", query, err)
	}
}

func TestMoment(t *testing.T) {
	each(t, func(t *testing.T, h host) {
		queries := map[string]time.Time{
			"SELECT '2026-11-24T13:00:00+01:00'":          noon,
			"SELECT '2026-11-24 12:00:00'":                noon,
			"SELECT 1795521600":                           noon,
			"SELECT 1795521600000":                        noon,
			"SELECT CAST(1795521600 AS double precision)": noon,
			"SELECT max(email) FROM users WHERE 1 = 0":    {},
		}
		if h.engine == "postgres" {
			queries["SELECT timestamptz '2026-11-24 14:00:00+02'"] = noon
			queries["SELECT timestamp '2026-11-24 12:00:00'"] = noon
		}
		for query, want := range queries {
			if at, err := h.db.Moment(t.Context(), query); err != nil || !at.Equal(want) || at.IsZero() != want.IsZero() {
				t.Errorf("%s: %v %v", query, at, err)
			}
		}
		for query, says := range map[string]string{
			"SELECT email FROM users WHERE id = 1": "a text that is no time",
			"SELECT email FROM users":              "more than one row",
			"SELECT 1 = 1":                         map[string]string{"postgres": "not a time", "sqlite": ""}[h.engine],
		} {
			at, err := h.db.Moment(t.Context(), query)
			if says == "" && err == nil { // SQLite has no booleans: 1 is a second after 1970
				continue
			}
			refused(t, query, err, says)
			if !at.IsZero() {
				t.Errorf("%s: %v beside the error", query, at)
			}
		}
	})
}

// TestReadsOnly: no declared query changes the host's data, nor what comes
// after it on the same connection.
func TestReadsOnly(t *testing.T) {
	each(t, func(t *testing.T, h host) {
		attempts := []string{
			"INSERT INTO users VALUES (3, 'eve') RETURNING id",
			"DELETE FROM users WHERE id = 1 RETURNING id",
			"UPDATE users SET email = '' WHERE id = 1 RETURNING id",
			"DROP TABLE users",
			"SELECT 1; DELETE FROM users",
		}
		if h.engine == "postgres" {
			attempts = append(attempts, "WITH gone AS (DELETE FROM users RETURNING id) SELECT count(*) FROM gone", "SELECT set_config('transaction_read_only', 'off', true)",
				"SET TRANSACTION READ WRITE", "SELECT length(set_config('default_transaction_read_only', 'off', false))", "COMMIT")
		} else {
			attempts = append(attempts, "PRAGMA query_only = 0", "PRAGMA user_version = 7", "VACUUM", "COMMIT; DELETE FROM users")
		}
		attempts = append(attempts, attempts[:5]...) // once more, after whatever opened the door
		for _, query := range attempts {
			_, _ = h.db.Number(t.Context(), query) // a number that was read all the same is no harm
			if n := h.users(t); n != 2 {
				t.Fatalf("after %s there are %d users", query, n)
			}
		}
		var version int
		if h.engine == "sqlite" {
			if err := h.own.QueryRowContext(t.Context(), "PRAGMA user_version").Scan(&version); err != nil || version != 0 {
				t.Errorf("user_version is %d (%v)", version, err)
			}
		}
		if n, err := h.db.Number(t.Context(), "SELECT count(*) FROM users"); err != nil || n != 2 {
			t.Errorf("afterwards: %d %v", n, err)
		}
	})
}

// TestSlowQueryEnds: a query ends with its context, and takes no connection
// with it.
func TestSlowQueryEnds(t *testing.T) {
	each(t, func(t *testing.T, h host) {
		slow := "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"
		if h.engine == "postgres" {
			slow = "SELECT count(*) FROM (SELECT pg_sleep(3600)) s"
		}
		for range 6 { // more than there are connections
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			_, err := h.db.Number(ctx, slow)
			cancel()
			refused(t, "slow", err, "takes too long")
		}
		if n, err := h.db.Number(t.Context(), "SELECT count(*) FROM users"); err != nil || n != 2 {
			t.Errorf("afterwards: %d %v", n, err)
		}
		if h.engine == "postgres" {
			h.nobodySleeps(t)
		}
	})
}

// nobodySleeps waits until no query is left in the server.
func (h host) nobodySleeps(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	end := time.After(30 * time.Second)
	for {
		var n int
		if err := h.own.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3600)%' AND state = 'active' AND pid <> pg_backend_pid()").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%d queries go on", n)
		}
	}
}

// TestErrorsKeepSecrets: no error has a part of the address or of what is
// stored.
func TestErrorsKeepSecrets(t *testing.T) {
	const password = "hunter2-pa55"
	for _, address := range []string{
		"postgres://app:" + password + "@127.0.0.1:port/db", "mysql://app:" + password + "@127.0.0.1/db", "sqlite:relative-" + password + ".db",
		"postgres://app:" + password + "%zz@127.0.0.1/db", password, "",
	} {
		db, err := hostdb.Open(address)
		if err == nil {
			_ = db.Close()
			t.Errorf("%q is taken", address)
			continue
		}
		if strings.Contains(err.Error(), password) {
			t.Errorf("%v", err)
		}
	}
	real := strings.Replace(storetest.Postgres(t), "postgres://", "postgres://no_such_user:"+password+"@", 1)
	if i := strings.LastIndex(real, "@"); strings.Count(real, "@") > 1 { // the server's own user comes after ours
		real = "postgres://no_such_user:" + password + real[i:]
	}
	for what, address := range map[string]string{
		"nobody listens": "postgres://app:" + password + "@127.0.0.1:1/db?connect_timeout=2", "no such user": real,
		"no such file": "sqlite:/no/such/" + password + ".db", "an address inside under a public name": "postgres://app:" + password + "@host." + password + ".invalid/db",
	} {
		db, err := hostdb.Open(address)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		_, err = db.Number(t.Context(), "SELECT 1")
		_ = db.Close()
		if err == nil || strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "no_such_user") {
			t.Errorf("%s: %v", what, err)
		}
	}
	each(t, func(t *testing.T, h host) {
		if h.engine != "postgres" {
			return // SQLite converts without a word
		}
		_, err := h.db.Number(t.Context(), "SELECT CAST(email AS integer) FROM users WHERE id = 1")
		refused(t, "a cast", err, "SQLSTATE 22P02")
	})
}
