package mediatest

import "bytes"

func ebmlID(id int) []byte {
	b := U32(id)
	for b[0] == 0 {
		b = b[1:]
	}
	return b
}

// Element is an EBML element with the shortest size of 1, 2 or 4 bytes.
func Element(id int, payload ...[]byte) []byte {
	p := Concat(payload...)
	switch n := len(p); {
	case n < 127:
		return Concat(ebmlID(id), []byte{0x80 | byte(n)}, p)
	case n < 16383:
		return Concat(ebmlID(id), U16(0x4000|n), p)
	default:
		return Concat(ebmlID(id), U32(0x10000000|n), p)
	}
}

// WideElement has a size of 8 bytes.
func WideElement(id int, payload ...[]byte) []byte {
	p := Concat(payload...)
	return Concat(ebmlID(id), U64(1<<56|len(p)), p)
}

// OpenElement has a size that is not known.
func OpenElement(id int, payload ...[]byte) []byte {
	return Concat(ebmlID(id), []byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, Concat(payload...))
}

// WebM describes a WebM file.
type WebM struct {
	DocType      string // "webm" if empty
	Video, Audio bool
	Open         bool // the segment has no size
	OpenClusters bool
	Wide         bool // sizes of 8 bytes
	Groups       bool // BlockGroups instead of SimpleBlocks
	Checksums    bool
	Tags         bool // with a place
	CuesFirst    bool
	Width        int    // 640 if 0
	Extra        []byte // elements within the segment, before the clusters
	Header       []byte // elements within the EBML header
	After        []byte
}

// WebMFrame is what each block holds.
var WebMFrame = []byte("a frame of VP9 or Opus, of no interest here")

// Bytes builds the file.
func (m WebM) Bytes() []byte {
	doc, el := m.DocType, Element
	if doc == "" {
		doc = "webm"
	}
	if m.Wide {
		el = WideElement
	}
	sum := func(p []byte) []byte {
		if m.Checksums {
			return Concat([]byte{0xbf, 0x84, 1, 2, 3, 4}, p)
		}
		return p
	}
	head := Element(0x1A45DFA3, Element(0x4286, []byte{1}), Element(0x42F7, []byte{1}), Element(0x42F2, []byte{4}), Element(0x42F3, []byte{8}),
		Element(0x4282, []byte(doc)), Element(0x4287, []byte{4}), Element(0x4285, []byte{2}), m.Header)
	info := el(0x1549A966, sum(Concat(Element(0x2AD7B1, []byte{0x0f, 0x42, 0x40}), Element(0x4D80, []byte("mediatest")), Element(0x5741, []byte("mediatest")))))
	body := Concat(el(0x114D9B74, Element(0x4DBB, Element(0x53AB, U32(0x1549A966)), Element(0x53AC, []byte{100}))), Element(0xEC, make([]byte, 20)),
		info, el(0x1654AE6B, sum(m.tracks())))
	if m.CuesFirst { // far enough to notice a missing end
		body = append(body, el(0x1C53BB6B, Element(0xBB, Element(0xB3, []byte{0}), Element(0xB7, Element(0xF7, []byte{1}), Element(0xF1, U16(900)))))...)
	}
	if m.Tags {
		body = append(body, el(0x1254C367, sum(m.tags()))...)
	}
	body = append(body, m.Extra...)
	cluster := len(body)
	for i := range 3 {
		body = append(body, m.cluster(i, el)...)
	}
	if !m.CuesFirst {
		body = append(body, el(0x1C53BB6B, Element(0xBB, Element(0xB3, []byte{0}), Element(0xB7, Element(0xF7, []byte{1}), Element(0xF1, U16(cluster)))))...)
	}
	if m.Open {
		return Concat(head, OpenElement(0x18538067, body), m.After)
	}
	return Concat(head, el(0x18538067, body), m.After)
}

func (m WebM) tracks() []byte {
	var out []byte
	w := m.Width
	if w == 0 {
		w = 640
	}
	if m.Video {
		out = append(out, Element(0xAE, Element(0xD7, []byte{1}), Element(0x73C5, []byte{1}), Element(0x83, []byte{1}), Element(0x86, []byte("V_VP9")),
			Element(0xE0, Element(0xB0, U32(w)), Element(0xBA, U16(480))))...)
	}
	if m.Audio {
		out = append(out, Element(0xAE, Element(0xD7, []byte{2}), Element(0x73C5, []byte{2}), Element(0x83, []byte{2}), Element(0x86, []byte("A_OPUS")),
			Element(0xE1, Element(0xB5, U32(0x473b8000)), Element(0x9F, []byte{2})))...)
	}
	return out
}

