package store_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"avalo.app/gantry/internal/store"
)

// A kept statement runs once at a time: the same text inside its own rows,
// and more texts than are kept, give what they would without.
func TestKeptStatements(t *testing.T) {
	db, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "gantry.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const numbers = `SELECT value FROM json_each('[1,2,3]') WHERE value > $1`
	sum := 0
	err = db.Write(t.Context(), "test", func(tx *store.Tx) error {
		outer, err := tx.Query(t.Context(), numbers, 0)
		if err != nil {
			return err
		}
		defer outer.Close()
		for i := 0; outer.Next(); i++ {
			var n, one int
			if err := outer.Scan(&n); err != nil {
				return err
			}
			if err := tx.QueryRow(t.Context(), numbers, n-1).Scan(&one); err != nil {
				return err
			}
			for j := range 80 {
				if err := tx.QueryRow(t.Context(), fmt.Sprintf(`SELECT %d`, 80*i+j)).Scan(&j); err != nil {
					return err
				}
			}
			sum += 10*n + one
		}
		return outer.Err()
	})
	if err != nil || sum != 66 {
		t.Errorf("sum %d, want 66; %v", sum, err)
	}
	// A statement that failed is as good as new.
	const insert = `INSERT INTO installation (name, value) VALUES ($1, 'x')`
	for i, name := range []string{"a", "a", "b"} {
		err := db.Write(t.Context(), "test", func(tx *store.Tx) error {
			_, err := tx.Exec(t.Context(), insert, name)
			return err
		})
		if failed := err != nil; failed != (i == 1) {
			t.Errorf("insert %d: %v", i, err)
		}
	}
}
