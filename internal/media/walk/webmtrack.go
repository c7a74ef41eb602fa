package walk

import (
	"math"
	"slices"
)

// cluster consumes a cluster. One without a size ends where the next one or
// another of the segment's children begins.
func (w *webm) cluster(e element, depth int) error {
	if !e.open() {
		return w.inside(e, depth)
	}
	if err := w.in.Keep(e.head); err != nil {
		return err
	}
	return w.openChildren(w.limit(), idCluster, depth)
}

// limit is where an element without a size must end: with its segment.
func (w *webm) limit() int64 {
	if w.end > 0 {
		return w.end
	}
	return math.MaxInt64
}

// block counts a block of frames by its track, and checks its header: track,
// 16 bits of time, flags, and the number of frames where it has several.
func (w *webm) block(e element) error {
	p, err := w.payload(e, 16)
	if err != nil {
		return err
	}
	number, n, known, ok := varint(p)
	if !ok || !known || number == 0 || len(p) < n+3 {
		return w.in.Corrupt("a block without a header")
	}
	if laced := p[n+2]&6 != 0; laced && len(p) < n+4 {
		return w.in.Corrupt("a block of several frames does not say how many")
	}
	for i := range w.blocks {
		if w.blocks[i].number == number {
			w.blocks[i].count++
			return w.keep(e)
		}
	}
	if len(w.blocks) == maxTracks {
		return w.in.Corrupt("blocks of more than %d tracks", maxTracks)
	}
	w.blocks = append(w.blocks, webmBlocks{number, 1})
	return w.keep(e)
}

// track consumes one track's description.
func (w *webm) track(e element, depth int) error {
	if len(w.tracks) == maxTracks {
		return &Reject{Code: TooLarge, Reason: "tracks", Offset: w.in.off, Limit: maxTracks, Actual: maxTracks + 1}
	}
	w.tracks = append(w.tracks, webmTrack{})
	if err := w.inside(e, depth); err != nil {
		return err
	}
	last := len(w.tracks) - 1
	t := w.tracks[last]
	for _, other := range w.tracks[:last] {
		if other.number == t.number {
			return w.in.Corrupt("two tracks with the number %d", t.number)
		}
	}
	if t.number == 0 {
		return w.in.Corrupt("a track without a number")
	}
	if t.kind == webmVideo || t.width != 0 || t.height != 0 {
		return w.in.Picture(t.width, t.height)
	}
	return nil
}

// tag consumes a name and its value, and what is below it. One that says
// where, or that hides its name behind its value, goes as a whole.
func (w *webm) tag(e element, depth int) error {
	p, err := w.payload(e, window/2)
	if err != nil {
		return err
	}
	name, ok := tagName(p)
	if saysPlace(name) {
		return w.blank(e, "location")
	}
	if !ok && e.size() > int64(len(p)) {
		return w.blank(e, "tag without a name")
	}
	return w.inside(e, depth)
}

// tagName finds the name among a tag's elements.
func tagName(p []byte) ([]byte, bool) {
	for len(p) > 0 {
		id, n := identifier(p)
		if n == 0 {
			return nil, false
		}
		size, m, known, ok := varint(p[n:])
		if !ok || !known {
			return nil, false
		}
		p = p[n+m:]
		if id == idTagName {
			return p[:min(size, uint64(len(p)))], true
		}
		if size > uint64(len(p)) {
			return nil, false
		}
		p = p[size:]
	}
	return nil, false
}

// finish checks what only the whole file can tell, and names it.
func (w *webm) finish() error {
	if len(w.tracks) == 0 || !slices.Contains(w.seen, idInfo) {
		return w.in.Corrupt("no tracks or no information about the segment")
	}
	if len(w.blocks) == 0 {
		return w.in.Corrupt("no blocks")
	}
	if w.cues && w.cue >= uint64(w.end-w.start) {
		return w.in.Corrupt("the cues name a cluster at %d of %d", w.cue, w.end-w.start)
	}
	w.info = Info{Format: WebM, MIME: "audio/webm", Brand: w.docType}
	for _, t := range w.tracks {
		if t.kind == webmVideo {
			w.info.MIME = "video/webm"
			if t.width*t.height > w.info.Width*w.info.Height {
				w.info.Width, w.info.Height = t.width, t.height
			}
		}
	}
	for _, b := range w.blocks {
		i := slices.IndexFunc(w.tracks, func(t webmTrack) bool { return t.number == b.number })
		if i < 0 {
			return w.in.Corrupt("blocks of the track %d, which does not exist", b.number)
		}
		if w.tracks[i].kind == webmVideo {
			w.info.Frames += b.count
		}
	}
	return nil
}
