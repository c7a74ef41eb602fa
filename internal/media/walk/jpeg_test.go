package walk_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/media/walk"
	"github.com/google/go-cmp/cmp"
)

// at is where a JPEG has a segment.
func at(t *testing.T, file []byte, marker byte) int {
	t.Helper()
	i := bytes.Index(file, []byte{0xFF, marker})
	if i < 0 {
		t.Fatalf("no segment %02X", marker)
	}
	return i
}

// edited is a copy of a file in which bytes at an offset are others.
func edited(file []byte, at int, with ...byte) []byte {
	out := bytes.Clone(file)
	copy(out[at:], with)
	return out
}

func TestCorruptJPEGs(t *testing.T) {
	plain, progressive, lines := mediatest.JPEG(mediatest.Picture(16, 16)), mediatest.Progressive(16, 16), mediatest.Lines(16, 16)
	sof, sos := at(t, plain, 0xC0), at(t, plain, 0xDA)
	dnl := at(t, lines, 0xDC)
	insert := func(s []byte) []byte { return mediatest.WithSegments(plain, s) }
	for name, file := range map[string][]byte{
		"empty":                         nil,
		"no SOI":                        plain[2:],
		"SOI twice":                     append([]byte{0xFF, 0xD8}, plain...),
		"no picture":                    {0xFF, 0xD8, 0xFF, 0xD9},
		"no scan":                       append(bytes.Clone(plain[:sos]), 0xFF, 0xD9),
		"a scan before the frame":       slices.Concat(plain[:sof], plain[sos:]),
		"an empty scan header":          slices.Concat(plain[:sos], mediatest.Segment(0xDA), plain[sos:]),
		"two frames":                    slices.Concat(plain[:sof], mediatest.Segment(0xC0, plain[sof+4:sof+19]), plain[sof:]),
		"two frames around a scan":      slices.Concat(plain[:len(plain)-2], plain[2:]),
		"lossless":                      edited(plain, sof+1, 0xC3),
		"arithmetic":                    edited(plain, sof+1, 0xC9),
		"hierarchical":                  insert(mediatest.Segment(0xDE, make([]byte, 6))),
		"jpeg-ls":                       edited(plain, sof+1, 0xF7),
		"a reserved marker":             insert(mediatest.Segment(0x03, nil)),
		"a length of one":               insert([]byte{0xFF, 0xFE, 0, 1}),
		"no width":                      edited(plain, sof+7, 0, 0),
		"sixteen bits":                  edited(plain, sof+4, 16),
		"sampling of zero":              edited(plain, sof+11, 0x02),
		"a component twice":             edited(plain, sof+13, plain[sof+10]),
		"a frame that is too long":      insert(mediatest.Segment(0xC0, make([]byte, 5000))),
		"no number of lines":            slices.Concat(lines[:dnl], []byte{0xFF, 0xD9}),
		"a second height":               slices.Concat(plain[:len(plain)-2], mediatest.Segment(0xDC, []byte{0, 9}), plain[len(plain)-2:]),
		"lines before the scan":         insert(mediatest.Segment(0xDC, []byte{0, 9})),
		"a quantiser that is short":     insert(mediatest.Segment(0xDB, make([]byte, 64))),
		"bytes after a quantiser":       insert(mediatest.Segment(0xDB, make([]byte, 66))),
		"a Huffman table of many codes": insert(mediatest.Segment(0xC4, bytes.Repeat([]byte{0, 255}, 500))),
		"a restart interval of three":   insert(mediatest.Segment(0xDD, make([]byte, 3))),
		"a scan of what is not there":   edited(plain, sos+5, 77),
		"a JFIF after a scan that makes colours others": slices.Concat(plain[:2], mediatest.Segment(0xEE, []byte("Adobe\x00\x64\x00\x00\x00\x00\x00")), plain[2:len(plain)-2], mediatest.JFIF(0, 0), plain[len(plain)-2:]),
		"a short JFIF that makes colours others":        insert(slices.Concat(mediatest.Segment(0xEE, []byte("Adobe\x00\x64\x00\x00\x00\x00\x00")), mediatest.Segment(0xE0, []byte("JFIF\x00")))),
		"coefficients backwards":                        edited(progressive, at(t, progressive, 0xDA)+7, 9, 3),
	} {
		t.Run(name, func(t *testing.T) { rejected(t, walk.JPEGWalk, file, walk.Corrupt) })
	}
}

func TestEndlessScansAreRefused(t *testing.T) {
	file := mediatest.Progressive(16, 16)
	first := at(t, file, 0xDA)
	scan := file[first : first+bytes.Index(file[first+2:], []byte{0xFF, 0xDA})+2]
	rejected(t, walk.JPEGWalk, slices.Concat(file[:first], bytes.Repeat(scan, 501), file[first:]), walk.TooLarge)
}

func TestTrailersOfJPEGAreTold(t *testing.T) {
	told := map[string][]string{
		"motion photo": {"motion photo"}, "samsung": {"samsung trailer"}, "samsung motion photo": {"samsung trailer"}, "canon": {"canon data"},
		"afcp": {"afcp data"}, "padding": {"padding"}, "padding and movie": {"padding", "motion photo"}, "gain map without an index": {"gain map"},
		"gain map": {"gain map"}, "three pictures": {"gain map", "further picture"}, "pictures with gaps": {"padding", "gain map", "padding", "further picture"},
	}
	for _, s := range mediatest.JPEGs() {
		for _, o := range []walk.Options{sanitising(), keeping()} {
			got, err := walkImage(t, walk.JPEGWalk, bytes.NewReader(s.Bytes), o)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, p := range got.Info.Parts {
				if p.Offset >= int64(len(s.Bytes)-s.Trailer) {
					names = append(names, p.What)
					if want := map[bool]walk.Fate{true: walk.Dropped, false: walk.Kept}[o.Sanitise]; p.Fate != want {
						t.Errorf("%s: %+v, want it %s", s.Name, p, want)
					}
				}
			}
			if diff := cmp.Diff(told[s.Name], names); diff != "" {
				t.Errorf("%s, sanitise %v (-want +got):\n%s", s.Name, o.Sanitise, diff)
			}
		}
	}
}

