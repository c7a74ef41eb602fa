package walk

import (
	"io"
	"math"
	"math/bits"
	"slices"
)

// ebml walks elements of EBML, the form of Matroska and WebM: an identifier
// of 1 to 4 bytes, a size of 1 to 8, and that many bytes.
type ebml struct {
	in *Input
}

// element is one element whose header was peeked and not yet consumed.
type element struct {
	id         uint32
	start, end int64 // of the whole element; the end is math.MaxInt64 where it has no size
	head       int64 // bytes of its header
}

func (e element) open() bool  { return e.end == math.MaxInt64 }
func (e element) size() int64 { return e.end - e.start - e.head }

// vint reads the length of a variable-size number from its first byte.
func vint(first byte) int { return bits.LeadingZeros8(first) + 1 }

// identifier reads an element's identifier and its length. Those that are
// longer than they need be, or all zeros or ones, are none.
func identifier(p []byte) (uint32, int) {
	if len(p) == 0 {
		return 0, 0
	}
	n := vint(p[0])
	if n > 4 || n > len(p) {
		return 0, 0
	}
	var id uint32
	for _, c := range p[:n] {
		id = id<<8 | uint32(c)
	}
	value, all := id&(1<<(7*n)-1), uint32(1<<(7*n)-1)
	if value == 0 || value == all || n > 1 && value < 1<<(7*(n-1))-1 {
		return 0, 0
	}
	return id, n
}

// varint reads a number and its length; ok is false where p ends before, known
// is false for the number that says that a size is not known.
func varint(p []byte) (v uint64, n int, known, ok bool) {
	if len(p) == 0 || p[0] == 0 || vint(p[0]) > len(p) {
		return 0, 0, false, false
	}
	n = vint(p[0])
	v = uint64(p[0]) & (1<<(8-n) - 1)
	for _, c := range p[1:n] {
		v = v<<8 | uint64(c)
	}
	return v, n, v != 1<<(7*n)-1, true
}

// next peeks the header of the element at hand, which must end by end.
func (w *ebml) next(end int64) (element, error) {
	in := w.in
	if err := in.Step(); err != nil {
		return element{}, err
	}
	p, err := in.Peek(int(min(12, end-in.off)))
	if err != nil && err != io.EOF {
		return element{}, err
	}
	id, n := identifier(p)
	if n == 0 {
		return element{}, in.Corrupt("no element where one should be")
	}
	size, m, known, ok := varint(p[n:])
	if !ok {
		return element{}, in.Corrupt("element %X ends within its size", id)
	}
	e := element{id: id, start: in.off, head: int64(n + m), end: math.MaxInt64}
	if !known {
		if id != idSegment && id != idCluster {
			return element{}, in.Corrupt("element %X has no size", id)
		}
		return e, nil
	}
	if size > uint64(end-in.off-e.head) {
		return element{}, in.Corrupt("element %X of %d bytes runs past its parent", id, size)
	}
	e.end = in.off + e.head + int64(size)
	return e, nil
}

// payload peeks the first n bytes of an element's payload, or all if it is
// shorter, the header still unconsumed.
func (w *ebml) payload(e element, n int64) ([]byte, error) {
	p, err := w.in.Need(int(e.head + min(n, e.size())))
	if err != nil {
		return nil, err
	}
	return p[e.head:], nil
}

// uint reads an element that is a number, the header still unconsumed.
func (w *ebml) uint(e element) (uint64, error) {
	if e.size() > 8 {
		return 0, w.in.Corrupt("element %X is a number of %d bytes", e.id, e.size())
	}
	p, err := w.payload(e, 8)
	var v uint64
	for _, c := range p {
		v = v<<8 | uint64(c)
	}
	return v, err
}

func (w *ebml) keep(e element) error { return w.in.Keep(e.end - w.in.off) }

// space consumes a Void element.
func (w *ebml) space(e element) error {
	if err := w.in.Keep(e.head); err != nil {
		return err
	}
	used, err := w.in.padding(e.size(), "padding")
	if used {
		w.in.Note(e.start, e.end-e.start, "padding", w.fate())
	}
	return err
}

func (w *ebml) fate() Fate {
	if w.in.Sanitise {
		return Zeroed
	}
	return Kept
}

// blank makes an element a Void of the same length, full of zeros, when
// sanitising. The size of the Void has as many bytes as the header leaves.
func (w *ebml) blank(e element, what string) error {
	if what != "" {
		w.in.Note(e.start, e.end-e.start, what, w.fate())
	}
	if !w.in.Sanitise {
		return w.keep(e)
	}
	n := min(e.head-1, 8)
	size := uint64(e.end - e.start - 1 - n)
	head := make([]byte, e.head) // what the size does not need is payload
	head[0] = idVoid
	for i := n; i > 0; i-- {
		head[i] = byte(size)
		size >>= 8
	}
	head[1] |= 1 << (8 - n)
	if err := w.in.Replace(head); err != nil {
		return err
	}
	return w.in.Zero(e.end - w.in.off)
}

