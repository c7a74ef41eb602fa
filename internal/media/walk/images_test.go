package walk_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/media/walk"
	"github.com/google/go-cmp/cmp"
)

// imageFormat is what the tests of all images need.
type imageFormat struct {
	name    string
	walk    walk.Walker
	samples func() []mediatest.Sample
	decode  func([]byte) (any, error) // for reflect.DeepEqual
}

var imageFormats = []imageFormat{
	{"jpeg", walk.JPEGWalk, mediatest.JPEGs, decodeJPEG},
	{"png", walk.PNGWalk, mediatest.PNGs, decodePNG},
	{"gif", walk.GIFWalk, mediatest.GIFs, decodeGIF},
	{"webp", walk.WebPWalk, mediatest.WebPs, decodeWebP},
}

// walked is what a walk made of a file.
type walked struct {
	Info  walk.Info
	Tally walk.Tally
	Out   []byte
}

func sanitising() walk.Options { return walk.Options{Limits: walk.DefaultLimits(), Sanitise: true} }

func keeping() walk.Options { return walk.Options{Limits: walk.DefaultLimits()} }

// walkImage walks a file, applies the patches, and checks that each byte was
// accounted for.
func walkImage(t testing.TB, w walk.Walker, r io.Reader, o walk.Options) (walked, error) {
	t.Helper()
	var out bytes.Buffer
	in := walk.NewInput(r, &out, o)
	info, err := w(in)
	if err != nil {
		return walked{}, err
	}
	tally := in.Tally()
	if sum := tally.Kept + tally.Dropped + tally.Zeroed; sum != in.Offset() {
		t.Errorf("%d bytes kept, dropped and zeroed of %d consumed", sum, in.Offset())
	}
	if tally.Kept+tally.Zeroed+tally.Emitted != int64(out.Len()) || in.Written() != int64(out.Len()) {
		t.Errorf("tally %+v and %d bytes written", tally, out.Len())
	}
	for _, p := range info.Patches {
		copy(out.Bytes()[p.Offset:], p.Bytes)
	}
	return walked{info, tally, out.Bytes()}, nil
}

// each runs a test for every sample of every format.
func each(t *testing.T, test func(t *testing.T, f imageFormat, s mediatest.Sample)) {
	for _, f := range imageFormats {
		for _, s := range f.samples() {
			t.Run(f.name+"/"+s.Name, func(t *testing.T) { test(t, f, s) })
		}
	}
}

func TestImagesAreSanitised(t *testing.T) {
	each(t, func(t *testing.T, f imageFormat, s mediatest.Sample) {
		got, err := walkImage(t, f.walk, bytes.NewReader(s.Bytes), sanitising())
		if err != nil {
			t.Fatal(err)
		}
		if total := got.Tally.Kept + got.Tally.Dropped + got.Tally.Zeroed; total != int64(len(s.Bytes)) {
			t.Errorf("%d bytes accounted for, of %d", total, len(s.Bytes))
		}
		if s.Plain && !bytes.Equal(got.Out, s.Bytes) {
			t.Errorf("a file without metadata came out with %d bytes of %d: %+v", len(got.Out), len(s.Bytes), got.Info.Parts)
		}
		if s.Plain && len(got.Info.Parts) > 0 {
			t.Errorf("parts of a plain file: %+v", got.Info.Parts)
		}
		for _, secret := range s.Secrets {
			if bytes.Contains(got.Out, secret) {
				t.Errorf("%.60q survived", secret)
			}
		}
		if o := mediatest.Orientation(got.Out); o != s.Orientation {
			t.Errorf("orientation %d, want %d", o, s.Orientation)
		}
		if s.Profile != nil && !bytes.Contains(profileOf(got.Out), s.Profile) {
			t.Error("the colour profile is gone")
		}
		before, err := f.decode(s.Bytes)
		if err != nil {
			t.Fatalf("the sample does not decode: %v", err)
		}
		after, err := f.decode(got.Out)
		if err != nil {
			t.Fatalf("the output does not decode: %v", err)
		}
		if !reflect.DeepEqual(before, after) {
			t.Error("pixels changed")
		}
		again, err := walkImage(t, f.walk, bytes.NewReader(got.Out), sanitising())
		if err != nil {
			t.Fatalf("the output does not walk: %v", err)
		}
		if !bytes.Equal(again.Out, got.Out) {
			t.Errorf("sanitising twice made %d bytes of %d", len(again.Out), len(got.Out))
		}
		if len(again.Info.Parts) > 0 {
			t.Errorf("parts of a sanitised file: %+v", again.Info.Parts)
		}
	})
}

// profileOf joins what segments may have cut.
func profileOf(file []byte) []byte {
	var out []byte
	for i, part := range bytes.Split(file, []byte("ICC_PROFILE\x00")) {
		if i > 0 {
			part = part[2:]
		}
		if end := len(part) - 4; i > 0 && end > 0 && bytes.HasPrefix(part[end:], []byte{0xFF, 0xE2}) {
			part = part[:end]
		}
		out = append(out, part...)
	}
	return out
}

