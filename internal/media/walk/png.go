package walk

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

// PNGWalk walks a PNG (ISO/IEC 15948, third edition: with APNG) and what
// follows its end. Image data is not inflated.
func PNGWalk(in *Input) (Info, error) {
	b, err := in.Need(len(pngSignature))
	if err != nil {
		return Info{}, err
	}
	if string(b) != pngSignature {
		return Info{}, in.Corrupt("no PNG: the signature is missing")
	}
	if err := in.Keep(int64(len(pngSignature))); err != nil {
		return Info{}, err
	}
	p := &pngFile{in: in, seen: make(map[string]bool)}
	for !p.ended {
		if err := p.chunk(); err != nil {
			return Info{}, err
		}
	}
	if err := in.trimTail(); err != nil {
		return Info{}, err
	}
	info := Info{Format: PNG, MIME: "image/png", Width: p.width, Height: p.height, Frames: 1, Parts: in.Parts()}
	if p.animated {
		info.MIME, info.Frames = "image/apng", int64(p.frames)
	}
	return info, nil
}

// pngStage is how far a file is.
type pngStage int

const (
	pngBefore pngStage = iota // IDAT
	pngWithin                 // consecutive IDATs
	pngBeyond                 // IDAT
)

// pngFile is a file as far as it was walked.
type pngFile struct {
	in            *Input
	width, height int64
	depth, colour byte
	palette       int64 // its entries
	stage         pngStage
	started       bool // IHDR was there
	ended         bool // IEND was there
	seen          map[string]bool
	inflate       pngInflater

	animated bool   // acTL was there
	frames   uint32 // that acTL promises
	controls uint32 // fcTL so far
	sequence uint32 // of the next fcTL or fdAT
	data     bool   // the last fcTL has its data
}

// pngChunk is a chunk whose header begins the window.
type pngChunk struct {
	name string
	size int64 // of its data
}

// whole is the size of a chunk with length, type and checksum.
func (c pngChunk) whole() int64 { return c.size + 12 }

func (c pngChunk) critical() bool { return c.name[0]&0x20 == 0 }

func (p *pngFile) chunk() error {
	in := p.in
	if err := in.Step(); err != nil {
		return err
	}
	b, err := in.Need(8)
	if err != nil {
		return err
	}
	c := pngChunk{name: string(b[4:8]), size: int64(binary.BigEndian.Uint32(b))}
	for _, l := range b[4:8] {
		if l|0x20 < 'a' || l|0x20 > 'z' {
			return in.Corrupt("a chunk of type %q", c.name)
		}
	}
	if c.size > 1<<31-1 {
		return in.Corrupt("chunk %s of %d bytes", c.name, c.size)
	}
	if !p.started && c.name != "IHDR" {
		return in.Corrupt("chunk %s before IHDR", c.name)
	}
	if c.name != "IDAT" && p.stage == pngWithin {
		p.stage = pngBeyond
	}
	if c.critical() {
		return p.picture(c)
	}
	return p.ancillary(c)
}

// fixed returns the data of a chunk that is short and must be of one size.
func (p *pngFile) fixed(c pngChunk, size int64) ([]byte, error) {
	if c.size != size {
		return nil, p.in.Corrupt("chunk %s of %d bytes", c.name, c.size)
	}
	b, err := p.in.Need(int(8 + size))
	if err != nil {
		return nil, err
	}
	return b[8:], nil
}

