package walk_test

import (
	"bytes"
	"testing"

	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/media/walk"
)

func TestCorruptWebPs(t *testing.T) {
	lossless, lossy, alpha := mediatest.Lossless(10, 8, 1), mediatest.Lossy(10, 8), mediatest.Alpha(10, 8)
	canvas := mediatest.Canvas(0, 10, 8)
	animated, anim := mediatest.Canvas(mediatest.FlagAnimated, 10, 8), mediatest.AnimationChunk(0)
	frame := mediatest.Frame(0, 0, 10, 8, 40, lossless)
	riff := mediatest.RIFF
	plain := riff(lossless)
	for name, file := range map[string][]byte{
		"empty":                       nil,
		"another form":                edited(plain, 8, 'W', 'A', 'V', 'E'),
		"no chunks":                   riff(),
		"a size that is too large":    edited(plain, 4, plain[4]+2),
		"a size that is too small":    edited(plain, 4, plain[4]-2),
		"a size of three":             edited(plain, 4, 3, 0, 0, 0),
		"a chunk beyond the file":     edited(plain, 16, 0xFF, 0xFF, 0xFF, 0xFF),
		"junk first":                  riff(mediatest.RIFFChunk("JUNK"), lossless),
		"two pictures":                riff(lossless, lossless),
		"two canvases":                riff(canvas, canvas, lossless),
		"a canvas alone":              riff(canvas),
		"a canvas of nine bytes":      riff(mediatest.RIFFChunk("VP8X", make([]byte, 9)), lossless),
		"a canvas of another size":    riff(mediatest.Canvas(0, 11, 8), lossless),
		"alpha and no picture":        riff(mediatest.Canvas(mediatest.FlagAlpha, 10, 8), alpha),
		"alpha twice":                 riff(mediatest.Canvas(mediatest.FlagAlpha, 10, 8), alpha, alpha, lossy),
		"alpha without a canvas":      riff(alpha, lossy),
		"alpha of a lossless picture": riff(mediatest.Canvas(mediatest.FlagAlpha, 10, 8), alpha, lossless),
		"signature of VP8L":           edited(plain, 20, 0x2E),
		"version of VP8L":             edited(plain, 24, 0x20),
		"no key frame":                edited(riff(lossy), 20, 1),
		"start code":                  edited(riff(lossy), 23, 0),
		"no width":                    edited(riff(lossy), 26, 0, 0),
		"a partition beyond the end":  edited(riff(lossy), 21, 0xFF, 0xFF),
		"frames of a still":           riff(canvas, anim, frame),
		"frames before ANIM":          riff(animated, frame, anim),
		"ANIM of five bytes":          riff(animated, mediatest.RIFFChunk("ANIM", make([]byte, 5)), frame),
		"no frames":                   riff(animated, anim),
		"a still in an animation":     riff(animated, anim, lossless),
		"a frame of nothing":          riff(animated, anim, mediatest.RIFFChunk("ANMF", make([]byte, 16))),
		"a frame of fifteen bytes":    riff(animated, anim, mediatest.RIFFChunk("ANMF", make([]byte, 15))),
		"a frame of two pictures":     riff(animated, anim, mediatest.Frame(0, 0, 10, 8, 40, lossless, lossless)),
		"a frame of another size":     riff(animated, anim, mediatest.Frame(0, 0, 9, 8, 40, lossless)),
		"a frame beyond the canvas":   riff(animated, anim, mediatest.Frame(2, 0, 10, 8, 40, lossless)),
		"a chunk beyond its frame":    edited(riff(animated, anim, frame), 12+18+14+8+16+4, 0xFF),
	} {
		t.Run(name, func(t *testing.T) { rejected(t, walk.WebPWalk, file, walk.Corrupt) })
	}
}

// The flags of VP8X say what sanitising left.
func TestFlagsOfWebP(t *testing.T) {
	lossless := mediatest.Lossless(10, 8, 1)
	all := byte(mediatest.FlagProfile | mediatest.FlagExif | mediatest.FlagXMP | 0xC1)
	profile, broken := mediatest.RIFFChunk("ICCP", mediatest.Profile(99)), mediatest.RIFFChunk("ICCP", make([]byte, 99))
	exif := func(o byte) []byte { return mediatest.RIFFChunk("EXIF", mediatest.TIFF("II", o)) }
	for name, c := range map[string]struct {
		chunks [][]byte
		want   byte
	}{
		"all":                {[][]byte{profile, lossless, exif(3)}, mediatest.FlagProfile | mediatest.FlagExif},
		"upright":            {[][]byte{profile, lossless, exif(1)}, mediatest.FlagProfile},
		"broken profile":     {[][]byte{broken, lossless, exif(3)}, mediatest.FlagExif},
		"nothing":            {[][]byte{lossless}, 0},
		"exif in between":    {[][]byte{exif(3), lossless}, mediatest.FlagExif},
		"exif twice":         {[][]byte{lossless, exif(3), exif(4)}, mediatest.FlagExif},
		"profile at the end": {[][]byte{lossless, profile}, 0},
	} {
		file := mediatest.RIFF(bytes.Join(append([][]byte{mediatest.Canvas(all, 10, 8)}, c.chunks...), nil))
		got, err := walkImage(t, walk.WebPWalk, bytes.NewReader(file), sanitising())
		if err != nil || got.Out[20] != c.want {
			t.Errorf("%s: flags %02x, want %02x, %v", name, got.Out[20], c.want, err)
		}
		if len(got.Info.Patches) > 2 {
			t.Errorf("%s: %d patches", name, len(got.Info.Patches))
		}
	}
}

func TestFramesOfWebP(t *testing.T) {
	var frames [][]byte
	for range 6 {
		frames = append(frames, mediatest.Frame(0, 0, 10, 8, 40, mediatest.Lossless(10, 8, 1)))
	}
	file := mediatest.RIFF(mediatest.Canvas(mediatest.FlagAnimated, 10, 8), mediatest.AnimationChunk(0), bytes.Join(frames, nil))
	got, err := walkImage(t, walk.WebPWalk, bytes.NewReader(file), sanitising())
	if err != nil || got.Info.Frames != 6 || got.Info.Height != 8 {
		t.Errorf("%+v, %v", got.Info, err)
	}
	o := sanitising()
	o.Limits.MaxFrames = 5
	_, err = walkImage(t, walk.WebPWalk, bytes.NewReader(file), o)
	var r *walk.Reject
	if !as(err, &r) || r.Actual != 6 {
		t.Errorf("%v, want 6 frames of 5", err)
	}
}

// Some writers leave out the last padding.
func TestMissingPaddingOfWebP(t *testing.T) {
	lossless := mediatest.Lossless(5, 5, 1)
	for len(lossless)%2 == 0 && lossless[4]%2 == 0 {
		lossless = mediatest.Lossless(int(lossless[9])+2, 5, 1)
	}
	whole := mediatest.RIFF(lossless)
	file := edited(whole, 4, whole[4]-1)[:len(whole)-1]
	got, err := walkImage(t, walk.WebPWalk, bytes.NewReader(file), sanitising())
	if err != nil || !bytes.Equal(got.Out, whole) {
		t.Errorf("%v: %x, want %x", err, got.Out, whole)
	}
	got, err = walkImage(t, walk.WebPWalk, bytes.NewReader(file), keeping())
	if err != nil || !bytes.Equal(got.Out, file) {
		t.Errorf("%v: %x, want %x", err, got.Out, file)
	}
}
