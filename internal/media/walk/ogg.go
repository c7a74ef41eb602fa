package walk

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"
)

const (
	oggHeader  = 27
	maxStreams = 16 // multiplexed at one time

	oggContinued, oggFirst, oggLast = 1, 2, 4
)

// OGGWalk walks the pages of an Ogg file and checks the sum of each: Opus,
// Vorbis, FLAC or Speex, one after another (chained) or together. A Skeleton
// beside them is kept; pictures and whatever else are refused.
func OGGWalk(in *Input) (Info, error) {
	w := &ogg{Input: in}
	for {
		b, err := in.Peek(4)
		if err != nil && err != io.EOF {
			return Info{}, err
		}
		if string(b) != "OggS" {
			break
		}
		if err := w.page(); err != nil {
			return Info{}, err
		}
	}
	if w.codec == "" || !w.sound {
		return Info{}, in.Corrupt("no pages of audio")
	}
	if err := w.after(); err != nil {
		return Info{}, err
	}
	return Info{Format: OGG, MIME: "audio/ogg", Brand: w.codec, Parts: in.Parts()}, nil
}

type ogg struct {
	*Input
	streams []oggStream
	begun   bool   // a page that is not the first of its stream has come
	codec   string // of the first stream of audio
	sound   bool   // such a page of an audio stream has come
	turned  [4096]byte
}

type oggStream struct {
	serial uint32
	audio  bool
	ended  bool
}

// page checks and keeps one page: 27 bytes, a table of up to 255 lengths, and
// up to 255 bytes for each. It fits the window.
func (w *ogg) page() error {
	if err := w.Step(); err != nil {
		return err
	}
	b, err := w.Need(oggHeader)
	if err != nil {
		return err
	}
	head := oggHeader + int(b[26])
	if b, err = w.Need(head); err != nil {
		return err
	}
	n := head
	for _, k := range b[oggHeader:head] {
		n += int(k)
	}
	if b, err = w.Need(n); err != nil {
		return err
	}
	if b[4] != 0 || b[5]&^(oggContinued|oggFirst|oggLast) != 0 {
		return w.Corrupt("a page of version %d with flags %#x", b[4], b[5])
	}
	if sum, want := w.sum(b), binary.LittleEndian.Uint32(b[22:]); sum != want {
		return w.Corrupt("a page with the sum %08x that states %08x", sum, want)
	}
	if err := w.stream(b, b[head:]); err != nil {
		return err
	}
	return w.Keep(int64(n))
}

// stream follows the life of the page's stream.
func (w *ogg) stream(page, payload []byte) error {
	flags, serial := page[5], binary.LittleEndian.Uint32(page[14:])
	if flags&oggFirst != 0 {
		if err := w.first(serial, payload); err != nil {
			return err
		}
	}
	for i := range w.streams {
		s := &w.streams[i]
		if s.serial != serial {
			continue
		}
		if s.ended {
			return w.Corrupt("a page after the last one of its stream")
		}
		s.ended = flags&oggLast != 0
		if flags&oggFirst == 0 {
			w.begun = true
			w.sound = w.sound || s.audio
		}
		return nil
	}
	return w.Corrupt("a page of a stream that did not begin")
}

// first begins a stream. The first pages of streams that play together come
// before all others; one that comes later begins the next link of a chain.
func (w *ogg) first(serial uint32, payload []byte) error {
	if w.begun {
		w.streams, w.begun = w.streams[:0], false
	}
	for _, s := range w.streams {
		if s.serial == serial {
			return w.Corrupt("two streams with the serial number %08x", serial)
		}
	}
	if len(w.streams) == maxStreams {
		return &Reject{Code: Corrupt, Reason: "streams at one time", Offset: w.Offset(), Limit: maxStreams, Actual: maxStreams + 1}
	}
	codec := oggCodec(payload)
	if codec == "" {
		return w.Mismatch("a stream that is no audio: %q", payload[:min(8, len(payload))])
	}
	audio := codec != "skeleton"
	if audio && w.codec == "" {
		w.codec = codec
	}
	w.streams = append(w.streams, oggStream{serial: serial, audio: audio})
	return nil
}

// oggCodec tells a codec by the first packet of its stream, "" if it is none
// of audio.
func oggCodec(b []byte) string {
	switch {
	case len(b) >= 19 && bytes.HasPrefix(b, []byte("OpusHead")) && b[8]&0xf0 == 0 && b[9] > 0:
		return "opus"
	case len(b) >= 30 && bytes.HasPrefix(b, []byte("\x01vorbis\x00\x00\x00\x00")) && b[11] > 0:
		return "vorbis"
	case len(b) >= 51 && bytes.HasPrefix(b, []byte("\x7fFLAC\x01")) && string(b[9:13]) == "fLaC":
		return "flac"
	case len(b) >= 80 && bytes.HasPrefix(b, []byte("Speex   ")):
		return "speex"
	case len(b) >= 64 && bytes.HasPrefix(b, []byte("fishead\x00")):
		return "skeleton"
	}
	return ""
}

// after keeps a tag behind the last page and drops a little else. A page
// further on means that bytes in between are broken.
func (w *ogg) after() error {
	for {
		ok, err := w.audioTag()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
	}
	b, err := w.Peek(maxAudioTail)
	if err != nil && err != io.EOF {
		return err
	}
	if i := bytes.Index(b, []byte("OggS")); i >= 0 {
		return w.Corrupt("%d bytes between two pages", i)
	}
	return w.audioTail()
}

// sum is the sum of a page with its own four bytes taken as zero.
func (w *ogg) sum(page []byte) uint32 {
	r := w.update(0, page[:22])
	r = w.update(r, w.zeros[:4])
	return w.update(r, page[26:])
}

// update continues a sum: the polynomial of IEEE 802.3, but the most
// significant bit of a byte first. Bytes turned around give that sum turned
// around, and processors have instructions for it.
func (w *ogg) update(r uint32, b []byte) uint32 {
	r = ^bits.Reverse32(r)
	for len(b) > 0 {
		n := min(len(b), len(w.turned))
		turn(w.turned[:n], b[:n])
		r, b = crc32.Update(r, crc32.IEEETable, w.turned[:n]), b[n:]
	}
	return bits.Reverse32(^r)
}

// turn writes to out the bytes of b, as many, with the bits of each reversed.
func turn(out, b []byte) {
	for len(b) >= 32 && len(out) >= 32 {
		o, p := out[:32:32], b[:32:32]
		binary.LittleEndian.PutUint64(o, turnBytes(binary.LittleEndian.Uint64(p)))
		binary.LittleEndian.PutUint64(o[8:], turnBytes(binary.LittleEndian.Uint64(p[8:])))
		binary.LittleEndian.PutUint64(o[16:], turnBytes(binary.LittleEndian.Uint64(p[16:])))
		binary.LittleEndian.PutUint64(o[24:], turnBytes(binary.LittleEndian.Uint64(p[24:])))
		out, b = out[32:], b[32:]
	}
	for i, c := range b {
		out[i] = bits.Reverse8(c)
	}
}

// turnBytes reverses the bits of each of eight bytes.
func turnBytes(v uint64) uint64 {
	v = v>>1&0x5555555555555555 | v&0x5555555555555555<<1
	v = v>>2&0x3333333333333333 | v&0x3333333333333333<<2
	return v>>4&0x0f0f0f0f0f0f0f0f | v&0x0f0f0f0f0f0f0f0f<<4
}
