// Package mediatest builds media files for tests: every container and variant,
// honest trailers, metadata that must not survive, and polyglots. No file comes
// from elsewhere.
package mediatest

import (
	"archive/zip"
	"bytes"
	"image"
	"image/color"
)

// Sample is a file and what is known of it.
type Sample struct {
	Name  string
	Bytes []byte
	// Orientation is the Exif orientation that sanitising has to keep; 0: none.
	Orientation byte
	// Profile is the colour profile that sanitising has to keep; nil: none.
	Profile []byte
	// Secrets must not be in what sanitising leaves.
	Secrets [][]byte
	// Plain is a file without anything to sanitise.
	Plain bool
	// Trailer is how many bytes at the end are no part of the picture.
	Trailer int
}

// Picture paints a picture that compresses badly and whose pixels differ.
func Picture(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	seed := uint32(1)
	for y := range h {
		for x := range w {
			seed = seed*1664525 + 1013904223
			m.SetNRGBA(x, y, color.NRGBA{R: byte(x * 255 / w), G: byte(y * 255 / h), B: byte(seed >> 24), A: 255})
		}
	}
	return m
}

// Profile is what passes for an ICC profile of a length.
func Profile(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i * 7)
	}
	p[0], p[1], p[2], p[3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	copy(p[36:], "acsp")
	return p
}

// Payload is a secret of which a test can tell whether it is still there.
var Payload = []byte("payload-hidden-where-no-decoder-looks")

// Zip is an archive with one file.
func Zip() []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("run.sh")
	if err == nil {
		_, err = w.Write(Payload)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err) // a buffer takes everything
	}
	return b.Bytes()
}

// Movie is the boxes of a short ISO base media file.
func Movie() []byte {
	box := func(name string, data ...byte) []byte {
		n := 8 + len(data)
		return append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), name[0], name[1], name[2], name[3]}, data...)
	}
	return cat(box("ftyp", []byte("isom\x00\x00\x00\x00isommp42")...), box("mdat", bytes.Repeat([]byte("frame"), 99)...), box("moov", make([]byte, 40)...))
}

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
