package audit

import (
	"bytes"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// node is one complete subtree at the right edge of the tree being rebuilt:
// the hashes it may have. There is one in a sound log. Where the stored hash
// and the computed one differ, both are carried on, computed first, so that
// one changed byte makes one finding and not one per level above it. None
// means that the hash cannot be known.
type node struct {
	level int
	n     int64 // number within the level
	may   []tlog.Hash
}

// covers returns the first and last entry below the node.
func (n node) covers() (int64, int64) {
	return n.n << n.level, (n.n+1)<<n.level - 1
}

// tree rebuilds the Merkle tree from left to right in O(log n) memory.
type tree struct {
	size int64
	edge []node
}

// push adds the next leaf's node and returns the parents that it completes,
// from the lowest up, each with its children. The caller decides between
// computed and stored hashes through settle before the next is built.
func (t *tree) push(leaf []tlog.Hash, settle func(parent node) []tlog.Hash) {
	t.edge = append(t.edge, node{n: t.size, may: leaf})
	t.size++
	for n := t.size; n&1 == 0; n >>= 1 {
		l, r := t.edge[len(t.edge)-2], t.edge[len(t.edge)-1]
		p := node{level: r.level + 1, n: r.n >> 1}
		for _, a := range l.may {
			for _, b := range r.may {
				p.may = append(p.may, tlog.NodeHash(a, b))
			}
		}
		p.may = settle(p)
		t.edge = append(t.edge[:len(t.edge)-2], p)
	}
}

// root returns the tree's hash, with the computed hashes where first is
// set, else with the stored ones. ok is false if a hash cannot be known.
func (t *tree) root(first bool) (h tlog.Hash, ok bool) {
	if t.size == 0 {
		h, _ = tlog.TreeHash(0, nil) // of no entries: a constant
		return h, true
	}
	for i, n := range slices.Backward(t.edge) {
		if len(n.may) == 0 {
			return tlog.Hash{}, false
		}
		m := n.may[len(n.may)-1]
		if first {
			m = n.may[0]
		}
		if i == len(t.edge)-1 {
			h = m
		} else {
			h = tlog.NodeHash(m, h)
		}
	}
	return h, true
}

// hasRoot reports whether root may be the tree's hash.
func (t *tree) hasRoot(root []byte) bool {
	for _, first := range []bool{true, false} {
		if h, ok := t.root(first); ok && bytes.Equal(h[:], root) {
			return true
		}
	}
	return false
}
