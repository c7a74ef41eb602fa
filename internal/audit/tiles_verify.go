package audit

import (
	"context"
	"errors"
	"io/fs"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Fetch reads one resource of a log by its path ("checkpoint",
// "tile/entries/000"). It fails if the resource is over limit bytes, and
// with fs.ErrNotExist if the log does not have it. See package audithttp.
type Fetch func(ctx context.Context, path string, limit int64) ([]byte, error)

// VerifyTiles verifies a log as an outsider: it fetches the checkpoint and
// every entry bundle, rebuilds the tree from the entries alone and compares
// its root with the signed one. Private parts are not public and are not
// looked at.
//
// Options.Key is required: an outsider trusts the key it pinned, not what it
// is told. An error means that the log could not be read; what is wrong with
// it is in the report. At most one bundle (16 MiB) is held in memory.
func VerifyTiles(ctx context.Context, fetch Fetch, o Options) (*Report, error) {
	rep := &Report{Findings: []Finding{}}
	key, err := ParseVerifierKey(o.Key)
	if err != nil {
		return nil, err
	}
	rep.Origin = key.Name()
	since, err := openSince(o.Since, key, rep)
	if err != nil {
		return nil, err
	}
	r := &remote{fetch: fetch, report: rep}
	if err := r.verify(ctx, key, since); err != nil {
		return nil, err
	}
	return rep, nil
}

// remote is one run of VerifyTiles.
type remote struct {
	fetch  Fetch
	report *Report
	tree   tree
}

func (r *remote) verify(ctx context.Context, key note.Verifier, since *Checkpoint) error {
	signed, err := r.fetch(ctx, "checkpoint", MaxCheckpoint)
	if err != nil {
		return err
	}
	c, err := OpenCheckpoint(signed, key)
	if errors.Is(err, errOtherKey) {
		r.report.add(Rewrite, -1, "%s: the log was replaced, or its key was", bare(err))
		return nil
	}
	if err != nil {
		r.report.add(InCheckpoint, -1, "%s", bare(err))
		return nil
	}
	r.report.Size = c.Size
	if since != nil && since.Size > c.Size {
		r.report.add(Rollback, -1, "the log has %d entries, but an earlier checkpoint signed %d: it was rolled back", c.Size, since.Size)
	}
	r.compareSince(since)
	for r.tree.size < c.Size {
		if ok, err := r.bundle(ctx, c.Size, since); err != nil || !ok {
			return err
		}
	}
	r.report.Root, _ = r.tree.root(true)
	if r.report.Root != c.Root {
		r.report.add(InCheckpoint, c.Size, "the signed root is not that of the served entries")
	}
	return nil
}

// bundle adds the next bundle's entries to the tree. It returns false if the
// bundle is not one, so that there is nothing to go on with.
func (r *remote) bundle(ctx context.Context, size int64, since *Checkpoint) (bool, error) {
	first := r.tree.size
	t := tlog.Tile{H: TileHeight, L: EntriesLevel, N: first / TileWidth, W: int(min(size-first, TileWidth))}
	data, err := r.fetch(ctx, TilePath(t), maxBundle)
	if t.W < TileWidth && errors.Is(err, fs.ErrNotExist) {
		// A log may drop a partial bundle once it has grown past it.
		full := t
		full.W = TileWidth
		data, err = r.fetch(ctx, TilePath(full), maxBundle)
	}
	if errors.Is(err, fs.ErrNotExist) {
		r.report.addRun(Finding{Class: InEntry, From: first, To: first + int64(t.W) - 1, Problem: "the log does not serve them"})
		return false, nil
	}
	if err != nil {
		return false, err
	}
	leaves, err := ParseBundle(data)
	if err != nil || len(leaves) < t.W {
		r.report.addRun(Finding{Class: InEntry, From: first, To: first + int64(t.W) - 1,
			Problem: "their bundle is damaged or short"})
		return false, nil
	}
	for i, leaf := range leaves[:t.W] {
		if _, err := ParseLeaf(leaf); err != nil {
			r.report.add(InEntry, first+int64(i), "%s", bare(err))
		}
		r.tree.push([]tlog.Hash{tlog.RecordHash(leaf)}, func(p node) []tlog.Hash { return p.may })
		r.compareSince(since)
	}
	return true, nil
}

func (r *remote) compareSince(since *Checkpoint) {
	if since != nil && since.Size == r.tree.size && !r.tree.hasRoot(since.Root[:]) {
		r.report.add(Rewrite, -1, "the first %d entries are not those that the earlier checkpoint signed: the log was rewritten", since.Size)
	}
}
