package walk

import (
	"io"
	"math"
	"slices"
)

// BMFFWalk walks the ISO base media family: HEIC/HEIF, MP4, QuickTime and
// M4A. Sanitising never moves a byte: what must go is overwritten by zeros in
// place, since chunk and item offsets count from the start of the file; only
// what follows the last box is cut off. Info.Patches are filled when metadata
// lay before the box that names it.
func BMFFWalk(in *Input) (Info, error) {
	f := &bmff{in: in, end: math.MaxInt64}
	err := f.walk()
	f.info.Parts, f.info.Patches = in.Parts(), in.Patches()
	if err != nil {
		return f.info, err
	}
	return f.info, nil
}

// bmff is one file: the input, or one embedded in a box of another.
type bmff struct {
	in   *Input
	base int64 // where it begins; its offsets count from here
	end  int64 // where it ends; math.MaxInt64 when only the input's end tells
	info Info

	kind    bmffKind
	movie   *movie
	meta    *meta         // of the file, not of a movie or track
	data    spans         // payloads that samples and items may lie in
	places  []samplePlace // of chunks
	runs    []samplePlace // the first and the last of fragments
	extents int           // of items, so far
	probes  []itemProbe
	wipes   []span
}

// box is one box whose header was peeked and not yet consumed.
type box struct {
	kind       string
	start, end int64 // of the whole box in the input
	head       int64 // bytes of its header
}

func (b box) payload() int64 { return b.end - b.start - b.head }
func (b box) open() bool     { return b.end == math.MaxInt64 }

// next peeks the header of the box at hand, which must end by end.
func (f *bmff) next(end int64) (box, error) {
	in := f.in
	if err := in.Step(); err != nil {
		return box{}, err
	}
	if end-in.off < 8 {
		return box{}, in.Corrupt("%d bytes are left in a box, too few for a box", end-in.off)
	}
	p, err := in.Need(8)
	if err != nil {
		return box{}, err
	}
	b := box{kind: string(p[4:8]), start: in.off, head: 8}
	size := uint64(big.Uint32(p))
	switch size {
	case 0: // to the end of the file
		if end != f.end {
			return box{}, in.Corrupt("a nested box %q without a size", b.kind)
		}
		b.end = end
		return b, nil
	case 1:
		if p, err = in.Need(16); err != nil {
			return box{}, err
		}
		size, b.head = big.Uint64(p[8:]), 16
	}
	if size < uint64(b.head) {
		return box{}, in.Corrupt("box %q of %d bytes is smaller than its header", b.kind, size)
	}
	if size > uint64(end-in.off) {
		return box{}, in.Corrupt("box %q of %d bytes runs past its parent", b.kind, size)
	}
	b.end = in.off + int64(size)
	return b, nil
}

// fields peeks the first n bytes of a box's payload, header still unconsumed.
func (f *bmff) fields(b box, n int64) ([]byte, error) {
	if b.payload() < n {
		return nil, f.in.Corrupt("box %q is too short", b.kind)
	}
	p, err := f.in.Need(int(b.head + n))
	if err != nil {
		return nil, err
	}
	return p[b.head:], nil
}

// keep passes a whole box on; one that goes to the end of the input too.
func (f *bmff) keep(b box) error {
	if b.open() {
		_, err := f.in.Rest(Kept)
		return err
	}
	return f.in.Keep(b.end - f.in.off)
}

// visit consumes one child box.
type visit func(b box, depth int) error

