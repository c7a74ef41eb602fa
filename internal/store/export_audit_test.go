package store

import (
	"context"

	"avalo.app/gantry/internal/audit"
)

// Audit lets a test append within a transaction of its own.
func (t *Tx) Audit(ctx context.Context, e audit.Entry) (int64, error) { return t.audit(ctx, e) }
