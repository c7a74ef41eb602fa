package mediatest

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"slices"
)

// Animation is a number of frames on a canvas, with delays, disposal, a
// transparent colour and a number of plays (-1: once).
func Animation(frames, w, h, plays int) *gif.GIF {
	p := color.Palette{color.Transparent, color.Black, color.White, color.RGBA{R: 200, A: 255}}
	g := &gif.GIF{LoopCount: plays, Config: image.Config{Width: w, Height: h, ColorModel: p}}
	for i := range frames {
		r := image.Rect(0, 0, w, h)
		if i > 0 {
			r = image.Rect(i%3, i%2, w-i%2, h)
		}
		m := image.NewPaletted(r, p)
		for j := range m.Pix {
			m.Pix[j] = byte((j*j + i) % 4)
		}
		g.Image, g.Delay = append(g.Image, m), append(g.Delay, 3+i)
		g.Disposal = append(g.Disposal, byte(1+i%3))
	}
	return g
}

// GIF encodes an animation, with blocks before the first.
func GIF(g *gif.GIF, blocks ...[]byte) []byte {
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		panic(err) // a buffer takes everything
	}
	return WithBlocks(b.Bytes(), blocks...)
}

// WithBlocks puts blocks before the first of a file.
func WithBlocks(file []byte, blocks ...[]byte) []byte {
	at := 13
	if file[10]&0x80 != 0 {
		at += 3 << (file[10]&7 + 1)
	}
	return cat(file[:at], cat(blocks...), file[at:])
}

// Extension is a GIF extension of data in sub-blocks.
func Extension(label byte, parts ...[]byte) []byte {
	out := []byte{0x21, label}
	for _, p := range parts {
		for c := range slices.Chunk(p, 255) {
			out = append(append(out, byte(len(c))), c...)
		}
	}
	return append(out, 0)
}

// Loop is the application extension that says how often an animation plays.
func Loop(name string, plays int) []byte {
	return Extension(0xFF, []byte(name), []byte{1, byte(plays), byte(plays >> 8)})
}

// GIFs are honest files, all of which pass.
func GIFs() []Sample {
	still := GIF(Animation(1, 20, 10, 0))
	magic := make([]byte, 258) // ends XMP for decoders that take it for sub-blocks
	magic[0] = 1
	for i := range 256 {
		magic[1+i] = byte(255 - i)
	}
	xmp := cat([]byte{0x21, 0xFF, 11}, []byte("XMP DataXMP<x:xmpmeta>"), Payload, []byte("</x:xmpmeta>"), magic)
	buffered := Extension(0xFF, []byte("NETSCAPE2.0"), []byte{1, 7, 0}, []byte{2, 0, 0, 1, 0}, Payload)
	text := Extension(0x01, make([]byte, 12), Payload)
	anim := Animation(4, 20, 10, -1)
	return []Sample{
		{Name: "still", Bytes: still, Plain: true},
		{Name: "one pixel", Bytes: GIF(Animation(1, 1, 1, 0)), Plain: true},
		{Name: "large", Bytes: GIF(Animation(3, 300, 200, 0)), Plain: true},
		{Name: "animation", Bytes: GIF(Animation(5, 20, 10, 0)), Plain: true},
		{Name: "animation that plays three times", Bytes: GIF(Animation(3, 20, 10, 3)), Plain: true},
		{Name: "animation that plays once", Bytes: GIF(anim), Plain: true},
		{Name: "loop by the other name", Bytes: GIF(anim, Loop("ANIMEXTS1.0", 5)), Plain: true},
		{Name: "loop with more", Bytes: GIF(anim, buffered), Secrets: [][]byte{Payload}},
		{Name: "loop twice", Bytes: GIF(anim, Loop("NETSCAPE2.0", 5), Loop("NETSCAPE2.0", 5))},
		{Name: "metadata", Secrets: [][]byte{Payload},
			Bytes: GIF(anim, Extension(0xFE, Payload), xmp, Loop("NETSCAPE2.0", 9), text, Extension(0xFF, []byte("Picasa_2.0!"), Payload))},
		{Name: "long comment", Bytes: GIF(anim, Extension(0xFE, bytes.Repeat(Payload, 5000))), Secrets: [][]byte{Payload}},
		{Name: "comment at the end", Bytes: cat(still[:len(still)-1], Extension(0xFE, Payload), []byte{0x3B}), Secrets: [][]byte{Payload}},
		{Name: "padding", Bytes: append(still[:len(still):len(still)], 0, 0, 0, 0x3B), Trailer: 4},
	}
}
