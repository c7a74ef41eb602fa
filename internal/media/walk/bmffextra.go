package walk

import (
	"io"
	"slices"
)

// span is a range of the input, end excluded.
type span struct{ start, end int64 }

// maxSpans bounds how many media data boxes are remembered one by one; the
// last one stretches over the rest.
const maxSpans = 256

// spans are the payloads of media data, in the order of the file.
type spans []span

func (s *spans) add(start, end int64) {
	if len(*s) == maxSpans {
		(*s)[maxSpans-1].end = end
		return
	}
	*s = append(*s, span{start, end})
}

// holds reports whether one span has all of [start, end).
func (s spans) holds(start, end int64) bool {
	return slices.ContainsFunc(s, func(d span) bool { return d.start <= start && end <= d.end })
}

// total is how many bytes they have.
func (s spans) total() int64 {
	var n int64
	for _, d := range s {
		n += d.end - d.start
	}
	return n
}

func isSpace(kind string) bool { return kind == "free" || kind == "skip" || kind == "wide" }

// space consumes a padding box.
func (f *bmff) space(b box) error {
	if b.open() {
		if err := f.in.Keep(b.head); err != nil {
			return err
		}
		return f.openSpace()
	}
	if err := f.in.Keep(b.head); err != nil {
		return err
	}
	used, err := f.in.padding(b.payload(), "padding")
	if used {
		f.in.Note(b.start, b.end-b.start, "padding", f.fate())
	}
	return err
}

// openSpace is a padding box that goes to the end of the file.
func (f *bmff) openSpace() error {
	start := f.in.off
	for {
		p, err := f.in.Peek(smallTail)
		if err != nil && err != io.EOF {
			return err
		}
		if len(p) == 0 {
			break
		}
		if _, err := f.in.padding(int64(len(p)), "padding"); err != nil {
			return err
		}
	}
	f.in.Note(start, f.in.off-start, "padding", f.fate())
	return nil
}

// fate is what becomes of metadata.
func (f *bmff) fate() Fate {
	if f.in.Sanitise {
		return Zeroed
	}
	return Kept
}

// xmpUUID names the uuid box that holds XMP.
const xmpUUID = "\xbe\x7a\xcf\xcb\x97\xa9\x42\xe8\x9c\x71\x99\x94\x91\xe3\xaf\xac"

// playbackUUIDs are those without which the samples cannot be shown as meant.
var playbackUUIDs = []string{
	"\xff\xcc\x82\x63\xf8\x55\x4a\x93\x88\x14\x58\x7a\x02\x52\x1f\xdd", // spherical video
	"\xa2\x39\x4f\x52\x5a\x9b\x4f\x14\xa2\x44\x6c\x42\x7c\x64\x8d\xf4", // PIFF sample encryption
	"\x89\x74\xdb\xce\x7b\xe7\x4c\x51\x84\xf9\x71\x48\xf9\x88\x25\x54", // PIFF track encryption
	"\xd0\x8a\x4f\x18\x10\xf3\x4a\x82\xb6\xc8\x32\xd8\xab\xa1\x83\xd3", // PIFF protection system
	"\x6d\x1d\x9b\x05\x42\xd5\x44\xe6\x80\xe2\x14\x1d\xaf\xf7\x57\xb2", // fragment time
	"\xd4\x80\x7e\xf2\xca\x39\x46\x95\x8e\x54\x26\xcb\x9e\x46\xa7\x9f", // fragment references
}

// uuid consumes a vendor's box: XMP, Exif or whatever a camera put there.
func (f *bmff) uuid(b box) error {
	p, err := f.in.Peek(int(b.head + min(max(b.payload(), 16), 128)))
	if err != nil && err != io.EOF {
		return err
	}
	id := p[min(b.head, int64(len(p))):]
	if b.payload() < 16 || len(id) < 16 {
		return f.in.Corrupt("a vendor's box without a name")
	}
	if name := foreignAt(id[16:]); name != "" {
		return f.in.Mismatch("%s in a vendor's box", name)
	}
	what := "uuid"
	if string(id[:16]) == xmpUUID {
		what = "xmp"
	}
	if slices.Contains(playbackUUIDs, string(id[:16])) && !b.open() {
		return f.keep(b)
	}
	return f.blank(b, what)
}

// extra consumes a box that is not needed to show the file.
func (f *bmff) extra(b box) error {
	what := "box " + b.kind
	if b.kind == "sefd" {
		what = "samsung trailer"
	}
	return f.blank(b, what)
}

// blank makes a box padding of the same size when sanitising, and notes it.
// Its size field stays, so nothing moves.
func (f *bmff) blank(b box, what string) error {
	head, err := f.in.Need(int(b.head))
	if err != nil {
		return err
	}
	if !f.in.Sanitise {
		err = f.in.Keep(b.head)
	} else {
		h := slices.Clone(head)
		copy(h[4:8], "free")
		err = f.in.Replace(h)
	}
	if err != nil {
		return err
	}
	if b.open() {
		return f.openSpace()
	}
	f.in.Note(b.start, b.end-b.start, what, f.fate())
	_, err = f.in.padding(b.payload(), what)
	return err
}

// motion walks the movie of a motion photo: a file within a box.
func (f *bmff) motion(b box) error {
	if f.base != 0 || f.kind.format != HEIF {
		return f.in.Corrupt("a motion photo's movie outside a picture")
	}
	f.in.Note(b.start, b.end-b.start, "motion photo", Kept)
	if err := f.in.Keep(b.head); err != nil {
		return err
	}
	movie := &bmff{in: f.in, base: f.in.off, end: b.end}
	if err := movie.walk(); err != nil {
		return err
	}
	if movie.kind.format == HEIF {
		return f.in.Mismatch("a picture in the place of a motion photo's movie")
	}
	return nil
}
