package audit

import "golang.org/x/mod/sumdb/tlog"

// misfit is an entry whose leaf does not hash to the stored leaf hash, or is
// missing.
type misfit struct {
	index  int64
	leaf   []tlog.Hash // of the leaf as it is now; none if it is missing
	stored tlog.Hash
}

// maxMisfits bounds how many are kept to tell moved leaves from changed
// ones; beyond it they are all called changed.
const maxMisfits = 4096

const leafChanged = "leaf does not hash to the stored leaf hash: it was changed"

func (v *verification) addMisfit(m misfit) {
	v.odd = m.index + 1
	switch {
	case len(v.misfits) < maxMisfits:
		v.misfits = append(v.misfits, m)
	case len(m.leaf) > 0:
		v.report.add(InEntry, m.index, leafChanged)
	}
}

// misfitAt reports whether i, the entry that the walk is at, is a misfit.
func (v *verification) misfitAt(i int64) bool { return v.odd == i+1 }

// placeMisfits says of each misfit whether its leaf is another entry's: two
// that were swapped, or a run that moved because one was dropped or put in.
func (v *verification) placeMisfits() {
	home := make(map[tlog.Hash]int64, len(v.misfits)) // stored hash → entry
	leaf := make(map[int64]tlog.Hash, len(v.misfits))
	for _, m := range v.misfits {
		home[m.stored] = m.index
		if len(m.leaf) > 0 {
			leaf[m.index] = m.leaf[0]
		}
	}
	for _, m := range v.misfits {
		mine, ok := leaf[m.index]
		if !ok {
			continue // reported as missing
		}
		j, moved := home[mine]
		switch {
		case moved && leaf[j] == m.stored:
			v.report.add(InEntry, m.index, "swapped with entry %d: each holds the other's leaf", j)
		case moved && j == m.index+1:
			v.report.add(InEntry, m.index, "leaf is that of the next entry: the one signed here was dropped and later ones moved up")
		case moved && j == m.index-1:
			v.report.add(InEntry, m.index, "leaf is that of the entry before: something was put in and later ones moved down")
		case moved:
			v.report.add(InEntry, m.index, "leaf is that of entry %d", j)
		default:
			v.report.add(InEntry, m.index, leafChanged)
		}
	}
}
