// Package mediatest builds media files for tests: every container, every
// kind of trailer and every layout of polyglots, valid but minimal. Nothing
// is ever downloaded.
package mediatest

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Place is where the fixtures were "taken": what sanitising must remove.
const Place = "+47.3769+008.5417/"

// Samples is what the media data of a movie holds.
var Samples = bytes.Repeat([]byte("\x00\x00\x00\x1c\x65sample of a picture\x00\x01\x02\x03"), 20)

// Places is what the timed metadata of a movie holds.
var Places = bytes.Repeat([]byte("GPS5 "+Place+"\x00"), 20)

// Concat concatenates.
func Concat(parts ...[]byte) []byte { return slices.Concat(parts...) }

// U16, U32 and U64 are big-endian numbers.
func U16(v ...int) []byte {
	var b []byte
	for _, n := range v {
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	}
	return b
}

// U32 is U16 for 32 bits.
func U32(v ...int) []byte {
	var b []byte
	for _, n := range v {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	return b
}

// U64 is U16 for 64 bits.
func U64(v ...int) []byte {
	var b []byte
	for _, n := range v {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return b
}

// Box is a box of the ISO base media format.
func Box(kind string, payload ...[]byte) []byte {
	p := Concat(payload...)
	return Concat(U32(8+len(p)), []byte(kind), p)
}

// Box64 is a box with a 64-bit size.
func Box64(kind string, payload ...[]byte) []byte {
	p := Concat(payload...)
	return Concat(U32(1), []byte(kind), U64(16+len(p)), p)
}

// FullBox is a box with a version and flags.
func FullBox(kind string, version, flags int, payload ...[]byte) []byte {
	return Box(kind, U32(version<<24|flags), Concat(payload...))
}

// FileType is a ftyp box.
func FileType(brands ...string) []byte {
	p := Concat([]byte(brands[0]), U32(512))
	for _, b := range brands {
		p = append(p, b...)
	}
	return Box("ftyp", p)
}

// MovieFile describes an MP4, QuickTime or M4A file.
type MovieFile struct {
	Brands       []string // none: an old QuickTime file without ftyp
	Video, Audio bool
	GPSTrack     bool     // timed metadata of an action camera
	GPSKeys      string   // an iPhone's timed metadata instead, and its key
	GPSChunks    int      // of it, a byte each
	MoovLast     bool     // as cameras write it
	Large        bool     // 64-bit sizes and offsets
	Fragments    int      // of a fragmented movie
	About        [][]byte // boxes within each fragment, and within each track of it
	Compact      bool     // sample sizes of 16 bits
	ToEnd        bool     // the last media data has size 0
	Width        int      // 640 if 0
	UserData     [][]byte // boxes within moov/udta
	TrackData    [][]byte // boxes within each track
	Meta         []byte   // a meta box within moov
	Before       []byte   // boxes between ftyp and what follows
	After        []byte   // boxes behind everything
}

// Bytes builds the file.
func (m MovieFile) Bytes() []byte {
	var head []byte
	if len(m.Brands) > 0 {
		head = FileType(m.Brands...)
	}
	head = Concat(head, m.Before)
	mdat := m.mdat()
	at := len(mdat) - len(Samples)
	if m.GPSTrack {
		at -= len(Places) + m.GPSChunks
	}
	switch {
	case m.Fragments > 0:
		out := Concat(head, m.moov(0))
		for i := range m.Fragments {
			out = append(out, m.fragment(i)...)
		}
		return append(out, m.After...)
	case m.MoovLast:
		return Concat(head, mdat, m.moov(len(head)+at), m.After)
	}
	size := len(m.moov(0))
	return Concat(head, m.moov(len(head)+size+at), mdat, m.After)
}

func (m MovieFile) mdat() []byte {
	data := Samples
	if m.GPSTrack {
		data = Concat(Samples, Places, make([]byte, m.GPSChunks))
	}
	switch {
	case m.ToEnd:
		return Concat(U32(0), []byte("mdat"), data)
	case m.Large:
		return Box64("mdat", data)
	}
	return Box("mdat", data)
}

// fragment is a moof with one run for each track, and its media data.
func (m MovieFile) fragment(n int) []byte {
	build := func(offset int) []byte {
		p := FullBox("mfhd", 0, 0, U32(n+1))
		for i := range m.handlers() {
			p = append(p, Box("traf",
				FullBox("tfhd", 0, 0x20000, U32(i+1)),
				FullBox("tfdt", 0, 0, U32(n*20)),
				FullBox("trun", 0, 0x201, U32(20, offset), bytes.Repeat(U32(len(Samples)/20), 20)),
				Concat(m.About...))...)
		}
		p = append(p, Concat(m.About...)...)
		return Box("moof", p)
	}
	size := len(build(0))
	return Concat(build(size+8), Box("mdat", Samples))
}

func (m MovieFile) handlers() []string {
	var h []string
	if m.Video {
		h = append(h, "vide")
	}
	if m.Audio {
		h = append(h, "soun")
	}
	if m.GPSTrack {
		h = append(h, "meta")
	}
	return h
}

func (m MovieFile) moov(chunk int) []byte {
	p := FullBox("mvhd", 0, 0, U32(0, 0, 1000, 1000, 0x10000), U16(0x100, 0), U32(0, 0), matrix(), U32(0, 0, 0, 0, 0, 0), U32(9))
	for i, h := range m.handlers() {
		p = append(p, m.trak(i+1, h, chunk)...)
	}
	if m.Fragments > 0 {
		var trex []byte
		for i := range m.handlers() {
			trex = append(trex, FullBox("trex", 0, 0, U32(i+1, 1, 0, 0, 0))...)
		}
		p = append(p, Box("mvex", trex)...)
	}
	if len(m.UserData) > 0 {
		p = append(p, Box("udta", Concat(m.UserData...))...)
	}
	return Box("moov", p, m.Meta)
}

func matrix() []byte { return U32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000) }

func (m MovieFile) trak(id int, handler string, chunk int) []byte {
	w, h := 0, 0
	if handler == "vide" {
		if w, h = m.Width, 480; w == 0 {
			w = 640
		}
	}
	header := map[string][]byte{"vide": FullBox("vmhd", 0, 1, U64(0)), "soun": FullBox("smhd", 0, 0, U32(0)), "meta": FullBox("nmhd", 0, 0)}
	entry := map[string][]byte{
		"vide": Box("avc1", U16(0, 0, 0, 1, 0, 0), U32(0, 0, 0), U16(w, h), U32(0x480000, 0x480000, 0), U16(1), make([]byte, 32), U16(24, 0xffff), Box("avcC", []byte{1, 66, 0, 30})),
		"soun": Box("mp4a", U16(0, 0, 0, 1), U32(0, 0), U16(2, 16, 0, 0), U32(48000<<16), FullBox("esds", 0, 0, []byte{3, 2, 0, 1})),
		"meta": Box("gpmd", U16(0, 0, 0, 1), U32(0)),
	}
	if m.GPSKeys != "" {
		entry["meta"] = Box("mebx", U16(0, 0, 0, 1), Box("keys", Box("\x00\x00\x00\x01", Box("keyd", []byte("mdta"+m.GPSKeys)))))
	}
	samples, each := 20, len(Samples)/20
	if handler == "meta" {
		chunk, each = chunk+len(Samples), len(Places)/20
	}
	chunks := FullBox("stco", 0, 0, U32(2, chunk, chunk+each))
	if m.Large {
		chunks = FullBox("co64", 0, 0, U32(2), U64(chunk, chunk+each))
	}
	stts, stsc := FullBox("stts", 0, 0, U32(1, samples, 50)), FullBox("stsc", 0, 0, U32(2, 1, 1, 1, 2, samples-1, 1))
	stsz := FullBox("stsz", 0, 0, U32(0, samples), bytes.Repeat(U32(each), samples))
	if m.Compact {
		stsz = FullBox("stz2", 0, 0, U32(16, samples), bytes.Repeat(U16(each), samples))
	}
	if handler == "meta" && m.GPSChunks > 0 {
		stsc, stsz, chunks = FullBox("stsc", 0, 0, U32(1, 1, 1, 1)), FullBox("stsz", 0, 0, U32(1, m.GPSChunks)), U32(m.GPSChunks)
		for i := range m.GPSChunks {
			chunks = append(chunks, U32(chunk+i)...)
		}
		chunks = FullBox("stco", 0, 0, chunks)
	}
	if m.Fragments > 0 {
		stts, stsc, stsz, chunks = FullBox("stts", 0, 0, U32(0)), FullBox("stsc", 0, 0, U32(0)), FullBox("stsz", 0, 0, U32(0, 0)), FullBox("stco", 0, 0, U32(0))
	}
	return Box("trak", Concat(m.TrackData...),
		FullBox("tkhd", 0, 7, U32(0, 0, id, 0, 1000, 0, 0), U16(0, 0, 0, 0), matrix(), U32(w<<16, h<<16)),
		Box("edts", FullBox("elst", 0, 0, U32(1, 1000, 0, 0x10000))),
		Box("mdia",
			FullBox("mdhd", 0, 0, U32(0, 0, 1000, 1000), U16(0x55c4, 0)),
			FullBox("hdlr", 0, 0, U32(0), []byte(handler), U32(0, 0, 0), []byte("Handler\x00")),
			Box("minf", header[handler],
				Box("dinf", FullBox("dref", 0, 0, U32(1), FullBox("url ", 0, 1))),
				Box("stbl", FullBox("stsd", 0, 0, U32(1), entry[handler]), stts, stsc, stsz, chunks))))
}

// PlaceText is QuickTime's ©xyz: the place as a short text with a language.
func PlaceText() []byte { return Box("\xa9xyz", U16(len(Place), 0x15c7), []byte(Place)) }

// PlaceLoci is 3GPP's place.
func PlaceLoci() []byte {
	return FullBox("loci", 0, 0, U16(0x15c7), []byte(Place+"\x00"), []byte{0}, U32(8, 47, 400), []byte("earth\x00\x00"))
}

// PlaceKeys is Apple's meta box of numbered keys: a place, who made it, and a
// place again.
func PlaceKeys() []byte {
	names := []string{"mdtacom.apple.quicktime.location.ISO6709", "mdtacom.apple.quicktime.make", "mdtacom.apple.quicktime.location.name", "udta\xa9xyz"}
	keys, list := U32(len(names)), []byte(nil)
	for i, n := range names {
		keys = append(keys, Box(n[:4], []byte(n[4:]))...)
		value := Place
		if i == 1 {
			value = "Apple"
		}
		list = append(list, Concat(U32(8+16+len(value), i+1), Box("data", U32(1, 0), []byte(value)))...)
	}
	return Box("meta", FullBox("hdlr", 0, 0, U32(0), []byte("mdta"), U32(0, 0, 0), []byte{0}), FullBox("keys", 0, 0, keys), Box("ilst", list))
}

// PlaceList is iTunes' meta box: a title, a place and a free-form place.
func PlaceList() []byte {
	text := func(v string) []byte { return Box("data", U32(1, 0), []byte(v)) }
	return FullBox("meta", 0, 0, FullBox("hdlr", 0, 0, U32(0), []byte("mdir"), []byte("appl"), U32(0, 0), []byte{0}),
		Box("ilst", Box("\xa9nam", text("A title")), Box("\xa9xyz", text(Place)), Box("covr", Box("data", U32(13, 0), []byte("\xff\xd8\xff\xe0 cover"))),
			Box("----", FullBox("mean", 0, 0, []byte("com.example")), FullBox("name", 0, 0, []byte("GPSPosition")), text(Place))))
}

// UUID is a vendor's box.
func UUID(id string, payload []byte) []byte { return Box("uuid", []byte(id), payload) }

// XMPUUID is the box of XMP in movies.
func XMPUUID() []byte {
	return UUID("\xbe\x7a\xcf\xcb\x97\xa9\x42\xe8\x9c\x71\x99\x94\x91\xe3\xaf\xac", XMP())
}

// XMP is a packet that says where.
func XMP() []byte {
	return []byte(`<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"><exif:GPS>` + Place + `</exif:GPS></x:xmpmeta><?xpacket end="w"?>`)
}
