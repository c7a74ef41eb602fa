package walk

import (
	"bytes"
	"slices"
)

// Bounds of what is remembered of the items of one meta box: an iPhone's
// picture has about 60, a 100-megapixel grid about 400. Together they take less
// than a megabyte.
const (
	maxItems   = 1280
	maxExtents = 1920
	maxRefs    = 4096
	maxProps   = 2048
	maxIdat    = 16 << 10 // of which grids are read
)

// meta is a meta box: items of a picture, or the key-value lists of a movie.
type meta struct {
	f       *bmff
	handler string
	seen    boxNames

	keyed  bool
	places []uint32 // numbers of the keys that say where, ascending

	primary  uint32
	items    map[uint32]*item
	refs     []itemRef
	props    []pixels // by index less 1; not every property is a size
	idat     span
	idatHead []byte
}

// item is one item of a picture.
type item struct {
	id        uint32
	method    uint8 // where the extents count from: file, idat, another item
	implied   bool  // extents have no lengths
	located   bool
	measuring bool
	kind      string
	what      string // "exif", "xmp" or other metadata, to be zeroed; "" for what is shown
	extents   []extent
	size      pixels
	cost      int64 // pixels to decode, once known
}

// extent is a part of an item's data, before resolving: from the start of
// whatever it counts from.
type extent struct{ start, length, index int64 }

// itemRef says that an item is made of another: "dimg" or "iloc".
type itemRef struct {
	kind     byte // 'd', 'i'
	from, to uint32
}

type pixels struct{ w, h int64 }

func newMeta(f *bmff) *meta {
	return &meta{f: f, items: map[uint32]*item{}}
}

// walk consumes the box. QuickTime's has no version, the standard's has.
func (m *meta) walk(b box, depth int) error {
	f := m.f
	skip := int64(4)
	if b.payload() >= 8 {
		p, err := f.fields(b, 8)
		if err != nil {
			return err
		}
		if string(p[4:8]) == "hdlr" {
			skip = 0
		}
	}
	if err := f.inside(b, skip, depth, m.visit); err != nil {
		return err
	}
	return m.resolve(b)
}

func (m *meta) visit(b box, depth int) error {
	f := m.f
	if slices.Contains([]string{"hdlr", "pitm", "iinf", "iloc", "iprp", "iref", "idat", "keys", "ilst"}, b.kind) && m.seen.again(b.kind) {
		return f.in.Corrupt("a second box %q", b.kind)
	}
	switch b.kind {
	case "hdlr":
		p, err := f.fields(b, 12)
		if err != nil {
			return err
		}
		m.handler = string(p[8:12])
	case "pitm":
		return m.primaryItem(b)
	case "iinf":
		return m.infos(b, depth)
	case "iloc":
		return m.locations(b)
	case "iprp":
		return f.inside(b, 0, depth, m.properties)
	case "iref":
		return m.references(b, depth)
	case "idat":
		return m.data(b)
	case "keys":
		return m.keys(b)
	case "ilst":
		return m.list(b, depth)
	case "xml ", "bxml":
		return f.blank(b, "xml")
	}
	return f.keep(b)
}

// item returns the item of a number, made when first named.
func (m *meta) item(id uint32) (*item, error) {
	it := m.items[id]
	if it == nil {
		if len(m.items) == maxItems {
			return nil, &Reject{Code: TooLarge, Reason: "items of the picture", Offset: m.f.in.off, Limit: maxItems, Actual: maxItems + 1}
		}
		it = &item{id: id}
		m.items[id] = it
	}
	return it, nil
}

// itemNumber reads an item number or count: 16 bits in old versions.
func itemNumber(p []byte, wide bool) (uint32, []byte) {
	if wide {
		return big.Uint32(p), p[4:]
	}
	return uint32(big.Uint16(p)), p[2:]
}

