package mediatest

import (
	"bytes"
	"encoding/binary"
)

// PictureFile describes a HEIC or HEIF file.
type PictureFile struct {
	Brands     []string
	Grid       [2]int // columns and rows of 512 x 512 tiles; none: one picture
	Thumb      bool
	Rotate     bool
	Exif, XMP  bool
	Notes      bool // items of other types that say where
	MdatFirst  bool // the metadata lies before the box that names it
	Split      bool // Exif in two parts, with other media data between
	InIdat     bool // Exif by construction method 1
	PartOf     bool // Exif by construction method 2, as part of another item
	GridInMdat bool
	Overlay    bool // one picture laid over a canvas
	Version    int  // of iloc
	Fields     int  // bytes of iloc's fields: 4 if 0; 8, or -1 for offsets from a base
	Side       int  // of a tile: 512 if 0
	Sequence   bool
	GPSTrack   bool   // of the sequence
	Motion     []byte // the movie of a motion photo, in a mpvd box
	Samsung    bool   // a sefd box at the end
	After      []byte
}

// Exif is an Exif item: an offset, and TIFF with a GPS directory that says
// where.
func Exif() []byte { return Concat(U32(6), []byte("Exif\x00\x00"), PlaceTIFF()) }

// PlaceTIFF is Exif's TIFF with the orientation 6 and a GPS directory.
func PlaceTIFF() []byte {
	be := binary.BigEndian
	entry := func(tag, kind, count, value int) []byte { return Concat(U16(tag, kind), U32(count, value)) }
	b := []byte("MM\x00\x2a")
	b = be.AppendUint32(b, 8)
	b = Concat(b, U16(2), entry(0x112, 3, 1, 6<<16), entry(0x8825, 4, 1, 38), U32(0))
	b = Concat(b, U16(1), entry(0x1b, 7, len(Place), 56), U32(0))
	return append(b, Place...)
}

// CodedPicture stands for the bytes of a HEVC picture.
var CodedPicture = bytes.Repeat([]byte("\x00\x00\x00\x18\x26\x01coded hevc picture.."), 8)

type pictureItem struct {
	id      int
	kind    string
	extra   string // content type of a mime item
	data    []byte
	method  int
	props   []int
	offset  int // within the media data or idat, once laid out
	second  int // where the data's second half is; 0: behind the first
	partOff int
}

// Property numbers within ipco.
const (
	propTile = iota + 1
	propWhole
	propThumb
	propRotate
	propColour
	propPixi
	propCodec
)

// Bytes builds the file.
func (p PictureFile) Bytes() []byte {
	items := p.items()
	var mdat, idat []byte
	for i := range items {
		switch it := &items[i]; it.method {
		case 0:
			it.offset = len(mdat)
			if first := it.data[:len(it.data)/2]; p.Split && it.kind == "Exif" {
				mdat = Concat(mdat, first, CodedPicture)
				it.second = len(mdat)
				mdat = append(mdat, it.data[len(first):]...)
				continue
			}
			mdat = append(mdat, it.data...)
		case 1:
			it.offset = len(idat)
			idat = append(idat, it.data...)
		}
	}
	head := FileType(p.Brands...)
	tail := p.After
	if p.Motion != nil {
		tail = Concat(Box("mpvd", p.Motion), tail)
	}
	if p.Samsung {
		tail = Concat(tail, Box("sefd", []byte("MCC_Data "+Place+" SEFT")))
	}
	var moov []byte
	if p.Sequence {
		m := MovieFile{Brands: p.Brands, Video: true, GPSTrack: p.GPSTrack}
		movie := func(chunk int) []byte {
			return bytes.Replace(m.moov(chunk), []byte("vide"), []byte("pict"), 1)
		}
		size := len(movie(0)) + len(p.meta(items, 0, idat))
		moov = movie(len(head) + size + 8)
		mdat = Concat(mdat, make([]byte, max(0, len(Samples)+len(Places)-len(mdat))))
	}
	if p.MdatFirst {
		return Concat(head, Box("mdat", mdat), p.meta(items, len(head)+8, idat), moov, tail)
	}
	size := len(p.meta(items, 0, idat)) + len(moov)
	return Concat(head, p.meta(items, len(head)+size+8, idat), moov, Box("mdat", mdat), tail)
}

func (p PictureFile) side() int {
	if p.Side == 0 {
		return 512
	}
	return p.Side
}

func (p PictureFile) size() (int, int) {
	if p.Grid[0] == 0 {
		return p.side(), p.side()
	}
	return p.Grid[0]*p.side() - 10, p.Grid[1]*p.side() - 20
}

