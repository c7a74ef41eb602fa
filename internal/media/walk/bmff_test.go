package walk_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/media/walk"
)

// spool walks with a walker and applies the patches, as an upload does.
func spool(t testing.TB, w walk.Walker, r io.Reader, sanitise bool) (walk.Info, []byte, error) {
	t.Helper()
	var out bytes.Buffer
	in := walk.NewInput(r, &out, walk.Options{Limits: walk.DefaultLimits(), Sanitise: sanitise})
	info, err := w(in)
	if sum := in.Tally(); sum.Kept+sum.Dropped+sum.Zeroed != in.Offset() {
		t.Fatalf("%+v do not add up to %d", sum, in.Offset())
	} else if sum.Kept+sum.Zeroed+sum.Emitted != int64(out.Len()) {
		t.Fatalf("%+v do not add up to the output's %d", sum, out.Len())
	}
	if err != nil {
		return info, nil, err
	}
	b := spooled(out.Bytes())
	for _, p := range info.Patches {
		if err := p.Apply(b); err != nil {
			t.Fatal(err)
		}
	}
	return info, b, nil
}

type spooled []byte

func (s spooled) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(len(s)) {
		return 0, errors.New("a patch outside the output")
	}
	return copy(s[off:], p), nil
}

func boxed() []mediatest.File { return append(mediatest.Movies(), mediatest.Pictures()...) }

// walksTwice checks what holds for every valid file.
func walksTwice(t *testing.T, w walk.Walker, f mediatest.File) {
	t.Helper()
	info, same, err := spool(t, w, bytes.NewReader(f.Data), false)
	if err != nil {
		t.Fatal(err)
	}
	if info.MIME != f.MIME || info.Brand != f.Brand {
		t.Errorf("%s, brand %q; want %s, %q", info.MIME, info.Brand, f.MIME, f.Brand)
	}
	if !bytes.Equal(same, f.Data) {
		t.Error("the file changed without sanitising")
	}
	if strings.HasSuffix(f.Name, "gps") != bytes.Contains(f.Data, []byte(mediatest.Place)) {
		t.Fatal("the fixture is not what its name says")
	}
	once, clean, err := spool(t, w, bytes.NewReader(f.Data), true)
	if err != nil {
		t.Fatal(err)
	}
	if len(clean) != len(f.Data) {
		t.Errorf("%d bytes became %d", len(f.Data), len(clean))
	}
	if i := bytes.Index(clean, []byte(mediatest.Place)); i >= 0 {
		t.Errorf("the place is still there, at %d", i)
	}
	again, twice, err := spool(t, w, bytes.NewReader(clean), true)
	if err != nil {
		t.Fatalf("the sanitised file: %v", err)
	}
	if !bytes.Equal(clean, twice) {
		t.Error("sanitising twice changes something")
	}
	once.Parts, once.Patches, again.Parts, again.Patches = nil, nil, nil, nil
	if once.MIME != again.MIME || once.Width != again.Width || once.Height != again.Height || once.Frames != again.Frames {
		t.Errorf("%+v became %+v", once, again)
	}
	_, drip, err := spool(t, w, iotest.OneByteReader(bytes.NewReader(f.Data)), true)
	if err != nil || !bytes.Equal(drip, clean) {
		t.Errorf("byte by byte it is another file: %v", err)
	}
}

func TestBMFFWalksEveryFile(t *testing.T) {
	for _, f := range boxed() {
		t.Run(f.Name, func(t *testing.T) { walksTwice(t, walk.BMFFWalk, f) })
	}
}