func (m *meta) primaryItem(b box) error {
	p, err := m.f.fields(b, 6)
	if err != nil {
		return err
	}
	if p[0] > 0 {
		if p, err = m.f.fields(b, 8); err != nil {
			return err
		}
	}
	m.primary, _ = itemNumber(p[4:], p[0] > 0)
	return m.f.keep(b)
}

// infos reads the items' types.
func (m *meta) infos(b box, depth int) error {
	f := m.f
	p, err := f.fields(b, 6)
	if err != nil {
		return err
	}
	wide := p[0] > 0
	skip := int64(6)
	if wide {
		skip = 8
		if p, err = f.fields(b, 8); err != nil {
			return err
		}
	}
	count, _ := itemNumber(p[4:], wide)
	n := uint32(0)
	err = f.inside(b, skip, depth, func(b box, _ int) error {
		if b.kind != "infe" {
			return f.in.Corrupt("box %q among item infos", b.kind)
		}
		n++
		return m.info(b)
	})
	if err == nil && n != count {
		return f.in.Corrupt("%d items instead of %d", n, count)
	}
	return err
}

// info reads one item's type; versions before 2 have only a content type.
func (m *meta) info(b box) error {
	f := m.f
	p, err := f.fields(b, min(b.payload(), 4096))
	if err != nil {
		return err
	}
	short := func(n int) bool { return len(p) < n }
	if short(12) {
		return f.in.Corrupt("box %q is too short", b.kind)
	}
	version, p := p[0], p[4:]
	id, p := itemNumber(p, version >= 3)
	it, err := m.item(id)
	if err != nil {
		return err
	}
	if it.kind != "" {
		return f.in.Corrupt("a second item %d", id)
	}
	p = p[2:] // protection
	it.kind = "mime"
	if version >= 2 {
		if short(4) {
			return f.in.Corrupt("an item without a type")
		}
		it.kind, p = string(p[:4]), p[4:]
	}
	switch it.kind {
	case "Exif":
		it.what = "exif"
	case "av01":
		return f.in.Mismatch("an AVIF picture")
	case "mime":
		_, p, ok := bytes.Cut(p, []byte{0}) // after the name
		mime, _, _ := bytes.Cut(p, []byte{0})
		if !ok {
			return f.in.Corrupt("an item without a content type")
		}
		if bytes.EqualFold(bytes.TrimSpace(mime), []byte("application/rdf+xml")) {
			it.what = "xmp"
		} else {
			it.what = "metadata" // no picture is of a content type
		}
	case "uri ":
		it.what = "metadata"
	}
	return f.keep(b)
}

// data remembers where idat is and how it begins.
func (m *meta) data(b box) error {
	f := m.f
	head, err := f.fields(b, min(b.payload(), maxIdat))
	if err != nil {
		return err
	}
	m.idatHead = slices.Clone(head)
	m.idat = span{b.start + b.head, b.end}
	f.data.add(m.idat.start, m.idat.end)
	return f.keep(b)
}

// references remembers what derived pictures are made of.
func (m *meta) references(b box, depth int) error {
	f := m.f
	p, err := f.fields(b, 4)
	if err != nil {
		return err
	}
	wide := p[0] > 0
	return f.inside(b, 4, depth, func(b box, _ int) error {
		width := int64(2)
		if wide {
			width = 4
		}
		p, err := f.fields(b, width+2)
		if err != nil {
			return err
		}
		from, p := itemNumber(p, wide)
		count := int64(big.Uint16(p))
		kind := b.kind[0]
		if b.kind != "dimg" && b.kind != "iloc" {
			return f.table(b, width+2, count, width, nil)
		}
		if len(m.refs)+int(count) > maxRefs {
			return &Reject{Code: TooLarge, Reason: "references between items", Offset: f.in.off, Limit: maxRefs, Actual: int64(len(m.refs)) + count}
		}
		m.refs = slices.Grow(m.refs, int(min(count, b.payload()/width)))
		return f.table(b, width+2, count, width, func(e []byte) {
			to, _ := itemNumber(e, wide)
			m.refs = append(m.refs, itemRef{kind, from, to})
		})
	})
}
