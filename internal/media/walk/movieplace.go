package walk

import (
	"bytes"
	"cmp"
	"slices"
)

// A camera's timed metadata says where it was, sample by sample. With
// sanitising such a track becomes padding of the same size, and its samples,
// which lie among those of pictures and sound, become zeros.

// Bounds of what is remembered of where such samples are, for all tracks of a
// movie: a chunk for each picture of half a minute, and 200 samples a second.
const (
	maxPlaceChunks  = 2000
	maxPlaceSamples = 16_384
)

// placeCodecs are the timed metadata that hold places: GoPro's, Google's camera
// motion, Sony's and DJI's.
var placeCodecs = []string{"gpmd", "camm", "rtmd", "djmd"}

// places reports whether the keys of Apple's timed metadata say where. They are
// few and known, and a track of another, such as which way up a picture is or
// the geometry of a face, must stay.
func places(keys []byte) bool {
	return slices.ContainsFunc([]string{"com.apple.quicktime.location.", "ISO6709", "GPS"}, func(s string) bool { return bytes.Contains(keys, []byte(s)) })
}

// samplesAt is where the samples of a track are.
type samplesAt struct {
	m      *movie
	chunks []int64    // offsets
	runs   []chunkRun // samples of the chunks
	sizes  []uint32   // of samples, in bytes; none if all are alike
	each   uint32     // the size of all
	lost   bool       // they are too many, or told in a way that is not followed
}

// chunkRun says how many samples the chunks from a number on have.
type chunkRun struct{ first, samples uint32 }

func (s *samplesAt) chunk(at int64) {
	if s.room(&s.m.placeChunks, maxPlaceChunks) {
		s.chunks = append(s.chunks, at)
	}
}

func (s *samplesAt) run(e []byte) {
	if s.room(&s.m.placeSamples, maxPlaceSamples) {
		s.runs = append(s.runs, chunkRun{big.Uint32(e), big.Uint32(e[4:])})
	}
}

func (s *samplesAt) size(n uint32) {
	if s.room(&s.m.placeSamples, maxPlaceSamples) {
		s.sizes = append(s.sizes, n)
	}
}

// room reports whether one more of n may be remembered.
func (s *samplesAt) room(n *int, most int) bool {
	*n++
	s.lost = s.lost || *n > most
	return !s.lost
}

// spans are the bytes of all samples, chunk by chunk; ok is false if they
// cannot be told.
func (s *samplesAt) spans(all int64) (out []span, ok bool) {
	if s.lost || len(s.runs) == 0 || s.runs[0].first != 1 {
		return nil, false
	}
	run, sizes := 0, s.sizes
	for i, at := range s.chunks {
		for run+1 < len(s.runs) && int64(s.runs[run+1].first) <= int64(i)+1 {
			run++
		}
		n := int64(s.runs[run].samples)
		if all -= n; all < 0 || s.each == 0 && n > int64(len(sizes)) {
			return nil, false
		}
		long := n * int64(s.each) // readSizes has seen that it fits
		if s.each == 0 {
			for _, k := range sizes[:n] {
				long += int64(k)
			}
			sizes = sizes[n:]
		}
		out = append(out, span{at, at + long})
	}
	return out, true
}

// disable makes padding of the tracks that say where, and zeros of their
// samples, unless nothing else is in the movie, fragments name the tracks, or
// items of pictures could share their bytes.
func (f *bmff) disable() error {
	pictures := f.kind.format == HEIF || f.meta != nil && f.meta.handler == "pict"
	shown := !pictures && slices.ContainsFunc(f.movie.tracks, func(t *track) bool { return !t.place() && t.samples > 0 })
	for _, t := range f.movie.tracks {
		switch {
		case !t.place():
		case !f.in.Sanitise || !shown || f.movie.fragmented:
			f.in.Note(t.start, t.end-t.start, "location track", Kept)
		default:
			if err := f.disableTrack(t); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *bmff) disableTrack(t *track) error {
	if err := f.in.Patch(t.start+4, []byte("free")); err != nil {
		return err
	}
	if err := f.in.PatchZeros(t.start+t.head, t.end-t.start-t.head); err != nil {
		return err
	}
	f.movie.disabled = true
	f.in.Note(t.start, t.end-t.start, "location track", Zeroed)
	spans, ok := t.at.spans(t.samples)
	for i := range spans {
		spans[i] = span{f.base + spans[i].start, f.base + spans[i].end}
		// What has passed can only be overwritten where it is certain to be media
		// data; what is to come is zeroed as such.
		ok = ok && (spans[i].start >= f.in.off || len(f.data) < maxSpans && f.data.holds(spans[i].start, spans[i].end))
	}
	if t.external || len(t.at.chunks) == 0 && !t.at.lost {
		return nil
	}
	if !ok {
		f.in.Note(f.base+t.chunks.start, t.chunks.end-t.chunks.start, "location samples", Kept)
		return nil
	}
	for _, s := range spans {
		if s.start == s.end {
			continue
		}
		if err := f.erase(s, "location samples"); err != nil {
			return err
		}
	}
	f.sortWipes()
	return nil
}

// erase has bytes zeroed: what is still to come as it streams by, what has
// passed by patches.
func (f *bmff) erase(s span, what string) error {
	f.in.Note(s.start, s.end-s.start, what, Zeroed)
	if passed := min(s.end, f.in.off); passed > s.start {
		if err := f.in.PatchZeros(s.start, passed-s.start); err != nil {
			return err
		}
	}
	if s.end > f.in.off {
		f.wipes = append(f.wipes, s)
	}
	return nil
}

// sortWipes puts what is to be zeroed in the order of the file.
func (f *bmff) sortWipes() {
	slices.SortFunc(f.wipes, func(a, b span) int { return cmp.Compare(a.start, b.start) })
}
