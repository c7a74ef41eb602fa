package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Class says what part of the log a finding is about.
type Class string

// The classes of findings.
const (
	InEntry      Class = "entry"      // a leaf: changed, missing, moved
	InPrivate    Class = "private"    // a private part: changed, missing
	InHash       Class = "hash"       // a stored hash of the tree
	InHead       Class = "head"       // the head row
	InCheckpoint Class = "checkpoint" // a signed checkpoint
	InKey        Class = "key"        // the verifier key
	Rollback     Class = "rollback"   // entries that were once signed are gone
	Rewrite      Class = "rewrite"    // entries that were once signed are others now
)

// Finding is one thing that is wrong, or the same thing wrong with a run of
// neighbours.
type Finding struct {
	Class Class `json:"class"`
	// From and To are the first and last index concerned: of entries, for a
	// checkpoint its size, for a hash its stored-hash index. -1 if none.
	From    int64  `json:"from"`
	To      int64  `json:"to"`
	Problem string `json:"problem"`
}

// String returns the finding as a line: "entry 17: leaf does not hash to …".
func (f Finding) String() string {
	switch {
	case f.From < 0:
		return fmt.Sprintf("%s: %s", f.Class, f.Problem)
	case f.From == f.To:
		return fmt.Sprintf("%s %d: %s", f.Class, f.From, f.Problem)
	default:
		return fmt.Sprintf("%s %d to %d: %s", f.Class, f.From, f.To, f.Problem)
	}
}

// Report is the result of a verification.
type Report struct {
	Origin   string    `json:"origin"`
	Size     int64     `json:"size"` // entries that the newest checkpoint covers
	Root     tlog.Hash `json:"root"` // as recomputed from the entries
	Since    int64     `json:"since,omitempty"`
	Findings []Finding `json:"findings"`
	// More counts findings beyond those listed.
	More int64 `json:"more,omitempty"`
}

// OK reports whether nothing is wrong.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

// maxFindings bounds a report. A log with more is beyond reading line by
// line; the rest is counted.
const maxFindings = 200

// add records a problem. A problem that continues the newest finding of its
// class at the next index lengthens that one.
func (r *Report) add(c Class, index int64, format string, args ...any) {
	r.addRun(Finding{Class: c, From: index, To: index, Problem: fmt.Sprintf(format, args...)})
}

func (r *Report) addRun(f Finding) {
	for i := range slices.Backward(r.Findings) {
		last := &r.Findings[i]
		if last.Class != f.Class {
			continue
		}
		if f.From >= 0 && last.To == f.From-1 && last.Problem == f.Problem {
			last.To = f.To
			return
		}
		break
	}
	if len(r.Findings) == maxFindings {
		r.More++
		return
	}
	r.Findings = append(r.Findings, f)
}

// bare returns an error of this package without its prefix, which a finding
// has no use for.
func bare(err error) string { return strings.TrimPrefix(err.Error(), "audit: ") }

// sort puts the findings into the order of the log.
func (r *Report) sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.From, b.From))
	})
}
