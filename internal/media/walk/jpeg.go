package walk

import (
	"bytes"
	"encoding/binary"
	"io"
)

// JPEG markers (ITU-T T.81, table B.1).
const (
	jpegSOF0 = 0xC0
	jpegSOF1 = 0xC1
	jpegSOF2 = 0xC2
	jpegDHT  = 0xC4
	jpegDAC  = 0xCC
	jpegRST0 = 0xD0
	jpegRST7 = 0xD7
	jpegSOI  = 0xD8
	jpegEOI  = 0xD9
	jpegSOS  = 0xDA
	jpegDQT  = 0xDB
	jpegDNL  = 0xDC
	jpegDRI  = 0xDD
	jpegAPP0 = 0xE0
	jpegCOM  = 0xFE
)

const (
	// jpegMaxScans bounds a progressive picture, whose every scan costs a pass
	// over all its pixels; encoders make about ten.
	jpegMaxScans = 500
	// jpegMaxTables is how long a segment of tables may be: all that exist fit.
	jpegMaxTables = 4096
)

// JPEGWalk walks a JPEG (ITU-T T.81: baseline, extended or progressive, with
// Huffman codes) and what follows its end. Data after the last block within a
// scan is not told apart: that takes decoding.
func JPEGWalk(in *Input) (Info, error) {
	j := &jpegPicture{in: in, fate: Kept, adobe: -1}
	if err := j.walk(); err != nil {
		return Info{}, err
	}
	if err := j.tail(); err != nil {
		return Info{}, err
	}
	return Info{Format: JPEG, MIME: "image/jpeg", Width: j.width, Height: j.height, Frames: 1, Parts: in.Parts()}, nil
}

// jpegPicture is one picture, from SOI to EOI.
type jpegPicture struct {
	in      *Input
	fate    Fate // of the picture
	further bool // a picture after the first: taken as a whole

	width, height int64
	components    []byte // their identifiers; nil before SOF
	progressive   bool
	scans         int64

	jfif, exif bool
	lateJFIF   bool // a JFIF segment after the first scan, or without its fields
	adobe      int  // the colour transform that was kept last
	icc        jpegProfile
	mpf        []int64 // where the index says that further pictures begin
	gainMap    bool    // the picture is one, or has one
	trailers   int
}

// sanitise reports whether segments are judged one by one.
func (j *jpegPicture) sanitise() bool { return j.in.Sanitise && !j.further }

// extra is the fate of what no decoder needs.
func (j *jpegPicture) extra() Fate {
	if j.sanitise() {
		return Dropped
	}
	return j.fate
}

// note remembers a part of the first picture that began at start.
func (j *jpegPicture) note(start int64, what string, fate Fate) {
	if !j.further {
		j.in.Note(start, j.in.Offset()-start, what, fate)
	}
}

func (j *jpegPicture) walk() error {
	in := j.in
	b, err := in.Need(2)
	if err != nil {
		return err
	}
	if b[0] != 0xFF || b[1] != jpegSOI {
		return in.Corrupt("no JPEG: SOI is missing")
	}
	if err := in.Take(2, j.fate); err != nil {
		return err
	}
	for {
		if err := in.Step(); err != nil {
			return err
		}
		code, err := j.marker()
		if err != nil {
			return err
		}
		if code == jpegEOI {
			break
		}
		if err := j.part(code); err != nil {
			return err
		}
	}
	switch {
	case j.scans == 0:
		return in.Corrupt("a JPEG without a scan")
	case j.height == 0:
		return in.Corrupt("a JPEG without a height")
	case j.lateJFIF && !j.jfif && (j.adobe == 0 || string(j.components) == "RGB"):
		return in.Corrupt("a late or short JFIF segment, by which some decoders take red, green and blue for other colours")
	}
	return in.Take(2, j.fate)
}

// marker finds the next marker, at whose 0xFF the input then stands. What lies
// in between is fill bytes, or what decoders skip.
func (j *jpegPicture) marker() (byte, error) {
	in, start := j.in, j.in.Offset()
	for {
		b, err := in.Need(2)
		if err != nil {
			return 0, err
		}
		if b[0] == 0xFF && b[1] != 0xFF && b[1] != 0 {
			if in.Offset() > start {
				j.note(start, "bytes between segments", j.extra())
			}
			return b[1], nil
		}
		w, err := in.Window()
		if err != nil {
			return 0, err
		}
		if err := in.Take(int64(jpegBetween(w)), j.extra()); err != nil {
			return 0, err
		}
	}
}

