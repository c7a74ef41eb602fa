package audit

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Reader offers what a store holds of the log, as of one moment: all methods
// of one Reader see the same snapshot. Pages come in ascending order of
// index, start at the first index ≥ from, and are empty only at the end; a
// page may be shorter than limit. The rows are returned as they are stored,
// whatever they hold: judging them is Verify's work.
type Reader interface {
	// Key returns the verifier key recorded when the log started, "" if none.
	Key(ctx context.Context) (string, error)
	// Head returns the head; ok is false if the log has not started.
	Head(ctx context.Context) (h Head, ok bool, err error)
	Records(ctx context.Context, from int64, limit int) ([]Record, error)
	Privates(ctx context.Context, from int64, limit int) ([]PrivateRecord, error)
	Hashes(ctx context.Context, from int64, limit int) ([]HashRecord, error)
	Checkpoints(ctx context.Context, from int64, limit int) ([]CheckpointRecord, error)
}

// Head is the size and root that the store believes the log has.
type Head struct {
	Size int64
	Root []byte
}

// Record is the public row of an entry. Kind and At repeat what Leaf says,
// for queries.
type Record struct {
	Index int64
	Kind  string
	At    int64 // Unix microseconds
	Leaf  []byte
}

// PrivateRecord is the private row of an entry. Object repeats what Body
// says, for queries.
type PrivateRecord struct {
	Index  int64
	Object string
	Salt   []byte
	Body   []byte
}

// HashRecord is a stored hash; Index is a tlog stored-hash index.
type HashRecord struct {
	Index int64
	Hash  []byte
}

// CheckpointRecord is the checkpoint that was signed when the log reached
// Size.
type CheckpointRecord struct {
	Size   int64
	Signed []byte
}

// NewRecord returns the rows of a sealed entry.
func NewRecord(index int64, e Entry, at time.Time, salt Salt) (Record, PrivateRecord, error) {
	leaf, private, err := Seal(e, at, salt)
	if err != nil {
		return Record{}, PrivateRecord{}, err
	}
	return Record{Index: index, Kind: string(e.Kind), At: at.UnixMicro(), Leaf: leaf},
		PrivateRecord{Index: index, Object: e.Object, Salt: salt[:], Body: private}, nil
}

// Event reads an entry from its two rows.
func (r Record) Event(p PrivateRecord) (Event, error) {
	leaf, err := ParseLeaf(r.Leaf)
	if err != nil {
		return Event{}, err
	}
	priv, err := ParsePrivate(p.Body)
	if err != nil {
		return Event{}, err
	}
	return Event{Index: r.Index, Kind: leaf.Kind, At: leaf.At, Actor: priv.Actor, Object: priv.Object,
		Reason: priv.Reason, Before: priv.Before, After: priv.After}, nil
}

// Append returns the hashes to store, from StoredHashIndex(0, size) on, when
// leaf becomes entry number size, and the root of the tree that results.
// It reads at most 2·log₂(size) earlier hashes.
func Append(size int64, leaf []byte, r tlog.HashReader) ([]tlog.Hash, tlog.Hash, error) {
	added, err := tlog.StoredHashes(size, leaf, r)
	if err != nil {
		return nil, tlog.Hash{}, fmt.Errorf("audit: hashes of entry %d: %w", size, err)
	}
	first := tlog.StoredHashIndex(0, size)
	root, err := tlog.TreeHash(size+1, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var old []int64
		for _, i := range indexes {
			if i < first {
				old = append(old, i)
			}
		}
		hashes, err := r.ReadHashes(old)
		if err != nil {
			return nil, err
		}
		// TreeHash asks from left to right: what is new comes last.
		for _, i := range indexes[len(old):] {
			hashes = append(hashes, added[i-first])
		}
		return hashes, nil
	}))
	if err != nil {
		return nil, tlog.Hash{}, fmt.Errorf("audit: root of %d entries: %w", size+1, err)
	}
	return added, root, nil
}
