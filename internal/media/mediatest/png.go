package mediatest

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
)

// Chunk is a PNG chunk.
func Chunk(name string, data ...[]byte) []byte {
	d := cat(data...)
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(d))), name...)
	b = append(b, d...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// PNG encodes a picture, with chunks after IHDR.
func PNG(m image.Image, chunks ...[]byte) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err) // a buffer takes everything
	}
	return WithChunks(b.Bytes(), 33, chunks...)
}

// WithChunks puts chunks at an offset: 33 is after IHDR, -12 before IEND.
func WithChunks(file []byte, at int, chunks ...[]byte) []byte {
	if at < 0 {
		at += len(file)
	}
	return cat(file[:at], cat(chunks...), file[at:])
}

// Summed is a copy of a PNG whose chunks have the right checksums.
func Summed(file []byte) []byte {
	out := bytes.Clone(file)
	for c := out[min(8, len(out)):]; len(c) >= 12; {
		n := int64(binary.BigEndian.Uint32(c)) + 12
		if n > int64(len(c)) {
			break
		}
		binary.BigEndian.PutUint32(c[n-4:], crc32.ChecksumIEEE(c[4:n-4]))
		c = c[n:]
	}
	return out
}

// Deflated is zlib's form of data.
func Deflated(data []byte) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		panic(err) // a buffer takes everything
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// ProfileChunk is iCCP.
func ProfileChunk(profile []byte) []byte {
	return Chunk("iCCP", []byte("a profile\x00\x00"), Deflated(profile))
}

// pngData is the image data of an encoded picture.
func pngData(m image.Image) []byte {
	var out []byte
	for b := PNG(m)[8:]; len(b) >= 12; {
		n := binary.BigEndian.Uint32(b)
		if string(b[4:8]) == "IDAT" {
			out = append(out, b[8:8+n]...)
		}
		b = b[12+n:]
	}
	return out
}

// APNG is an animation of frames on the canvas of the first, which is shown
// only in the animation if it says so.
func APNG(first image.Image, shown bool, frames ...image.Image) []byte {
	be := binary.BigEndian
	sequence := uint32(0)
	control := func(m image.Image, x, y int) []byte {
		b := be.AppendUint32(nil, sequence)
		sequence++
		for _, v := range []int{m.Bounds().Dx(), m.Bounds().Dy(), x, y} {
			b = be.AppendUint32(b, uint32(v))
		}
		return Chunk("fcTL", b, []byte{0, 1, 0, 25, 1, 0})
	}
	n := len(frames)
	var head, tail []byte
	if shown {
		n++
		head = control(first, 0, 0)
	}
	for i, f := range frames {
		tail = append(tail, control(f, i%3, i%2)...)
		data := pngData(f)
		for _, part := range [][]byte{data[:len(data)/2], data[len(data)/2:]} {
			tail = append(tail, Chunk("fdAT", be.AppendUint32(nil, sequence), part)...)
			sequence++
		}
	}
	actl := Chunk("acTL", be.AppendUint32(be.AppendUint32(nil, uint32(n)), 3))
	return WithChunks(PNG(first, actl, head), -12, tail)
}

// PNGs are honest files, all of which pass.
func PNGs() []Sample {
	m := Picture(40, 24)
	plain := PNG(m)
	profile := Profile(5000)
	palette := image.NewPaletted(image.Rect(0, 0, 9, 9), color.Palette{color.Black, color.White, color.NRGBA{R: 9, A: 100}})
	deep := image.NewNRGBA64(image.Rect(0, 0, 5, 5))
	deep.Set(1, 1, color.NRGBA64{R: 1, G: 2, B: 3, A: 40000})
	look := cat(Chunk("cHRM", make([]byte, 32)), Chunk("gAMA", []byte{0, 0, 0xB1, 0x8F}), Chunk("sBIT", []byte{8, 8, 8}),
		Chunk("cICP", []byte{9, 16, 0, 1}), Chunk("mDCV", make([]byte, 24)), Chunk("cLLI", make([]byte, 8)),
		Chunk("pHYs", []byte{0, 0, 0x0B, 0x13, 0, 0, 0x0B, 0x13, 1}), Chunk("bKGD", make([]byte, 6)))
	out := []Sample{
		{Name: "plain", Bytes: plain, Plain: true},
		{Name: "one pixel", Bytes: PNG(Picture(1, 1)), Plain: true},
		{Name: "large", Bytes: PNG(Picture(300, 200)), Plain: true},
		{Name: "palette", Bytes: PNG(palette), Plain: true},
		{Name: "deep", Bytes: PNG(deep), Plain: true},
		{Name: "look", Bytes: PNG(m, look), Plain: true},
		{Name: "srgb", Bytes: PNG(m, Chunk("sRGB", []byte{0})), Plain: true},
		{Name: "profile", Bytes: PNG(m, ProfileChunk(profile)), Profile: Deflated(profile), Plain: true},
		{Name: "metadata", Profile: Deflated(profile), Secrets: append(exifSecrets(), Payload, Deflated(Payload)), Orientation: 5,
			Bytes: WithChunks(PNG(m, ProfileChunk(profile), look, Chunk("eXIf", TIFF("II", 5)), Chunk("tEXt", []byte("Comment\x00"), Payload),
				Chunk("zTXt", []byte("Comment\x00\x00"), Deflated(Payload)), Chunk("iTXt", []byte("XML:com.adobe.xmp\x00\x00\x00\x00\x00"), Payload),
				Chunk("iTXt", []byte("Title\x00\x01\x00de\x00Titel\x00"), Deflated(Payload)), Chunk("tIME", make([]byte, 7)),
				Chunk("caBX", Payload), Chunk("prVt", Payload), Chunk("fcTL", Payload)), -12, Chunk("teXt", Payload), Chunk("gAMA", make([]byte, 4)))},
		{Name: "animation", Bytes: APNG(m, true, Picture(20, 10), Picture(30, 20)), Plain: true},
		{Name: "animation behind a picture", Bytes: APNG(m, false, Picture(20, 10), Picture(37, 22), Picture(1, 1)), Plain: true},
		{Name: "animation with text", Bytes: WithChunks(APNG(m, true, Picture(20, 10)), 33, Chunk("tEXt", []byte("a\x00"), Payload)), Secrets: [][]byte{Payload}},
		{Name: "padding", Bytes: append(plain[:len(plain):len(plain)], make([]byte, 70_000)...), Trailer: 70_000},
		{Name: "remains", Bytes: append(plain[:len(plain):len(plain)], Payload...), Secrets: [][]byte{Payload}, Trailer: len(Payload)},
	}
	for mark := range Orders {
		for o := byte(0); o <= 8; o++ {
			s := Sample{Name: fmt.Sprintf("orientation %d %s", o, mark), Bytes: PNG(m, Chunk("eXIf", TIFF(mark, o))), Secrets: exifSecrets()}
			if o > 1 {
				s.Orientation = o
			}
			out = append(out, s)
		}
	}
	return out
}
