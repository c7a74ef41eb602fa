package walk_test

import (
	"bytes"
	"io"
	"runtime"
	"testing"
	"time"

	"avalo.app/gantry/internal/media/audiotest"
	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/media/walk"
)

// giants claim what no decoder should be asked for.
func giants() map[string]struct {
	walk walk.Walker
	file []byte
} {
	type giant = struct {
		walk walk.Walker
		file []byte
	}
	jpeg := mediatest.JPEG(mediatest.Picture(8, 8))
	copy(jpeg[bytes.Index(jpeg, []byte{0xFF, 0xC0})+5:], "\x7F\xFF\x7F\xFF")
	gif := []byte("GIF89a\xFF\x7F\xFF\x7F\x80\x00\x00\xFF\xFF\xFF\x00\x00\x00,\x00\x00\x00\x00\xFF\x7F\xFF\x7F\x00\x02\x01\x44\x00;")
	vp8l := []byte("RIFF\x14\x00\x00\x00WEBPVP8L\x08\x00\x00\x00\x2F\xFF\xFF\xFF\x0F\x00\x00\x00")
	png := mediatest.PNG(mediatest.Picture(1, 1))
	header := mediatest.Chunk("IHDR", []byte("\x00\x00\x7F\xFF\x00\x00\x7F\xFF\x08\x06\x00\x00\x00"))
	bomb := mediatest.PNG(mediatest.Picture(1, 1), mediatest.ProfileChunk(append(mediatest.Profile(200), make([]byte, 20<<20)...)))
	return map[string]giant{
		"jpeg":           {walk.JPEGWalk, jpeg},
		"gif":            {walk.GIFWalk, gif},
		"webp":           {walk.WebPWalk, vp8l},
		"webp canvas":    {walk.WebPWalk, mediatest.RIFF(mediatest.Canvas(0, 1<<24, 1<<24))},
		"webp lossy":     {walk.WebPWalk, mediatest.RIFF(mediatest.Canvas(0, 9, 9), mediatest.Lossy(16383, 16383)[:60])},
		"png":            {walk.PNGWalk, append(append(bytes.Clone(png[:8]), header...), png[33:]...)},
		"png profile":    {walk.PNGWalk, bomb},
		"png animation":  {walk.PNGWalk, mediatest.PNG(mediatest.Picture(1, 1), mediatest.Chunk("acTL", []byte("\x7F\xFF\xFF\xFF\x00\x00\x00\x00")))},
		"jpeg segments":  {walk.JPEGWalk, mediatest.WithSegments(mediatest.JPEG(mediatest.Picture(8, 8)), bytes.Repeat(mediatest.Segment(0xFE), 60_000))},
		"gif sub-blocks": {walk.GIFWalk, mediatest.GIF(mediatest.Animation(1, 2, 2, 0), append([]byte{0x21, 0xFE}, bytes.Repeat([]byte{1, 1}, 60_000)...))},
	}
}

// few admits fewer parts than by default, so that hostile files can be short.
func few() walk.Options {
	o := sanitising()
	o.Limits.MaxSteps = 50_000
	return o
}

