package walk

import (
	"math"
	"math/bits"
)

// moof walks a fragment's header. The samples of its runs must lie in media
// data: the first and last place that any names is checked at the end.
func (f *bmff) moof(b box) error {
	if f.movie == nil || !f.movie.fragmented {
		return f.in.Corrupt("a fragment without a movie header for fragments")
	}
	return f.inside(b, 0, 1, func(c box, depth int) error {
		if c.kind != "traf" {
			return f.about(c, depth)
		}
		r := &fragmentRun{f: f, moof: b.start - f.base}
		return f.inside(c, 0, depth, r.visit)
	})
}

// about consumes what a fragment says of itself, as a movie does.
func (f *bmff) about(b box, depth int) error {
	switch b.kind {
	case "udta":
		return f.userData(b, depth)
	case "meta":
		return newMeta(f).walk(b, depth)
	}
	return f.keep(b)
}

// fragmentRun follows the runs of samples of one track fragment.
type fragmentRun struct {
	f     *bmff
	moof  int64
	t     *track
	from  int64 // what data offsets count from
	sure  bool  // from is known
	usual uint32
}

// Flags of tfhd and trun.
const (
	hasBase        = 0x1
	hasDescription = 0x2
	hasDuration    = 0x8
	hasSize        = 0x10
	hasFlags       = 0x20
	baseIsMoof     = 0x20000

	runHasOffset = 0x1
	runHasFirst  = 0x4
	runDuration  = 0x100
	runSize      = 0x200
	runFlags     = 0x400
	runTime      = 0x800
)

func (r *fragmentRun) visit(b box, depth int) error {
	switch b.kind {
	case "tfhd":
		return r.header(b)
	case "trun":
		return r.samples(b)
	}
	return r.f.about(b, depth)
}

// header takes the track and the defaults of its runs.
func (r *fragmentRun) header(b box) error {
	in := r.f.in
	p, err := r.f.fields(b, 8)
	if err != nil {
		return err
	}
	flags := big.Uint32(p)
	id := big.Uint32(p[4:])
	if r.t != nil {
		return in.Corrupt("a second tfhd box")
	}
	if r.t = r.f.movie.track(id); r.t == nil {
		return in.Corrupt("a fragment of the unknown track %d", id)
	}
	n := int64(8)
	if flags&hasBase != 0 {
		n += 8
	}
	n += 4 * int64(bits.OnesCount32(flags&(hasDescription|hasDuration|hasSize|hasFlags)))
	if p, err = r.f.fields(b, n); err != nil {
		return err
	}
	r.usual, r.from, r.sure = r.t.usual, r.moof, flags&baseIsMoof != 0
	p = p[8:]
	if flags&hasBase != 0 {
		r.from, r.sure = int64(min(big.Uint64(p), math.MaxInt64/4)), true
		p = p[8:]
	}
	if flags&hasDescription != 0 {
		p = p[4:]
	}
	if flags&hasDuration != 0 {
		p = p[4:]
	}
	if flags&hasSize != 0 {
		r.usual = big.Uint32(p)
	}
	return r.f.keep(b)
}

// samples reads a run.
func (r *fragmentRun) samples(b box) error {
	f := r.f
	p, err := f.fields(b, 8)
	if err != nil {
		return err
	}
	if r.t == nil {
		return f.in.Corrupt("a run before its tfhd box")
	}
	flags, count := big.Uint32(p), int64(big.Uint32(p[4:]))
	fixed, size, at := int64(8), int64(0), int64(-1)
	if flags&runHasOffset != 0 {
		fixed += 4
	}
	if flags&runHasFirst != 0 {
		fixed += 4
	}
	for _, flag := range []uint32{runDuration, runSize, runFlags, runTime} {
		if flags&flag != 0 {
			if flag == runSize {
				at = size
			}
			size += 4
		}
	}
	if p, err = f.fields(b, fixed); err != nil {
		return err
	}
	start := r.from
	if flags&runHasOffset != 0 {
		start += int64(int32(big.Uint32(p[8:])))
	}
	r.t.samples += count
	bytes := uint64(count) * uint64(r.usual)
	entries := count
	if size == 0 {
		entries, size = 0, 1
	}
	var each func([]byte)
	if at >= 0 {
		bytes = 0
		each = func(e []byte) { bytes += uint64(big.Uint32(e[at:])) }
	}
	if err := f.table(b, fixed, entries, size, each); err != nil {
		return err
	}
	if flags&runHasOffset != 0 && r.sure && bytes > 0 && !r.t.external {
		f.placeRun(start, int64(min(bytes, math.MaxInt64/4)))
	}
	return nil
}

// placeRun remembers the first and the last place of all runs.
func (f *bmff) placeRun(start, bytes int64) {
	p := samplePlace{start, start + bytes, "run of a fragment's samples"}
	switch {
	case len(f.runs) == 0:
		f.runs = append(f.runs, p, p)
	case p.start < f.runs[0].start:
		f.runs[0] = p
	}
	if p.end > f.runs[1].end {
		f.runs[1] = p
	}
}
