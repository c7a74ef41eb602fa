// Package idempotencytest holds stores for tests of idempotency.Service: one
// in memory, and one made of a callback that fails as a test wants.
package idempotencytest

import (
	"bytes"
	"context"
	"maps"
	"sync"

	"avalo.app/gantry/internal/idempotency"
)

// Memory is idempotency.Store in memory. The zero value is ready.
type Memory struct {
	mu   sync.Mutex
	rows map[idempotency.ID]idempotency.Record
}

var _ idempotency.Store = (*Memory)(nil)

// UpdateIdempotency implements idempotency.Store.
func (m *Memory) UpdateIdempotency(ctx context.Context, id idempotency.ID, decide func(*idempotency.Record) (bool, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.row(id)
	save, err := decide(&r)
	if err == nil && save {
		m.put(id, r)
	}
	return err
}

// Effect is a write transaction that does nothing but carry the claim of
// ctx, as the fence of idempotency.Store says.
func (m *Memory) Effect(ctx context.Context) error {
	c, ok := idempotency.From(ctx)
	if !ok {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	id := idempotency.ID{Kind: idempotency.KindRequest, Scope: c.Scope, Key: c.Key}
	r := m.row(id)
	if r.Token != c.Token || r.State != idempotency.StateInProgress && r.State != idempotency.StateCommitted {
		return idempotency.Lost("idempotencytest.Effect")
	}
	r.State = idempotency.StateCommitted
	m.put(id, r)
	return nil
}

// Record returns what is kept of a key.
func (m *Memory) Record(id idempotency.ID) idempotency.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.row(id)
}

func (m *Memory) row(id idempotency.ID) idempotency.Record {
	r, ok := m.rows[id]
	if !ok {
		return idempotency.Record{State: idempotency.StateFree}
	}
	return clone(r)
}

func (m *Memory) put(id idempotency.ID, r idempotency.Record) {
	if m.rows == nil {
		m.rows = map[idempotency.ID]idempotency.Record{}
	}
	m.rows[id] = clone(r)
}

func clone(r idempotency.Record) idempotency.Record {
	r.Fingerprint = bytes.Clone(r.Fingerprint)
	r.Answer.Header, r.Answer.Body = maps.Clone(r.Answer.Header), bytes.Clone(r.Answer.Body)
	return r
}

// Fake is idempotency.Store made of a callback. Without one, calls pass on
// to Next.
type Fake struct {
	Next     idempotency.Store
	OnUpdate func(ctx context.Context, id idempotency.ID, decide func(*idempotency.Record) (bool, error)) error
}

var _ idempotency.Store = (*Fake)(nil)

// UpdateIdempotency implements idempotency.Store.
func (f *Fake) UpdateIdempotency(ctx context.Context, id idempotency.ID, decide func(*idempotency.Record) (bool, error)) error {
	if f.OnUpdate != nil {
		return f.OnUpdate(ctx, id, decide)
	}
	return f.Next.UpdateIdempotency(ctx, id, decide)
}

// FailNext makes the next n calls fail with err: after the write if
// persisted, and else instead of it, but with decide run, as in a
// transaction whose commit failed. An error of decide comes through.
func (f *Fake) FailNext(n int, persisted bool, err error) {
	f.OnUpdate = func(ctx context.Context, id idempotency.ID, decide func(*idempotency.Record) (bool, error)) error {
		if n--; n == 0 {
			f.OnUpdate = nil
		}
		var refused error
		next := f.Next.UpdateIdempotency(ctx, id, func(r *idempotency.Record) (bool, error) {
			save, err := decide(r)
			refused = err
			return save && persisted, err
		})
		if refused != nil || next != nil {
			return next
		}
		return err
	}
}
