package walk

import (
	"io"
	"math"
	"slices"
)

// WebMWalk walks WebM. Sanitising never moves a byte: what must go becomes a
// Void element of the same length.
func WebMWalk(in *Input) (Info, error) {
	w := &webm{ebml: ebml{in: in}}
	err := w.walk()
	w.info.Parts, w.info.Patches = in.Parts(), in.Patches()
	return w.info, err
}

type webm struct {
	ebml
	info    Info
	docType string
	seen    []uint32 // elements that come once
	tracks  []webmTrack
	blocks  []webmBlocks
	start   int64  // of the segment's elements
	end     int64  // of the segment; 0 while that is not known
	cue     uint64 // the last cluster that the cues name
	cues    bool
}

type webmTrack struct {
	number, kind  uint64
	width, height int64
}

// webmBlocks counts the blocks that name a track.
type webmBlocks struct {
	number uint64
	count  int64
}

// Track types.
const (
	webmVideo = 1
	webmAudio = 2
)

// maxEBMLHeader bounds the header, which has about 40 bytes.
const maxEBMLHeader = 4096

// walk follows the header and the segment; padding may be around them.
func (w *webm) walk() error {
	in := w.in
	p, err := in.Need(4)
	if err != nil {
		return err
	}
	if id, _ := identifier(p); id != idEBML {
		return in.Mismatch("no EBML header")
	}
	if err := w.header(); err != nil {
		return err
	}
	for {
		p, err := in.Peek(4)
		if err != nil && err != io.EOF {
			return err
		}
		id, _ := identifier(p)
		switch {
		case id == idVoid:
			e, err := w.next(math.MaxInt64)
			if err == nil {
				err = w.space(e)
			}
			if err != nil {
				return err
			}
			continue
		case id == idSegment && w.start == 0:
			if err := w.segment(); err != nil {
				return err
			}
			continue
		case id == idSegment || id == idEBML:
			return in.Mismatch("a second file follows")
		case w.start == 0:
			return in.Corrupt("no segment follows the header")
		}
		if err := in.dropTail(); err != nil {
			return err
		}
		return w.finish()
	}
}

// header reads the EBML header.
func (w *webm) header() error {
	e, err := w.next(math.MaxInt64)
	if err != nil {
		return err
	}
	if e.size() > maxEBMLHeader {
		return w.in.Corrupt("an EBML header of %d bytes", e.size())
	}
	if err := w.inside(e, 1); err != nil {
		return err
	}
	if w.docType != "webm" {
		return w.in.Mismatch("a document of type %q", w.docType)
	}
	return nil
}