func (m WebM) cluster(n int, el func(int, ...[]byte) []byte) []byte {
	p := Element(0xE7, U16(n*1000))
	for i := range 4 {
		if m.Video {
			p = append(p, m.block(1, i)...)
		}
		if m.Audio {
			p = append(p, m.block(2, i)...)
		}
	}
	if m.OpenClusters {
		return OpenElement(0x1F43B675, p)
	}
	return el(0x1F43B675, p)
}

func (m WebM) block(track byte, n int) []byte {
	block := Concat([]byte{0x80 | track}, U16(n*40), []byte{0x80}, WebMFrame)
	if m.Groups {
		return Element(0xA0, Element(0xA1, block), Element(0x9B, []byte{40}))
	}
	return Element(0xA3, block)
}

func (m WebM) tags() []byte {
	tag := func(name, value string, below ...[]byte) []byte {
		return Element(0x67C8, Element(0x45A3, []byte(name)), Element(0x4487, []byte(value)), Concat(below...))
	}
	return Concat(
		Element(0x7373, Element(0x63C0, Element(0x68CA, []byte{50})), tag("TITLE", "A title"), tag("LOCATION", Place), tag("ARTIST", "Somebody", tag("GPS_POSITION", Place))),
		Element(0x7373, Element(0x67C8, Element(0x4485, bytes.Repeat([]byte(Place), 1900)), Element(0x45A3, []byte("BLOB")))))
}

// WebMs are valid files, named like Movies.
func WebMs() []File {
	all := WebM{Video: true, Audio: true}
	with := func(change func(m *WebM)) []byte {
		m := all
		change(&m)
		return m.Bytes()
	}
	return []File{
		{"webm", "video/webm", "webm", all.Bytes()},
		{"webm audio", "audio/webm", "webm", with(func(m *WebM) { m.Video = false })},
		{"webm wide", "video/webm", "webm", with(func(m *WebM) { m.Wide, m.Groups = true, true })},
		{"webm open", "video/webm", "webm", with(func(m *WebM) { m.Open, m.OpenClusters = true, true })},
		{"webm open segment", "video/webm", "webm", with(func(m *WebM) { m.Open, m.CuesFirst = true, true })},
		{"webm open clusters", "video/webm", "webm", with(func(m *WebM) { m.OpenClusters = true })},
		{"webm gps", "video/webm", "webm", with(func(m *WebM) { m.Tags, m.Checksums = true, true })},
		{"webm open gps", "video/webm", "webm", with(func(m *WebM) { m.Open, m.OpenClusters, m.Tags, m.Wide = true, true, true, true })},
		{"webm padding gps", "video/webm", "webm", with(func(m *WebM) { m.Extra = Element(0xEC, []byte(Place)) })},
		{"webm unknown gps", "video/webm", "webm", with(func(m *WebM) { m.Extra = Element(0x4DAA, []byte(Place)) })},
	}
}

// WebMPolyglots hide a foreign file in a WebM, by every layout.
func WebMPolyglots(foreign []byte) []File {
	with := func(change func(m *WebM)) []byte {
		m := WebM{Video: true, Audio: true}
		change(&m)
		return m.Bytes()
	}
	return []File{
		{Name: "stack", Data: with(func(m *WebM) { m.After = foreign })},
		{Name: "stack behind an open segment", Data: with(func(m *WebM) { m.Open, m.OpenClusters, m.After = true, true, foreign })},
		{Name: "stack in front", Data: Concat(foreign, with(func(*WebM) {}))},
		{Name: "cavity", Data: with(func(m *WebM) { m.Extra = Element(0xEC, foreign) })},
		{Name: "cavity in the header", Data: with(func(m *WebM) { m.Header = Element(0xEC, foreign) })},
		{Name: "parasite", Data: with(func(m *WebM) { m.Extra = Element(0x4DAA, foreign) })},
		{Name: "attachment", Data: with(func(m *WebM) { m.Extra = Element(0x1941A469, Element(0x61A7, Element(0x465C, foreign))) })},
		{Name: "zipper", Data: with(func(m *WebM) {
			m.Header, m.After = Element(0xEC, foreign[:len(foreign)/2]), Element(0xEC, foreign)
		})},
	}
}
