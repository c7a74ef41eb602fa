package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Options says what to verify against.
type Options struct {
	// Key is the verifier key to trust. "" means the one that the store
	// recorded, which whoever can rewrite the whole store can replace too:
	// an outsider pins it.
	Key string
	// Since is a checkpoint that this log signed earlier and that was kept
	// elsewhere. With it, a rollback or a complete rewrite is found.
	Since []byte
}

// Verify reads the whole log and checks every row of it: each leaf against
// its hash, each stored hash against its children, each checkpoint's
// signature and root, the head, each commitment against its private part,
// and that nothing is missing, extra or out of order. Memory is bounded.
//
// An error means that the log could not be read or the options make no
// sense; what is wrong with the log is in the report.
func Verify(ctx context.Context, r Reader, o Options) (*Report, error) {
	rep := &Report{Findings: []Finding{}}
	v := &verification{
		report:  rep,
		records: newCursor(rep, InEntry, r.Records, func(x Record) int64 { return x.Index }),
		private: newCursor(rep, InPrivate, r.Privates, func(x PrivateRecord) int64 { return x.Index }),
		hashes:  newCursor(rep, InHash, r.Hashes, func(x HashRecord) int64 { return x.Index }),
		signed:  newCursor(rep, InCheckpoint, r.Checkpoints, func(x CheckpointRecord) int64 { return x.Size }),
	}
	var err error
	if v.key, err = v.chooseKey(ctx, r, o); err != nil {
		return nil, err
	}
	if v.since, err = openSince(o.Since, v.key, v.report); err != nil {
		return nil, err
	}
	head, ok, err := r.Head(ctx)
	if err != nil {
		return nil, err
	}
	if !ok {
		v.report.add(InHead, -1, "there is no head row: the log has not started, or its head was removed")
	}
	if err := v.walk(ctx, head.Size); err != nil {
		return nil, err
	}
	v.finish(head, ok)
	return v.report, nil
}

// verification is one run of Verify.
type verification struct {
	report *Report
	key    note.Verifier // nil if none can be trusted
	since  *Checkpoint
	tree   tree
	good   int64 // the largest size whose signed root fits

	records cursor[Record]
	private cursor[PrivateRecord]
	hashes  cursor[HashRecord]
	signed  cursor[CheckpointRecord]

	misfits []misfit // the first maxMisfits of them
	odd     int64    // the newest misfit's index + 1
}

func (v *verification) chooseKey(ctx context.Context, r Reader, o Options) (note.Verifier, error) {
	recorded, err := r.Key(ctx)
	if err != nil {
		return nil, err
	}
	if o.Key == "" {
		key, err := ParseVerifierKey(recorded)
		if err != nil {
			v.report.add(InKey, -1, "the verifier key that the store recorded is missing or malformed: give the key to trust")
			return nil, nil
		}
		v.report.Origin = key.Name()
		return key, nil
	}
	key, err := ParseVerifierKey(o.Key)
	if err != nil {
		return nil, err
	}
	v.report.Origin = key.Name()
	if pinned, err := ParseVerifierKey(recorded); err != nil || pinned.Name() != key.Name() || pinned.KeyHash() != key.KeyHash() {
		v.report.add(InKey, -1, "the verifier key that the store recorded is not the given one")
	}
	return key, nil
}

// openSince reads the checkpoint to compare with. One that another key
// signed is a finding: the log may have been rewritten under a new key.
func openSince(signed []byte, key note.Verifier, rep *Report) (*Checkpoint, error) {
	if len(signed) == 0 || key == nil {
		return nil, nil
	}
	c, err := OpenCheckpoint(signed, key)
	if errors.Is(err, errOtherKey) {
		rep.add(Rewrite, -1, "the earlier checkpoint is another log's, or this log was rewritten under another key: %s", bare(err))
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the earlier checkpoint cannot be used: %w", err)
	}
	rep.Since = c.Size
	return &c, nil
}

// walk goes through all tables in step, one entry at a time, and then
// through what is left in them.
func (v *verification) walk(ctx context.Context, size int64) error {
	v.checkSince()
	for {
		more, err := v.more(ctx, size)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if err := v.entry(ctx, v.tree.size); err != nil {
			return err
		}
		if err := v.checkpoint(ctx, v.tree.size); err != nil {
			return err
		}
		v.checkSince()
	}
	return errors.Join(v.records.drain(ctx), v.private.drain(ctx), v.hashes.drain(ctx), v.signed.drain(ctx))
}

// more reports whether the log has a next entry: the head covers it and some
// table has rows from there on, or it has its leaf or checkpoint beyond the
// head. A head or row that claims millions of entries is not walked to.
func (v *verification) more(ctx context.Context, size int64) (bool, error) {
	const reach = 1 << 16
	next := v.tree.size
	rec, ok1, err1 := v.records.peek(ctx)
	priv, ok2, err2 := v.private.peek(ctx)
	hash, ok3, err3 := v.hashes.peek(ctx)
	cp, ok4, err4 := v.signed.peek(ctx)
	if err := errors.Join(err1, err2, err3, err4, ctx.Err()); err != nil {
		return false, err
	}
	near := func(ok bool, entry int64) bool { return ok && entry <= next+reach }
	if next < size {
		return near(ok1, rec.Index) || near(ok2, priv.Index) || near(ok3, hash.Index/2) || near(ok4, cp.Size-1), nil
	}
	return ok1 && rec.Index == next || ok4 && cp.Size == next+1, nil
}