func TestImagesAreKept(t *testing.T) {
	each(t, func(t *testing.T, f imageFormat, s mediatest.Sample) {
		got, err := walkImage(t, f.walk, bytes.NewReader(s.Bytes), keeping())
		if err != nil {
			t.Fatal(err)
		}
		want := s.Bytes
		if f.name != "jpeg" {
			want = want[:len(want)-s.Trailer]
		}
		if !bytes.Equal(got.Out, want) {
			t.Errorf("%d bytes of %d: %+v", len(got.Out), len(want), got.Info.Parts)
		}
		if !s.Plain && len(got.Info.Parts) == 0 {
			t.Error("no part tells what is in the file")
		}
	})
}

func TestImagesInPieces(t *testing.T) {
	each(t, func(t *testing.T, f imageFormat, s mediatest.Sample) {
		for _, o := range []walk.Options{sanitising(), keeping()} {
			want, err := walkImage(t, f.walk, bytes.NewReader(s.Bytes), o)
			if err != nil {
				t.Fatal(err)
			}
			got, err := walkImage(t, f.walk, iotest.OneByteReader(bytes.NewReader(s.Bytes)), o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.Info, got.Info); diff != "" || !bytes.Equal(want.Out, got.Out) || want.Tally != got.Tally {
				t.Errorf("sanitise %v: byte by byte, %d bytes of %d (-whole +pieces):\n%s", o.Sanitise, len(got.Out), len(want.Out), diff)
			}
		}
	})
}

// offsets are those to cut a file of n bytes at: each of the first all, then
// ever fewer, and each of the last.
func offsets(s mediatest.Sample, n, all int) []int {
	var out []int
	if strings.HasPrefix(s.Name, "orientation") || n > 3000 {
		all = 20
	}
	for i := 0; i < n; i += 1 + i/all {
		out = append(out, i)
	}
	for i := max(0, n-50); i < n; i++ {
		out = append(out, i)
	}
	return slices.Compact(out)
}

func TestTruncatedImages(t *testing.T) {
	each(t, func(t *testing.T, f imageFormat, s mediatest.Sample) {
		for _, n := range offsets(s, len(s.Bytes), 3000) {
			for _, o := range []walk.Options{sanitising(), keeping()} {
				_, err := walkImage(t, f.walk, &afterEnd{r: bytes.NewReader(s.Bytes[:n])}, o)
				if n >= len(s.Bytes)-s.Trailer {
					if err != nil {
						t.Fatalf("cut at %d, in the trailer: %v", n, err)
					}
					continue
				}
				if r := (*walk.Reject)(nil); !errors.As(err, &r) || r.Code != walk.Corrupt {
					t.Fatalf("cut at %d of %d: %v", n, len(s.Bytes), err)
				}
			}
		}
	})
}

// afterEnd fails when it is read again after it was at its end.
type afterEnd struct {
	r    io.Reader
	over bool
}

func (a *afterEnd) Read(p []byte) (int, error) {
	if a.over {
		return 0, errors.New("read after the end")
	}
	n, err := a.r.Read(p)
	a.over = err != nil
	return n, err
}

func TestReadingErrorsOfImages(t *testing.T) {
	boom := errors.New("boom")
	each(t, func(t *testing.T, f imageFormat, s mediatest.Sample) {
		for _, n := range offsets(s, len(s.Bytes), 30) {
			r := &afterEnd{r: io.MultiReader(bytes.NewReader(s.Bytes[:n]), iotest.ErrReader(boom))}
			if _, err := walkImage(t, f.walk, r, sanitising()); !errors.Is(err, boom) {
				t.Fatalf("after %d bytes of %d: %v", n, len(s.Bytes), err)
			}
		}
	})
}

// writerAt is an output that is patched in place.
type writerAt struct{ bytes.Buffer }

func (w *writerAt) WriteAt(p []byte, at int64) (int, error) { return copy(w.Bytes()[at:], p), nil }

func TestImagesPatchTheirOutput(t *testing.T) {
	each(t, func(t *testing.T, f imageFormat, s mediatest.Sample) {
		want, err := walkImage(t, f.walk, bytes.NewReader(s.Bytes), sanitising())
		if err != nil {
			t.Fatal(err)
		}
		var out writerAt
		info, err := f.walk(walk.NewInput(bytes.NewReader(s.Bytes), &out, sanitising()))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), want.Out) || len(info.Patches) > 0 {
			t.Errorf("%d bytes of %d, and %d patches are left", out.Len(), len(want.Out), len(info.Patches))
		}
	})
}

// failing fails at the nth byte.
type failing struct{ left int }

var errFull = errors.New("full")

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWritingErrorsOfImages(t *testing.T) {
	each(t, func(t *testing.T, f imageFormat, s mediatest.Sample) {
		got, err := walkImage(t, f.walk, bytes.NewReader(s.Bytes), sanitising())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range offsets(s, len(got.Out), 30) {
			_, err := f.walk(walk.NewInput(bytes.NewReader(s.Bytes), &failing{n}, sanitising()))
			if !errors.Is(err, errFull) {
				t.Fatalf("full after %d of %d bytes: %v", n, len(got.Out), err)
			}
		}
	})
}

// rejected checks that a file is refused.
func rejected(t *testing.T, w walk.Walker, file []byte, want walk.Code) {
	t.Helper()
	for _, o := range []walk.Options{sanitising(), keeping()} {
		_, err := walkImage(t, w, bytes.NewReader(file), o)
		if r := (*walk.Reject)(nil); !errors.As(err, &r) || r.Code != want {
			t.Errorf("sanitise %v: %v, want %s", o.Sanitise, err, want)
		}
	}
}
