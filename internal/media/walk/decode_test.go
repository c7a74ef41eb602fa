package walk_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"

	"avalo.app/gantry/internal/media/mediatest"
	"golang.org/x/image/webp"
)

func pixels(m image.Image) any {
	out := []any{fmt.Sprintf("%T", m), m.Bounds()}
	switch m := m.(type) {
	case *image.YCbCr:
		return append(out, m.Y, m.Cb, m.Cr, m.SubsampleRatio.String())
	case *image.NYCbCrA:
		return append(out, m.Y, m.Cb, m.Cr, m.A)
	case *image.Gray:
		return append(out, m.Pix)
	case *image.NRGBA:
		return append(out, m.Pix)
	case *image.RGBA:
		return append(out, m.Pix)
	case *image.NRGBA64:
		return append(out, m.Pix)
	case *image.Paletted:
		return append(out, m.Pix, fmt.Sprint(m.Palette))
	}
	return append(out, m)
}

func decodeJPEG(b []byte) (any, error) {
	if i := bytes.Index(b, []byte{0xFF, 0xDC, 0, 4}); i > 0 { // image/jpeg has no DNL: put its height into the frame header
		h := b[i+4 : i+6]
		b = append(bytes.Clone(b[:i]), b[i+6:]...)
		copy(b[bytes.Index(b, []byte{0xFF, 0xC0})+5:], h)
	}
	m, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return pixels(m), nil
}

// decodePNG decodes the picture, and lists the chunks of an animation.
func decodePNG(b []byte) (any, error) {
	m, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	out := []any{pixels(m)}
	animated := bytes.Contains(b, []byte("acTL"))
	for c := b[8:]; animated && len(c) >= 12; {
		n := 12 + binary.BigEndian.Uint32(c)
		switch string(c[4:8]) {
		case "acTL", "fcTL", "fdAT":
			out = append(out, c[:n])
		case "IEND":
			return out, nil
		}
		c = c[n:]
	}
	return out, nil
}

func decodeGIF(b []byte) (any, error) {
	g, err := gif.DecodeAll(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	out := []any{g.Delay, g.Disposal, g.LoopCount, g.BackgroundIndex, g.Config.Width, g.Config.Height}
	for _, m := range g.Image {
		out = append(out, pixels(m))
	}
	return out, nil
}

// decodeWebP decodes a still, or each frame of an animation, which
// golang.org/x/image does not know.
func decodeWebP(b []byte) (any, error) {
	if string(b[12:16]) != "VP8X" || b[20]&mediatest.FlagAnimated == 0 {
		m, err := webp.Decode(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		return pixels(m), nil
	}
	var out []any
	end := 8 + int(binary.LittleEndian.Uint32(b[4:]))
	if end > len(b) {
		return nil, fmt.Errorf("RIFF ends at %d of %d", end, len(b))
	}
	for c := b[12:end]; len(c) >= 8; {
		n := int(binary.LittleEndian.Uint32(c[4:]))
		if 8+n+n&1 > len(c) {
			return nil, fmt.Errorf("chunk %s of %d bytes in %d", c[:4], n, len(c))
		}
		switch string(c[:4]) {
		case "ANIM":
			out = append(out, c[8:8+n])
		case "ANMF":
			m, err := decodeFrame(c[8 : 8+n])
			if err != nil {
				return nil, err
			}
			out = append(out, c[8:24], m)
		}
		c = c[8+n+n&1:]
	}
	return out, nil
}

func decodeFrame(b []byte) (any, error) {
	var chunks [][]byte
	for c := b[16:]; len(c) >= 8; {
		n := int(binary.LittleEndian.Uint32(c[4:]))
		if 8+n > len(c) {
			return nil, fmt.Errorf("chunk %s of %d bytes in %d of a frame", c[:4], n, len(c))
		}
		switch string(c[:4]) {
		case "ALPH":
			w, h := int(b[6])+1, int(b[9])+1
			chunks = append(chunks, mediatest.Canvas(mediatest.FlagAlpha, w, h))
			fallthrough
		case "VP8 ", "VP8L":
			chunks = append(chunks, c[:8+n+n&1])
		}
		c = c[8+n+n&1:]
	}
	m, err := webp.Decode(bytes.NewReader(mediatest.RIFF(chunks...)))
	if err != nil {
		return nil, err
	}
	return pixels(m), nil
}
