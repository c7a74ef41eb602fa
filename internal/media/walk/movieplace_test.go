package walk_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/media/walk"
	"github.com/google/go-cmp/cmp"
)

// fates are what became of the parts of a name.
func fates(info walk.Info, what string) (out []walk.Fate) {
	for _, p := range info.Parts {
		if p.What == what {
			out = append(out, p.Fate)
		}
	}
	return out
}

// A track that says where becomes padding and its samples zeros; the others
// and all that they name stay where they were.
func TestPlaceTracksBecomePadding(t *testing.T) {
	for _, last := range []bool{false, true} {
		m := mediatest.MovieFile{Brands: []string{"isom"}, Video: true, Audio: true, GPSTrack: true, MoovLast: last}
		data := m.Bytes()
		info, clean, err := spool(t, walk.BMFFWalk, bytes.NewReader(data), true)
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Replace(data, mediatest.Places, make([]byte, len(mediatest.Places)), 1)
		at := bytes.LastIndex(want, []byte("trak")) - 4
		size := int(binary.BigEndian.Uint32(want[at:]))
		copy(want[at+4:], "free")
		clear(want[at+8 : at+size])
		if !bytes.Equal(clean, want) {
			t.Errorf("moov last %v: another file", last)
		}
		if diff := cmp.Diff([]walk.Fate{walk.Zeroed}, fates(info, "location track")); diff != "" {
			t.Errorf("moov last %v: tracks (-want +got):\n%s", last, diff)
		}
		if diff := cmp.Diff([]walk.Fate{walk.Zeroed, walk.Zeroed}, fates(info, "location samples")); diff != "" { // two chunks
			t.Errorf("moov last %v: samples (-want +got):\n%s", last, diff)
		}
		if info, _, err = spool(t, walk.BMFFWalk, bytes.NewReader(data), false); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]walk.Fate{walk.Kept}, fates(info, "location track")); diff != "" {
			t.Errorf("moov last %v, without sanitising (-want +got):\n%s", last, diff)
		}
	}
}