// jpegBetween is how many bytes of w, at least two long, precede what may be a
// marker.
func jpegBetween(w []byte) int {
	if w[0] != 0xFF {
		if n := bytes.IndexByte(w, 0xFF); n > 0 {
			return n
		}
		return len(w)
	}
	if w[1] == 0 {
		return 2
	}
	return max(1, run(w)-1)
}

// part consumes what a marker begins.
func (j *jpegPicture) part(code byte) error {
	in, start := j.in, j.in.Offset()
	if code == 0x01 || code >= jpegRST0 && code <= jpegRST7 { // TEM, and restarts outside of scans
		if err := in.Take(2, j.extra()); err != nil {
			return err
		}
		j.note(start, "stray marker", j.extra())
		return nil
	}
	if code < jpegSOF0 || code == jpegSOI {
		return in.Corrupt("marker 0x%02X where a segment should begin", code)
	}
	b, err := in.Need(4)
	if err != nil {
		return err
	}
	size := 2 + int64(binary.BigEndian.Uint16(b[2:]))
	if size < 4 {
		return in.Corrupt("a segment shorter than its length field")
	}
	switch {
	case code >= jpegAPP0 && code <= jpegAPP0+15 || code == jpegCOM:
		return j.application(code, size)
	case code == jpegSOS:
		return j.scan(size)
	case code == jpegDAC:
		if err := in.Take(size, j.extra()); err != nil {
			return err
		}
		j.note(start, "arithmetic conditioning", j.extra())
		return nil
	}
	if size > 2+jpegMaxTables {
		return in.Corrupt("segment 0x%02X of %d bytes", code, size)
	}
	if b, err = in.Need(int(size)); err != nil {
		return err
	}
	if err := j.table(code, b[4:]); err != nil {
		return err
	}
	return in.Take(size, j.fate)
}

// scan consumes SOS and the entropy-coded data that follows it.
func (j *jpegPicture) scan(size int64) error {
	in := j.in
	switch j.scans++; {
	case j.components == nil:
		return in.Corrupt("a scan before the frame header")
	case j.scans > jpegMaxScans:
		return &Reject{Code: TooLarge, Reason: "scans of a picture", Offset: in.off, Limit: jpegMaxScans, Actual: j.scans}
	case j.scans > 1 && j.height == 0:
		return in.Corrupt("a second scan and no height")
	case j.icc.count != j.icc.last && j.scans == 1:
		j.note(in.Offset(), "incomplete colour profile", Kept)
	}
	b, err := in.Need(int(min(size, 2+jpegMaxTables)))
	if err != nil {
		return err
	}
	if err := j.scanHeader(b[4:]); err != nil {
		return err
	}
	if err := in.Take(size, j.fate); err != nil {
		return err
	}
	for {
		w, err := in.Window()
		if err == io.EOF {
			in.cut = true
			return in.Corrupt("the file ends within a scan")
		}
		if err != nil {
			return err
		}
		n, end := jpegEntropy(w)
		if err := in.Take(int64(n), j.fate); err != nil || end {
			return err
		}
		if n < len(w) { // 0xFF, and what it means is not read yet
			if _, err := in.Need(2); err != nil {
				return err
			}
		}
	}
}

func (j *jpegPicture) scanHeader(b []byte) error {
	if len(b) == 0 {
		return j.in.Corrupt("an empty scan header")
	}
	n := int(b[0])
	if n < 1 || n > len(j.components) || len(b) != 4+2*n {
		return j.in.Corrupt("a scan header of %d bytes for %d components", len(b), n)
	}
	for i := range n {
		if id := b[1+2*i]; bytes.IndexByte(j.components, id) < 0 {
			return j.in.Corrupt("a scan of component %d, which the frame lacks", id)
		}
	}
	if first, last := b[1+2*n], b[2+2*n]; j.progressive && (first > last || last > 63 || first == 0 && last != 0 || first > 0 && n > 1) {
		return j.in.Corrupt("a scan of coefficients %d to %d of %d components", first, last, n)
	}
	return nil
}

// jpegEntropy returns how much of w is entropy-coded data for certain, and
// whether a marker ends it there. Stuffed zeros, restarts and fill bytes
// belong to it.
func jpegEntropy(w []byte) (n int, end bool) {
	for {
		i := bytes.IndexByte(w[n:], 0xFF)
		if i < 0 {
			return len(w), false
		}
		n += i
		if n+1 == len(w) {
			return n, false
		}
		switch c := w[n+1]; {
		case c == 0, c >= jpegRST0 && c <= jpegRST7:
			n += 2
		case c == 0xFF:
			n++
		default:
			return n, true
		}
	}
}
