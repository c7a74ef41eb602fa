package walk

import (
	"bytes"
	"encoding/binary"
)

// Flags of VP8X (RFC 9649, section 2.7.1).
const (
	webpAnimated = 0x02
	webpXMP      = 0x04
	webpExif     = 0x08
	webpAlpha    = 0x10
	webpICC      = 0x20
)

// WebPWalk walks a WebP (RFC 9649) and what follows its end. The sizes that a
// file gives before what they count are patched when something was left out.
func WebPWalk(in *Input) (Info, error) {
	b, err := in.Need(12)
	if err != nil {
		return Info{}, err
	}
	size := int64(binary.LittleEndian.Uint32(b[4:]))
	if string(b[:4]) != "RIFF" || string(b[8:12]) != "WEBP" || size < 4 {
		return Info{}, in.Corrupt("no WebP: the signature is missing")
	}
	w := &webpFile{in: in, end: 8 + size}
	if err := in.Keep(12); err != nil {
		return Info{}, err
	}
	for in.Offset() < w.end {
		c, err := w.chunk(w.end)
		if err != nil {
			return Info{}, err
		}
		if err := w.part(c); err != nil {
			return Info{}, err
		}
	}
	if err := w.finish(size); err != nil {
		return Info{}, err
	}
	if err := in.trimTail(); err != nil {
		return Info{}, err
	}
	return Info{Format: WebP, MIME: "image/webp", Width: w.width, Height: w.height, Frames: w.frames, Parts: in.Parts(), Patches: in.Patches()}, nil
}

type webpFile struct {
	in            *Input
	end           int64 // of the RIFF chunk
	width, height int64
	extended      bool // VP8X was there
	flags         byte // of VP8X, as written
	flagsAt       int64
	exif          bool // an orientation was kept
	icc, anim     bool
	alpha         bool // ALPH waits for its VP8
	frames        int64
}

// webpChunk is a chunk whose header begins the window.
type webpChunk struct {
	name string
	size int64 // of its data
	pad  int64 // 1 after odd data, unless the file ends there
}

func (c webpChunk) whole() int64 { return 8 + c.size + c.pad }

// chunk looks at the next chunk of one that ends at an offset.
func (w *webpFile) chunk(end int64) (webpChunk, error) {
	in := w.in
	if err := in.Step(); err != nil {
		return webpChunk{}, err
	}
	left := end - in.Offset()
	if left < 8 {
		return webpChunk{}, in.Corrupt("%d bytes where a chunk should begin", left)
	}
	b, err := in.Need(8)
	if err != nil {
		return webpChunk{}, err
	}
	c := webpChunk{name: string(b[:4]), size: int64(binary.LittleEndian.Uint32(b[4:]))}
	if c.size > left-8 {
		return c, in.Corrupt("chunk %q of %d bytes runs past the end of its parent", c.name, c.size)
	}
	c.pad = min(c.size&1, left-8-c.size)
	return c, nil
}

// data returns up to n bytes of a chunk's data.
func (w *webpFile) data(c webpChunk, n int64) ([]byte, error) {
	b, err := w.in.Need(int(8 + min(n, c.size, window-8)))
	if err != nil {
		return nil, err
	}
	return b[8:], nil
}

// keep consumes a chunk that the picture needs. Its padding is zero, and is
// there.
func (w *webpFile) keep(c webpChunk) error {
	if err := w.in.Keep(8 + c.size); err != nil {
		return err
	}
	return w.padding(c)
}

func (w *webpFile) padding(c webpChunk) error {
	switch {
	case c.size&1 == 0, c.pad == 0 && !w.in.Sanitise:
		return nil
	case c.pad == 0:
		return w.in.Emit([]byte{0})
	}
	if b, err := w.in.Need(1); err != nil || b[0] == 0 {
		return w.in.Keep(1)
	}
	fate := Kept
	if w.in.Sanitise {
		fate = Zeroed
	}
	w.in.Note(w.in.Offset(), 1, "padding", fate)
	return w.in.Take(1, fate)
}

// spare consumes a chunk that the picture does not need. With sanitising, what
// is written for it is the chunk plain, if any.
func (w *webpFile) spare(c webpChunk, what string, plain []byte) error {
	in, start := w.in, w.in.Offset()
	if int64(len(plain)) == c.whole() {
		if b, err := in.Need(len(plain)); err != nil || bytes.Equal(b, plain) {
			return in.Keep(c.whole())
		}
	}
	fate := Kept
	if in.Sanitise {
		fate = Dropped
	}
	if err := in.Take(c.whole(), fate); err != nil {
		return err
	}
	in.Note(start, c.whole(), what, fate)
	if fate == Dropped {
		return in.Emit(plain)
	}
	return nil
}