// inside consumes a sized element's header and children, which fill it.
func (w *webm) inside(e element, depth int) error {
	if depth > w.in.Limits.MaxDepth {
		return &Reject{Code: TooLarge, Reason: "depth of nested elements", Offset: w.in.off,
			Limit: int64(w.in.Limits.MaxDepth), Actual: int64(depth)}
	}
	if err := w.in.Keep(e.head); err != nil {
		return err
	}
	for w.in.off < e.end {
		c, err := w.next(e.end)
		if err != nil {
			return err
		}
		if err := w.child(c, e.id, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// child consumes one element within a parent.
func (w *webm) child(e element, parent uint32, depth int) error {
	if e.id == idSimpleBlock && parent == idCluster { // nearly always
		return w.block(e)
	}
	switch e.id {
	case idVoid:
		return w.space(e)
	case idCRC: // it would not agree with what was zeroed
		if e.size() != 4 {
			return w.in.Corrupt("a checksum of %d bytes", e.size())
		}
		return w.blank(e, "")
	}
	known, err := w.placed(e.id, parent)
	if err != nil {
		return err
	}
	if !known {
		return w.unknown(e, parent)
	}
	switch e.id {
	case idCluster:
		return w.cluster(e, depth)
	case idSimpleBlock, idBlock:
		return w.block(e)
	case idTrackEntry:
		return w.track(e, depth)
	case idSimpleTag:
		return w.tag(e, depth)
	case idAttachments:
		return w.in.Mismatch("files are attached, which WebM does not allow")
	case idCompression:
		return w.in.Mismatch("a track is compressed, which WebM does not allow")
	}
	if _, master := webmChildren[e.id]; master {
		if e.id == idInfo || e.id == idTracks {
			if slices.Contains(w.seen, e.id) {
				return w.in.Corrupt("a second element %X", e.id)
			}
			w.seen = append(w.seen, e.id)
		}
		return w.inside(e, depth)
	}
	return w.leaf(e)
}

// unknown consumes an element of a newer version, or of nobody.
func (w *webm) unknown(e element, parent uint32) error {
	p, err := w.payload(e, 64)
	if err != nil {
		return err
	}
	if name := foreignAt(p); name != "" {
		return w.in.Mismatch("%s in the unknown element %X", name, e.id)
	}
	if parent == idSegment {
		return w.blank(e, "unknown element")
	}
	return w.keep(e)
}

// leaf reads the values that matter.
func (w *webm) leaf(e element) error {
	switch e.id {
	case idDocType:
		p, err := w.payload(e, 16)
		if err != nil {
			return err
		}
		for len(p) > 0 && p[len(p)-1] == 0 {
			p = p[:len(p)-1]
		}
		w.docType = string(p)
		return w.keep(e)
	case idReadVersion, idMaxIDLength, idMaxSizeLength, idDocReadVersion, idTrackNumber, idTrackType, idPixelWidth, idPixelHeight, idClusterPosition:
	default:
		return w.keep(e)
	}
	v, err := w.uint(e)
	if err != nil {
		return err
	}
	if err := w.value(e.id, v); err != nil {
		return err
	}
	return w.keep(e)
}

func (w *webm) value(id uint32, v uint64) error {
	var t *webmTrack
	if n := len(w.tracks); n > 0 {
		t = &w.tracks[n-1] // the schema says that it is the one at hand
	}
	switch id {
	case idReadVersion:
		if v > 1 {
			return w.in.Corrupt("EBML of version %d", v)
		}
	case idMaxIDLength:
		if v > 4 {
			return w.in.Corrupt("identifiers of %d bytes", v)
		}
	case idMaxSizeLength:
		if v > 8 {
			return w.in.Corrupt("sizes of %d bytes", v)
		}
	case idTrackNumber:
		t.number = v
	case idTrackType:
		t.kind = v
	case idPixelWidth:
		t.width = int64(min(v, math.MaxInt32))
	case idPixelHeight:
		t.height = int64(min(v, math.MaxInt32))
	case idClusterPosition:
		w.cue, w.cues = max(w.cue, v), true
	}
	return nil
}

// segment consumes the segment, with a size or without.
func (w *webm) segment() error {
	e, err := w.next(math.MaxInt64)
	if err != nil {
		return err
	}
	w.start = e.start + e.head
	if !e.open() {
		w.end = e.end
		err = w.inside(e, 1)
	} else if err = w.in.Keep(e.head); err == nil {
		err = w.openChildren(math.MaxInt64, idSegment, 1)
	}
	w.end = w.in.off
	return err
}

// openChildren consumes the children of an element without a size: up to the
// first element that is no child, an end, or the end of the file.
func (w *webm) openChildren(end int64, parent uint32, depth int) error {
	for w.in.off < end {
		p, err := w.in.Peek(int(min(4, end-w.in.off)))
		if err != nil && err != io.EOF {
			return err
		}
		id, _ := identifier(p)
		if err == io.EOF && id == 0 && partOfID(p) {
			return w.in.Corrupt("the file ends within an element's identifier")
		}
		if id != idVoid && id != idCRC && !slices.Contains(webmChildren[parent], id) {
			return nil
		}
		e, err := w.next(end)
		if err != nil {
			return err
		}
		if err := w.child(e, parent, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// partOfID reports whether p begins an identifier of the segment's children.
func partOfID(p []byte) bool {
	if len(p) == 0 {
		return false
	}
	var v uint32
	for _, c := range p {
		v = v<<8 | uint32(c)
	}
	return slices.ContainsFunc(webmChildren[idSegment], func(id uint32) bool { return id>>(32-8*len(p)) == v })
}
