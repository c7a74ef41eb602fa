package mediatest

import (
	"bytes"
	"encoding/binary"
)

// Coordinates are the bytes of a place in a GPS directory, as each byte order
// has them.
func Coordinates(order binary.AppendByteOrder) []byte {
	var b []byte
	for _, v := range []uint32{52, 1, 31, 1, 12345, 1000} { // 52° 31' 12.345"
		b = order.AppendUint32(b, v)
	}
	return b
}

// exifSecrets are what of Exif must not survive.
func exifSecrets() [][]byte {
	return [][]byte{Coordinates(binary.BigEndian), Coordinates(binary.LittleEndian), []byte("Secret Camera"), []byte("maker-note")}
}

// Orders are the byte orders of TIFF.
var Orders = map[string]binary.AppendByteOrder{"II": binary.LittleEndian, "MM": binary.BigEndian}

// TIFF is what Exif holds: a camera's name, an orientation unless it is 0, a
// maker note and a place.
func TIFF(mark string, orientation byte) []byte {
	order := Orders[mark]
	entry := func(tag, kind uint16, count, value uint32) []byte {
		b := order.AppendUint16(order.AppendUint16(nil, tag), kind)
		b = order.AppendUint32(b, count)
		if kind == 3 && count == 1 {
			return order.AppendUint16(order.AppendUint16(b, uint16(value)), 0)
		}
		return order.AppendUint32(b, value)
	}
	make, note := []byte("Secret Camera\x00\x00\x00"), []byte("maker-note maker")
	n := 3
	if orientation != 0 {
		n = 4
	}
	at := uint32(8 + 2 + n*12 + 4)
	ifd := order.AppendUint16(nil, uint16(n))
	ifd = append(ifd, entry(0x010F, 2, 14, at)...)
	if orientation != 0 {
		ifd = append(ifd, entry(0x0112, 3, 1, uint32(orientation))...)
	}
	ifd = append(ifd, entry(0x8825, 4, 1, at+32)...)
	ifd = append(ifd, entry(0x927C, 7, 16, at+16)...)
	ifd = order.AppendUint32(ifd, 0)
	gps := order.AppendUint16(nil, 1)
	gps = append(gps, entry(2, 5, 3, at+32+18)...)
	gps = order.AppendUint32(gps, 0)
	head := order.AppendUint32(order.AppendUint16([]byte(mark), 42), 8)
	return cat(head, ifd, make, note, gps, Coordinates(order))
}

// Orientation finds the orientation in a file, wherever its TIFF header is; 0
// if there is none.
func Orientation(file []byte) byte {
	for mark, order := range map[string]binary.ByteOrder{"II*\x00": binary.LittleEndian, "MM\x00*": binary.BigEndian} {
		for rest := file; ; {
			i := bytes.Index(rest, []byte(mark))
			if i < 0 || len(rest) < i+10 {
				break
			}
			rest = rest[i:]
			if at := order.Uint32(rest[4:]); int64(at)+2 <= int64(len(rest)) {
				n := order.Uint16(rest[at:])
				for e := rest[at+2:]; n > 0 && len(e) >= 12; e, n = e[12:], n-1 {
					if order.Uint16(e) == 0x0112 {
						return byte(order.Uint16(e[8:]))
					}
				}
			}
			rest = rest[4:]
		}
	}
	return 0
}
