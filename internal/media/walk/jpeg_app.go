package walk

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// jpegProfile follows the chunks of a colour profile.
type jpegProfile struct {
	count, last byte
	broken      bool
}

// next reports whether a chunk continues the profile: in order, of the same
// count, and a profile at all.
func (p *jpegProfile) next(seq, count byte, data []byte) bool {
	switch {
	case p.broken, seq == 0, seq != p.last+1, seq > count, p.last > 0 && count != p.count, seq == 1 && !iccProfile(data):
		p.broken = true
		return false
	}
	p.last, p.count = seq, count
	return true
}

// application consumes an application segment or a comment. What the picture
// needs is kept in the only form that it can have.
func (j *jpegPicture) application(code byte, size int64) error {
	b, err := j.in.Need(int(min(size, window))) // all of it, but for a byte of the longest
	if err != nil {
		return err
	}
	data, header := b[4:], j.scans == 0
	named := func(id string) bool { return bytes.HasPrefix(data, []byte(id)) }
	switch {
	case code == jpegAPP0 && named("JFIF\x00") && len(data) >= 14 && header && !j.jfif:
		j.jfif = true
		plain := append([]byte{0xFF, jpegAPP0, 0, 16}, data[:14]...)
		plain[16], plain[17] = 0, 0 // no thumbnail
		return j.plain(size, "thumbnail", plain, true)
	case code == jpegAPP0 && (named("JFIF\x00") || named("JFXX\x00")):
		j.lateJFIF = j.lateJFIF || named("JFIF\x00")
		return j.plain(size, "thumbnail", nil, false)
	case code == jpegAPP0+1 && named("Exif\x00"):
		return j.orientation(size, data)
	case code == jpegAPP0+1 && named("http://ns.adobe.com/"):
		j.gainMap = j.gainMap || bytes.Contains(data, []byte("hdrgm:")) || bytes.Contains(data, []byte("GainMap"))
		return j.plain(size, "xmp", nil, false)
	case code == jpegAPP0+2 && named("ICC_PROFILE\x00") && len(data) >= 14:
		if header && j.icc.next(data[12], data[13], data[14:]) {
			return j.in.Take(size, j.fate)
		}
		return j.plain(size, "broken colour profile", nil, false)
	case code == jpegAPP0+2 && named("MPF\x00"):
		if !j.further && j.mpf == nil {
			j.mpf = jpegIndex(data[4:], j.in.Offset()+8)
		}
		return j.plain(size, "multi-picture index", nil, false)
	case code == jpegAPP0+14 && named("Adobe") && len(data) >= 12:
		return j.transform(size, data[:12])
	}
	return j.plain(size, jpegWhat(code, data), nil, false)
}

// plain consumes a segment. With sanitising, what is written for it is the
// plain form, and nothing if there is none.
func (j *jpegPicture) plain(size int64, what string, plain []byte, needed bool) error {
	start, same := j.in.Offset(), false
	if plain != nil && size == int64(len(plain)) {
		b, err := j.in.Need(len(plain))
		if err != nil {
			return err
		}
		same = bytes.Equal(b, plain)
	}
	if !j.sanitise() || same {
		if err := j.in.Take(size, j.fate); err != nil {
			return err
		}
		if !same && !needed {
			j.note(start, what, j.fate)
		}
		return nil
	}
	if err := j.in.Drop(size); err != nil {
		return err
	}
	j.note(start, what, Dropped)
	return j.in.Emit(plain)
}

// orientation consumes Exif, of which only an orientation is kept.
func (j *jpegPicture) orientation(size int64, data []byte) error {
	var plain []byte
	if !j.exif && j.scans == 0 && len(data) > 6 {
		if t := tiffMinimal(tiffOrientation(data[6:])); t != nil {
			plain = append([]byte{0xFF, jpegAPP0 + 1, 0, byte(8 + len(t)), 'E', 'x', 'i', 'f', 0, 0}, t...)
		}
		j.exif = plain != nil
	}
	return j.plain(size, "exif", plain, false)
}

// transform consumes Adobe's segment, which says how colours are coded.
func (j *jpegPicture) transform(size int64, data []byte) error {
	var plain []byte
	if j.adobe != int(data[11]) {
		plain = append([]byte{0xFF, jpegAPP0 + 14, 0, 14}, data...)
		j.adobe = int(data[11])
	}
	return j.plain(size, "colour transform", plain, plain != nil)
}

// jpegWhat names a segment that no decoder needs.
func jpegWhat(code byte, data []byte) string {
	n := code - jpegAPP0
	switch {
	case code == jpegCOM:
		return "comment"
	case n == 11 && bytes.HasPrefix(data, []byte("JP")):
		return "jumbf"
	case n == 13:
		return "photoshop"
	case n == 2 && bytes.HasPrefix(data, []byte("FPXR\x00")):
		return "flashpix"
	}
	return fmt.Sprintf("application data %d", n)
}

// jpegMaxPictures is how many further pictures of an index are followed.
const jpegMaxPictures = 32

// jpegIndex reads a multi-picture index (CIPA DC-007) and returns where in the
// file further pictures begin. Base is where its TIFF header is.
func jpegIndex(b []byte, base int64) []int64 {
	order := tiffOrder(b)
	if order == nil {
		return nil
	}
	at := int64(order.Uint32(b[4:]))
	if at < 8 || at+2 > int64(len(b)) {
		return nil
	}
	entries := b[at+2:]
	for range order.Uint16(b[at:]) {
		if len(entries) < 12 {
			return nil
		}
		if order.Uint16(entries) == 0xB002 { // MP entries, 16 bytes each
			from, n := int64(order.Uint32(entries[8:])), int64(order.Uint32(entries[4:]))
			if from+n > int64(len(b)) {
				return nil
			}
			return jpegPictures(order, b[from:from+n], base)
		}
		entries = entries[12:]
	}
	return nil
}

func jpegPictures(order binary.ByteOrder, b []byte, base int64) []int64 {
	var out []int64
	for ; len(b) >= 16 && len(out) < jpegMaxPictures; b = b[16:] {
		if at := int64(order.Uint32(b[8:])); at != 0 { // the first picture has none
			out = append(out, base+at)
		}
	}
	return out
}