// What cannot be made padding without a trace is told as kept.
func TestPlaceTracksThatStay(t *testing.T) {
	movie := func(change func(m *mediatest.MovieFile)) []byte {
		m := mediatest.MovieFile{Brands: []string{"isom"}, Video: true, GPSTrack: true}
		change(&m)
		return m.Bytes()
	}
	picture := movie(func(m *mediatest.MovieFile) { m.GPSTrack = false })
	for name, data := range map[string][]byte{
		"another key":    movie(func(m *mediatest.MovieFile) { m.GPSKeys = "com.apple.quicktime.detected-face.geometry" }),
		"fragments":      movie(func(m *mediatest.MovieFile) { m.Fragments = 2 }),
		"nothing else":   movie(func(m *mediatest.MovieFile) { m.Brands, m.Video = nil, false }),
		"no other track": edit(t, picture, "avc1\x00\x00\x00\x00\x00\x00\x00\x01", "gpmd\x00\x00\x00\x00\x00\x00\x00\x01"),
	} {
		info, clean, err := spool(t, walk.BMFFWalk, bytes.NewReader(data), true)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(clean, data) {
			t.Errorf("%s: something changed", name)
		}
		want := []walk.Fate{walk.Kept}
		if name == "no other track" || name == "another key" { // it is one of pictures, or of faces
			want = nil
		}
		if diff := cmp.Diff(want, fates(info, "location track")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Items of pictures could name the samples of such a track, and would be
// zeroed with them.
func TestPlaceTracksBesidePictures(t *testing.T) {
	picture := mediatest.PictureFile{Brands: []string{"heic"}, Grid: [2]int{2, 1}, GridInMdat: true}.Bytes()
	ftyp := len(mediatest.FileType("heic"))
	size := int(binary.BigEndian.Uint32(picture[ftyp:]))
	meta, media := picture[ftyp:ftyp+size], picture[ftyp+size:]
	movie := mediatest.MovieFile{Brands: []string{"isom"}, Video: true, GPSTrack: true}
	movie.After = mediatest.Concat(meta, media)
	if _, _, err := spool(t, walk.BMFFWalk, bytes.NewReader(movie.Bytes()), true); !isReject(err, walk.Corrupt) || !strings.Contains(err.Error(), "behind a movie with a track of places") {
		t.Errorf("pictures behind a movie: %v", err)
	}
	sequence := mediatest.PictureFile{Brands: []string{"msf1", "hevc"}, Sequence: true, GPSTrack: true}.Bytes()
	info, clean, err := spool(t, walk.BMFFWalk, bytes.NewReader(sequence), true)
	if err != nil || !bytes.Equal(clean, sequence) {
		t.Errorf("a sequence: %v, %d bytes of %d", err, len(clean), len(sequence))
	}
	if diff := cmp.Diff([]walk.Fate{walk.Kept}, fates(info, "location track")); diff != "" {
		t.Errorf("a sequence (-want +got):\n%s", diff)
	}
}

// Samples that cannot be told for certain stay, and are told; the track goes
// in any case. What a hostile table names outside of media data is not touched.
func TestPlaceSamplesThatStay(t *testing.T) {
	u32 := mediatest.U32
	movie := func(last bool, change func(b []byte)) []byte {
		b := mediatest.MovieFile{Brands: []string{"isom"}, Video: true, GPSTrack: true, MoovLast: last}.Bytes()
		change(b[bytes.LastIndex(b, []byte("trak")):])
		return b
	}
	put := func(box string, at int, v []byte) func(b []byte) {
		return func(b []byte) { copy(b[bytes.Index(b, []byte(box))+4+at:], v) }
	}
	for name, data := range map[string][]byte{
		"sizes of 16 bits":              mediatest.MovieFile{Brands: []string{"isom"}, Video: true, GPSTrack: true, Compact: true}.Bytes(),
		"chunks of none":                movie(false, put("stsc", 8, u32(2))),
		"more than there are":           movie(false, put("stsc", 12, u32(1<<30))),
		"chunks of more sizes":          movie(true, put("stsc", 8+12+4, u32(2000))),
		"beyond the media data, at end": movie(true, put("stsz", 12+4*19, u32(300))),
	} {
		info, clean, err := spool(t, walk.BMFFWalk, bytes.NewReader(data), true)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff([]walk.Fate{walk.Kept}, fates(info, "location samples")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if n := bytes.Count(clean, []byte("trak")); n != 1 {
			t.Errorf("%s: %d tracks", name, n)
		}
		if !bytes.Contains(clean, mediatest.Samples) || !bytes.Contains(clean, mediatest.Places) {
			t.Errorf("%s: samples changed", name)
		}
		_, twice, err := spool(t, walk.BMFFWalk, bytes.NewReader(clean), true)
		if err != nil || !bytes.Equal(twice, clean) {
			t.Errorf("%s: sanitising twice: %v", name, err)
		}
	}
}

func TestPlaceSamplesOfMoreThanTheFileAreCorrupt(t *testing.T) {
	b := mediatest.MovieFile{Brands: []string{"isom"}, Video: true, GPSTrack: true}.Bytes()
	copy(b[bytes.LastIndex(b, []byte("stsz"))+8:], mediatest.U32(1<<30))
	rejected(t, walk.BMFFWalk, b, walk.Corrupt)
}

// A camera may say where for each picture; a file that names a chunk for each
// byte is not followed.
func TestManyPlaceChunks(t *testing.T) {
	for n, want := range map[int]walk.Fate{2000: walk.Zeroed, 2001: walk.Kept} {
		data := mediatest.MovieFile{Brands: []string{"isom"}, Video: true, GPSTrack: true, MoovLast: true, GPSChunks: n}.Bytes()
		info, clean, err := spool(t, walk.BMFFWalk, bytes.NewReader(data), true)
		if err != nil {
			t.Fatal(err)
		}
		if got := fates(info, "location samples"); len(got) == 0 || got[0] != want || bytes.Contains(clean, []byte("GPS5")) != (want == walk.Kept) {
			t.Errorf("%d chunks: %v, want %s", n, got[:min(1, len(got))], want)
		}
	}
}