// part consumes a chunk of the file.
func (w *webpFile) part(c webpChunk) error {
	in, first := w.in, w.in.Offset() == 12
	still := !w.extended || w.flags&webpAnimated == 0
	switch {
	case c.name == "VP8X" && first:
		return w.canvas(c)
	case first && c.name != "VP8 " && c.name != "VP8L":
		return in.Corrupt("chunk %q where the picture should begin", c.name)
	case c.name == "VP8X":
		return in.Corrupt("a second VP8X")
	case c.name == "VP8 " || c.name == "VP8L" || c.name == "ALPH":
		if !still || w.frames > 0 || c.name == "ALPH" && !w.extended {
			return in.Corrupt("chunk %q out of place", c.name)
		}
		return w.bitstream(c, w.width, w.height)
	case c.name == "ANIM" && !still && !w.anim:
		if c.size != 6 || w.frames > 0 {
			return in.Corrupt("ANIM of %d bytes, or after frames", c.size)
		}
		w.anim = true
		return w.keep(c)
	case c.name == "ANMF":
		if still || !w.anim {
			return in.Corrupt("a frame out of place")
		}
		return w.frame(c)
	}
	return w.metadata(c)
}

// metadata consumes a chunk that is no part of the picture itself.
func (w *webpFile) metadata(c webpChunk) error {
	switch c.name {
	case "ICCP":
		b, err := w.data(c, 40)
		if err != nil {
			return err
		}
		if w.extended && w.flags&webpICC != 0 && !w.icc && w.frames == 0 && !w.anim && !w.alpha && iccProfile(b) {
			w.icc = true
			return w.keep(c)
		}
		return w.spare(c, "broken colour profile", nil)
	case "EXIF":
		b, err := w.data(c, window)
		if err != nil {
			return err
		}
		t := tiffMinimal(tiffOrientation(bytes.TrimPrefix(b, []byte("Exif\x00\x00"))))
		if t == nil || w.exif || !w.extended || w.flags&webpExif == 0 || w.alpha {
			return w.spare(c, "exif", nil)
		}
		w.exif = true
		return w.spare(c, "exif", append(binary.LittleEndian.AppendUint32([]byte("EXIF"), uint32(len(t))), t...))
	case "XMP ":
		return w.spare(c, "xmp", nil)
	}
	return w.spare(c, "unknown chunk", nil)
}

func webp24(b []byte) int64 { return int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16 }

// canvas consumes VP8X.
func (w *webpFile) canvas(c webpChunk) error {
	in := w.in
	if c.size != 10 {
		return in.Corrupt("VP8X of %d bytes", c.size)
	}
	b, err := w.data(c, c.size)
	if err != nil {
		return err
	}
	w.extended, w.flags, w.flagsAt = true, b[0], in.Written()+8
	w.width, w.height = 1+webp24(b[4:]), 1+webp24(b[7:])
	if err := in.Picture(w.width, w.height); err != nil {
		return err
	}
	if !in.Sanitise {
		return w.keep(c)
	}
	w.flags &= webpICC | webpAlpha | webpExif | webpAnimated
	plain := append([]byte("VP8X\x0a\x00\x00\x00"), w.flags, 0, 0, 0)
	plain = append(plain, b[4:10]...)
	if b, err := in.Need(len(plain)); err != nil || bytes.Equal(b, plain) {
		return w.keep(c)
	}
	if err := in.Drop(c.whole()); err != nil {
		return err
	}
	return in.Emit(plain)
}

// resize patches a size that is written at an offset.
func (w *webpFile) resize(at, was, is int64) error {
	if was == is {
		return nil
	}
	return w.in.Patch(at, binary.LittleEndian.AppendUint32(nil, uint32(is)))
}

// finish checks that all is there, and patches the sizes and flags.
func (w *webpFile) finish(size int64) error {
	in := w.in
	if w.frames == 0 || w.alpha {
		return in.Corrupt("a WebP without a picture")
	}
	if !in.Sanitise {
		return nil
	}
	flags := w.flags
	if !w.exif {
		flags &^= webpExif
	}
	if !w.icc {
		flags &^= webpICC
	}
	if w.extended && flags != w.flags {
		if err := in.Patch(w.flagsAt, []byte{flags}); err != nil {
			return err
		}
	}
	return w.resize(4, size, in.Written()-8)
}
