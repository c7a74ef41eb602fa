package walk

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// pngPlace is where a chunk that the picture needs belongs.
type pngPlace struct {
	sizes         []int64 // nil: any
	beforePalette bool
	afterPalette  bool // if there is one
}

// pngNeeded are the ancillary chunks that say how the picture looks. All come
// before IDAT, and once.
var pngNeeded = map[string]pngPlace{
	"cHRM": {sizes: []int64{32}, beforePalette: true},
	"gAMA": {sizes: []int64{4}, beforePalette: true},
	"sRGB": {sizes: []int64{1}, beforePalette: true},
	"cICP": {sizes: []int64{4}, beforePalette: true},
	"mDCV": {sizes: []int64{24}, beforePalette: true},
	"cLLI": {sizes: []int64{8}, beforePalette: true},
	"sBIT": {sizes: []int64{1, 2, 3, 4}, beforePalette: true},
	"iCCP": {beforePalette: true},
	"pHYs": {sizes: []int64{9}},
	"bKGD": {sizes: []int64{1, 2, 6}, afterPalette: true},
	"tRNS": {afterPalette: true},
}

// pngNames say what other chunks are.
var pngNames = map[string]string{"tEXt": "text", "zTXt": "text", "iTXt": "text", "tIME": "time", "eXIf": "exif", "caBX": "jumbf"}

// ancillary consumes a chunk that decoders may skip.
func (p *pngFile) ancillary(c pngChunk) error {
	switch c.name {
	case "acTL":
		if p.stage == pngBefore && !p.animated {
			return p.animation(c)
		}
	case "fcTL":
		if p.animated {
			return p.control(c)
		}
	case "fdAT":
		if p.animated {
			return p.frame(c)
		}
	case "eXIf":
		return p.exif(c)
	default:
		if place, ok := pngNeeded[c.name]; ok && p.inPlace(c, place) {
			return p.needed(c)
		}
	}
	what, ok := pngNames[c.name]
	if !ok {
		what = "chunk " + c.name
	}
	return p.spare(c, what, nil)
}

// needed consumes a chunk that says how the picture looks.
func (p *pngFile) needed(c pngChunk) error {
	p.seen[c.name] = true
	if c.name != "iCCP" {
		return p.take(c, Kept)
	}
	b, err := p.in.Peek(int(min(8+c.size, window)))
	if err != nil && err != io.EOF {
		return err
	}
	if !pngProfile(b[8:], int64(len(b)) == 8+c.size, p.in.Limits.MaxInflated) {
		return p.spare(c, "broken colour profile", nil)
	}
	return p.inflated(c)
}

// inPlace reports whether decoders would look at a chunk.
func (p *pngFile) inPlace(c pngChunk, place pngPlace) bool {
	if p.stage != pngBefore || p.seen[c.name] || place.beforePalette && p.seen["PLTE"] || place.afterPalette && p.colour == 3 && !p.seen["PLTE"] {
		return false
	}
	if c.name == "tRNS" {
		switch p.colour {
		case 0:
			return c.size == 2
		case 2:
			return c.size == 6
		case 3:
			return c.size > 0 && c.size <= p.palette
		}
		return false
	}
	for _, n := range place.sizes {
		if n == c.size {
			return true
		}
	}
	return place.sizes == nil
}

// spare consumes what the picture does not need. With sanitising, what is
// written for it is the chunk plain, if any.
func (p *pngFile) spare(c pngChunk, what string, plain []byte) error {
	in, start := p.in, p.in.Offset()
	if int64(len(plain)) == c.whole() {
		b, err := in.Need(len(plain))
		if err != nil {
			return err
		}
		if bytes.Equal(b, plain) {
			return p.take(c, Kept)
		}
	}
	fate := Kept
	if in.Sanitise {
		fate = Dropped
	}
	var err error
	if fate == Kept && (c.name == "zTXt" || c.name == "iTXt") {
		err = p.inflated(c)
	} else {
		err = p.take(c, fate)
	}
	if err != nil {
		return err
	}
	in.Note(start, c.whole(), what, fate)
	if fate == Dropped {
		return in.Emit(plain)
	}
	return nil
}

// exif consumes Exif, of which only an orientation is kept.
func (p *pngFile) exif(c pngChunk) error {
	b, err := p.in.Peek(int(min(8+c.size, window)))
	if err != nil && err != io.EOF {
		return err
	}
	var plain []byte
	if t := tiffMinimal(tiffOrientation(bytes.TrimPrefix(b[8:], []byte("Exif\x00\x00")))); t != nil && !p.seen["eXIf"] {
		p.seen["eXIf"] = true
		plain = append(binary.BigEndian.AppendUint32(nil, uint32(len(t))), "eXIf"...)
		plain = append(plain, t...)
		plain = binary.BigEndian.AppendUint32(plain, crc32.ChecksumIEEE(plain[4:]))
	}
	return p.spare(c, "exif", plain)
}

// animation consumes acTL.
func (p *pngFile) animation(c pngChunk) error {
	b, err := p.fixed(c, 8)
	if err != nil {
		return err
	}
	p.animated, p.frames = true, binary.BigEndian.Uint32(b)
	if p.frames == 0 || p.frames > 1<<31-1 {
		return p.in.Corrupt("an animation of %d frames", p.frames)
	}
	if err := p.in.Animation(int64(p.frames), p.width, p.height); err != nil {
		return err
	}
	return p.take(c, Kept)
}

