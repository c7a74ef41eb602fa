package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Event is an entry as the log recorded it, with its private part.
type Event struct {
	Index  int64           `json:"index"`
	Kind   Kind            `json:"kind"`
	At     time.Time       `json:"at"`
	Actor  string          `json:"actor"`
	Object string          `json:"object"`
	Reason string          `json:"reason,omitempty"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Filter selects events. Zero members select everything.
type Filter struct {
	Kind   Kind
	Object string    // exactly this object
	Since  time.Time // at or after
	Before int64     // only indexes below it, if > 0: the cursor of the next page
	Limit  int       // at most so many, newest first; 0 means 100, never over 1000
}

// Proven is one event with all that a doubter needs: the leaf, what opens
// its commitment, the path to the root, and the root signed by the log.
type Proven struct {
	Event      Event            `json:"event"`
	Leaf       []byte           `json:"leaf"`
	Salt       []byte           `json:"salt"`
	Private    []byte           `json:"private"`
	Size       int64            `json:"size"` // of the tree that Proof and Checkpoint are about
	Proof      tlog.RecordProof `json:"proof"`
	Checkpoint string           `json:"checkpoint"` // signed
}

// Verify checks the signature, that the leaf is in the signed tree at the
// event's index, and that the private part is the one committed to.
func (p Proven) Verify(v note.Verifier) error {
	c, err := OpenCheckpoint([]byte(p.Checkpoint), v)
	if err != nil {
		return err
	}
	if c.Size != p.Size {
		return fmt.Errorf("audit: the proof is for a log of %d entries, the checkpoint for %d", p.Size, c.Size)
	}
	if err := CheckInclusion(c, p.Event.Index, p.Leaf, p.Proof); err != nil {
		return err
	}
	leaf, err := ParseLeaf(p.Leaf)
	if err != nil {
		return err
	}
	if len(p.Salt) != SaltSize || !leaf.Opens(Salt(p.Salt), p.Private) {
		return errors.New("audit: the private part is not the one that the leaf commits to")
	}
	return nil
}

// ProveInclusion proves that the tree of the given size has the leaf at
// index.
func ProveInclusion(size, index int64, r tlog.HashReader) (tlog.RecordProof, error) {
	if index < 0 || index >= size {
		return nil, fmt.Errorf("audit: entry %d is not among %d", index, size)
	}
	return tlog.ProveRecord(size, index, r)
}

// CheckInclusion verifies a proof by ProveInclusion against a checkpoint.
func CheckInclusion(c Checkpoint, index int64, leaf []byte, p tlog.RecordProof) error {
	if index < 0 || index >= c.Size {
		return fmt.Errorf("audit: entry %d is not among the checkpoint's %d", index, c.Size)
	}
	if err := tlog.CheckRecord(p, c.Size, c.Root, index, tlog.RecordHash(leaf)); err != nil {
		return fmt.Errorf("audit: entry %d is not in the tree that the checkpoint signs: %w", index, err)
	}
	return nil
}

// ProveConsistency proves that the tree of size to begins with the whole
// tree of size from. From must be at least 1 and at most to.
func ProveConsistency(from, to int64, r tlog.HashReader) (tlog.TreeProof, error) {
	if from < 1 || from > to {
		return nil, fmt.Errorf("audit: no consistency proof from size %d to %d", from, to)
	}
	return tlog.ProveTree(to, from, r)
}

// CheckConsistency verifies a proof by ProveConsistency between two
// checkpoints.
func CheckConsistency(from, to Checkpoint, p tlog.TreeProof) error {
	if from.Size < 1 || from.Size > to.Size {
		return fmt.Errorf("audit: the log shrank from %d to %d entries", from.Size, to.Size)
	}
	if err := tlog.CheckTree(p, to.Size, to.Root, from.Size, from.Root); err != nil {
		return fmt.Errorf("audit: the tree of size %d does not begin with the tree of size %d: %w", to.Size, from.Size, err)
	}
	return nil
}
