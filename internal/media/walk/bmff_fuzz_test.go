package walk_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/media/walk"
)

// checkAny checks what holds for any bytes: a verdict and no panic; what
// passed stays as it was, or becomes a file that sanitising leaves alone.
func checkAny(t *testing.T, w walk.Walker, data []byte) {
	t.Helper()
	var r *walk.Reject
	info, same, err := spool(t, w, bytes.NewReader(data), false)
	if err != nil {
		if !errors.As(err, &r) {
			t.Fatalf("not a refusal: %v", err)
		}
	} else if !bytes.HasPrefix(data, same) {
		t.Fatal("a byte changed without sanitising")
	}
	cleanInfo, clean, cleanErr := spool(t, w, bytes.NewReader(data), true)
	if cleanErr != nil {
		if err == nil && !errors.As(cleanErr, &r) {
			t.Fatalf("not a refusal: %v", cleanErr)
		}
		return
	}
	if err != nil {
		t.Fatalf("refused only without sanitising: %v", err)
	}
	if info.MIME != cleanInfo.MIME || len(same) != len(clean) {
		t.Fatalf("%s of %d bytes became %s of %d", info.MIME, len(same), cleanInfo.MIME, len(clean))
	}
	_, twice, err := spool(t, w, bytes.NewReader(clean), true)
	if err != nil {
		t.Fatalf("the sanitised file: %v", err)
	}
	if !bytes.Equal(clean, twice) {
		t.Fatal("sanitising twice changes something")
	}
}

func FuzzBMFF(f *testing.F) {
	for _, c := range boxed() {
		f.Add(c.Data)
	}
	for _, other := range mediatest.Foreign()[:2] {
		for _, c := range mediatest.MoviePolyglots(other.Data) {
			f.Add(c.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkAny(t, walk.BMFFWalk, data) })
}

// BenchmarkBMFF walks 64 MB of media data, which must stream at the speed of
// memory, sanitising or not.
func BenchmarkBMFF(b *testing.B) {
	movie := mediatest.MovieFile{Brands: []string{"isom"}, Video: true, Audio: true}
	data := mediatest.Concat(movie.Bytes(), mediatest.Box("mdat", make([]byte, 64<<20)))
	for name, sanitise := range map[string]bool{"keep": false, "sanitise": true} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				in := walk.NewInput(bytes.NewReader(data), io.Discard, walk.Options{Limits: walk.DefaultLimits(), Sanitise: sanitise})
				if _, err := walk.BMFFWalk(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBMFFSmall is what a small file costs, most of it the window.
func BenchmarkBMFFSmall(b *testing.B) {
	data := mediatest.Pictures()[2].Data
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		in := walk.NewInput(bytes.NewReader(data), io.Discard, walk.Options{Limits: walk.DefaultLimits(), Sanitise: true})
		if _, err := walk.BMFFWalk(in); err != nil {
			b.Fatal(err)
		}
	}
}
