package walk

import "encoding/binary"

// upright is the orientation of a picture that is shown as it is stored.
const upright = 1

// tiffOrientation finds the orientation tag (0x0112) of the first directory of
// a TIFF header, as Exif has it; upright when there is none. It sees only what
// b holds, and follows no other directory.
func tiffOrientation(b []byte) byte {
	order := tiffOrder(b)
	if order == nil {
		return upright
	}
	at := int64(order.Uint32(b[4:]))
	if at < 8 || at+2 > int64(len(b)) {
		return upright
	}
	entries := b[at+2:]
	for range order.Uint16(b[at:]) {
		if len(entries) < 12 {
			break
		}
		if order.Uint16(entries) == 0x0112 {
			v := order.Uint16(entries[8:])
			if order.Uint16(entries[2:]) == 3 && v >= 1 && v <= 8 {
				return byte(v)
			}
			break
		}
		entries = entries[12:]
	}
	return upright
}

// tiffOrder is the byte order of a TIFF header, nil if b is none.
func tiffOrder(b []byte) binary.ByteOrder {
	if len(b) < 8 {
		return nil
	}
	switch string(b[:4]) {
	case "II*\x00":
		return binary.LittleEndian
	case "MM\x00*":
		return binary.BigEndian
	}
	return nil
}

// tiffMinimal is the shortest TIFF that says an orientation, nil for upright.
func tiffMinimal(orientation byte) []byte {
	if orientation == upright {
		return nil
	}
	return []byte{'M', 'M', 0, '*', 0, 0, 0, 8,
		0, 1, // one entry
		1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0,
		0, 0, 0, 0} // no further directory
}

// iccProfile reports whether b begins an ICC profile.
func iccProfile(b []byte) bool { return len(b) >= 40 && string(b[36:40]) == "acsp" }
