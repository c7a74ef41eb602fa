package main

import (
	"math/rand/v2"

	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/media/audiotest"
	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/media/walk"
)

// file is what a contest inspects.
type file struct {
	name string
	data []byte
}

// noise is what compressed data looks like; the same each run.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// movie is an MP4 of about n bytes.
func movie(n int) []byte {
	defer func(was []byte) { mediatest.Samples = was }(mediatest.Samples)
	mediatest.Samples = noise(n / 20 * 20) // twenty samples of a track
	return mediatest.MovieFile{Brands: []string{"isom", "iso2", "avc1", "mp41"}, Video: true, Audio: true, MoovLast: true,
		UserData: [][]byte{mediatest.PlaceText(), mediatest.U32(0)}}.Bytes()
}

// webm is a WebM of about n bytes.
func webm(n int) []byte {
	defer func(was []byte) { mediatest.WebMFrame = was }(mediatest.WebMFrame)
	mediatest.WebMFrame = noise(n / 24) // three clusters of four blocks of two tracks
	return mediatest.WebM{Video: true, Audio: true, Tags: true}.Bytes()
}

// heic is a picture of a phone with the movie of its motion, of about n bytes
// in all.
func heic(n int) []byte {
	return mediatest.PictureFile{Brands: []string{"heic", "mif1", "heic"}, Grid: [2]int{8, 6}, Thumb: true, Rotate: true, Exif: true, XMP: true,
		Motion: movie(n), Samsung: true}.Bytes()
}

// animation is a GIF whose frames compress badly.
func animation() []byte {
	g := mediatest.Animation(30, 800, 600, 0)
	seed := uint32(1)
	for _, m := range g.Image {
		for i := range m.Pix {
			seed = seed*1664525 + 1013904223
			m.Pix[i] = byte(seed >> 30)
		}
	}
	return mediatest.GIF(g)
}

// files are one of each format, as large as its class and its builder admit.
func files() []file {
	audio := audiotest.LongAudio(19 * media.MB)
	return []file{
		{"JPEG", mediatest.JPEG(mediatest.Picture(4000, 3000), mediatest.ExifSegment("II", 6))},
		{"PNG", mediatest.PNG(mediatest.Picture(2200, 1500), mediatest.Chunk("eXIf", mediatest.TIFF("II", 6)))},
		{"WebP", mediatest.RIFF(mediatest.Lossless(4000, 3000, 1))},
		{"GIF", animation()},
		{"HEIC", heic(9 * media.MB)},
		{"MP4", movie(60 * media.MB)},
		{"WebM", webm(60 * media.MB)},
		{"MP3", audio[walk.MP3]},
		{"WAV", audio[walk.WAV]},
		{"OGG", audio[walk.OGG]},
		{"AAC", audio[walk.AAC]},
	}
}
