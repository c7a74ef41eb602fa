package walk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/media/walk"
)

func TestWebMWalksEveryFile(t *testing.T) {
	for _, f := range mediatest.WebMs() {
		t.Run(f.Name, func(t *testing.T) { walksTwice(t, walk.WebMWalk, f) })
	}
}

func TestWebMKeepsWhatIsShown(t *testing.T) {
	for _, f := range mediatest.WebMs() {
		info, clean, err := spool(t, walk.WebMWalk, bytes.NewReader(f.Data), true)
		if err != nil {
			t.Fatal(f.Name, err)
		}
		for _, mark := range []string{string(mediatest.WebMFrame), "A title", "Somebody"} {
			if got, want := bytes.Count(clean, []byte(mark)), bytes.Count(f.Data, []byte(mark)); got != want {
				t.Errorf("%s: %q is there %d times, was %d times", f.Name, mark, got, want)
			}
		}
		if video := info.MIME == "video/webm"; video && (info.Width != 640 || info.Height != 480 || info.Frames != 12) {
			t.Errorf("%s: %+v", f.Name, info)
		}
	}
}

func TestWebMCutAnywhereIsCorrupt(t *testing.T) {
	for _, f := range mediatest.WebMs() {
		t.Run(f.Name, func(t *testing.T) {
			whole := 0
			for n := range f.Data {
				if n > 2000 && n < len(f.Data)-2000 && n%997 != 0 {
					continue // within one large tag
				}
				_, _, err := spool(t, walk.WebMWalk, bytes.NewReader(f.Data[:n]), n%2 == 0)
				if err == nil && strings.HasPrefix(f.Name, "webm open") && !strings.Contains(f.Name, "clusters") {
					whole++ // between two elements, an open file just ends
					continue
				}
				if !isReject(err, walk.Corrupt) {
					t.Fatalf("cut at %d of %d: %v", n, len(f.Data), err)
				}
			}
			if whole > 28 {
				t.Errorf("%d cuts went unnoticed, more than there are blocks and clusters", whole)
			}
		})
	}
}

func TestWebMPassesReadingErrorsOn(t *testing.T) {
	broken := errors.New("the line is dead")
	for _, f := range mediatest.WebMs() {
		for n := 0; n < len(f.Data); n += 1 + len(f.Data)/200 {
			r := io.MultiReader(bytes.NewReader(f.Data[:n]), iotest.ErrReader(broken))
			if _, _, err := spool(t, walk.WebMWalk, r, true); !errors.Is(err, broken) {
				t.Fatalf("%s cut at %d: %v", f.Name, n, err)
			}
		}
	}
}

func TestWebMRefusesPolyglots(t *testing.T) {
	for _, other := range mediatest.Foreign() {
		for _, f := range mediatest.WebMPolyglots(other.Data) {
			if other.Name == "exe" && !strings.Contains(f.Name, "stack") && f.Name != "attachment" {
				continue // two letters are no signature within media
			}
			for _, sanitise := range []bool{false, true} {
				if _, _, err := spool(t, walk.WebMWalk, bytes.NewReader(f.Data), sanitise); !isReject(err, walk.Mismatch) {
					t.Errorf("%s with %s: %v", f.Name, other.Name, err)
				}
			}
		}
	}
}