// The elements that the walker looks at.
const (
	idVoid = 0xEC
	idCRC  = 0xBF

	idEBML            = 0x1A45DFA3
	idReadVersion     = 0x42F7
	idMaxIDLength     = 0x42F2
	idMaxSizeLength   = 0x42F3
	idDocType         = 0x4282
	idDocReadVersion  = 0x4285
	idSegment         = 0x18538067
	idSeekHead        = 0x114D9B74
	idSeek            = 0x4DBB
	idInfo            = 0x1549A966
	idTracks          = 0x1654AE6B
	idTrackEntry      = 0xAE
	idTrackNumber     = 0xD7
	idTrackType       = 0x83
	idVideo           = 0xE0
	idPixelWidth      = 0xB0
	idPixelHeight     = 0xBA
	idColour          = 0x55B0
	idMastering       = 0x55D0
	idProjection      = 0x7670
	idAudio           = 0xE1
	idEncodings       = 0x6D80
	idEncoding        = 0x6240
	idCompression     = 0x5034
	idEncryption      = 0x5035
	idCluster         = 0x1F43B675
	idSimpleBlock     = 0xA3
	idBlockGroup      = 0xA0
	idBlock           = 0xA1
	idBlockAdditions  = 0x75A1
	idBlockMore       = 0xA6
	idCues            = 0x1C53BB6B
	idCuePoint        = 0xBB
	idCuePositions    = 0xB7
	idClusterPosition = 0xF1
	idAttachments     = 0x1941A469
	idChapters        = 0x1043A770
	idTags            = 0x1254C367
	idTag             = 0x7373
	idTargets         = 0x63C0
	idSimpleTag       = 0x67C8
	idTagName         = 0x45A3
)

// webmChildren are the elements that may be in each element that has any.
// Chapters are text and stay closed.
var webmChildren = map[uint32][]uint32{
	idEBML:     {0x4286, idReadVersion, idMaxIDLength, idMaxSizeLength, idDocType, 0x4287, idDocReadVersion, 0x4281},
	idSegment:  {idSeekHead, idInfo, idTracks, idCluster, idCues, idAttachments, idChapters, idTags},
	idSeekHead: {idSeek},
	idSeek:     {0x53AB, 0x53AC},
	idInfo:     {0x73A4, 0x7384, 0x3CB923, 0x3C83AB, 0x3EB923, 0x3E83BB, 0x4444, 0x6924, 0x2AD7B1, 0x4489, 0x4461, 0x7BA9, 0x4D80, 0x5741},
	idTracks:   {idTrackEntry},
	idTrackEntry: {idTrackNumber, 0x73C5, idTrackType, 0xB9, 0x88, 0x55AA, 0x55AB, 0x55AC, 0x55AD, 0x55AE, 0x55AF, 0x9C, 0x6DE7, 0x6DF8,
		0x23E383, 0x234E7A, 0x23314F, 0x537F, 0x55EE, 0x41E4, 0x536E, 0x22B59C, 0x22B59D, 0x86, 0x63A2, 0x258688, 0x7446, 0xAA, 0x6FAB,
		0x56AA, 0x56BB, 0x6624, idVideo, idAudio, idEncodings, 0xE2},
	idVideo: {0x9A, 0x9D, 0x53B8, 0x53C0, 0x53B9, idPixelWidth, idPixelHeight, 0x54AA, 0x54BB, 0x54CC, 0x54DD, 0x54B0, 0x54BA, 0x54B2,
		0x54B3, 0x2EB524, 0x2FB523, 0x2383E3, idColour, idProjection},
	idColour:         {0x55B1, 0x55B2, 0x55B3, 0x55B4, 0x55B5, 0x55B6, 0x55B7, 0x55B8, 0x55B9, 0x55BA, 0x55BB, 0x55BC, 0x55BD, idMastering},
	idMastering:      {0x55D1, 0x55D2, 0x55D3, 0x55D4, 0x55D5, 0x55D6, 0x55D7, 0x55D8, 0x55D9, 0x55DA},
	idProjection:     {0x7671, 0x7672, 0x7673, 0x7674, 0x7675},
	idAudio:          {0xB5, 0x78B5, 0x9F, 0x7D7B, 0x6264, 0x52F1},
	idEncodings:      {idEncoding},
	idEncoding:       {0x5031, 0x5032, 0x5033, idCompression, idEncryption},
	idCluster:        {0xE7, 0x5854, 0xA7, 0xAB, idSimpleBlock, idBlockGroup, 0xAF},
	idBlockGroup:     {idBlock, 0xA2, idBlockAdditions, 0x9B, 0xFA, 0xFB, 0xFD, 0xA4, 0x75A2, 0x8E, 0xC8},
	idBlockAdditions: {idBlockMore},
	idBlockMore:      {0xEE, 0xA5},
	idCues:           {idCuePoint},
	idCuePoint:       {0xB3, idCuePositions},
	idCuePositions:   {0xF7, idClusterPosition, 0xF0, 0xB2, 0x5378, 0xEA, 0xDB},
	idTags:           {idTag},
	idTag:            {idTargets, idSimpleTag},
	idTargets:        {0x68CA, 0x63CA, 0x63C5, 0x63C9, 0x63C4, 0x63C6},
	idSimpleTag:      {idTagName, 0x447A, 0x447B, 0x4484, 0x4487, 0x4485, idSimpleTag},
}

// webmParents are the parents of each element: one, and itself for SimpleTag.
var webmParents = func() map[uint32][]uint32 {
	m := map[uint32][]uint32{idEBML: nil, idSegment: nil}
	for parent, children := range webmChildren {
		for _, c := range children {
			m[c] = append(m[c], parent)
		}
	}
	return m
}()

// placed checks that an element is known to be within a parent, or not known
// at all: newer versions have more.
func (w *ebml) placed(id, parent uint32) (known bool, err error) {
	parents, known := webmParents[id]
	if known && !slices.Contains(parents, parent) {
		return true, w.in.Corrupt("element %X within %X", id, parent)
	}
	return known, nil
}
