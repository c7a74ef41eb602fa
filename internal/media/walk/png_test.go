package walk_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"slices"
	"testing"

	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/media/walk"
)

// rechunked is a PNG in which data of the nth chunk of a name is edited, with
// the right checksum.
func rechunked(t *testing.T, file []byte, name string, nth, at int, with ...byte) []byte {
	t.Helper()
	out := bytes.Clone(file)
	for c := out[8:]; len(c) >= 12; {
		n := 12 + binary.BigEndian.Uint32(c)
		if string(c[4:8]) == name {
			if nth--; nth < 0 {
				copy(c[8+at:], with)
				binary.BigEndian.PutUint32(c[n-4:], crc32.ChecksumIEEE(c[4:n-4]))
				return out
			}
		}
		c = c[n:]
	}
	t.Fatalf("no chunk %s", name)
	return nil
}

func TestCorruptPNGs(t *testing.T) {
	plain := mediatest.PNG(mediatest.Picture(16, 16))
	apng := mediatest.APNG(mediatest.Picture(16, 16), true, mediatest.Picture(8, 8), mediatest.Picture(9, 9))
	behind := mediatest.APNG(mediatest.Picture(16, 16), false, mediatest.Picture(8, 8))
	palette := mediatest.PNG(image.NewPaletted(image.Rect(0, 0, 4, 4), color.Palette{color.Black, color.White}))
	idat := bytes.Index(plain, []byte("IDAT")) - 4
	insert := func(at int, chunks ...[]byte) []byte { return mediatest.WithChunks(plain, at, chunks...) }
	actl := func(frames byte) []byte { return mediatest.Chunk("acTL", []byte{0, 0, 0, frames, 0, 0, 0, 0}) }
	for name, file := range map[string][]byte{
		"empty":                      nil,
		"signature":                  edited(plain, 4, '\n'),
		"no header":                  slices.Concat(plain[:8], plain[33:]),
		"text before the header":     insert(8, mediatest.Chunk("tEXt", []byte("a\x00b"))),
		"header twice":               insert(33, plain[8:33]),
		"no width":                   rechunked(t, plain, "IHDR", 0, 0, 0, 0, 0, 0),
		"three bits":                 rechunked(t, plain, "IHDR", 0, 8, 3),
		"colour type one":            rechunked(t, plain, "IHDR", 0, 9, 1),
		"interlaced by two":          rechunked(t, plain, "IHDR", 0, 12, 2),
		"checksum of the header":     edited(plain, 29, plain[29]+1),
		"checksum of the data":       edited(plain, idat+20, plain[idat+20]+1),
		"checksum of text":           insert(33, edited(mediatest.Chunk("tEXt", []byte("a\x00b")), 10, 'c')),
		"a type that is no letters":  insert(33, mediatest.Chunk("ab1d")),
		"a length of 2 GB":           insert(33, []byte("\x80\x00\x00\x00juNk")),
		"unknown and critical":       insert(33, mediatest.Chunk("CgBI", make([]byte, 4))),
		"no data":                    slices.Concat(plain[:idat], plain[len(plain)-12:]),
		"data in two places":         insert(-12, mediatest.Chunk("tEXt", []byte("a\x00b")), mediatest.Chunk("IDAT")),
		"palette twice":              mediatest.WithChunks(palette, 33, palette[33:33+12+6]),
		"palette of many":            mediatest.WithChunks(palette, 33, mediatest.Chunk("PLTE", make([]byte, 9))),
		"palette of a fraction":      insert(33, mediatest.Chunk("PLTE", make([]byte, 7))),
		"palette after data":         insert(-12, mediatest.Chunk("PLTE", make([]byte, 6))),
		"no palette":                 slices.Concat(palette[:33], palette[33+12+6:]),
		"an end with data":           slices.Concat(plain[:len(plain)-12], mediatest.Chunk("IEND", []byte("x"))),
		"no frames":                  insert(33, actl(0)),
		"frames that are missing":    insert(33, actl(1)),
		"frames too many":            rechunked(t, apng, "acTL", 0, 0, 0, 0, 0, 2),
		"frames too few":             rechunked(t, apng, "acTL", 0, 0, 0, 0, 0, 4),
		"sequence of a control":      rechunked(t, apng, "fcTL", 1, 0, 0, 0, 0, 7),
		"sequence of data":           rechunked(t, apng, "fdAT", 1, 0, 0, 0, 0, 2),
		"frame beyond the canvas":    rechunked(t, apng, "fcTL", 1, 12, 0, 0, 0, 9),
		"frame of a huge offset":     rechunked(t, apng, "fcTL", 1, 12, 0xFF, 0xFF, 0xFF, 0xFF),
		"frame without width":        rechunked(t, apng, "fcTL", 1, 4, 0, 0, 0, 0),
		"first frame that is small":  rechunked(t, apng, "fcTL", 0, 4, 0, 0, 0, 9),
		"disposal of three":          rechunked(t, apng, "fcTL", 1, 24, 3),
		"data before a control":      mediatest.WithChunks(behind, bytes.Index(behind, []byte("fcTL"))-4, mediatest.Chunk("fdAT", make([]byte, 9))),
		"data before the picture":    mediatest.WithChunks(behind, 53, mediatest.Chunk("fdAT", make([]byte, 9))),
		"animation control of seven": insert(33, mediatest.Chunk("acTL", make([]byte, 7))),
	} {
		t.Run(name, func(t *testing.T) { rejected(t, walk.PNGWalk, file, walk.Corrupt) })
	}
}

