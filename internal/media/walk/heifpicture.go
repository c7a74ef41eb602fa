package walk

import (
	"maps"
	"slices"
)

// pictureKinds are the item types that are pictures, coded or derived.
var pictureKinds = []string{"hvc1", "hev1", "lhv1", "avc1", "vvc1", "evc1", "jpeg", "j2k1", "unci", "grid", "iovl", "iden", "tmap"}

// derived checks the description of a grid or overlay against the limits,
// the picture's size and the pictures it is made of.
func (m *meta) derived(it *item, p []byte) error {
	in := m.f.in
	at := 4 // version, flags, rows, columns
	if it.kind == "iovl" {
		at = 10 // version, flags, the colour of the canvas
	}
	width := 2
	if len(p) > 1 && p[1]&1 != 0 {
		width = 4
	}
	if len(p) < at+2*width || p[0] != 0 {
		return in.Corrupt("item %d, %q, is too short or of an unknown version", it.id, it.kind)
	}
	var out pixels
	if width == 2 {
		out = pixels{int64(big.Uint16(p[at:])), int64(big.Uint16(p[at+2:]))}
	} else {
		out = pixels{int64(big.Uint32(p[at:])), int64(big.Uint32(p[at+4:]))}
	}
	if err := in.Picture(out.w, out.h); err != nil {
		return err
	}
	if it.size.w != 0 && it.size != out {
		return in.Corrupt("item %d says it is %d x %d and %d x %d", it.id, it.size.w, it.size.h, out.w, out.h)
	}
	if it.kind == "grid" {
		return m.grid(it, int64(p[2])+1, int64(p[3])+1, out)
	}
	return nil
}

// grid checks that the tiles are as many as the grid has places, of one size,
// and that none lies wholly outside the picture.
func (m *meta) grid(it *item, rows, cols int64, out pixels) error {
	in := m.f.in
	refs := m.refsOf('d', it.id)
	if int64(len(refs)) != rows*cols {
		return in.Corrupt("a grid of %d x %d has %d tiles", cols, rows, len(refs))
	}
	var tile pixels
	for i, r := range refs {
		t := m.items[r.to]
		if t == nil {
			return in.Corrupt("item %d is made of item %d, which does not exist", it.id, r.to)
		}
		if i > 0 && t.size != tile {
			return in.Corrupt("tiles of %d x %d and %d x %d", tile.w, tile.h, t.size.w, t.size.h)
		}
		tile = t.size
	}
	if tile.w == 0 || (cols-1)*tile.w >= out.w || (rows-1)*tile.h >= out.h {
		return in.Corrupt("%d x %d tiles of %d x %d for a picture of %d x %d", cols, rows, tile.w, tile.h, out.w, out.h)
	}
	if cols*tile.w < out.w || rows*tile.h < out.h {
		return in.Corrupt("%d x %d tiles of %d x %d do not cover a picture of %d x %d", cols, rows, tile.w, tile.h, out.w, out.h)
	}
	return nil
}

// picture checks the items of a still picture as a whole.
func (m *meta) picture() error {
	in := m.f.in
	if k := m.seen.missing("pitm", "iinf", "iloc", "iprp"); k != "" {
		return in.Corrupt("a picture without %s", k)
	}
	for _, id := range slices.Sorted(maps.Keys(m.items)) {
		it := m.items[id]
		if !slices.Contains(pictureKinds, it.kind) {
			continue
		}
		if _, err := m.measure(it, 0); err != nil {
			return err
		}
	}
	p := m.items[m.primary]
	if p == nil || p.kind == "" {
		return in.Corrupt("the primary item %d does not exist", m.primary)
	}
	if !slices.Contains(pictureKinds, p.kind) {
		return in.Mismatch("the primary item is of type %q", p.kind)
	}
	return nil
}

// measure counts the pixels that showing an item decodes, through everything
// it is made of: a small file can name the same tiles over and over.
func (m *meta) measure(it *item, depth int) (int64, error) {
	in := m.f.in
	switch {
	case it.cost > 0:
		return it.cost, nil
	case it.measuring:
		return 0, in.Corrupt("item %d is made of itself", it.id)
	case depth > in.Limits.MaxDepth:
		return 0, &Reject{Code: TooLarge, Reason: "depth of derived pictures", Offset: in.off, Limit: int64(in.Limits.MaxDepth), Actual: int64(depth)}
	case it.size.w == 0:
		return 0, in.Corrupt("item %d, a picture, has no size", it.id)
	}
	it.measuring = true
	cost := it.size.w * it.size.h
	for _, r := range m.refsOf('d', it.id) {
		part := m.items[r.to]
		if part == nil {
			return 0, in.Corrupt("item %d is made of item %d, which does not exist", it.id, r.to)
		}
		n, err := m.measure(part, depth+1)
		if err != nil {
			return 0, err
		}
		if cost += n; cost > in.Limits.MaxTotalPixels {
			return 0, &Reject{Code: TooLarge, Reason: "pixels of all pictures that one is made of", Offset: in.off,
				Limit: in.Limits.MaxTotalPixels, Actual: cost}
		}
	}
	it.measuring, it.cost = false, cost
	return cost, nil
}

// finishPicture names a picture or a sequence of pictures.
func (f *bmff) finishPicture() error {
	if f.meta != nil && f.meta.handler == "pict" {
		p := f.meta.items[f.meta.primary]
		f.info.Width, f.info.Height, f.info.Frames = p.size.w, p.size.h, 1
	} else if f.movie == nil {
		return f.in.Corrupt("a picture's brand without a picture")
	}
	if f.movie != nil {
		if err := f.finishSequence(); err != nil {
			return err
		}
	}
	f.info.Format, f.info.MIME, f.info.Brand = f.kind.format, f.kind.mime, f.kind.brand
	return nil
}

// finishSequence bounds the pictures of a sequence like an animation's.
func (f *bmff) finishSequence() error {
	pictures := false
	for _, t := range f.movie.tracks {
		if t.handler != "pict" && t.handler != "vide" {
			continue
		}
		pictures = true
		if err := f.in.Animation(t.samples, t.width, t.height); err != nil {
			return err
		}
		if f.info.Width == 0 {
			f.info.Width, f.info.Height = t.width, t.height
		}
		f.info.Frames = max(f.info.Frames, t.samples)
	}
	if !pictures && f.meta == nil {
		return f.in.Corrupt("a picture's brand without a picture")
	}
	return nil
}
