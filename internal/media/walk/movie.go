package walk

import (
	"math"
	"slices"
)

// maxTracks bounds the tracks of a movie.
const maxTracks = 64

// movie is what a moov box and its fragments say.
type movie struct {
	tracks     []*track
	fragmented bool
	disabled   bool // a track became padding
	// What is remembered of the samples of tracks that say where.
	placeChunks, placeSamples int
}

// track is what a trak box says.
type track struct {
	start, end    int64
	head          int64 // bytes of its header
	id            uint32
	handler       string     // "vide", "soun", "pict", "text", "meta", "tmcd"…
	width, height int64      // the largest that the header and descriptions name
	at            *samplesAt // of samples that say where the camera was; nil for others
	external      bool       // the samples are in another file
	samples       int64
	bytes         int64  // of all samples, where each has its own size
	usual         uint32 // size of a sample in a fragment that names none
	chunks        span   // first and last chunk offset
	chunked       bool
	seen          boxNames
}

// boxNames remembers boxes that may not come twice.
type boxNames []string

func (o *boxNames) again(kind string) bool {
	if slices.Contains(*o, kind) {
		return true
	}
	*o = append(*o, kind)
	return false
}

// missing returns the first of kinds that was not seen, or "".
func (o *boxNames) missing(kinds ...string) string {
	for _, k := range kinds {
		if !slices.Contains(*o, k) {
			return k
		}
	}
	return ""
}

// uniqueBoxes are the boxes of a movie or track that may come only once in it.
var uniqueBoxes = []string{"mvhd", "mvex", "iods", "tkhd", "mdia", "mdhd", "minf", "stbl", "stsd", "stts", "stsc", "stsz", "stz2", "stco", "co64", "stss", "ctts"}

// check refuses a second one of what must be unique.
func (f *bmff) check(o *boxNames, b box) error {
	if slices.Contains(uniqueBoxes, b.kind) && o.again(b.kind) {
		return f.in.Corrupt("a second box %q", b.kind)
	}
	return nil
}

// moov walks the movie header.
func (f *bmff) moov(b box) error {
	if f.movie != nil {
		return f.in.Corrupt("a second moov box")
	}
	f.movie = &movie{}
	var seen boxNames
	err := f.inside(b, 0, 1, func(b box, depth int) error {
		if err := f.check(&seen, b); err != nil {
			return err
		}
		switch b.kind {
		case "trak":
			return f.trak(b, depth)
		case "mvex":
			f.movie.fragmented = true
			return f.inside(b, 0, depth, f.extends)
		case "udta":
			return f.userData(b, depth)
		case "meta":
			return newMeta(f).walk(b, depth)
		case "cmov", "rmra":
			return f.in.Mismatch("a compressed or reference movie: box %q", b.kind)
		case "gps ", "GPS ", "gps0", "XMP_", "GPMF":
			return f.blank(b, "location")
		}
		return f.keep(b)
	})
	if err != nil {
		return err
	}
	if seen.missing("mvhd") != "" {
		return f.in.Corrupt("a movie without mvhd")
	}
	if len(f.movie.tracks) == 0 {
		return f.in.Corrupt("a movie without tracks")
	}
	return f.disable()
}

// extends reads the defaults for fragments.
func (f *bmff) extends(b box, _ int) error {
	if b.kind == "trex" {
		p, err := f.fields(b, 20)
		if err != nil {
			return err
		}
		if t := f.movie.track(big.Uint32(p[4:])); t != nil {
			t.usual = big.Uint32(p[16:])
		}
	}
	return f.keep(b)
}

func (m *movie) track(id uint32) *track {
	for _, t := range m.tracks {
		if t.id == id {
			return t
		}
	}
	return nil
}

// trak walks one track.
func (f *bmff) trak(b box, depth int) error {
	if len(f.movie.tracks) == maxTracks {
		return &Reject{Code: TooLarge, Reason: "tracks", Offset: f.in.off, Limit: maxTracks, Actual: maxTracks + 1}
	}
	t := &track{start: b.start, end: b.end, head: b.head, chunks: span{math.MaxInt64, 0}}
	f.movie.tracks = append(f.movie.tracks, t)
	if err := f.inside(b, 0, depth, t.visit(f)); err != nil {
		return err
	}
	if k := t.seen.missing("tkhd", "mdia", "hdlr", "minf", "stbl", "stsd"); k != "" {
		return f.in.Corrupt("a track without %s", k)
	}
	if t.handler == "vide" || t.handler == "pict" {
		return f.in.Picture(t.width, t.height)
	}
	return nil
}

