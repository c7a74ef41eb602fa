package walk

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// fieldReader keeps big-endian fields up to an end. After an error it reads
// zeros.
type fieldReader struct {
	f   *bmff
	end int64
	err error
}

func (r *fieldReader) uint(n int64) uint64 {
	if r.err != nil || n == 0 {
		return 0
	}
	in := r.f.in
	if r.err = in.Step(); r.err != nil {
		return 0
	}
	if n > r.end-in.off {
		r.err = in.Corrupt("a table runs past its box")
		return 0
	}
	p, err := in.Need(int(n))
	if err != nil {
		r.err = err
		return 0
	}
	var v uint64
	for _, c := range p {
		v = v<<8 | uint64(c)
	}
	r.err = in.Keep(n)
	return v
}

func (r *fieldReader) number(wide bool) uint32 {
	if wide {
		return uint32(r.uint(4))
	}
	return uint32(r.uint(2))
}

// close consumes what is left before the end as padding.
func (r *fieldReader) close() error {
	if r.err != nil {
		return r.err
	}
	_, err := r.f.in.padding(r.end-r.f.in.off, "padding of a table")
	return err
}

// maxOffset keeps sums of two offsets and a length from overflowing.
const maxOffset = math.MaxInt64 / 8

// locations reads where the items' data is.
func (m *meta) locations(b box) error {
	f := m.f
	p, err := f.fields(b, 8)
	if err != nil {
		return err
	}
	version := p[0]
	offsets, lengths, bases, indexes := int64(p[4]>>4), int64(p[4]&15), int64(p[5]>>4), int64(p[5]&15)
	if version == 0 {
		indexes = 0
	}
	for _, n := range []int64{offsets, lengths, bases, indexes} {
		if n != 0 && n != 4 && n != 8 || version > 2 {
			return f.in.Corrupt("an item location box of version %d with fields of %d bytes", version, n)
		}
	}
	if err := f.in.Keep(b.head + 6); err != nil {
		return err
	}
	r := &fieldReader{f: f, end: b.end}
	for range r.number(version == 2) {
		if err := m.location(r, version, [4]int64{offsets, lengths, bases, indexes}); err != nil {
			return err
		}
	}
	return r.close()
}

// location reads where one item's data is; widths are those of offsets,
// lengths, bases and indexes.
func (m *meta) location(r *fieldReader, version byte, widths [4]int64) error {
	f := m.f
	id := r.number(version == 2)
	if r.err != nil {
		return r.err
	}
	it, err := m.item(id)
	if err != nil {
		return err
	}
	if it.located {
		return f.in.Corrupt("item %d has two locations", it.id)
	}
	it.located = true
	if version > 0 {
		it.method = uint8(r.uint(2) & 15)
	}
	source := r.uint(2)
	if r.err != nil {
		return r.err
	}
	if source != 0 || it.method > 2 {
		return f.in.Corrupt("item %d lies in data source %d by method %d", it.id, source, it.method)
	}
	base := r.uint(widths[2])
	count := r.uint(2)
	it.extents = make([]extent, 0, min(int(count), maxExtents-f.extents))
	for range count {
		e := extent{index: int64(min(r.uint(widths[3]), maxOffset))}
		e.start = int64(min(base, maxOffset) + min(r.uint(widths[0]), maxOffset))
		e.length = int64(min(r.uint(widths[1]), maxOffset))
		if r.err != nil {
			return r.err
		}
		if f.extents++; f.extents > maxExtents {
			return &Reject{Code: TooLarge, Reason: "extents of items", Offset: f.in.off, Limit: maxExtents, Actual: maxExtents + 1}
		}
		it.extents = append(it.extents, e)
	}
	it.implied = widths[1] == 0 && len(it.extents) > 0
	return r.err
}

// itemClaim is a range of the input that an item has as its data.
type itemClaim struct {
	span
	it *item
}

// resolve works out, at the end of the meta box, where the items' data is,
// what of it is to be zeroed and what of it describes derived pictures.
func (m *meta) resolve(b box) error {
	f := m.f
	slices.SortStableFunc(m.refs, func(a, b itemRef) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.from, b.from))
	})
	if m.handler == "pict" && f.movie != nil && f.movie.disabled {
		return f.in.Corrupt("pictures behind a movie with a track of places")
	}
	n := 0
	for _, it := range m.items {
		n += len(it.extents)
	}
	claims := make([]itemClaim, 0, n)
	f.places = slices.Grow(f.places, n)
	for _, id := range slices.Sorted(maps.Keys(m.items)) {
		it := m.items[id]
		if it.implied {
			if it.what != "" {
				return f.in.Corrupt("item %d of metadata has no length", id)
			}
			continue
		}
		spans, err := m.spansOf(it, false)
		if err != nil {
			return err
		}
		for i, s := range spans {
			claims = append(claims, itemClaim{s, it})
			f.places = append(f.places, samplePlace{s.start - f.base, s.end - f.base, "data of an item"})
			if i == 0 && m.handler == "pict" {
				if err := m.inspect(it, s); err != nil {
					return err
				}
			}
		}
	}
	if err := m.wipe(claims); err != nil {
		return err
	}
	if m.handler == "pict" {
		return m.picture()
	}
	return nil
}

// refsOf returns an item's references of a kind, in order.
func (m *meta) refsOf(kind byte, id uint32) []itemRef {
	want := itemRef{kind: kind, from: id}
	order := func(a, b itemRef) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.from, b.from)) }
	i, _ := slices.BinarySearchFunc(m.refs, want, order)
	j := i
	for j < len(m.refs) && order(m.refs[j], want) == 0 {
		j++
	}
	return m.refs[i:j]
}

