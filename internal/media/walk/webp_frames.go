package walk

import "encoding/binary"

// bitstream consumes ALPH, VP8 or VP8L of a picture that has to have a size;
// none is known before VP8X.
func (w *webpFile) bitstream(c webpChunk, width, height int64) error {
	in := w.in
	b, err := w.data(c, 10)
	if err != nil {
		return err
	}
	if c.name == "ALPH" {
		if w.alpha || len(b) < 2 || b[0]&3 > 1 {
			return in.Corrupt("an alpha plane of %d bytes, or a second one", c.size)
		}
		w.alpha = true
		return w.keep(c)
	}
	pw, ph, ok := webpSize(c.name, b, c.size)
	if !ok || w.alpha && c.name == "VP8L" {
		return in.Corrupt("chunk %q without a key frame", c.name)
	}
	if err := in.Picture(pw, ph); err != nil {
		return err
	}
	if !w.extended {
		w.width, w.height = pw, ph
	} else if pw != width || ph != height {
		return in.Corrupt("a picture of %d x %d in a frame of %d x %d", pw, ph, width, height)
	}
	w.frames, w.alpha = w.frames+1, false
	return w.keep(c)
}

// webpSize reads the size of a picture from its bitstream (RFC 6386, section
// 9.1; RFC 9649, section 3.4).
func webpSize(name string, b []byte, size int64) (width, height int64, ok bool) {
	if name == "VP8L" {
		if len(b) < 5 || b[0] != 0x2F || b[4]>>5 != 0 {
			return 0, 0, false
		}
		bits := int64(binary.LittleEndian.Uint32(b[1:]))
		return 1 + bits&0x3FFF, 1 + bits>>14&0x3FFF, true
	}
	if len(b) < 10 || b[0]&1 != 0 || b[0]>>1&7 > 3 || string(b[3:6]) != "\x9D\x01\x2A" || webp24(b)>>5 > size-10 {
		return 0, 0, false
	}
	return int64(binary.LittleEndian.Uint16(b[6:]) & 0x3FFF), int64(binary.LittleEndian.Uint16(b[8:]) & 0x3FFF), true
}

// frame consumes ANMF and the chunks in it.
func (w *webpFile) frame(c webpChunk) error {
	in := w.in
	if c.size < 16 {
		return in.Corrupt("a frame of %d bytes", c.size)
	}
	b, err := w.data(c, 16)
	if err != nil {
		return err
	}
	x, y, width, height := 2*webp24(b), 2*webp24(b[3:]), 1+webp24(b[6:]), 1+webp24(b[9:])
	if x+width > w.width || y+height > w.height {
		return in.Corrupt("a frame of %d x %d at %d, %d on a canvas of %d x %d", width, height, x, y, w.width, w.height)
	}
	if err := in.Animation(w.frames+1, w.width, w.height); err != nil {
		return err
	}
	before, at, end := w.frames, in.Written(), in.Offset()+8+c.size
	if err := in.Keep(24); err != nil {
		return err
	}
	for in.Offset() < end {
		c, err := w.chunk(end)
		if err != nil {
			return err
		}
		switch {
		case c.name != "VP8 " && c.name != "VP8L" && c.name != "ALPH":
			err = w.spare(c, "unknown chunk", nil)
		case w.frames > before:
			err = in.Corrupt("a second picture in a frame")
		default:
			err = w.bitstream(c, width, height)
		}
		if err != nil {
			return err
		}
	}
	if w.frames == before {
		return in.Corrupt("a frame without a picture")
	}
	size, fate := in.Written()-at-8, Kept
	if in.Sanitise {
		fate = Dropped // each chunk in it has its padding, so that the frame needs none
	}
	if err := in.Take(c.pad, fate); err != nil {
		return err
	}
	return w.resize(at+4, c.size, size)
}
