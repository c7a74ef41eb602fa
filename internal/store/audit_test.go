package store_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/store"
	"avalo.app/gantry/internal/store/storetest"
)

// newKey returns the secret and public half of a new audit key.
func newKey(t *testing.T) (secret, vkey string) {
	t.Helper()
	secret, vkey, err := audit.GenerateKey("gantry.test/audit")
	if err != nil {
		t.Fatal(err)
	}
	return secret, vkey
}

// openLog opens the store at url and gives it the key.
func openLog(t *testing.T, url, secret string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.UseAuditKey(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	return db
}

// rawDB opens the same database behind the store's back.
func rawDB(t *testing.T, url string) *sql.DB {
	t.Helper()
	driver, dsn := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, dsn = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	raw, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	return raw
}

var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func checkpointOf(t *testing.T, db *store.DB) []byte {
	t.Helper()
	signed, err := db.AuditCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func entryN(n int) audit.Entry {
	return audit.Entry{Kind: audit.PolicySet, Actor: "key:ab12cd", Object: fmt.Sprintf("policy:P%d", n),
		Reason: "rüstig & <ready>", Before: map[string]int{"limit": n}, After: map[string]int{"limit": n + 1}}
}

// fill appends entries until the log has size of them.
func fill(t *testing.T, db *store.DB, size int) {
	t.Helper()
	for {
		i, err := db.RecordAudit(t.Context(), entryN(size))
		if err != nil {
			t.Fatal(err)
		}
		if int(i) >= size-1 {
			return
		}
	}
}

func verify(t *testing.T, db *store.DB, o audit.Options) *audit.Report {
	t.Helper()
	rep, err := db.VerifyAudit(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func wantSound(t *testing.T, db *store.DB, size int64) {
	t.Helper()
	rep := verify(t, db, audit.Options{})
	if !rep.OK() || rep.Size != size {
		t.Fatalf("size %d, want %d; findings %v", rep.Size, size, rep.Findings)
	}
}

func TestAuditAppendAndRead(t *testing.T) {
	secret, vkey := newKey(t)
	v, err := audit.ParseVerifierKey(vkey)
	if err != nil {
		t.Fatal(err)
	}
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := openLog(t, url, secret)
		fill(t, db, 300)
		wantSound(t, db, 300)
		for _, i := range []int64{0, 1, 2, 127, 255, 256, 299} {
			p, err := db.AuditEntry(t.Context(), i)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Verify(v); err != nil {
				t.Errorf("entry %d: %v", i, err)
			}
			p.Private = append([]byte(" "), p.Private...)
			if err := p.Verify(v); err == nil {
				t.Errorf("entry %d: another private part is accepted", i)
			}
		}
		if _, err := db.AuditEntry(t.Context(), 300); fault.CodeOf(err) != fault.NotFound {
			t.Errorf("entry 300: %v, want NOT_FOUND", err)
		}
		key, err := db.AuditKey(t.Context())
		if err != nil || key != vkey {
			t.Errorf("AuditKey = %q, %v; want %q", key, err, vkey)
		}
		checkConsistency(t, db)
	})
}

func checkConsistency(t *testing.T, db *store.DB) {
	t.Helper()
	at := map[int64]audit.Checkpoint{}
	err := db.ReadAudit(t.Context(), func(r audit.Reader) error {
		cps, err := r.Checkpoints(t.Context(), 0, 1000)
		for _, c := range cps {
			text, _, _ := strings.Cut(string(c.Signed), "\n\n")
			if at[c.Size], err = audit.ParseCheckpoint(text + "\n"); err != nil {
				return err
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range [][2]int64{{1, 300}, {255, 256}, {256, 300}, {17, 18}, {300, 300}} {
		proof, err := db.AuditConsistency(t.Context(), s[0], s[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := audit.CheckConsistency(at[s[0]], at[s[1]], proof); err != nil {
			t.Errorf("%v: %v", s, err)
		}
		if err := audit.CheckConsistency(at[2], at[s[1]], proof); s[1] != 2 && s[0] != 2 && err == nil {
			t.Errorf("%v: the proof also fits another size", s)
		}
	}
	if _, err := db.AuditConsistency(t.Context(), 1, 301); fault.CodeOf(err) != fault.InvalidArgument {
		t.Errorf("consistency beyond the log: %v, want INVALID_ARGUMENT", err)
	}
}

func TestAuditList(t *testing.T) {
	secret, _ := newKey(t)
	storetest.EachURL(t, func(t *testing.T, url string) {
		at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
		db, err := store.Open(t.Context(), store.Options{URL: url, Now: func() time.Time { return at }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		if err := db.UseAuditKey(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		for n := range 5 {
			at = at.Add(time.Minute)
			if _, err := db.RecordAudit(t.Context(), entryN(n)); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			name string
			f    audit.Filter
			want []int64
		}{
			{"all", audit.Filter{}, []int64{5, 4, 3, 2, 1, 0}},
			{"kind", audit.Filter{Kind: audit.LogStarted}, []int64{0}},
			{"object", audit.Filter{Object: "policy:P2"}, []int64{3}},
			{"since", audit.Filter{Since: at.Add(-time.Minute).Truncate(time.Microsecond)}, []int64{5, 4}},
			{"page", audit.Filter{Limit: 2, Before: 4}, []int64{3, 2}},
			{"nothing", audit.Filter{Kind: audit.KeyCreated}, nil},
		} {
			events, err := db.ListAudit(t.Context(), c.f)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, e := range events {
				got = append(got, e.Index)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("%s: %s", c.name, d)
			}
		}
		events, err := db.ListAudit(t.Context(), audit.Filter{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		want := audit.Event{Index: 5, Kind: audit.PolicySet, At: at.Truncate(time.Microsecond), Actor: "key:ab12cd",
			Object: "policy:P4", Reason: "rüstig & <ready>", Before: []byte(`{"limit":4}`), After: []byte(`{"limit":5}`)}
		if d := cmp.Diff([]audit.Event{want}, events); d != "" {
			t.Error(d)
		}
	})
}

func rawExec(t *testing.T, raw *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := raw.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}
