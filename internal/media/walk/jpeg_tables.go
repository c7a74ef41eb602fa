package walk

import (
	"bytes"
	"encoding/binary"
)

// table checks a segment that decoders read.
func (j *jpegPicture) table(code byte, b []byte) error {
	switch code {
	case jpegSOF0, jpegSOF1, jpegSOF2:
		return j.frame(code, b)
	case jpegDQT:
		return j.quantisers(b)
	case jpegDHT:
		return j.huffman(b)
	case jpegDRI:
		if len(b) != 2 {
			return j.in.Corrupt("a restart interval of %d bytes", len(b))
		}
		return nil
	case jpegDNL:
		return j.lines(b)
	}
	return j.in.Corrupt("segment 0x%02X: arithmetic, lossless and hierarchical JPEG, and reserved markers, are not shown by browsers", code)
}

// frame checks SOF.
func (j *jpegPicture) frame(code byte, b []byte) error {
	in := j.in
	if j.components != nil {
		return in.Corrupt("a second frame header")
	}
	if len(b) < 6 || len(b) != 6+3*int(b[5]) || b[5] == 0 || b[5] > 4 {
		return in.Corrupt("a frame header of %d bytes", len(b))
	}
	if b[0] != 8 && (b[0] != 12 || code == jpegSOF0) {
		return in.Corrupt("samples of %d bits", b[0])
	}
	j.height, j.width = int64(binary.BigEndian.Uint16(b[1:])), int64(binary.BigEndian.Uint16(b[3:]))
	j.progressive = code == jpegSOF2
	for c := b[6:]; len(c) > 0; c = c[3:] {
		h, v := c[1]>>4, c[1]&15
		if h < 1 || h > 4 || v < 1 || v > 4 || c[2] > 3 {
			return in.Corrupt("component %d has sampling %dx%d and quantiser %d", c[0], h, v, c[2])
		}
		if bytes.IndexByte(j.components, c[0]) >= 0 {
			return in.Corrupt("component %d twice", c[0])
		}
		j.components = append(j.components, c[0])
	}
	return in.Picture(j.width, max(j.height, 1)) // a height of zero: DNL follows the first scan
}

func (j *jpegPicture) quantisers(b []byte) error {
	for len(b) > 0 {
		n := 65
		if b[0]>>4 == 1 {
			n = 129
		}
		if b[0]>>4 > 1 || b[0]&15 > 3 || len(b) < n {
			return j.in.Corrupt("a quantiser 0x%02X with %d bytes left", b[0], len(b))
		}
		b = b[n:]
	}
	return nil
}

func (j *jpegPicture) huffman(b []byte) error {
	for len(b) > 0 {
		if len(b) < 17 || b[0]>>4 > 1 || b[0]&15 > 3 {
			return j.in.Corrupt("a Huffman table 0x%02X with %d bytes left", b[0], len(b))
		}
		n := 17
		for _, k := range b[1:17] {
			n += int(k)
		}
		if n > 17+256 || len(b) < n {
			return j.in.Corrupt("a Huffman table of %d codes with %d bytes left", n-17, len(b))
		}
		b = b[n:]
	}
	return nil
}

// lines checks DNL, which says the height after the first scan.
func (j *jpegPicture) lines(b []byte) error {
	if len(b) != 2 || j.scans != 1 {
		return j.in.Corrupt("a number of lines out of place")
	}
	h := int64(binary.BigEndian.Uint16(b))
	if j.height != 0 && j.height != h {
		return j.in.Corrupt("a height of %d that was %d", h, j.height)
	}
	j.height = h
	return j.in.Picture(j.width, h)
}