// control consumes fcTL, which begins a frame.
func (p *pngFile) control(c pngChunk) error {
	b, err := p.fixed(c, 26)
	if err != nil {
		return err
	}
	if err := p.next(b); err != nil {
		return err
	}
	n := func(i int) int64 { return int64(binary.BigEndian.Uint32(b[i:])) }
	w, h, x, y := n(4), n(8), n(12), n(16)
	switch {
	case p.controls > 0 && !p.data:
		return p.in.Corrupt("a frame without data")
	case p.controls == p.frames:
		return p.in.Corrupt("more than the %d frames that were announced", p.frames)
	case w == 0 || h == 0 || x+w > p.width || y+h > p.height,
		p.stage == pngBefore && (w != p.width || h != p.height):
		return p.in.Corrupt("a frame of %d x %d at %d, %d on a canvas of %d x %d", w, h, x, y, p.width, p.height)
	case b[24] > 2 || b[25] > 1:
		return p.in.Corrupt("a frame with disposal %d and blending %d", b[24], b[25])
	}
	p.controls, p.data = p.controls+1, false
	return p.take(c, Kept)
}

// frame consumes fdAT.
func (p *pngFile) frame(c pngChunk) error {
	if c.size < 4 || p.controls == 0 || p.stage == pngBefore {
		return p.in.Corrupt("frame data of %d bytes, or out of place", c.size)
	}
	b, err := p.in.Need(12)
	if err != nil {
		return err
	}
	if err := p.next(b[8:]); err != nil {
		return err
	}
	p.data = true
	return p.take(c, Kept)
}

// next checks the sequence number that begins b.
func (p *pngFile) next(b []byte) error {
	if n := binary.BigEndian.Uint32(b); n != p.sequence {
		return p.in.Corrupt("sequence number %d where %d is due", n, p.sequence)
	}
	p.sequence++
	return nil
}

// pngInflater inflates the compressed chunks of a file, one after another, and
// counts what comes out.
type pngInflater struct {
	buffer *bufio.Reader
	zlib   io.ReadCloser
	total  int64
}

// inflated keeps a chunk whose data is compressed, and bounds what it inflates
// to.
func (p *pngFile) inflated(c pngChunk) error {
	body, err := p.body(c, Kept)
	if err != nil {
		return err
	}
	if p.inflate.buffer == nil {
		p.inflate.buffer = bufio.NewReader(nil)
	}
	r := p.inflate.buffer
	r.Reset(body)
	compressed, err := pngText(r, c.name)
	if err == nil && compressed {
		err = p.inflate.run(p.in, r)
	}
	if err != nil {
		return body.failed(err)
	}
	if compressed && (r.Buffered() > 0 || body.left > 0) {
		return p.in.Corrupt("bytes after the compressed data of %s", c.name)
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return body.failed(err)
	}
	return body.close()
}

// pngText skips to the text or profile of a chunk, and says whether that is
// compressed.
func pngText(r *bufio.Reader, name string) (bool, error) {
	compressed := true
	for fields := map[string]int{"iCCP": 1, "zTXt": 1, "iTXt": 3}[name]; fields > 0; fields-- {
		for {
			b, err := r.ReadByte()
			if err == io.EOF {
				return false, nil // no text at all
			}
			if err != nil {
				return false, err
			}
			if b == 0 {
				break
			}
		}
		if fields == 2 {
			continue
		}
		if name == "iTXt" && fields == 3 {
			flag, err := r.ReadByte()
			if err != nil {
				return false, nil
			}
			compressed = flag == 1
		}
		if fields == 3 || name != "iTXt" {
			if _, err := r.ReadByte(); err != nil { // the method, of which there is one
				return false, nil
			}
		}
	}
	return compressed, nil
}

func (f *pngInflater) run(in *Input, r *bufio.Reader) error {
	var err error
	if f.zlib == nil {
		f.zlib, err = zlib.NewReader(r)
	} else {
		err = f.zlib.(zlib.Resetter).Reset(r, nil)
	}
	if err == nil {
		var n int64
		n, err = io.CopyN(io.Discard, f.zlib, in.Limits.MaxInflated-f.total+1)
		f.total += n
	}
	if f.total > in.Limits.MaxInflated {
		return &Reject{Code: TooLarge, Reason: "inflated text and colour profiles, in bytes", Offset: in.off, Limit: in.Limits.MaxInflated, Actual: f.total}
	}
	if err != io.EOF {
		return in.Corrupt("compressed data: %v", err)
	}
	return nil
}

// pngProfile reports whether b, the data of iCCP or its beginning, is a colour
// profile: a name, a method, and compressed what begins one. All of it must
// inflate, unless to more than a limit, which is for others to refuse.
func pngProfile(b []byte, whole bool, limit int64) bool {
	name, rest, ok := bytes.Cut(b, []byte{0})
	if !ok || len(name) == 0 || len(name) > 79 || len(rest) < 1 || rest[0] != 0 {
		return false
	}
	r := bytes.NewReader(rest[1:])
	z, err := zlib.NewReader(r)
	if err != nil {
		return false
	}
	head := make([]byte, 40)
	n, err := io.ReadFull(z, head)
	if err != nil || !iccProfile(head[:n]) {
		return false
	}
	if !whole {
		return true
	}
	_, err = io.CopyN(io.Discard, z, limit)
	return err == nil || err == io.EOF && r.Len() == 0
}
