package walk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
)

// jpegMaxTrailers bounds how many trailers are told apart.
const jpegMaxTrailers = 100

// tail consumes what follows the first picture. It is never a reason to
// refuse: what is recognised stays, or goes when sanitising; anything else
// goes.
func (j *jpegPicture) tail() error {
	for {
		b, err := j.in.Peek(window)
		if len(b) == 0 && err == io.EOF {
			return nil
		}
		if err != nil && err != io.EOF {
			return err
		}
		start := j.in.Offset()
		if j.trailers++; j.trailers > jpegMaxTrailers {
			return j.unknown()
		}
		what, whole, err := j.trailer(b)
		if err != nil {
			return err
		}
		if what != "" {
			j.note(start, what, j.extra())
		}
		if !whole {
			return j.unknown()
		}
	}
}

// jpegTrailer says what begins b.
type jpegTrailer int

const (
	jpegNothing jpegTrailer = iota
	jpegFurther
	jpegMovie
	jpegSamsung
	jpegCanon
	jpegAFCP
	jpegPadding
)

// recognise says what begins at an offset, of which b is what can be seen.
func (j *jpegPicture) recognise(b []byte, at int64) jpegTrailer {
	switch {
	case bytes.HasPrefix(b, []byte{0xFF, jpegSOI}) && (j.gainMap || slices.Contains(j.mpf, at)):
		return jpegFurther
	case len(b) >= 16 && string(b[4:8]) == "ftyp" && binary.BigEndian.Uint32(b) >= 16 && binary.BigEndian.Uint32(b) <= 1024:
		return jpegMovie
	case jpegSamsungBlock(b):
		return jpegSamsung
	case len(b) >= 28 && string(b[:20]) == "CANON OPTIONAL DATA\x00":
		return jpegCanon
	case len(b) >= 12 && (string(b[:4]) == "AXS!" || string(b[:4]) == "AXS*"):
		return jpegAFCP
	case b[0] == 0 || b[0] == 0xFF:
		return jpegPadding
	}
	return jpegNothing
}

// trailer consumes what begins the window b and names it; whole is false when
// what follows cannot be told any more.
func (j *jpegPicture) trailer(b []byte) (what string, whole bool, err error) {
	switch at := j.in.Offset(); j.recognise(b, at) {
	case jpegFurther:
		return j.picture()
	case jpegMovie:
		whole, err = j.movie()
		return "motion photo", whole, err
	case jpegSamsung:
		_, err = j.in.Rest(j.extra())
		return "samsung trailer", true, err
	case jpegCanon:
		_, err = j.in.UpTo(28+int64(binary.BigEndian.Uint32(b[24:]))+64, j.extra())
		return "canon data", true, err
	case jpegAFCP:
		_, err = j.in.UpTo(jpegAFCPEnd(b, at)-at, j.extra())
		return "afcp data", true, err
	case jpegPadding:
		return "padding", true, j.padding(b, at)
	}
	return "", false, nil
}

// unknown drops bytes that nothing explains: all that are left, or, so that
// further pictures stay where the index says, those before the next one.
func (j *jpegPicture) unknown() error {
	start := j.in.Offset()
	next := int64(-1)
	if j.trailers > jpegMaxTrailers {
		j.mpf = nil
	}
	for _, at := range j.mpf {
		if at > start && (next < 0 || at < next) {
			next = at
		}
	}
	if next < 0 || j.in.Sanitise {
		n, err := j.in.Rest(Dropped)
		if n > 0 {
			j.note(start, "trailing bytes", Dropped)
		}
		return err
	}
	n, err := j.in.UpTo(next-start, Zeroed)
	if err != nil {
		return err
	}
	if n > 0 {
		j.note(start, "trailing bytes", Zeroed)
	}
	return j.tail()
}

// padding consumes the bytes of one value that begin b, less what belongs to a
// trailer that begins with the same.
func (j *jpegPicture) padding(b []byte, at int64) error {
	for {
		n := run(b)
		if n < len(b) || n < window {
			_, err := j.in.UpTo(int64(n-j.begun(b, n, at)), j.extra())
			return err
		}
		if _, err := j.in.UpTo(window-16, j.extra()); err != nil { // the rest is seen with what follows it
			return err
		}
		var err error
		if b, err = j.in.Peek(window); err != nil && err != io.EOF {
			return err
		}
		at = j.in.Offset()
	}
}

// begun is how many of the n bytes of padding that begin b, which is at an
// offset, are a trailer's.
func (j *jpegPicture) begun(b []byte, n int, at int64) int {
	for back := min(n-1, 3); back > 0 && n < len(b); back-- {
		if t := j.recognise(b[n-back:], at+int64(n-back)); t != jpegNothing && t != jpegPadding {
			return back
		}
	}
	return 0
}

// picture consumes a further picture. A broken one is kept as far as it is
// sound, and nothing after it.
func (j *jpegPicture) picture() (what string, whole bool, err error) {
	p := &jpegPicture{in: j.in, fate: j.extra(), further: true, adobe: -1}
	err = p.walk()
	what = "further picture"
	if p.gainMap {
		what = "gain map"
	}
	if r := (*Reject)(nil); errors.As(err, &r) {
		j.mpf = nil
		if j.in.cut { // by the end of the file, so that what is left belongs to it
			_, err := j.in.Rest(p.fate)
			return "incomplete " + what, true, err
		}
		return "broken " + what, false, nil
	}
	return what, true, err
}

// movie consumes the boxes of an ISO base media file, as motion photos append
// one.
func (j *jpegPicture) movie() (whole bool, err error) {
	for {
		b, err := j.in.Peek(16)
		if err != nil && err != io.EOF {
			return false, err
		}
		size := jpegBox(b)
		if size == 0 || j.in.Step() != nil {
			return size == 0, nil
		}
		if _, err := j.in.UpTo(size, j.extra()); err != nil {
			return false, err
		}
	}
}

// jpegBox is the size of the box that b begins; 0 if it begins none.
func jpegBox(b []byte) int64 {
	if len(b) < 8 || !slices.Contains([]string{"ftyp", "moov", "mdat", "free", "skip", "wide", "uuid", "meta", "udta", "moof", "mfra", "sidx"}, string(b[4:8])) {
		return 0
	}
	size := int64(binary.BigEndian.Uint32(b))
	switch {
	case size == 0:
		return 1<<63 - 1
	case size == 1 && len(b) == 16:
		size = int64(binary.BigEndian.Uint64(b[8:]) & (1<<63 - 1))
	}
	if size < 8 {
		return 0
	}
	return size
}

// jpegSamsungBlock reports whether b begins one of the named blocks that end
// with a directory SEFH and SEFT: two zeros, a type, and the length of a name.
func jpegSamsungBlock(b []byte) bool {
	if len(b) < 8 || b[0] != 0 || b[1] != 0 {
		return false
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if n < 4 || n > 64 || len(b) < 8+int(n) {
		return false
	}
	for _, c := range b[8 : 8+n] {
		if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// jpegAFCPEnd is where in the file an AXS! directory at an offset, with what
// it refers to and its twelve-byte tail, ends.
func jpegAFCPEnd(b []byte, at int64) int64 {
	var order binary.ByteOrder = binary.BigEndian
	if b[3] == '*' {
		order = binary.LittleEndian
	}
	end := at + 12
	n := min(int(order.Uint16(b[6:])), 64)
	for e := b[12:]; len(e) >= 12 && n > 0; e, n = e[12:], n-1 {
		end = max(end, int64(order.Uint32(e[4:]))+int64(order.Uint32(e[8:])))
	}
	return end + 12
}
