package main_test

import (
	"maps"
	"os"
	"slices"

	"github.com/rogpeppe/go-internal/testscript"

	"avalo.app/gantry/internal/media/audiotest"
	"avalo.app/gantry/internal/media/mediatest"
)

// mediaFiles are the files that scripts can have, by name.
func mediaFiles() map[string]func() []byte {
	picture := mediatest.Picture(64, 48)
	files := map[string]func() []byte{
		"jpeg": func() []byte { return mediatest.JPEG(picture) },
		"jpeg-gps": func() []byte {
			return mediatest.JPEG(picture, mediatest.ExifSegment("II", 6), mediatest.XMPSegment("taken at home"))
		},
		"jpeg-tail": func() []byte { return append(mediatest.JPEG(picture), mediatest.Zip()...) },
		"png":       func() []byte { return mediatest.PNG(picture) },
		"png-zip":   func() []byte { return append(mediatest.PNG(picture), mediatest.Zip()...) },
		"gif":       func() []byte { return mediatest.GIF(mediatest.Animation(3, 40, 30, 0)) },
		"gif-giant": func() []byte {
			return []byte("GIF89a\xff\xff\xff\xff\x00\x00\x00\x2c\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02\x02\x44\x01\x00\x3b")
		},
		"webp": func() []byte { return mediatest.RIFF(mediatest.Lossless(30, 20, 1)) },
		"mp3":  audiotest.MP3,
		"wav":  audiotest.WAV,
		"exe": func() []byte {
			return append([]byte("MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00"), make([]byte, 240)...)
		},
		"jpeg-short": func() []byte { b := mediatest.JPEG(picture); return b[:len(b)/2] },
	}
	for _, f := range slices.Concat(mediatest.Movies(), mediatest.Pictures(), mediatest.WebMs()) {
		files[f.Name] = func() []byte { return f.Data }
	}
	return files
}

func cmdMedia(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: media KIND FILE")
	}
	build, ok := mediaFiles()[args[0]]
	if !ok {
		ts.Fatalf("no media file %q; there are %q", args[0], slices.Sorted(maps.Keys(mediaFiles())))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), build(), 0o600))
}
