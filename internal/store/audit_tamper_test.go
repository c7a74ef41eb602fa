package store_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/store/storetest"
)

// auditTables is every table and column of the log; the first column is the
// key.
var auditTables = map[string][]string{
	"audit_leaves":      {"idx", "kind", "at", "leaf"},
	"audit_private":     {"idx", "object", "salt", "body"},
	"audit_hashes":      {"idx", "hash"},
	"audit_checkpoints": {"size", "signed"},
	"audit_head":        {"name", "size", "root"},
	"installation":      {"name", "value"},
}

// rows is a table's content, so that a test can put it back.
type tableRows map[string][][]any

func saveTables(t *testing.T, raw *sql.DB) tableRows {
	t.Helper()
	saved := tableRows{}
	for table, cols := range auditTables {
		rs, err := raw.QueryContext(t.Context(), `SELECT `+strings.Join(cols, ",")+` FROM `+table+` ORDER BY 1`)
		if err != nil {
			t.Fatal(err)
		}
		for rs.Next() {
			row, ptrs := make([]any, len(cols)), make([]any, len(cols))
			for i := range row {
				ptrs[i] = &row[i]
			}
			if err := rs.Scan(ptrs...); err != nil {
				t.Fatal(err)
			}
			saved[table] = append(saved[table], row)
		}
		if err := rs.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return saved
}

func restoreTables(t *testing.T, raw *sql.DB, saved tableRows) {
	t.Helper()
	tx, err := raw.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // a no-op after Commit
	for table, cols := range auditTables {
		if _, err := tx.ExecContext(t.Context(), `DELETE FROM `+table); err != nil {
			t.Fatal(err)
		}
		for _, row := range saved[table] {
			if _, err := tx.ExecContext(t.Context(), insertText(table, cols), row...); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

func insertText(table string, cols []string) string {
	ph := make([]string, len(cols))
	for i := range ph {
		ph[i] = fmt.Sprintf("$%d", i+1)
	}
	return `INSERT INTO ` + table + ` (` + strings.Join(cols, ",") + `) VALUES (` + strings.Join(ph, ",") + `)`
}

// changed returns v with one byte, letter or unit changed.
func changed(v any) any {
	switch v := v.(type) {
	case int64:
		return v + 1
	case string:
		b := []byte(v)
		b[len(b)/2] ^= 1
		return string(b)
	case []byte:
		b := slices.Clone(v)
		b[len(b)/2] ^= 1
		return b
	}
	panic(fmt.Sprintf("column of type %T", v))
}

// tampering is one way to change the tables, and what the report must say.
type tampering struct {
	name string
	do   func(rows tableRows)
	want []string // each a part of some finding
}

// systematic changes every column, drops a row, swaps two and truncates, in
// every table of the log.
func systematic() []tampering {
	const row = 9
	numbered := map[string]string{"audit_leaves": "entry", "audit_private": "private", "audit_hashes": "hash", "audit_checkpoints": "checkpoint"}
	var all []tampering
	for table, class := range numbered {
		name := func(i int) string {
			if table == "audit_checkpoints" {
				i++ // the first is of size 1
			}
			return fmt.Sprintf("%s %d", class, i)
		}
		nine := name(row)
		if table == "audit_hashes" {
			nine = "" // a leaf hash is reported with its entry
		}
		for c, col := range auditTables[table] {
			want := nine
			if c == 0 {
				want = name(row)
			}
			all = append(all, tampering{table + "." + col + " changed", func(r tableRows) {
				if c == 0 { // moving it to the next index would collide
					r[table][row][0] = int64(5000)
					return
				}
				r[table][row][c] = changed(r[table][row][c])
			}, []string{want}})
		}
		all = append(all,
			tampering{table + " row dropped", func(r tableRows) { r[table] = slices.Delete(r[table], row, row+1) }, []string{name(row) + ": missing|" + name(row) + ": the private part is missing"}},
			tampering{table + " tail cut", func(r tableRows) { r[table] = r[table][:17] }, []string{name(17) + " to "}},
			tampering{table + " emptied", func(r tableRows) { r[table] = nil }, []string{name(0) + " to "}},
		)
		if table == "audit_checkpoints" {
			all = append(all, tampering{"two checkpoints swapped", func(r tableRows) {
				a, b := r[table][4], r[table][5]
				a[1], b[1] = b[1], a[1]
			}, []string{"checkpoint 5: the signed text is of size 6", "checkpoint 6: the signed text is of size 5"}})
		} else if table != "audit_hashes" {
			all = append(all, tampering{table + " rows swapped", func(r tableRows) {
				a, b := r[table][4], r[table][5]
				for c := 1; c < len(a); c++ {
					a[c], b[c] = b[c], a[c]
				}
			}, []string{name(4)}})
		}
	}
	return all
}

func special(t *testing.T) []tampering {
	otherSecret, _ := newKey(t)
	return []tampering{
		{"head size", func(r tableRows) { r["audit_head"][0][1] = int64(19) }, []string{"head: the head says 19 entries, the tables hold 20"}},
		{"head root", func(r tableRows) { r["audit_head"][0][2] = changed(r["audit_head"][0][2]) }, []string{"head: the head's root is not that of the stored entries"}},
		{"head renamed", func(r tableRows) { r["audit_head"][0][0] = "gol" }, []string{"head: there is no head row"}},
		{"head dropped", func(r tableRows) { r["audit_head"] = nil }, []string{"head: there is no head row"}},
		{"key changed", func(r tableRows) { r["installation"][0][1] = changed(r["installation"][0][1]) }, []string{"key: "}},
		{"key dropped", func(r tableRows) { r["installation"] = nil }, []string{"key: "}},
		{"only leaves swapped", func(r tableRows) {
			l := r["audit_leaves"]
			l[4][3], l[5][3] = l[5][3], l[4][3]
		}, []string{"entry 4: swapped with entry 5", "entry 5: swapped with entry 4"}},
		{"an entry dropped and later leaves renumbered", func(r tableRows) {
			r["audit_leaves"] = slices.Delete(r["audit_leaves"], 9, 10)
			for i := 9; i < 19; i++ {
				r["audit_leaves"][i][0] = int64(i)
			}
		}, []string{"entry 9 to 18: leaf is that of the next entry", "entry 19: missing"}},
		{"leaf hashes swapped", func(r tableRows) {
			i, j := tlog.StoredHashIndex(0, 4), tlog.StoredHashIndex(0, 5)
			h := r["audit_hashes"]
			h[i][1], h[j][1] = h[j][1], h[i][1]
		}, []string{"entry 4: swapped with entry 5"}},
		{"inner hash changed", func(r tableRows) {
			i := tlog.StoredHashIndex(2, 1)
			r["audit_hashes"][i][1] = changed(r["audit_hashes"][i][1])
		}, []string{"hash 13: the stored hash over entries 4 to 7 is not that of its two halves"}},
		{"leaf changed with its hash", func(r tableRows) { forge(t, r, 7, false) }, []string{"the stored hash over entries 6 to 7 is not"}},
		{"everything recomputed without the key", func(r tableRows) { forge(t, r, 7, true) },
			[]string{"entry 7: changed together with its hashes after it was signed", "checkpoint 8 to 20: the signed root"}},
		{"checkpoint by another key", func(r tableRows) {
			key, err := audit.ParseKey(otherSecret)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := audit.Checkpoint{Origin: key.Name(), Size: 20, Root: tlog.Hash(r["audit_head"][0][2].([]byte))}.Sign(key)
			if err != nil {
				t.Fatal(err)
			}
			r["audit_checkpoints"][19][1] = signed
		}, []string{"checkpoint 20: checkpoint is not signed by gantry.test/audit"}},
		{"extra entry", func(r tableRows) {
			last := slices.Clone(r["audit_leaves"][19])
			last[0] = int64(20)
			r["audit_leaves"] = append(r["audit_leaves"], last)
		}, []string{"head: the head says 20 entries, the tables hold 21"}},
		{"entry far away", func(r tableRows) { r["audit_leaves"][19][0] = int64(1 << 40) }, []string{"entry 19: missing", "entry 1099511627776: not part of the log"}},
		{"the head claims millions of entries", func(r tableRows) {
			r["audit_head"][0][1] = int64(1 << 50)
		}, []string{"head: the head says 1125899906842624 entries, the tables hold 20"}},
		{"negative index", func(r tableRows) { r["audit_leaves"][3][0] = int64(-3) }, []string{"entry 3: missing", "entry: a row has the index -3"}},
	}
}

// forge replaces entry i by another, with private part and leaf hash; with
// all, it recomputes every hash and the head too: all that an attacker who
// lacks the key can do.
func forge(t *testing.T, r tableRows, i int, all bool) {
	t.Helper()
	rec, priv, err := audit.NewRecord(int64(i), audit.Entry{Kind: audit.KeyCreated, Object: "key:evil"}, testTime, audit.Salt{1})
	if err != nil {
		t.Fatal(err)
	}
	r["audit_leaves"][i] = []any{rec.Index, rec.Kind, rec.At, rec.Leaf}
	r["audit_private"][i] = []any{priv.Index, priv.Object, priv.Salt, priv.Body}
	if !all {
		h := tlog.RecordHash(rec.Leaf)
		r["audit_hashes"][tlog.StoredHashIndex(0, int64(i))][1] = h[:]
		return
	}
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, x := range indexes {
			out = append(out, stored[x])
		}
		return out, nil
	})
	for n, leaf := range r["audit_leaves"] {
		added, root, err := audit.Append(int64(n), leaf[3].([]byte), reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, added...)
		r["audit_head"][0][2] = root[:]
	}
	for n := range stored {
		r["audit_hashes"][n][1] = stored[n][:]
	}
}

func TestAuditTampering(t *testing.T) {
	secret, _ := newKey(t)
	cases := append(systematic(), special(t)...)
	storetest.EachURL(t, func(t *testing.T, url string) {
		db, raw := openLog(t, url, secret), rawDB(t, url)
		fill(t, db, 20)
		sound := saveTables(t, raw)
		for _, c := range cases {
			bad := tableRows{}
			for table, rows := range sound {
				for _, row := range rows {
					bad[table] = append(bad[table], slices.Clone(row))
				}
			}
			c.do(bad)
			restoreTables(t, raw, bad)
			rep := verify(t, db, audit.Options{})
			for _, want := range c.want {
				if !reports(rep, want) {
					t.Errorf("%s: no finding says %q; findings:\n%s", c.name, want, lines(rep))
				}
			}
			if len(rep.Findings) > 4 {
				t.Errorf("%s: %d findings for one change:\n%s", c.name, len(rep.Findings), lines(rep))
			}
			if testing.Verbose() {
				t.Logf("%s:\n%s", c.name, lines(rep))
			}
		}
		restoreTables(t, raw, sound)
		wantSound(t, db, 20)
	})
}

// reports tells whether a finding begins with, or holds, one of the
// alternatives in want.
func reports(rep *audit.Report, want string) bool {
	return slices.ContainsFunc(rep.Findings, func(f audit.Finding) bool {
		return slices.ContainsFunc(strings.Split(want, "|"), func(w string) bool { return strings.Contains(f.String(), w) })
	})
}

func lines(rep *audit.Report) string {
	var b strings.Builder
	for _, f := range rep.Findings {
		fmt.Fprintln(&b, "  ", f)
	}
	return b.String()
}

// TestAuditSince proves that an earlier checkpoint finds what a consistent
// store cannot show by itself.
func TestAuditSince(t *testing.T) {
	secret, vkey := newKey(t)
	newSecret, _ := newKey(t)
	storetest.EachURL(t, func(t *testing.T, url string) {
		db, raw := openLog(t, url, secret), rawDB(t, url)
		fill(t, db, 12)
		at12, early := saveTables(t, raw), checkpointOf(t, db)
		fill(t, db, 20)
		late := checkpointOf(t, db)
		for _, since := range [][]byte{early, late} {
			if rep := verify(t, db, audit.Options{Key: vkey, Since: since}); !rep.OK() {
				t.Errorf("a sound log: %v", rep.Findings)
			}
		}

		restoreTables(t, raw, at12)
		wantSound(t, db, 12) // by itself, a rolled-back log is sound
		rep := verify(t, db, audit.Options{Key: vkey, Since: late})
		if !reports(rep, "rollback: the log has 12 entries, but an earlier checkpoint signed 20") {
			t.Errorf("rollback: %s", lines(rep))
		}

		restoreTables(t, raw, tableRows{})
		again := openLog(t, url, secret) // whoever has the key can start over
		fill(t, again, 25)
		wantSound(t, again, 25)
		rep = verify(t, again, audit.Options{Key: vkey, Since: late})
		if !reports(rep, "rewrite: the first 20 entries are not those that the earlier checkpoint signed") {
			t.Errorf("rewrite: %s", lines(rep))
		}

		restoreTables(t, raw, tableRows{})
		fill(t, openLog(t, url, newSecret), 25) // and who has not, with another key
		if rep = verify(t, db, audit.Options{Since: late}); !reports(rep, "rewrite: the earlier checkpoint is another log's") {
			t.Errorf("rewrite under another key: %s", lines(rep))
		}
		if rep = verify(t, db, audit.Options{Key: vkey}); !reports(rep, "key: the verifier key that the store recorded is not the given one") {
			t.Errorf("another key: %s", lines(rep))
		}
		if _, err := db.VerifyAudit(t.Context(), audit.Options{Since: []byte("nonsense")}); err == nil {
			t.Error("a checkpoint that is none is accepted")
		}
	})
}