// picture consumes a critical chunk.
func (p *pngFile) picture(c pngChunk) error {
	in := p.in
	switch c.name {
	case "IHDR":
		if err := p.header(c); err != nil {
			return err
		}
	case "PLTE":
		if p.seen["PLTE"] || p.stage != pngBefore || c.size == 0 || c.size%3 != 0 || c.size > 3*256 || p.colour&2 == 0 ||
			p.colour == 3 && c.size > 3<<p.depth {
			return in.Corrupt("a palette of %d bytes, or out of place", c.size)
		}
		p.seen["PLTE"], p.palette = true, c.size/3
	case "IDAT":
		switch {
		case p.stage == pngBeyond:
			return in.Corrupt("IDAT after other chunks")
		case p.colour == 3 && p.palette == 0:
			return in.Corrupt("IDAT before the palette")
		}
		p.stage, p.data = pngWithin, true
	case "IEND":
		if c.size != 0 || p.stage != pngBeyond {
			return in.Corrupt("IEND of %d bytes, or before IDAT", c.size)
		}
		if p.animated && (p.controls != p.frames || !p.data) {
			return in.Corrupt("an animation of %d frames that has %d", p.frames, p.controls)
		}
		p.ended = true
	default:
		return in.Corrupt("chunk %s, which is critical and unknown", c.name)
	}
	return p.take(c, Kept)
}

// header checks IHDR.
func (p *pngFile) header(c pngChunk) error {
	if p.started {
		return p.in.Corrupt("a second IHDR")
	}
	b, err := p.fixed(c, 13)
	if err != nil {
		return err
	}
	p.started, p.width, p.height = true, int64(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint32(b[4:]))
	p.depth, p.colour = b[8], b[9]
	depths := map[byte][]byte{0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
	if bytes.IndexByte(depths[p.colour], p.depth) < 0 || b[10] != 0 || b[11] != 0 || b[12] > 1 {
		return p.in.Corrupt("colour type %d, %d bits, methods %d, %d and %d", p.colour, p.depth, b[10], b[11], b[12])
	}
	return p.in.Picture(p.width, p.height)
}

// take consumes a chunk by fate and checks its checksum.
func (p *pngFile) take(c pngChunk, fate Fate) error {
	body, err := p.body(c, fate)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return body.failed(err)
	}
	return body.close()
}

// pngBody reads the data of a chunk, consuming it by fate, and checks its
// checksum at the end.
type pngBody struct {
	in   *Input
	left int64
	sum  uint32
	fate Fate
	err  error // of the input
}

// body consumes the header of a chunk.
func (p *pngFile) body(c pngChunk, fate Fate) (*pngBody, error) {
	b := &pngBody{in: p.in, left: c.size, sum: crc32.ChecksumIEEE([]byte(c.name)), fate: fate}
	return b, p.in.Take(8, fate)
}

func (b *pngBody) next() ([]byte, error) {
	if b.left == 0 || b.err != nil {
		return nil, io.EOF
	}
	w, err := b.in.Window()
	if err == io.EOF {
		err = b.in.Corrupt("the file ends %d bytes before the end of a chunk", b.left)
	}
	if err != nil {
		b.err = err
		return nil, err
	}
	return w[:min(int64(len(w)), b.left)], nil
}

func (b *pngBody) took(w []byte) error {
	b.sum, b.left = crc32.Update(b.sum, crc32.IEEETable, w), b.left-int64(len(w))
	b.err = b.in.settle(w, b.fate)
	return b.err
}

// Read implements io.Reader.
func (b *pngBody) Read(to []byte) (int, error) {
	w, err := b.next()
	if err != nil {
		return 0, err
	}
	w = w[:copy(to, w)]
	return len(w), b.took(w)
}

// WriteTo implements io.WriterTo, for data that nobody looks at.
func (b *pngBody) WriteTo(io.Writer) (int64, error) {
	for {
		w, err := b.next()
		if err == io.EOF {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		if err := b.took(w); err != nil {
			return 0, err
		}
	}
}

// failed is the input's error, if that is why reading failed.
func (b *pngBody) failed(err error) error {
	if b.err != nil {
		return b.err
	}
	return err
}

// close consumes the checksum.
func (b *pngBody) close() error {
	if b.err != nil {
		return b.err
	}
	s, err := b.in.Need(4)
	if err != nil {
		return err
	}
	if sum := binary.BigEndian.Uint32(s); sum != b.sum {
		return b.in.Corrupt("a checksum of %08x where it is %08x", sum, b.sum)
	}
	return b.in.Take(4, b.fate)
}