func TestWebMRefuses(t *testing.T) {
	el := mediatest.Element
	with := func(change func(m *mediatest.WebM)) []byte {
		m := mediatest.WebM{Video: true, Audio: true}
		change(&m)
		return m.Bytes()
	}
	extra := func(p ...[]byte) []byte {
		return with(func(m *mediatest.WebM) { m.Extra = mediatest.Concat(p...) })
	}
	block := func(p string) []byte { return el(0x1F43B675, el(0xE7, []byte{0}), el(0xA3, []byte(p))) }
	deep := el(0x67C8, el(0x45A3, []byte("x")))
	var many []byte
	for i := range 70 {
		deep = el(0x67C8, el(0x45A3, []byte("x")), deep)
		many = append(many, el(0xAE, el(0xD7, []byte{byte(i + 10)}), el(0x83, []byte{2}))...)
	}
	plain := with(func(*mediatest.WebM) {})
	head := plain[:bytes.Index(plain, []byte{0x18, 0x53, 0x80, 0x67})]
	for name, c := range map[string]struct {
		data []byte
		code walk.Code
	}{
		"matroska":                     {with(func(m *mediatest.WebM) { m.DocType = "matroska" }), walk.Mismatch},
		"another document":             {with(func(m *mediatest.WebM) { m.DocType = "x" }), walk.Mismatch},
		"a wide picture":               {with(func(m *mediatest.WebM) { m.Width = 1 << 30 }), walk.TooLarge},
		"a wide picture in 9 bytes":    {extra(el(0x1654AE6B, el(0xAE, el(0xE0, el(0xB0, make([]byte, 9)))))), walk.Corrupt},
		"a second list of tracks":      {extra(el(0x1654AE6B, el(0xAE, el(0xD7, []byte{9})))), walk.Corrupt},
		"two files":                    {mediatest.Concat(plain, plain), walk.Mismatch},
		"a block of an unknown track":  {extra(block("\x87\x00\x00\x80frame")), walk.Corrupt},
		"a block of track 0":           {extra(block("\x80\x00\x00\x80frame")), walk.Corrupt},
		"a block without a header":     {extra(block("\x81\x00")), walk.Corrupt},
		"a lace without a count":       {extra(block("\x81\x00\x00\x06")), walk.Corrupt},
		"a block in a tag":             {extra(el(0x1254C367, el(0xA3, []byte("\x81\x00\x00\x80")))), walk.Corrupt},
		"a segment in a segment":       {extra(el(0x18538067)), walk.Corrupt},
		"tags without a size":          {extra(mediatest.OpenElement(0x1254C367)), walk.Corrupt},
		"a child larger than its tags": {extra([]byte{0x12, 0x54, 0xC3, 0x67, 0x83, 0x73, 0x73, 0x85, 0, 0, 0, 0, 0}), walk.Corrupt},
		"a long identifier":            {extra([]byte{0x08, 1, 1, 1, 1, 0x80}), walk.Corrupt},
		"an identifier too long":       {extra([]byte{0x40, 0x6c, 0x80}), walk.Corrupt},
		"cues past the end":            {extra(el(0x1C53BB6B, el(0xBB, el(0xB7, el(0xF1, mediatest.U32(1<<20)))))), walk.Corrupt},
		"a compressed track":           {extra(el(0x1654AE6B, el(0xAE, el(0x6D80, el(0x6240, el(0x5034)))))), walk.Corrupt},
		"deep tags":                    {extra(el(0x1254C367, el(0x7373, deep))), walk.TooLarge},
		"a short checksum":             {extra(el(0xBF, []byte{1})), walk.Corrupt},
		"a large header":               {with(func(m *mediatest.WebM) { m.Header = el(0xEC, make([]byte, 5000)) }), walk.Corrupt},
		"no blocks":                    {mediatest.Concat(head, el(0x18538067, el(0x1549A966), el(0x1654AE6B, el(0xAE, el(0xD7, []byte{1}), el(0x83, []byte{2}))))), walk.Corrupt},
		"many tracks":                  {mediatest.Concat(head, el(0x18538067, el(0x1549A966), el(0x1654AE6B, many))), walk.TooLarge},
		"only a header":                {head, walk.Corrupt},
	} {
		_, _, err := spool(t, walk.WebMWalk, bytes.NewReader(c.data), false)
		if !isReject(err, c.code) {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
}

func TestWebMTrimsTheTail(t *testing.T) {
	for i, f := range mediatest.WebMs() {
		data := mediatest.Concat(f.Data, make([]byte, 100*i+1))
		if _, out, err := spool(t, walk.WebMWalk, bytes.NewReader(data), false); err != nil || !bytes.Equal(out, f.Data) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

func FuzzWebM(f *testing.F) {
	for _, c := range mediatest.WebMs() {
		f.Add(c.Data)
	}
	for _, c := range mediatest.WebMPolyglots(mediatest.ZIP()) {
		f.Add(c.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkAny(t, walk.WebMWalk, data) })
}

// BenchmarkWebM walks clusters of blocks of a size, with and without
// sanitising, which is the same work.
func BenchmarkWebM(b *testing.B) {
	for _, size := range []int{200, 20_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var clusters []byte
			for len(clusters) < 16<<20 {
				blocks := bytes.Repeat(mediatest.Element(0xA3, []byte{0x81, 0, 0, 0x80}, make([]byte, size)), 100)
				clusters = append(clusters, mediatest.Element(0x1F43B675, mediatest.Element(0xE7, []byte{0}), blocks)...)
			}
			data := mediatest.WebM{Video: true, Audio: true, Extra: clusters}.Bytes()
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				in := walk.NewInput(bytes.NewReader(data), io.Discard, walk.Options{Limits: walk.DefaultLimits(), Sanitise: true})
				if _, err := walk.WebMWalk(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