// entry checks the rows of entry i.
func (v *verification) entry(ctx context.Context, i int64) error {
	rec, ok, err := v.records.at(ctx, i)
	if err != nil {
		return err
	}
	priv, okPriv, err := v.private.at(ctx, i)
	if err != nil {
		return err
	}
	if err := v.grow(ctx, i, rec, ok); err != nil {
		return err
	}
	if !okPriv {
		v.report.add(InPrivate, i, "the private part is missing")
	}
	if !ok {
		v.report.add(InEntry, i, "missing")
		return nil
	}
	v.content(rec, priv, okPriv)
	return nil
}

// content checks what the rows of one entry say against each other.
func (v *verification) content(rec Record, priv PrivateRecord, okPriv bool) {
	if v.misfitAt(rec.Index) {
		return // the leaf is not the one that was signed: it says nothing about the rest
	}
	leaf, err := ParseLeaf(rec.Leaf)
	if err != nil {
		v.report.add(InEntry, rec.Index, "%s", bare(err))
		return
	}
	if rec.Kind != string(leaf.Kind) || rec.At != leaf.At.UnixMicro() {
		v.report.add(InEntry, rec.Index, "its kind or time column was changed: the leaf says otherwise")
	}
	if !okPriv {
		return
	}
	if len(priv.Salt) != SaltSize || !leaf.Opens(Salt(priv.Salt), priv.Body) {
		v.report.add(InPrivate, priv.Index, "the private part or its salt is not the one that the leaf commits to")
		return
	}
	body, err := ParsePrivate(priv.Body)
	if err != nil || body.Object != priv.Object {
		v.report.add(InPrivate, priv.Index, "its object column was changed: the private part says otherwise")
	}
}

// grow adds entry i to the tree and checks the stored hashes it completes.
func (v *verification) grow(ctx context.Context, i int64, rec Record, ok bool) error {
	var failed error
	stored := func(index int64) (h tlog.Hash, found bool) {
		row, found, err := v.hashes.at(ctx, index)
		if err != nil {
			failed = err
		}
		if !found {
			v.report.add(InHash, index, "missing")
			return h, false
		}
		if len(row.Hash) != tlog.HashSize {
			v.report.add(InHash, index, "is not %d bytes long", tlog.HashSize)
			return h, false
		}
		return tlog.Hash(row.Hash), true
	}
	var may []tlog.Hash
	have, found := stored(tlog.StoredHashIndex(0, i))
	if ok {
		may = append(may, tlog.RecordHash(rec.Leaf))
	}
	if found && !slices.Contains(may, have) {
		v.addMisfit(misfit{index: i, leaf: may, stored: have})
		may = append(may, have)
	}
	v.tree.push(may, func(p node) []tlog.Hash {
		index := tlog.StoredHashIndex(p.level, p.n)
		have, found := stored(index)
		return v.settle(p, index, have, found)
	})
	return failed
}

// settle compares a parent's stored hash with those its children give.
func (v *verification) settle(p node, index int64, have tlog.Hash, found bool) []tlog.Hash {
	switch {
	case !found && len(p.may) > 1:
		return []tlog.Hash{p.may[0], p.may[len(p.may)-1]}
	case !found:
		return p.may
	case len(p.may) == 0, slices.Contains(p.may, have):
		return []tlog.Hash{have}
	default:
		first, last := p.covers()
		v.report.add(InHash, index, "the stored hash over entries %d to %d is not that of its two halves", first, last)
		return []tlog.Hash{p.may[0], have}
	}
}

// checkpoint checks the one that was signed when the log reached size.
func (v *verification) checkpoint(ctx context.Context, size int64) error {
	row, ok, err := v.signed.at(ctx, size)
	if err != nil {
		return err
	}
	if !ok {
		v.report.add(InCheckpoint, size, "missing")
		return nil
	}
	if v.key == nil {
		return nil
	}
	c, err := OpenCheckpoint(row.Signed, v.key)
	switch {
	case err != nil:
		v.report.add(InCheckpoint, size, "%s", bare(err))
	case c.Size != size:
		v.report.add(InCheckpoint, size, "the signed text is of size %d", c.Size)
	case v.tree.hasRoot(c.Root[:]):
		v.good = size
	default:
		v.report.add(InCheckpoint, size, "the signed root is not that of the stored entries")
		if v.good == size-1 && !v.misfitAt(size-1) {
			v.report.add(InEntry, size-1, "changed together with its hashes after it was signed: the checkpoint before it fits, its own does not")
		}
	}
	return nil
}

func (v *verification) checkSince() {
	if v.since == nil || v.since.Size != v.tree.size || v.tree.hasRoot(v.since.Root[:]) {
		return
	}
	v.report.add(Rewrite, -1, "the first %d entries are not those that the earlier checkpoint signed: the log was rewritten", v.since.Size)
}

// finish compares what the walk found with the head and the earlier
// checkpoint.
func (v *verification) finish(head Head, ok bool) {
	v.placeMisfits()
	size := v.tree.size
	root, _ := v.tree.root(true)
	v.report.Size, v.report.Root = size, root
	if ok && head.Size != size {
		v.report.add(InHead, -1, "the head says %d entries, the tables hold %d", head.Size, size)
	} else if ok && !v.tree.hasRoot(head.Root) {
		v.report.add(InHead, -1, "the head's root is not that of the stored entries")
	}
	if v.since != nil && v.since.Size > size {
		v.report.add(Rollback, -1, "the log has %d entries, but an earlier checkpoint signed %d: it was rolled back", size, v.since.Size)
	}
	v.report.sort()
}