func TestGiantsAreRefusedCheaply(t *testing.T) {
	for name, g := range giants() {
		t.Run(name, func(t *testing.T) {
			if name == "gif" && len(g.file) != 34 || name == "webp" && len(g.file) != 28 {
				t.Errorf("%d bytes", len(g.file))
			}
			if name != "webp lossy" { // shorter than it says
				_, err := walkImage(t, g.walk, bytes.NewReader(g.file), few())
				if r := (*walk.Reject)(nil); !as(err, &r) || r.Code != walk.TooLarge {
					t.Errorf("%v, want %s", err, walk.TooLarge)
				}
			}
			refuse := func() {
				if _, err := g.walk(walk.NewInput(bytes.NewReader(g.file), io.Discard, few())); err == nil {
					t.Error("passed")
				}
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			refuse()
			runtime.ReadMemStats(&after)
			took := time.Hour
			for range 5 {
				start := time.Now()
				refuse()
				took = min(took, time.Since(start))
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
				t.Errorf("%d bytes allocated", n)
			}
			if limit := 50*time.Millisecond + 5*time.Duration(len(g.file))*time.Microsecond; took > limit && name != "png profile" {
				t.Errorf("took %v for %d bytes", took, len(g.file))
			}
			if n := testing.AllocsPerRun(3, refuse); n > 100 && len(g.file) < 1000 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// What a hostile file repeats must cost no more than its length.
func TestRepetitionsAreLinear(t *testing.T) {
	jpeg, still := mediatest.JPEG(mediatest.Picture(8, 8)), mediatest.GIF(mediatest.Animation(1, 2, 2, 0))
	repeat := func(s string) []byte { return bytes.Repeat([]byte(s), 1<<20/len(s)) }
	join := func(a []byte, b ...[]byte) []byte { return append(bytes.Clone(a), bytes.Join(b, nil)...) }
	pictures := make([][]byte, 60)
	for i := range pictures {
		pictures[i] = jpeg
	}
	for name, c := range map[string]struct {
		walk walk.Walker
		file []byte
	}{
		"jpeg tail of two paddings": {walk.JPEGWalk, join(jpeg, repeat("\x00\xFF"), repeat("\x00\xFF"), repeat("\x00\xFF"), repeat("\x00\xFF"))},
		"jpeg tail of boxes":        {walk.JPEGWalk, join(jpeg, mediatest.Movie(), repeat("\x00\x00\x00\x08free"))},
		"jpeg tail of pictures":     {walk.JPEGWalk, mediatest.WithPictures(jpeg, 9, pictures...)},
		"jpeg fill bytes":           {walk.JPEGWalk, mediatest.WithSegments(jpeg, repeat("\xFF"))},
		"jpeg stuffed zeros":        {walk.JPEGWalk, mediatest.WithSegments(jpeg, repeat("\xFF\x00"))},
		"jpeg stray markers":        {walk.JPEGWalk, mediatest.WithSegments(jpeg, repeat("\xFF\xD0"))},
		"gif controls":              {walk.GIFWalk, mediatest.WithBlocks(still, repeat("\x21\xF9\x04\x00\x00\x00\x00\x00"))},
		"gif tail of half archives": {walk.GIFWalk, join(still, repeat("PK"))},
		"webp chunks":               {walk.WebPWalk, mediatest.RIFF(mediatest.Lossless(1, 1, 1), repeat("JUNK\x00\x00\x00\x00"))},
		"png chunks":                {walk.PNGWalk, mediatest.PNG(mediatest.Picture(1, 1), bytes.Repeat(mediatest.Chunk("juNk"), 100_000))},
	} {
		start := time.Now()
		var r *walk.Reject
		_, err := walkImage(t, c.walk, bytes.NewReader(c.file), sanitising())
		if err != nil && !as(err, &r) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("%s: took %v for %d bytes", name, took, len(c.file))
		} else {
			t.Logf("%s: %v, %v", name, took, err)
		}
	}
}

// Every walker counts what it walks: one step admits no file of any format.
func TestEveryWalkerCountsSteps(t *testing.T) {
	files := map[walk.Format][]byte{
		walk.JPEG: mediatest.JPEG(mediatest.Picture(8, 8)), walk.PNG: mediatest.PNG(mediatest.Picture(8, 8)), walk.GIF: mediatest.GIF(mediatest.Animation(2, 8, 8, 0)),
		walk.WebP: mediatest.RIFF(mediatest.Canvas(0, 8, 8), mediatest.Lossless(8, 8, 1)), walk.HEIF: mediatest.PictureFile{Brands: []string{"heic"}}.Bytes(),
		walk.MP4: mediatest.Movies()[0].Data, walk.WebM: mediatest.WebMs()[0].Data,
		walk.MP3: audiotest.MP3(), walk.AAC: audiotest.AAC(), walk.WAV: audiotest.WAV(), walk.OGG: audiotest.OGG(),
	}
	for format, file := range files {
		o := sanitising()
		if _, err := walk.For(format)(walk.NewInput(bytes.NewReader(file), io.Discard, o)); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		o.Limits.MaxSteps = 1
		_, err := walk.For(format)(walk.NewInput(bytes.NewReader(file), io.Discard, o))
		if r := (*walk.Reject)(nil); !as(err, &r) || r.Code != walk.TooLarge || r.Limit != 1 || r.Actual != 2 {
			t.Errorf("%s of one step: %v", format, err)
		}
	}
	if _, err := walk.For("tiff")(walk.NewInput(bytes.NewReader(nil), io.Discard, sanitising())); !isReject(err, walk.Mismatch) {
		t.Errorf("an unknown format: %v", err)
	}
}