// What is shown stays: samples, orientation, colours, titles, covers.
func TestBMFFKeepsWhatIsShown(t *testing.T) {
	for _, f := range boxed() {
		_, clean, err := spool(t, walk.BMFFWalk, bytes.NewReader(f.Data), true)
		if err != nil {
			t.Fatal(f.Name, err)
		}
		for _, mark := range []string{string(mediatest.Samples), string(mediatest.CodedPicture), "irot\x03", "colrnclx", "A title", "\xff\xd8\xff\xe0 cover", "Apple", "com.apple.quicktime.location.ISO6709", "com.apple.quicktime.make"} {
			if strings.Contains(f.Name, "timed") && strings.Contains(mark, "location") {
				continue // a key of the track that goes
			}
			if got, want := strings.Count(string(clean), mark), strings.Count(string(f.Data), mark); got != want {
				t.Errorf("%s: %q is there %d times, was %d times", f.Name, mark, got, want)
			}
		}
	}
}

// At least one late wipe is needed where the metadata came before its index.
func TestBMFFPatchesWhatHasPassed(t *testing.T) {
	for _, f := range mediatest.Pictures() {
		info, _, err := spool(t, walk.BMFFWalk, bytes.NewReader(f.Data), true)
		if err != nil {
			t.Fatal(f.Name, err)
		}
		late := strings.Contains(f.Name, "mdat first") || strings.Contains(f.Name, "idat")
		if late != (len(info.Patches) > 0) {
			t.Errorf("%s: %d patches", f.Name, len(info.Patches))
		}
	}
}