// children walks boxes up to end, which they fill exactly. Padding and uuid
// boxes never reach the visitor.
func (f *bmff) children(end int64, depth int, v visit) error {
	if depth > f.in.Limits.MaxDepth {
		return &Reject{Code: TooLarge, Reason: "depth of nested boxes", Offset: f.in.off,
			Limit: int64(f.in.Limits.MaxDepth), Actual: int64(depth)}
	}
	for f.in.off < end {
		b, err := f.next(end)
		if err != nil {
			return err
		}
		if isSpace(b.kind) {
			err = f.space(b)
		} else if b.kind == "uuid" {
			err = f.uuid(b)
		} else {
			err = v(b, depth+1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inside consumes a box's header and skip bytes of fields, then its children.
func (f *bmff) inside(b box, skip int64, depth int, v visit) error {
	if b.payload() < skip {
		return f.in.Corrupt("box %q is too short", b.kind)
	}
	if err := f.in.Keep(b.head + skip); err != nil {
		return err
	}
	return f.children(b.end, depth, v)
}

// ignore is the visitor that keeps everything.
func (f *bmff) ignore(b box, _ int) error { return f.keep(b) }

// walk follows the boxes of the file and checks what only its end can tell.
func (f *bmff) walk() error {
	for f.in.off < f.end {
		ok, err := f.atBox()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		b, err := f.next(f.end)
		if err != nil {
			return err
		}
		if err := f.top(b); err != nil {
			return err
		}
	}
	return f.finish()
}

// atBox reports whether a box begins here. What is none is the file's end:
// refused at the file's beginning, trimmed or refused elsewhere.
func (f *bmff) atBox() (bool, error) {
	p, err := f.in.Peek(16)
	if err != nil && err != io.EOF {
		return false, err
	}
	first := f.in.off == f.base
	switch {
	case len(p) == 0 && !first:
		return false, nil
	case first:
		if len(p) < 8 {
			return false, f.in.Corrupt("the file ends before its first box")
		}
		if !slices.Contains(firstBoxes, string(p[4:8])) {
			return false, f.in.Mismatch("the file does not begin with a box of its kind")
		}
		return true, nil
	case f.end != math.MaxInt64:
		return true, nil // an embedded file has no tail: next says what is wrong
	case len(p) < 8 && p[0] == 0 && !f.in.isZeros(p):
		return false, f.in.Corrupt("the file ends within a box header")
	case len(p) < 8 || !isBox(p):
		return false, f.in.dropTail()
	}
	return true, nil
}

// firstBoxes may begin a file: ftyp, or what QuickTime wrote before 2001.
var firstBoxes = []string{"ftyp", "moov", "mdat", "wide", "free", "skip", "pnot"}

// isBox reports whether a header could be a box's: a printable type, a
// possible size, and no other format's signature.
func isBox(p []byte) bool {
	for _, c := range p[4:8] {
		if (c < ' ' || c > '~') && c != 0xa9 {
			return false
		}
	}
	size := big.Uint32(p)
	known := slices.Contains(topBoxes, string(p[4:8]))
	return known || size >= 8 && foreignAt(p) == ""
}

// topBoxes are the types known at the top of a file.
var topBoxes = []string{"ftyp", "styp", "moov", "moof", "mdat", "imda", "meta", "meco", "free", "skip", "wide", "uuid",
	"mfra", "sidx", "ssix", "prft", "emsg", "pdin", "pnot", "PICT", "udta", "mpvd", "sefd"}

// top consumes one box at the top of the file.
func (f *bmff) top(b box) error {
	switch b.kind {
	case "ftyp":
		return f.fileType(b)
	case "mdat", "imda":
		return f.media(b)
	case "free", "skip", "wide":
		return f.space(b)
	case "uuid":
		return f.uuid(b)
	case "sefd", "PICT", "meco":
		return f.extra(b)
	}
	if b.open() && b.kind != "mpvd" {
		return f.in.Corrupt("box %q has no size", b.kind)
	}
	switch b.kind {
	case "moov":
		return f.moov(b)
	case "moof":
		return f.moof(b)
	case "meta":
		if f.meta != nil {
			return f.in.Corrupt("a second meta box")
		}
		f.meta = newMeta(f)
		return f.meta.walk(b, 1)
	case "udta":
		return f.userData(b, 1)
	case "mpvd":
		return f.motion(b)
	}
	if !slices.Contains(topBoxes, b.kind) {
		return f.extra(b)
	}
	return f.keep(b)
}

// media passes samples and items on, but for what must be wiped.
func (f *bmff) media(b box) error {
	p, err := f.in.Peek(int(b.head) + 16)
	if err != nil && err != io.EOF {
		return err
	}
	if len(p) > int(b.head) {
		if name := foreignAt(p[b.head:]); name != "" {
			return f.in.Mismatch("%s in the media data", name)
		}
	}
	if err := f.in.Keep(b.head); err != nil {
		return err
	}
	start := f.in.off
	if err := f.stream(b.end); err != nil {
		return err
	}
	f.data.add(start, f.in.off)
	return nil
}

// finish checks what the whole file must have, and names it.
func (f *bmff) finish() error {
	if f.movie == nil && f.meta == nil {
		return f.in.Corrupt("neither a movie nor a picture: no moov and no meta box")
	}
	if err := f.checkPlaces(); err != nil {
		return err
	}
	if f.kind.format == HEIF {
		return f.finishPicture()
	}
	return f.finishMovie()
}