// What stands between pictures that the index names is zeroed, so that they
// stay where it says.
func TestGapBetweenPicturesIsZeroed(t *testing.T) {
	further := mediatest.JPEG(mediatest.Picture(8, 8))
	file := mediatest.WithPictures(mediatest.JPEG(mediatest.Picture(16, 16)), 50, further)
	gap := len(file) - len(further) - 50
	copy(file[gap:], "<?php system('id'); ?>")
	got, err := walkImage(t, walk.JPEGWalk, bytes.NewReader(append(file, "more"...)), keeping())
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(file[:gap], make([]byte, 50), further)
	if !bytes.Equal(got.Out, want) {
		t.Errorf("%d bytes, want %d", len(got.Out), len(want))
	}
	wantParts := []walk.Part{
		{Offset: int64(gap), Length: 50, What: "trailing bytes", Fate: walk.Zeroed},
		{Offset: int64(gap + 50), Length: int64(len(further)), What: "further picture", Fate: walk.Kept},
		{Offset: int64(len(file)), Length: 4, What: "trailing bytes", Fate: walk.Dropped},
	}
	if diff := cmp.Diff(wantParts, got.Info.Parts[1:]); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

func TestFurtherPicturesAreNoReasonToRefuse(t *testing.T) {
	primary := mediatest.JPEG(mediatest.Picture(16, 16))
	giant := mediatest.JPEG(mediatest.Picture(8, 8))
	sof := at(t, giant, 0xC0)
	copy(giant[sof+5:], "\xFF\xFF\xFF\xFF")
	for name, further := range map[string][]byte{"giant": giant, "broken": edited(giant, sof+1, 0xC9), "cut": giant[:sof+5]} {
		for _, o := range []walk.Options{sanitising(), keeping()} {
			got, err := walkImage(t, walk.JPEGWalk, bytes.NewReader(mediatest.WithPictures(primary, 0, further)), o)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if name == "giant" && bytes.Contains(got.Out, []byte("\xFF\xFF\xFF\xFF")) {
				t.Errorf("%s: its size is still there", name)
			}
		}
	}
}

func TestBrokenProfilesOfJPEG(t *testing.T) {
	profile := mediatest.Profile(300)
	chunks := mediatest.ProfileSegments(profile, 100) // three of 118 bytes
	first, second, third := chunks[:118], chunks[118:236], chunks[236:]
	for name, c := range map[string]struct{ in, out [][]byte }{
		"twice":              {[][]byte{first, first, second, third}, [][]byte{first}},
		"out of order":       {[][]byte{second, first, third}, nil},
		"one missing":        {[][]byte{first, third}, [][]byte{first}},
		"no profile":         {[][]byte{mediatest.Segment(0xE2, []byte("ICC_PROFILE\x00\x01\x01"), mediatest.Payload, make([]byte, 128))}, nil},
		"number beyond last": {[][]byte{first, second, third, mediatest.Segment(0xE2, []byte("ICC_PROFILE\x00\x04\x03"), mediatest.Payload)}, [][]byte{first, second, third}},
	} {
		file := mediatest.JPEG(mediatest.Picture(8, 8))
		got, err := walkImage(t, walk.JPEGWalk, bytes.NewReader(mediatest.WithSegments(file, c.in...)), sanitising())
		if err != nil || !bytes.Equal(got.Out, mediatest.WithSegments(file, c.out...)) {
			t.Errorf("%s: %v, %d bytes: %+v", name, err, len(got.Out), got.Info.Parts)
		}
	}
}

func TestSegmentsAfterScansOfJPEG(t *testing.T) {
	file := mediatest.Progressive(16, 16)
	second := bytes.LastIndex(file, []byte{0xFF, 0xDA})
	hidden := slices.Concat(mediatest.ExifSegment("II", 6), mediatest.ProfileSegments(mediatest.Profile(200), 200), mediatest.JFIF(0, 0), mediatest.Segment(0xFE, mediatest.Payload))
	got, err := walkImage(t, walk.JPEGWalk, bytes.NewReader(slices.Insert(bytes.Clone(file), second, hidden...)), sanitising())
	if err != nil || !bytes.Equal(got.Out, file) {
		t.Errorf("%v, %d bytes of %d", err, len(got.Out), len(file))
	}
}

// A directory that points anywhere must not be followed there.
func TestHostileExif(t *testing.T) {
	for _, tiff := range [][]byte{nil, []byte("II*\x00"), []byte("II*\x00\xFF\xFF\xFF\xFF"), []byte("MM\x00*\x00\x00\x00\x08"), []byte("MM\x00*\x00\x00\x00\x08\xFF\xFF"),
		[]byte("MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x09\x00\x00"), binary.BigEndian.AppendUint64([]byte("MM\x00*"), 7)} {
		file := mediatest.JPEG(mediatest.Picture(8, 8))
		got, err := walkImage(t, walk.JPEGWalk, bytes.NewReader(mediatest.WithSegments(file, mediatest.Segment(0xE1, []byte("Exif\x00\x00"), tiff))), sanitising())
		if err != nil || !bytes.Equal(got.Out, file) {
			t.Errorf("%q: %v, %d bytes of %d", tiff, err, len(got.Out), len(file))
		}
	}
}
