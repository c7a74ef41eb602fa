package store

import (
	"context"

	"avalo.app/gantry/internal/fault"
)

// PinFact records a fact about this installation at first use, and refuses
// another value ever after: a node with another hash key would count and
// name the same subjects differently.
func (db *DB) PinFact(ctx context.Context, name, value string) error {
	return db.Write(ctx, "store.PinFact", func(tx *Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, value); err != nil {
			return err
		}
		var pinned string
		if err := tx.QueryRow(ctx, `SELECT value FROM installation WHERE name = $1`, name).Scan(&pinned); err != nil {
			return err
		}
		if pinned != value {
			return fault.New(fault.Conflict, "store.PinFact",
				"this node's %s (fingerprint %s) is not the one that the store was started with (%s): give every node the same one, from the data directory or secret store of the first", name, value, pinned)
		}
		return nil
	})
}