// What is compressed and kept must inflate, to its end, and to little.
func TestCompressedChunksOfPNG(t *testing.T) {
	m := mediatest.Picture(8, 8)
	deflated := mediatest.Deflated(mediatest.Profile(500))
	head := []byte("name\x00\x00")
	large := mediatest.Profile(200_000)
	for i := range large[40:] { // more than the window, also compressed
		large[40+i] = byte(crc32.ChecksumIEEE(large[:i%4000]))
		if i%4000 == 0 {
			large[0]++
		}
	}
	for name, c := range map[string]struct {
		chunk []byte
		want  walk.Code // "": passes
	}{
		"profile":                    {mediatest.Chunk("iCCP", head, deflated), ""},
		"profile that goes on":       {mediatest.Chunk("iCCP", head, deflated, mediatest.Payload), ""},
		"profile that ends":          {mediatest.Chunk("iCCP", head, deflated[:len(deflated)-5]), ""},
		"large profile":              {mediatest.ProfileChunk(large), ""},
		"large profile that goes on": {mediatest.Chunk("iCCP", head, mediatest.Deflated(large), mediatest.Payload), walk.Corrupt},
		"text":                       {mediatest.Chunk("zTXt", head, deflated), ""},
		"text that goes on":          {mediatest.Chunk("zTXt", head, deflated, mediatest.Payload), walk.Corrupt},
		"text that is none":          {mediatest.Chunk("zTXt", head, mediatest.Payload), walk.Corrupt},
		"text without text":          {mediatest.Chunk("zTXt", []byte("name")), ""},
		"text bomb":                  {mediatest.Chunk("zTXt", head, mediatest.Deflated(make([]byte, 9<<20))), walk.TooLarge},
		"international bomb":         {mediatest.Chunk("iTXt", []byte("name\x00\x01\x00de\x00Name\x00"), mediatest.Deflated(make([]byte, 9<<20))), walk.TooLarge},
		"long plain text":            {mediatest.Chunk("iTXt", []byte("name\x00\x00\x00de\x00Name\x00"), make([]byte, 9<<20)), ""},
		"many bombs":                 {bytes.Repeat(mediatest.Chunk("zTXt", head, mediatest.Deflated(make([]byte, 1<<20))), 9), walk.TooLarge},
	} {
		file := mediatest.PNG(m, c.chunk)
		if c.want != "" {
			_, err := walkImage(t, walk.PNGWalk, bytes.NewReader(file), keeping())
			var r *walk.Reject
			if !as(err, &r) || r.Code != c.want {
				t.Errorf("%s: %v, want %s", name, err, c.want)
			}
			continue
		}
		got, err := walkImage(t, walk.PNGWalk, bytes.NewReader(file), keeping())
		if err != nil || !bytes.Equal(got.Out, file) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Chunks that decoders overlook where, or as, they are go.
func TestChunksOutOfPlace(t *testing.T) {
	m, palette := mediatest.Picture(8, 8), image.NewPaletted(image.Rect(0, 0, 4, 4), color.Palette{color.Black, color.White})
	gamma := mediatest.Chunk("gAMA", []byte{0, 0, 0xB1, 0x8F})
	plain, paletted := mediatest.PNG(m), mediatest.PNG(palette)
	alpha := mediatest.PNG(image.NewNRGBA(image.Rect(0, 0, 3, 3)))
	for name, c := range map[string]struct{ file, want []byte }{
		"twice":                        {mediatest.WithChunks(plain, 33, gamma, gamma), mediatest.WithChunks(plain, 33, gamma)},
		"after the data":               {mediatest.WithChunks(plain, -12, gamma), plain},
		"of another length":            {mediatest.WithChunks(plain, 33, mediatest.Chunk("gAMA", mediatest.Payload)), plain},
		"transparency with alpha":      {mediatest.WithChunks(alpha, 33, mediatest.Chunk("tRNS", make([]byte, 6))), alpha},
		"transparency of many":         {mediatest.WithChunks(paletted, 33+18, mediatest.Chunk("tRNS", make([]byte, 3))), paletted},
		"transparency before colours":  {mediatest.WithChunks(paletted, 33, mediatest.Chunk("tRNS", make([]byte, 1))), paletted},
		"colours after the palette":    {mediatest.WithChunks(paletted, 33+18, gamma), paletted},
		"an animation after the data":  {mediatest.WithChunks(plain, -12, mediatest.Chunk("acTL", make([]byte, 8))), plain},
		"frames without an animation":  {mediatest.WithChunks(plain, -12, mediatest.Chunk("fdAT", mediatest.Payload)), plain},
		"a profile that goes on":       {mediatest.WithChunks(plain, 33, mediatest.Chunk("iCCP", []byte("a\x00\x00"), mediatest.Deflated(mediatest.Profile(200)), mediatest.Payload)), plain},
		"a profile that ends":          {mediatest.WithChunks(plain, 33, mediatest.Chunk("iCCP", []byte("a\x00\x00"), mediatest.Deflated(mediatest.Profile(200))[:90])), plain},
		"a profile that is none":       {mediatest.WithChunks(plain, 33, mediatest.ProfileChunk(make([]byte, 200))), plain},
		"a profile that is not packed": {mediatest.WithChunks(plain, 33, mediatest.Chunk("iCCP", []byte("a\x00\x00"), mediatest.Profile(200))), plain},
	} {
		got, err := walkImage(t, walk.PNGWalk, bytes.NewReader(c.file), sanitising())
		if err != nil || !bytes.Equal(got.Out, c.want) {
			t.Errorf("%s: %v, %d bytes, want %d", name, err, len(got.Out), len(c.want))
		}
	}
}

func TestFramesOfPNG(t *testing.T) {
	file := mediatest.APNG(mediatest.Picture(16, 16), true, mediatest.Picture(8, 8), mediatest.Picture(9, 9))
	got, err := walkImage(t, walk.PNGWalk, bytes.NewReader(file), sanitising())
	if err != nil || got.Info.Frames != 3 || got.Info.MIME != "image/apng" {
		t.Errorf("%+v, %v", got.Info, err)
	}
	o := sanitising()
	o.Limits.MaxFrames = 2
	_, err = walkImage(t, walk.PNGWalk, bytes.NewReader(file), o)
	var r *walk.Reject
	if !as(err, &r) || r.Limit != 2 || r.Actual != 3 {
		t.Errorf("%v, want 3 frames of 2", err)
	}
}
