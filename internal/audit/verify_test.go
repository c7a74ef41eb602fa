package audit_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"avalo.app/gantry/internal/audit"
)

// memLog is a log in memory: a Reader whose rows a test may change.
type memLog struct {
	key     string
	head    audit.Head
	noHead  bool
	records []audit.Record
	private []audit.PrivateRecord
	hashes  []audit.HashRecord
	signed  []audit.CheckpointRecord
	fail    error // of every page
}

// newLog returns a sound log of the given size.
func newLog(t testing.TB, size int64) *memLog {
	t.Helper()
	k, err := audit.ParseKey(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	m := &memLog{key: testVKey}
	for i := range size {
		rec, priv, err := audit.NewRecord(i, audit.Entry{Kind: audit.PolicySet, Object: "policy:LOGIN"}, sealTime, audit.Salt{byte(i), byte(i >> 8)})
		if err != nil {
			t.Fatal(err)
		}
		added, root, err := audit.Append(i, rec.Leaf, m)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := audit.Checkpoint{Origin: k.Name(), Size: i + 1, Root: root}.Sign(k)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range added {
			m.hashes = append(m.hashes, audit.HashRecord{Index: int64(len(m.hashes)), Hash: h[:]})
		}
		m.records, m.private = append(m.records, rec), append(m.private, priv)
		m.signed = append(m.signed, audit.CheckpointRecord{Size: i + 1, Signed: signed})
		m.head = audit.Head{Size: i + 1, Root: root[:]}
	}
	return m
}

// ReadHashes implements tlog.HashReader.
func (m *memLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, tlog.Hash(m.hashes[i].Hash))
	}
	return out, nil
}

func (m *memLog) Key(context.Context) (string, error) { return m.key, nil }

func (m *memLog) Head(context.Context) (audit.Head, bool, error) { return m.head, !m.noHead, nil }

func (m *memLog) Records(_ context.Context, from int64, limit int) ([]audit.Record, error) {
	return page(m, m.records, from, limit, func(x audit.Record) int64 { return x.Index })
}

func (m *memLog) Privates(_ context.Context, from int64, limit int) ([]audit.PrivateRecord, error) {
	return page(m, m.private, from, limit, func(x audit.PrivateRecord) int64 { return x.Index })
}

func (m *memLog) Hashes(_ context.Context, from int64, limit int) ([]audit.HashRecord, error) {
	return page(m, m.hashes, from, limit, func(x audit.HashRecord) int64 { return x.Index })
}

func (m *memLog) Checkpoints(_ context.Context, from int64, limit int) ([]audit.CheckpointRecord, error) {
	return page(m, m.signed, from, limit, func(x audit.CheckpointRecord) int64 { return x.Size })
}

// page sorts as a table does, and answers short pages, as it may.
func page[T any](m *memLog, rows []T, from int64, limit int, index func(T) int64) ([]T, error) {
	if m.fail != nil {
		return nil, m.fail
	}
	sorted := slices.Clone(rows)
	slices.SortStableFunc(sorted, func(a, b T) int { return int(index(a) - index(b)) })
	i := slices.IndexFunc(sorted, func(x T) bool { return index(x) >= from })
	if i < 0 {
		return nil, nil
	}
	return sorted[i:min(len(sorted), i+min(limit, 7))], nil
}