// visit consumes one box of a track, however deep.
func (t *track) visit(f *bmff) visit {
	var v visit
	v = func(b box, depth int) error {
		if err := f.check(&t.seen, b); err != nil {
			return err
		}
		switch b.kind {
		case "mdia", "minf", "stbl", "dinf", "edts":
			parent := b.kind
			return f.inside(b, 0, depth, func(b box, depth int) error {
				if b.kind == "hdlr" {
					return t.readHandler(f, b, parent)
				}
				return v(b, depth)
			})
		case "tkhd":
			return t.readHeader(f, b)
		case "dref":
			return t.readReferences(f, b)
		case "stsd":
			return t.readDescriptions(f, b)
		case "udta":
			return f.userData(b, depth)
		case "meta":
			return newMeta(f).walk(b, depth)
		}
		return t.readTable(f, b)
	}
	return v
}

// readHandler takes the track's handler; QuickTime has another within minf.
func (t *track) readHandler(f *bmff, b box, parent string) error {
	p, err := f.fields(b, 12)
	if err != nil {
		return err
	}
	if parent == "mdia" {
		if t.seen.again("hdlr") {
			return f.in.Corrupt("a second handler of a track")
		}
		t.handler = string(p[8:12])
	}
	return f.keep(b)
}

// readHeader takes the track's number and size from tkhd.
func (t *track) readHeader(f *bmff, b box) error {
	p, err := f.fields(b, 84)
	if err != nil {
		return err
	}
	id, size := 12, 76
	if p[0] == 1 {
		if p, err = f.fields(b, 96); err != nil {
			return err
		}
		id, size = 20, 88
	}
	t.id = big.Uint32(p[id:])
	if f.movie.track(t.id) != t {
		return f.in.Corrupt("two tracks with the number %d", t.id)
	}
	if err := t.size(f, int64(big.Uint32(p[size:])>>16), int64(big.Uint32(p[size+4:])>>16)); err != nil {
		return err
	}
	return f.keep(b)
}

// place reports whether the track only says where the camera was.
func (t *track) place() bool {
	return t.at != nil && !slices.Contains([]string{"vide", "soun", "pict", "auxv"}, t.handler)
}

// size bounds a size that the track names; tracks without pictures have none.
func (t *track) size(f *bmff, w, h int64) error {
	t.width, t.height = max(t.width, w), max(t.height, h)
	if w == 0 || h == 0 {
		return nil
	}
	return f.in.Picture(w, h)
}

// readReferences tells samples in this file from those in others.
func (t *track) readReferences(f *bmff, b box) error {
	return f.inside(b, 8, 0, func(b box, _ int) error {
		p, err := f.fields(b, 4)
		if err != nil {
			return err
		}
		if p[3]&1 == 0 {
			t.external = true
			f.in.Note(b.start, b.end-b.start, "reference to another file", Kept)
		}
		return f.keep(b)
	})
}

// finishMovie names a movie by what it holds.
func (f *bmff) finishMovie() error {
	if f.movie == nil {
		return f.in.Corrupt("no moov box")
	}
	if f.kind.format == "" { // before ftyp there was only QuickTime
		f.kind = bmffKind{format: QuickTime, mime: "video/quicktime"}
	}
	var sound, picture bool
	var samples int64
	for _, t := range f.movie.tracks {
		samples += t.samples
		switch t.handler {
		case "soun":
			sound = true
		case "vide":
			picture = true
			if t.width*t.height > f.info.Width*f.info.Height {
				f.info.Width, f.info.Height = t.width, t.height
			}
			f.info.Frames += t.samples
		}
	}
	switch {
	case samples == 0:
		return f.in.Corrupt("a movie without samples")
	case f.kind.format == MP4 && sound && !picture:
		f.kind.format, f.kind.mime = M4A, "audio/mp4"
	case f.kind.format == M4A && !sound:
		return f.in.Mismatch("brand %q without a sound track", f.kind.brand)
	case f.kind.format == M4A:
		f.info.Frames, f.info.Width, f.info.Height = 0, 0, 0 // pictures of chapters
	case f.kind.format == MP4 && !picture:
		return f.in.Mismatch("a movie with neither pictures nor sound")
	}
	f.info.Format, f.info.MIME, f.info.Brand = f.kind.format, f.kind.mime, f.kind.brand
	return nil
}
