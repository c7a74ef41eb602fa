package walk

import (
	"encoding/binary"
	"math"
	"slices"
)

// big reads big-endian numbers.
var big = binary.BigEndian

// entrySizes of tables that are a count and entries after version and flags.
var entrySizes = map[string]int64{"stts": 8, "stsc": 12, "ctts": 8, "stss": 4, "stps": 4, "stco": 4, "co64": 8}

// readTable consumes a box of a sample table: its entries must fit.
func (t *track) readTable(f *bmff, b box) error {
	switch b.kind {
	case "stsz":
		return t.readSizes(f, b)
	case "stz2":
		return t.readCompactSizes(f, b)
	case "elst":
		return t.readEdits(f, b)
	}
	size, ok := entrySizes[b.kind]
	if !ok {
		return f.keep(b)
	}
	p, err := f.fields(b, 8)
	if err != nil {
		return err
	}
	var each func([]byte)
	switch b.kind {
	case "stco":
		each = func(e []byte) { t.chunk(uint64(big.Uint32(e))) }
	case "stsc":
		if t.at != nil {
			each = t.at.run
		}
	case "co64":
		each = func(e []byte) { t.chunk(big.Uint64(e)) }
	}
	return f.table(b, 8, int64(big.Uint32(p[4:])), size, each)
}

// chunk notes where a chunk begins.
func (t *track) chunk(off uint64) {
	o := int64(min(off, math.MaxInt64/2))
	t.chunked = true
	if t.at != nil {
		t.at.chunk(o)
	}
	t.chunks.start, t.chunks.end = min(t.chunks.start, o), max(t.chunks.end, o)
}

// table consumes a box of count entries after fixed bytes of fields, in
// windows. What is left behind the entries is padding.
func (f *bmff) table(b box, fixed, count, size int64, each func([]byte)) error {
	in := f.in
	if room := b.payload() - fixed; room < 0 || count > room/size {
		return in.Corrupt("%d entries do not fit into box %q", count, b.kind)
	}
	if err := in.Keep(b.head + fixed); err != nil {
		return err
	}
	if each == nil {
		if err := in.Keep(count * size); err != nil {
			return err
		}
	} else if err := f.entries(count, size, each); err != nil {
		return err
	}
	slack := b.end - in.off
	used, err := in.padding(slack, "padding of a table")
	if used {
		in.Note(b.end-slack, slack, "padding of a table", f.fate())
	}
	return err
}

// entries keeps count entries and shows each.
func (f *bmff) entries(count, size int64, each func([]byte)) error {
	for count > 0 {
		k := min(count, window/2/size)
		p, err := f.in.Need(int(k * size))
		if err != nil {
			return err
		}
		for ; len(p) > 0; p = p[size:] {
			each(p[:size])
		}
		if err := f.in.Keep(k * size); err != nil {
			return err
		}
		count -= k
	}
	return nil
}

// readSizes takes the number and size of samples.
func (t *track) readSizes(f *bmff, b box) error {
	p, err := f.fields(b, 12)
	if err != nil {
		return err
	}
	count := int64(big.Uint32(p[8:]))
	t.samples += count
	if each := big.Uint32(p[4:]); each != 0 {
		if t.at != nil {
			t.at.each, t.bytes = each, int64(min(uint64(each)*uint64(count), maxOffset))
			t.at.lost = t.at.lost || t.bytes == maxOffset
		}
		return f.table(b, 12, 0, 4, nil) // all of one size
	}
	return f.table(b, 12, count, 4, func(e []byte) {
		n := big.Uint32(e)
		t.bytes += int64(n)
		if t.at != nil {
			t.at.size(n)
		}
	})
}

// readCompactSizes takes those of 4, 8 or 16 bits.
func (t *track) readCompactSizes(f *bmff, b box) error {
	p, err := f.fields(b, 12)
	if err != nil {
		return err
	}
	count, bits := int64(big.Uint32(p[8:])), int64(p[7])
	if bits != 4 && bits != 8 && bits != 16 {
		return f.in.Corrupt("sample sizes of %d bits", bits)
	}
	t.samples += count
	if t.at != nil {
		t.at.lost = true
	}
	return f.table(b, 12, (count*bits+7)/8, 1, nil)
}

// readEdits checks an edit list.
func (t *track) readEdits(f *bmff, b box) error {
	p, err := f.fields(b, 8)
	if err != nil {
		return err
	}
	size := int64(12)
	if p[0] == 1 {
		size = 20
	}
	return f.table(b, 8, int64(big.Uint32(p[4:])), size, nil)
}

// readDescriptions takes codecs and picture sizes from stsd. The
// descriptions themselves differ by codec and are opaque.
func (t *track) readDescriptions(f *bmff, b box) error {
	p, err := f.fields(b, 8)
	if err != nil {
		return err
	}
	count := int64(big.Uint32(p[4:]))
	if err := f.in.Keep(b.head + 8); err != nil {
		return err
	}
	if count == 0 || count > (b.end-f.in.off)/16 {
		return f.in.Corrupt("%d sample descriptions do not fit into their box", count)
	}
	for range count {
		e, err := f.next(b.end)
		if err != nil {
			return err
		}
		place := slices.Contains(placeCodecs, e.kind)
		if e.kind == "mebx" { // Apple's, whose keys are in the description
			p, err := f.fields(e, min(e.payload(), 4096))
			if err != nil {
				return err
			}
			place = places(p)
		}
		if place && t.at == nil {
			t.at = &samplesAt{m: f.movie}
		}
		if visual := t.handler == "vide" || t.handler == "pict" || t.handler == "auxv"; visual {
			p, err := f.fields(e, 28)
			if err != nil {
				return err
			}
			if err := t.size(f, int64(big.Uint16(p[24:])), int64(big.Uint16(p[26:]))); err != nil {
				return err
			}
		}
		if err := f.keep(e); err != nil {
			return err
		}
	}
	_, err = f.in.padding(b.end-f.in.off, "padding of a table")
	return err
}

// samplePlace is where samples must big.
type samplePlace struct {
	start, end int64
	what       string
}

// checkPlaces compares what the indexes say with where media data was.
func (f *bmff) checkPlaces() error {
	var tracks []*track
	if f.movie != nil {
		tracks = f.movie.tracks
	}
	total := f.data.total()
	for _, t := range tracks {
		if t.external {
			continue
		}
		if t.bytes > total {
			return f.in.Corrupt("track %d has %d bytes of samples, the file only %d", t.id, t.bytes, total)
		}
		if t.chunked {
			f.places = append(f.places, samplePlace{t.chunks.start, t.chunks.start + 1, "first chunk"},
				samplePlace{t.chunks.end, t.chunks.end + 1, "last chunk"})
		}
	}
	for _, p := range append(f.places, f.runs...) {
		if !f.data.holds(f.base+p.start, f.base+p.end) {
			return f.in.Corrupt("the %s, at %d to %d, is outside the media data", p.what, p.start, p.end)
		}
	}
	return nil
}