func mustVerify(t rapid.TB, m *memLog, o audit.Options) *audit.Report {
	rep, err := audit.Verify(context.Background(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestVerifySound(t *testing.T) {
	m := newLog(t, 0)
	for size := int64(1); size <= 70; size++ {
		m = newLog(t, size)
		for _, o := range []audit.Options{{}, {Key: testVKey}, {Since: m.signed[size/2].Signed}} {
			rep := mustVerify(t, m, o)
			if !rep.OK() || rep.Size != size || rep.Root != tlog.Hash(m.head.Root) {
				t.Fatalf("size %d: %+v", size, rep)
			}
		}
	}
	m.fail = errors.New("disk")
	if _, err := audit.Verify(t.Context(), m, audit.Options{}); !errors.Is(err, m.fail) {
		t.Errorf("a log that cannot be read: %v", err)
	}
	m.fail = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := audit.Verify(ctx, m, audit.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestVerifyFindsAnyChange makes one random change to a random log: there is
// always a finding.
func TestVerifyFindsAnyChange(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newLog(t, rapid.Int64Range(1, 24).Draw(rt, "size"))
		what := rapid.SampledFrom([]string{"leaf", "kind", "at", "salt", "body", "object", "hash", "signed", "root", "size", "key"}).Draw(rt, "column")
		row := func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "row") }
		flip := func(b []byte) []byte {
			b = slices.Clone(b)
			b[rapid.IntRange(0, len(b)-1).Draw(rt, "byte")] ^= byte(rapid.IntRange(1, 255).Draw(rt, "xor"))
			return b
		}
		switch what {
		case "leaf":
			x := &m.records[row(len(m.records))]
			x.Leaf = flip(x.Leaf)
		case "kind":
			x := &m.records[row(len(m.records))]
			x.Kind = string(flip([]byte(x.Kind)))
		case "at":
			m.records[row(len(m.records))].At++
		case "salt":
			x := &m.private[row(len(m.private))]
			x.Salt = flip(x.Salt)
		case "body":
			x := &m.private[row(len(m.private))]
			x.Body = flip(x.Body)
		case "object":
			x := &m.private[row(len(m.private))]
			x.Object = string(flip([]byte(x.Object)))
		case "hash":
			x := &m.hashes[row(len(m.hashes))]
			x.Hash = flip(x.Hash)
		case "signed":
			x := &m.signed[row(len(m.signed))]
			x.Signed = flip(x.Signed)
		case "root":
			m.head.Root = flip(m.head.Root)
		case "size":
			m.head.Size += int64(rapid.SampledFrom([]int{-1, 1, 1000}).Draw(rt, "by"))
		case "key":
			m.key = string(flip([]byte(m.key)))
		}
		if rep := mustVerify(rt, m, audit.Options{}); rep.OK() {
			rt.Fatalf("a change of %s is not found", what)
		}
	})
}

// TestVerifyFindsAnyRowGone drops, doubles or moves one row.
func TestVerifyFindsAnyRowGone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newLog(t, rapid.Int64Range(1, 24).Draw(rt, "size"))
		to := rapid.SampledFrom([]int64{-3, 100, 70_000, 1 << 40}).Draw(rt, "to") // none is a place that a row may have
		how := rapid.SampledFrom([]string{"drop", "double", "move"}).Draw(rt, "how")
		switch rapid.IntRange(0, 3).Draw(rt, "table") {
		case 0:
			m.records = disturb(rt, m.records, how, func(x *audit.Record) { x.Index = to })
		case 1:
			m.private = disturb(rt, m.private, how, func(x *audit.PrivateRecord) { x.Index = to })
		case 2:
			m.hashes = disturb(rt, m.hashes, how, func(x *audit.HashRecord) { x.Index = to })
		case 3:
			m.signed = disturb(rt, m.signed, how, func(x *audit.CheckpointRecord) { x.Size = to })
		}
		if rep := mustVerify(rt, m, audit.Options{}); rep.OK() {
			rt.Fatalf("%s is not found", how)
		}
	})
}

func disturb[T any](rt *rapid.T, rows []T, how string, move func(*T)) []T {
	i := rapid.IntRange(0, len(rows)-1).Draw(rt, "row")
	switch how {
	case "drop":
		return slices.Delete(rows, i, i+1)
	case "double":
		return slices.Insert(rows, i, rows[i])
	default:
		move(&rows[i])
		return rows
	}
}

// TestVerifyWithTheKey covers what only an attacker with the key, or a
// pinned key, brings up.
func TestVerifyWithTheKey(t *testing.T) {
	m := newLog(t, 5)
	m.noHead = true
	if rep := mustVerify(t, m, audit.Options{}); rep.OK() {
		t.Error("a log without a head is sound")
	}
	m = newLog(t, 5)
	_, other, err := audit.GenerateKey("PeterNeumann")
	if err != nil {
		t.Fatal(err)
	}
	if rep := mustVerify(t, m, audit.Options{Key: other}); rep.OK() {
		t.Error("a log signed by another key than the pinned one is sound")
	}
	if _, err := audit.Verify(t.Context(), m, audit.Options{Key: "x"}); err == nil {
		t.Error("a malformed pinned key is accepted")
	}
	late := newLog(t, 9).signed[8].Signed
	if rep := mustVerify(t, m, audit.Options{Since: late}); len(rep.Findings) != 1 || rep.Findings[0].Class != audit.Rollback {
		t.Errorf("rollback: %v", rep.Findings)
	}
}
