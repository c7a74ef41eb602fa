package mediatest

import (
	"encoding/binary"
	"fmt"
)

// RIFF is a WebP of chunks.
func RIFF(chunks ...[]byte) []byte {
	d := cat(chunks...)
	return cat(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(4+len(d))), []byte("WEBP"), d)
}

// RIFFChunk is a chunk with its padding.
func RIFFChunk(name string, data ...[]byte) []byte {
	d := cat(data...)
	b := append(binary.LittleEndian.AppendUint32([]byte(name), uint32(len(d))), d...)
	return append(b, make([]byte, len(d)&1)...)
}

// webpBits writes bits, the lowest first.
type webpBits struct {
	out  []byte
	bits int
}

func (b *webpBits) put(v, n int) {
	for i := range n {
		if b.bits%8 == 0 {
			b.out = append(b.out, 0)
		}
		b.out[b.bits/8] |= byte(v>>i&1) << (b.bits % 8)
		b.bits++
	}
}

// Lossless is a VP8L chunk of a picture in eight colours, each channel of which
// has two values (RFC 9649, section 3). Shade tells pictures apart.
func Lossless(w, h int, shade byte) []byte {
	var b webpBits
	b.put(0x2F, 8)
	b.put(w-1, 14)
	b.put(h-1, 14)
	b.put(0, 1+3) // no alpha, version 0
	b.put(0, 1+1+1)
	for _, values := range [][]int{{int(shade), 255}, {3, 200}, {40, 41}, {255}, {0}} { // green, red, blue, alpha, distance
		b.put(1, 1) // a code of one or two symbols of eight bits
		b.put(len(values)-1, 1)
		b.put(1, 1)
		for _, v := range values {
			b.put(v, 8)
		}
	}
	for i := range w * h {
		b.put(i*i>>2^i, 3)
	}
	return RIFFChunk("VP8L", b.out)
}

// Lossy is a VP8 chunk of a grey picture: a key frame whose every decision and
// coefficient is zero (RFC 6386, section 9.1).
func Lossy(w, h int) []byte {
	n := 400 + w*h/16
	tag := uint32(n)<<5 | 1<<4 // shown, a key frame
	le := binary.LittleEndian
	head := append([]byte{byte(tag), byte(tag >> 8), byte(tag >> 16)}, "\x9D\x01\x2A"...)
	head = le.AppendUint16(le.AppendUint16(head, uint16(w)), uint16(h))
	return RIFFChunk("VP8 ", head, make([]byte, 2*n))
}

// Alpha is an ALPH chunk, not compressed.
func Alpha(w, h int) []byte {
	d := make([]byte, 1+w*h)
	for i := range w * h {
		d[1+i] = byte(i * 5)
	}
	return RIFFChunk("ALPH", d)
}

func put24(b []byte, values ...int) []byte {
	for _, v := range values {
		b = append(b, byte(v), byte(v>>8), byte(v>>16))
	}
	return b
}

// Flags of VP8X.
const (
	FlagAnimated = 0x02
	FlagXMP      = 0x04
	FlagExif     = 0x08
	FlagAlpha    = 0x10
	FlagProfile  = 0x20
)

// Canvas is VP8X.
func Canvas(flags byte, w, h int) []byte {
	return RIFFChunk("VP8X", put24([]byte{flags, 0, 0, 0}, w-1, h-1))
}

// AnimationChunk is ANIM.
func AnimationChunk(plays byte) []byte {
	return RIFFChunk("ANIM", []byte{1, 2, 3, 4, plays, 0})
}

// Frame is ANMF.
func Frame(x, y, w, h, milliseconds int, chunks ...[]byte) []byte {
	return RIFFChunk("ANMF", put24(nil, x/2, y/2, w-1, h-1, milliseconds), []byte{1}, cat(chunks...))
}

// WebPs are honest files, all of which pass.
func WebPs() []Sample {
	profile := Profile(2001)
	pad := RIFFChunk("ALPH", make([]byte, 1+10*9))
	pad[len(pad)-1] = 0x55
	out := []Sample{
		{Name: "lossless", Bytes: RIFF(Lossless(30, 20, 9)), Plain: true},
		{Name: "lossy", Bytes: RIFF(Lossy(30, 20)), Plain: true},
		{Name: "one pixel", Bytes: RIFF(Lossless(1, 1, 9)), Plain: true},
		{Name: "large", Bytes: RIFF(Lossless(900, 800, 9)), Plain: true},
		{Name: "alpha", Bytes: RIFF(Canvas(FlagAlpha, 30, 20), Alpha(30, 20), Lossy(30, 20)), Plain: true},
		{Name: "profile", Bytes: RIFF(Canvas(FlagProfile, 30, 20), RIFFChunk("ICCP", profile), Lossless(30, 20, 9)), Profile: profile, Plain: true},
		{Name: "metadata", Profile: profile, Orientation: 6, Secrets: append(exifSecrets(), Payload),
			Bytes: RIFF(Canvas(FlagProfile|FlagExif|FlagXMP, 30, 20), RIFFChunk("ICCP", profile), RIFFChunk("abcd", Payload), Lossless(30, 20, 9),
				RIFFChunk("EXIF", TIFF("MM", 6)), RIFFChunk("XMP ", Payload), RIFFChunk("JUNK", Payload))},
		{Name: "exif with a JPEG's prefix", Orientation: 2, Secrets: exifSecrets(),
			Bytes: RIFF(Canvas(FlagExif, 30, 20), Lossless(30, 20, 9), RIFFChunk("EXIF", []byte("Exif\x00\x00"), TIFF("II", 2)))},
		{Name: "padding that is not zero", Bytes: RIFF(Canvas(FlagAlpha, 10, 9), pad, Lossy(10, 9))},
		{Name: "chunks after the picture", Bytes: RIFF(Lossless(30, 20, 9), RIFFChunk("XMP ", Payload)), Secrets: [][]byte{Payload}},
		{Name: "animation", Plain: true, Bytes: RIFF(Canvas(FlagAnimated|FlagAlpha, 30, 20), AnimationChunk(3),
			Frame(0, 0, 30, 20, 40, Lossless(30, 20, 9)), Frame(4, 2, 9, 11, 50, Alpha(9, 11), Lossy(9, 11)), Frame(0, 0, 30, 20, 60, Lossless(30, 20, 77)))},
		{Name: "animation with metadata", Orientation: 7, Secrets: append(exifSecrets(), Payload),
			Bytes: RIFF(Canvas(FlagAnimated|FlagExif|FlagXMP, 30, 20), AnimationChunk(0),
				Frame(0, 0, 30, 20, 40, Lossless(30, 20, 9), RIFFChunk("hide", Payload)), RIFFChunk("JUNK", Payload),
				Frame(2, 2, 7, 5, 41, RIFFChunk("odd ", []byte{1, 2, 3}), Lossless(7, 5, 1)), RIFFChunk("EXIF", TIFF("II", 7)), RIFFChunk("XMP ", Payload))},
		{Name: "padding", Bytes: append(RIFF(Lossless(30, 20, 9)), 0, 0, 0), Trailer: 3},
	}
	for mark := range Orders {
		for o := byte(0); o <= 8; o++ {
			s := Sample{Name: fmt.Sprintf("orientation %d %s", o, mark), Secrets: exifSecrets(),
				Bytes: RIFF(Canvas(FlagExif, 30, 20), Lossless(30, 20, 9), RIFFChunk("EXIF", TIFF(mark, o)))}
			if o > 1 {
				s.Orientation = o
			}
			out = append(out, s)
		}
	}
	return out
}