func (p PictureFile) items() []pictureItem {
	var items []pictureItem
	whole := []int{propWhole, propColour, propPixi}
	if p.Rotate {
		whole = append(whole, propRotate)
	}
	if p.Grid[0] > 0 {
		w, h := p.size()
		g := pictureItem{id: 1, kind: "grid", method: 1, props: whole, data: Concat([]byte{0, 0, byte(p.Grid[1] - 1), byte(p.Grid[0] - 1)}, U16(w, h))}
		if p.GridInMdat {
			g.method = 0
		}
		items = append(items, g)
		for i := range p.Grid[0] * p.Grid[1] {
			items = append(items, pictureItem{id: 10 + i, kind: "hvc1", data: CodedPicture, props: []int{propTile, propCodec}})
		}
	} else if p.Overlay {
		w, h := p.size()
		items = append(items, pictureItem{id: 1, kind: "iovl", method: 1, props: whole, data: Concat([]byte{0, 1}, U16(0, 0, 0, 0xffff), U32(w, h, 0, 0))},
			pictureItem{id: 10, kind: "hvc1", data: CodedPicture, props: []int{propTile, propCodec}})
	} else {
		items = append(items, pictureItem{id: 1, kind: "hvc1", data: CodedPicture, props: append(whole, propCodec)})
	}
	if p.Thumb {
		items = append(items, pictureItem{id: 2, kind: "hvc1", data: CodedPicture, props: []int{propThumb, propCodec}})
	}
	if p.PartOf {
		items = append(items, pictureItem{id: 5, kind: "mime", extra: "application/octet-stream", data: []byte("some more")})
	}
	if p.Exif {
		e := pictureItem{id: 3, kind: "Exif", data: Exif()}
		switch {
		case p.InIdat:
			e.method = 1
		case p.PartOf: // within an item of its own, which the item 6 is
			items = append(items, pictureItem{id: 6, kind: "Exif", data: Concat(U32(0), Exif())})
			e.method, e.partOff = 2, 4
		}
		items = append(items, e)
	}
	if p.XMP {
		items = append(items, pictureItem{id: 4, kind: "mime", extra: "application/rdf+xml", data: XMP()})
	}
	if p.Notes {
		items = append(items, pictureItem{id: 7, kind: "mime", extra: "text/plain", data: []byte("taken at " + Place)},
			pictureItem{id: 8, kind: "uri ", extra: "urn:example:place", data: []byte("at " + Place)})
	}
	return items
}

func (p PictureFile) meta(items []pictureItem, mdat int, idat []byte) []byte {
	infos := U16(len(items))
	for _, it := range items {
		infe := Concat(U16(it.id, 0), []byte(it.kind), []byte{0})
		if it.kind == "mime" || it.kind == "uri " {
			infe = Concat(infe, []byte(it.extra), []byte{0, 0})
		}
		infos = append(infos, FullBox("infe", 2, 0, infe)...)
	}
	boxes := [][]byte{
		FullBox("hdlr", 0, 0, U32(0), []byte("pict"), U32(0, 0, 0), []byte{0}),
		FullBox("pitm", 0, 0, U16(1)),
		FullBox("iinf", 0, 0, infos),
		p.references(items),
		Box("iprp", p.properties(), p.associations(items)),
	}
	if len(idat) > 0 {
		boxes = append(boxes, Box("idat", idat))
	}
	return FullBox("meta", 0, 0, append(boxes, p.iloc(items, mdat))...)
}

func (p PictureFile) references(items []pictureItem) []byte {
	refs := Box("cdsc", U16(9, 1, 1))
	if p.Grid[0] > 0 {
		n := p.Grid[0] * p.Grid[1]
		tiles := U16(1, n)
		for i := range n {
			tiles = append(tiles, U16(10+i)...)
		}
		refs = append(refs, Box("dimg", tiles)...)
	}
	if p.Overlay {
		refs = append(refs, Box("dimg", U16(1, 1, 10))...)
	}
	if p.Thumb {
		refs = append(refs, Box("thmb", U16(2, 1, 1))...)
	}
	for _, it := range items {
		if it.method == 2 {
			refs = append(refs, Box("iloc", U16(it.id, 2, 5, 6))...)
		}
	}
	return FullBox("iref", 0, 0, refs)
}

func (p PictureFile) properties() []byte {
	w, h := p.size()
	return Box("ipco",
		FullBox("ispe", 0, 0, U32(p.side(), p.side())),
		FullBox("ispe", 0, 0, U32(w, h)),
		FullBox("ispe", 0, 0, U32(160, 120)),
		Box("irot", []byte{3}),
		Box("colr", []byte("nclx"), U16(1, 13, 6), []byte{0x80}),
		FullBox("pixi", 0, 0, []byte{3, 8, 8, 8}),
		Box("hvcC", make([]byte, 23)))
}

func (p PictureFile) associations(items []pictureItem) []byte {
	out, n := []byte(nil), 0
	for _, it := range items {
		if len(it.props) == 0 {
			continue
		}
		n++
		out = append(out, Concat(U16(it.id), []byte{byte(len(it.props))})...)
		for _, i := range it.props {
			out = append(out, byte(i)|0x80)
		}
	}
	return FullBox("ipma", 0, 0, U32(n), out)
}

func (p PictureFile) iloc(items []pictureItem, mdat int) []byte {
	version := p.Version
	if version == 0 && (p.InIdat || p.PartOf || p.Overlay || p.Grid[0] > 0 && !p.GridInMdat) {
		version = 1
	}
	number, sizes, bases := U16, byte(0x44), byte(0)
	if version == 2 {
		number = U32
	}
	field := func(v int) []byte { return U32(v) }
	switch p.Fields {
	case 8:
		sizes, field = 0x88, func(v int) []byte { return U64(v) }
	case -1:
		sizes, bases = 0x04, 0x40
	}
	if p.PartOf {
		bases |= 4 // extents have an index
	}
	out := Concat([]byte{sizes, bases}, number(len(items)))
	for _, it := range items {
		out = append(out, number(it.id)...)
		if version > 0 {
			out = append(out, U16(it.method)...)
		}
		out = append(out, U16(0)...)
		at := it.offset
		switch it.method {
		case 0:
			at += mdat
		case 2:
			at = it.partOff
		}
		if bases&0xf0 != 0 {
			out = append(out, U32(at)...)
		}
		if it.second > 0 { // without a base
			half := len(it.data) / 2
			out = Concat(out, U16(2), field(at), field(half), field(mdat+it.second), field(len(it.data)-half))
			continue
		}
		out = append(out, U16(1)...)
		if bases&4 != 0 {
			out = append(out, U32(it.id/3*2)...) // the second reference, for the item 3
		}
		if bases&0xf0 == 0 {
			out = append(out, field(at)...)
		}
		out = append(out, field(len(it.data))...)
	}
	return FullBox("iloc", version, 0, out)
}