// An output that can be overwritten is, at once.
func TestBMFFOverwritesAFile(t *testing.T) {
	for _, f := range mediatest.Pictures() {
		_, want, err := spool(t, walk.BMFFWalk, bytes.NewReader(f.Data), true)
		if err != nil {
			t.Fatal(f.Name, err)
		}
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		in := walk.NewInput(bytes.NewReader(f.Data), out, walk.Options{Limits: walk.DefaultLimits(), Sanitise: true})
		info, err := walk.BMFFWalk(in)
		if err != nil || len(info.Patches) > 0 {
			t.Errorf("%s: %v, %d patches", f.Name, err, len(info.Patches))
		}
		if got, err := os.ReadFile(out.Name()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: another file: %v", f.Name, err)
		}
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What a file says of itself, whatever was sanitised.
func TestBMFFTellsSizesAndParts(t *testing.T) {
	files := map[string]mediatest.File{}
	for _, f := range boxed() {
		files[f.Name] = f
	}
	for name, want := range map[string]struct {
		width, height, frames int64
		part                  string
		fate                  walk.Fate
	}{
		"mp4 moov first":        {640, 480, 20, "", ""},
		"mp4 fragments":         {640, 480, 60, "", ""},
		"mp4 gps":               {640, 480, 20, "location", walk.Zeroed},
		"mp4 xmp gps":           {640, 480, 20, "xmp", walk.Zeroed},
		"mp4 action camera gps": {640, 480, 20, "location track", walk.Zeroed},
		"mov timed places gps":  {640, 480, 20, "location samples", walk.Zeroed},
		"m4a":                   {0, 0, 0, "", ""},
		"heic gps":              {512, 512, 1, "exif", walk.Zeroed},
		"heic grid gps":         {1526, 1004, 1, "xmp", walk.Zeroed},
		"heic mdat first gps":   {512, 512, 1, "exif", walk.Zeroed},
		"heic motion gps":       {512, 512, 1, "motion photo", walk.Kept},
		"heif msf1 gps":         {512, 512, 20, "exif", walk.Zeroed},
		"mp4 open padding gps":  {640, 480, 20, "padding", walk.Zeroed},
	} {
		info, _, err := spool(t, walk.BMFFWalk, bytes.NewReader(files[name].Data), true)
		if err != nil {
			t.Fatal(name, err)
		}
		if info.Width != want.width || info.Height != want.height || info.Frames != want.frames {
			t.Errorf("%s: %d x %d, %d frames", name, info.Width, info.Height, info.Frames)
		}
		found := slices.ContainsFunc(info.Parts, func(p walk.Part) bool { return p.What == want.part && p.Fate == want.fate })
		if want.part != "" && !found || want.part == "" && len(info.Parts) > 0 {
			t.Errorf("%s: parts %+v", name, info.Parts)
		}
	}
}

// isReject tells refusals of a code.
func isReject(err error, codes ...walk.Code) bool {
	var r *walk.Reject
	return errors.As(err, &r) && slices.Contains(codes, r.Code)
}

func TestBMFFCutAnywhereIsCorrupt(t *testing.T) {
	for _, f := range boxed() {
		switch f.Name {
		case "mp4 xmp gps", "heic motion gps", "mp4 open padding gps", "mp4 open uuid gps":
			continue // they end with boxes that a file can do without
		case "mp4 many fragments":
			continue // no more than a few
		}
		t.Run(f.Name, func(t *testing.T) {
			for n := range f.Data {
				_, _, err := spool(t, walk.BMFFWalk, bytes.NewReader(f.Data[:n]), n%2 == 0)
				if isReject(err, walk.Corrupt) || endsWell(f, n) && err == nil {
					continue
				}
				t.Fatalf("cut at %d of %d: %v", n, len(f.Data), err)
			}
		})
	}
}

// endsWell reports whether a file cut there is whole: fragments, and media
// data that is never closed or longer than its samples.
func endsWell(f mediatest.File, n int) bool {
	rest := f.Data[n:]
	switch {
	case strings.Contains(f.Name, "open end"):
		return len(rest) < len(mediatest.Samples)
	case strings.Contains(f.Name, "fragments"):
		for k := range 4 { // zeros of the next size are trimmed
			if n >= k && bytes.HasPrefix(f.Data[n-k+4:], []byte("moof")) {
				return true
			}
		}
	}
	return false
}

func TestBMFFPassesReadingErrorsOn(t *testing.T) {
	broken := errors.New("the line is dead")
	for _, f := range boxed() {
		for n := 0; n < len(f.Data); n += 1 + len(f.Data)/2000 {
			r := io.MultiReader(bytes.NewReader(f.Data[:n]), iotest.ErrReader(broken))
			if _, _, err := spool(t, walk.BMFFWalk, r, true); !errors.Is(err, broken) {
				t.Fatalf("%s cut at %d: %v", f.Name, n, err)
			}
		}
	}
}

func TestBMFFRefusesPolyglots(t *testing.T) {
	for _, other := range mediatest.Foreign() {
		for _, f := range mediatest.MoviePolyglots(other.Data) {
			if other.Name == "exe" && !strings.Contains(f.Name, "stack") && !strings.Contains(f.Name, "as movie") {
				continue // two letters are no signature within media
			}
			for _, sanitise := range []bool{false, true} {
				if _, _, err := spool(t, walk.BMFFWalk, bytes.NewReader(f.Data), sanitise); !isReject(err, walk.Mismatch) {
					t.Errorf("%s with %s: %v", f.Name, other.Name, err)
				}
			}
		}
	}
}

func TestBMFFTrimsTheTail(t *testing.T) {
	f := mediatest.Movies()[0]
	for name, tail := range map[string][]byte{"a newline": []byte("\n"), "zeros": make([]byte, 7), "many zeros": make([]byte, 300_000), "noise": {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}} {
		info, out, err := spool(t, walk.BMFFWalk, bytes.NewReader(mediatest.Concat(f.Data, tail)), false)
		if err != nil || !bytes.Equal(out, f.Data) {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(info.Parts); n == 0 || info.Parts[n-1].Fate != walk.Dropped || info.Parts[n-1].Length != int64(len(tail)) {
			t.Errorf("%s: parts %+v", name, info.Parts)
		}
	}
	noise := mediatest.Concat(f.Data, bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 20_000))
	if _, _, err := spool(t, walk.BMFFWalk, bytes.NewReader(noise), false); !isReject(err, walk.Mismatch) {
		t.Errorf("a large tail: %v", err)
	}
}