// spansOf resolves an item's extents to ranges of the input; those without
// bytes are left out.
func (m *meta) spansOf(it *item, nested bool) ([]span, error) {
	f := m.f
	out := make([]span, 0, len(it.extents))
	for _, e := range it.extents {
		if e.length == 0 {
			continue
		}
		s := span{f.base + e.start, f.base + e.start + e.length}
		switch it.method {
		case 1:
			if m.idat.end == 0 || e.start+e.length > m.idat.end-m.idat.start {
				return nil, f.in.Corrupt("item %d runs past idat", it.id)
			}
			s = span{m.idat.start + e.start, m.idat.start + e.start + e.length}
		case 2:
			if nested {
				return nil, f.in.Corrupt("item %d is made of parts of parts", it.id)
			}
			parts, err := m.within(it, e)
			if err != nil {
				return nil, err
			}
			out = append(out, parts...)
			continue
		}
		out = append(out, s)
		if len(out) > maxExtents {
			break
		}
	}
	if len(out) > maxExtents {
		return nil, &Reject{Code: TooLarge, Reason: "extents of items", Offset: f.in.off, Limit: maxExtents, Actual: int64(len(out))}
	}
	return out, nil
}

// within resolves an extent that counts from another item's data.
func (m *meta) within(it *item, e extent) ([]span, error) {
	f := m.f
	refs := m.refsOf('i', it.id)
	n := max(e.index, 1) // numbered from 1
	if n > int64(len(refs)) || m.items[refs[n-1].to] == nil {
		return nil, f.in.Corrupt("item %d is part of an unknown item", it.id)
	}
	source, err := m.spansOf(m.items[refs[n-1].to], true)
	if err != nil {
		return nil, err
	}
	if f.extents += len(source); f.extents > maxExtents {
		return nil, &Reject{Code: TooLarge, Reason: "extents of items", Offset: f.in.off, Limit: maxExtents, Actual: int64(f.extents)}
	}
	var out []span
	skip, left := e.start, e.length
	for _, s := range source {
		n := s.end - s.start
		if skip >= n {
			skip -= n
			continue
		}
		part := span{s.start + skip, s.start + skip + min(left, n-skip)}
		out, skip, left = append(out, part), 0, left-(part.end-part.start)
		if left == 0 {
			return out, nil
		}
	}
	return nil, f.in.Corrupt("item %d runs past the item it is part of", it.id)
}

// wipe arranges for metadata to be zeroed. Metadata that shares bytes with
// anything else is a trap.
func (m *meta) wipe(claims []itemClaim) error {
	f := m.f
	slices.SortStableFunc(claims, func(a, b itemClaim) int { return cmp.Compare(a.start, b.start) })
	var metaEnd, otherEnd int64
	for _, c := range claims {
		if c.it.what == "" {
			otherEnd = max(otherEnd, c.end)
		} else {
			metaEnd = max(metaEnd, c.end)
		}
		if c.it.what == "" && c.start < metaEnd || c.it.what != "" && c.start < otherEnd {
			return f.in.Corrupt("item %d shares bytes with another", c.it.id)
		}
	}
	if f.in.Sanitise {
		f.wipes = slices.Grow(f.wipes, len(claims))
	}
	for _, c := range claims {
		if c.it.what == "" || !f.in.Sanitise {
			continue
		}
		if err := f.erase(c.span, c.it.what); err != nil {
			return err
		}
	}
	f.sortWipes()
	return nil
}

// itemProbe is a place whose bytes a meta box wants to see as they stream by.
type itemProbe struct {
	span
	see func(p []byte) error
}

// inspect has a derived picture's description read: in idat at once, in media
// data that is to come later. One that has passed is left to its ispe.
func (m *meta) inspect(it *item, s span) error {
	f := m.f
	if it.kind != "grid" && it.kind != "iovl" {
		return nil
	}
	s.end = min(s.end, s.start+18)
	if at := s.start - m.idat.start; s.start >= m.idat.start && s.end <= m.idat.end && at < int64(len(m.idatHead)) {
		return m.derived(it, m.idatHead[at:min(s.end-m.idat.start, int64(len(m.idatHead)))])
	}
	if s.start < f.in.off {
		return nil
	}
	f.probes = append(f.probes, itemProbe{s, func(p []byte) error { return m.derived(it, p) }})
	slices.SortStableFunc(f.probes, func(a, b itemProbe) int { return cmp.Compare(a.start, b.start) })
	return nil
}

// stream passes media data on up to end, or to the input's end, zeroing and
// showing what the items asked for.
func (f *bmff) stream(end int64) error {
	in := f.in
	for in.off < end {
		stop := end
		for len(f.probes) > 0 && f.probes[0].start <= in.off {
			p := f.probes[0]
			f.probes = f.probes[1:]
			if p.start < in.off {
				continue
			}
			b, err := in.Need(int(p.end - p.start))
			if err == nil {
				err = p.see(b)
			}
			if err != nil {
				return err
			}
		}
		if len(f.probes) > 0 {
			stop = min(stop, f.probes[0].start)
		}
		for len(f.wipes) > 0 && f.wipes[0].end <= in.off {
			f.wipes = f.wipes[1:]
		}
		var err error
		switch {
		case len(f.wipes) > 0 && f.wipes[0].start <= in.off:
			err = in.Zero(min(stop, f.wipes[0].end) - in.off)
		case len(f.wipes) > 0:
			err = in.Keep(min(stop, f.wipes[0].start) - in.off)
		case stop == math.MaxInt64:
			_, err = in.Rest(Kept)
			return err
		default:
			err = in.Keep(stop - in.off)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
