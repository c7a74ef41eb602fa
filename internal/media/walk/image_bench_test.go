package walk_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"

	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/media/walk"
)

func as(err error, r **walk.Reject) bool { return errors.As(err, r) }

func benchmarkImage(b *testing.B, w walk.Walker, file []byte) {
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w(walk.NewInput(bytes.NewReader(file), io.Discard, sanitising())); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJPEGWalk(b *testing.B) {
	benchmarkImage(b, walk.JPEGWalk, mediatest.JPEG(mediatest.Picture(3000, 2000), mediatest.ExifSegment("II", 6)))
}

func BenchmarkPNGWalk(b *testing.B) {
	benchmarkImage(b, walk.PNGWalk, mediatest.PNG(mediatest.Picture(1500, 1000), mediatest.Chunk("eXIf", mediatest.TIFF("II", 6))))
}

func BenchmarkGIFWalk(b *testing.B) {
	g := mediatest.Animation(10, 600, 500, 0)
	for _, m := range g.Image {
		seed := uint32(1)
		for i := range m.Pix { // noise, so that there is something to walk
			seed = seed*1664525 + 1013904223
			m.Pix[i] = byte(seed >> 30)
		}
	}
	benchmarkImage(b, walk.GIFWalk, mediatest.GIF(g))
}

func BenchmarkWebPWalk(b *testing.B) {
	benchmarkImage(b, walk.WebPWalk, mediatest.RIFF(mediatest.Lossless(4000, 3000, 1)))
}

// BenchmarkGiantGIF is how long a refusal takes.
func BenchmarkGiantGIF(b *testing.B) { benchmarkGiant(b, "gif") }

// BenchmarkGiantWebP is how long a refusal takes.
func BenchmarkGiantWebP(b *testing.B) { benchmarkGiant(b, "webp") }

func benchmarkGiant(b *testing.B, name string) {
	g := giants()[name]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.walk(walk.NewInput(bytes.NewReader(g.file), io.Discard, sanitising())); err == nil {
			b.Fatal("passed")
		}
	}
}

// fuzzImage fuzzes a walker, after mend has put right what mutations break.
func fuzzImage(f *testing.F, format imageFormat, mend func([]byte) []byte) {
	for _, s := range format.samples() {
		if len(s.Bytes) < 8000 {
			f.Add(s.Bytes)
		}
	}
	for _, p := range mediatest.Polyglots() {
		if p.Format == format.name {
			f.Add(p.Bytes)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = mend(b)
		for _, o := range []walk.Options{sanitising(), keeping()} {
			o.Limits.MaxInflated, o.Limits.MaxPixels, o.Limits.MaxTotalPixels = 1<<20, 1<<16, 1<<18
			got, err := walkImage(t, format.walk, bytes.NewReader(b), o)
			if r := (*walk.Reject)(nil); err != nil && !errors.As(err, &r) {
				t.Fatalf("no refusal: %v", err)
			}
			if err != nil {
				continue
			}
			if before, err := format.decode(b); err == nil && o.Sanitise {
				if after, err := format.decode(got.Out); err != nil || !reflect.DeepEqual(before, after) {
					t.Fatalf("what decoded does not decode to the same: %v", err)
				}
			}
			again, err := walkImage(t, format.walk, bytes.NewReader(got.Out), o)
			if err != nil {
				t.Fatalf("sanitise %v: what passed does not pass again: %v", o.Sanitise, err)
			}
			if !bytes.Equal(again.Out, got.Out) {
				t.Fatalf("sanitise %v: %d bytes became %d", o.Sanitise, len(got.Out), len(again.Out))
			}
		}
	})
}

func FuzzJPEGWalk(f *testing.F) { fuzzImage(f, imageFormats[0], bytes.Clone) }
func FuzzPNGWalk(f *testing.F)  { fuzzImage(f, imageFormats[1], mediatest.Summed) }
func FuzzGIFWalk(f *testing.F)  { fuzzImage(f, imageFormats[2], bytes.Clone) }
func FuzzWebPWalk(f *testing.F) { fuzzImage(f, imageFormats[3], bytes.Clone) }
