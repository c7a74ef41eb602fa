package walk_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/media/walk"
)

func TestCorruptGIFs(t *testing.T) {
	plain := mediatest.GIF(mediatest.Animation(1, 16, 16, 0))
	frame := bytes.IndexByte(plain[25:], ',') + 25
	for name, file := range map[string][]byte{
		"empty":                      nil,
		"version":                    edited(plain, 4, '8'),
		"no width":                   edited(plain, 6, 0, 0),
		"no frames":                  append(bytes.Clone(plain[:25]), ';'),
		"a block of zero":            mediatest.WithBlocks(plain, []byte{0}),
		"a frame beyond the canvas":  edited(plain, frame+1, 1),
		"a frame below the canvas":   edited(plain, frame+3, 0xFF, 0xFF),
		"a frame without height":     edited(plain, frame+7, 0, 0),
		"codes of one bit":           edited(plain, frame+10, 1),
		"codes of nine bits":         edited(plain, frame+10, 9),
		"no codes":                   edited(plain, frame+11, 0),
		"a control of five":          mediatest.WithBlocks(plain, mediatest.Extension(0xF9, make([]byte, 5))),
		"a control that goes on":     mediatest.WithBlocks(plain, mediatest.Extension(0xF9, make([]byte, 4), mediatest.Payload)),
		"a comment that goes on":     mediatest.WithBlocks(plain, []byte{0x21, 0xFE, 200}),
		"a plain text of 32":         mediatest.WithBlocks(plain, mediatest.Extension(0x01, make([]byte, 32))),
		"an application of none":     mediatest.WithBlocks(plain, mediatest.Extension(0xFF)),
		"no end":                     plain[:len(plain)-1],
		"an extension without label": append(bytes.Clone(plain[:len(plain)-1]), 0x21),
	} {
		t.Run(name, func(t *testing.T) { rejected(t, walk.GIFWalk, file, walk.Corrupt) })
	}
}

func TestFramesOfGIF(t *testing.T) {
	file := mediatest.GIF(mediatest.Animation(5, 100, 100, 0))
	got, err := walkImage(t, walk.GIFWalk, bytes.NewReader(file), sanitising())
	if err != nil || got.Info.Frames != 5 || got.Info.Width != 100 {
		t.Errorf("%+v, %v", got.Info, err)
	}
	for _, l := range []func(*walk.Limits){
		func(l *walk.Limits) { l.MaxFrames = 4 },
		func(l *walk.Limits) { l.MaxTotalPixels = 49_999 },
		func(l *walk.Limits) { l.MaxPixels = 9_999 },
		func(l *walk.Limits) { l.MaxSteps = 9 },
	} {
		o := sanitising()
		l(&o.Limits)
		_, err := walkImage(t, walk.GIFWalk, bytes.NewReader(file), o)
		var r *walk.Reject
		if !as(err, &r) || r.Code != walk.TooLarge || r.Actual <= r.Limit {
			t.Errorf("%+v: %v", o.Limits, err)
		}
	}
}

// Sanitising writes extensions in the only form that they can have.
func TestExtensionsOfGIF(t *testing.T) {
	plain := mediatest.GIF(mediatest.Animation(1, 16, 16, 0))
	control := func(n byte) []byte { return []byte{0x21, 0xF9, 4, 0, n, 0, 0, 0} }
	loop := mediatest.Loop("NETSCAPE2.0", 5)
	for name, c := range map[string]struct{ in, out [][]byte }{
		"unknown label":             {[][]byte{mediatest.Extension(0x42, mediatest.Payload)}, nil},
		"empty comment":             {[][]byte{mediatest.Extension(0xFE)}, nil},
		"a control before a loop":   {[][]byte{control(1), loop}, [][]byte{loop, control(1)}},
		"loops that differ":         {[][]byte{loop, mediatest.Loop("NETSCAPE2.0", 6)}, [][]byte{loop, mediatest.Loop("NETSCAPE2.0", 6)}},
		"a loop in other blocks":    {[][]byte{mediatest.Extension(0xFF, []byte("NETSCAPE2.0"), []byte{1, 5, 0}, mediatest.Payload)}, [][]byte{loop}},
		"a loop of another name":    {[][]byte{mediatest.Loop("NETSCAPE2.1", 5)}, nil},
		"an identifier of ten":      {[][]byte{mediatest.Extension(0xFF, []byte("ADOBE:IR1."), mediatest.Payload)}, nil},
		"a profile nobody looks at": {[][]byte{mediatest.Extension(0xFF, []byte("ICCRGBG1012"), mediatest.Profile(300))}, nil},
	} {
		// EncodeAll writes no control for a still, so that the frame follows the blocks.
		still := slices.Concat(plain[:25], plain[bytes.IndexByte(plain[25:], ',')+25:])
		got, err := walkImage(t, walk.GIFWalk, bytes.NewReader(mediatest.WithBlocks(still, c.in...)), sanitising())
		if want := mediatest.WithBlocks(still, c.out...); err != nil || !bytes.Equal(got.Out, want) {
			t.Errorf("%s: %v\n%x, want\n%x", name, err, got.Out, want)
		}
	}
}

// TestTwoControlsOfGIF: a second control for one frame is refused, sanitising
// or not: decoders take the last, or join them.
func TestTwoControlsOfGIF(t *testing.T) {
	control := []byte{0x21, 0xF9, 4, 1, 9, 0, 0, 0}
	file := mediatest.WithBlocks(mediatest.GIF(mediatest.Animation(1, 20, 10, 0)), control, control)
	for _, o := range []walk.Options{sanitising(), {Limits: walk.DefaultLimits()}} {
		var r *walk.Reject
		if _, err := walkImage(t, walk.GIFWalk, bytes.NewReader(file), o); !errors.As(err, &r) || r.Code != walk.Corrupt {
			t.Errorf("sanitise %t: %v", o.Sanitise, err)
		}
	}
}
