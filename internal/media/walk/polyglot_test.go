package walk_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/media/walk"
)

func TestPolyglotImages(t *testing.T) {
	seen := make(map[string]int)
	for _, p := range mediatest.Polyglots() {
		i := slices.IndexFunc(imageFormats, func(f imageFormat) bool { return f.name == p.Format })
		f := imageFormats[i]
		seen[p.Format+" "+p.Layout]++
		for _, o := range []walk.Options{sanitising(), keeping()} {
			got, err := walkImage(t, f.walk, bytes.NewReader(p.Bytes), o)
			if p.Refused {
				if r := (*walk.Reject)(nil); !errors.As(err, &r) || r.Code != walk.Mismatch {
					t.Errorf("%s, %s of %.20q: %v, want %s", p.Format, p.Layout, p.Foreign[0], err, walk.Mismatch)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, %s of %.20q: %v", p.Format, p.Layout, p.Foreign[0], err)
				continue
			}
			if len(got.Info.Parts) == 0 {
				t.Errorf("%s, %s of %.20q: no part tells", p.Format, p.Layout, p.Foreign[0])
			}
			for _, foreign := range p.Foreign {
				if o.Sanitise && bytes.Contains(got.Out, foreign) {
					t.Errorf("%s, %s: %.20q survived", p.Format, p.Layout, foreign)
				}
			}
			if p.Layout == "stack" && bytes.Contains(got.Out, p.Foreign[0]) {
				t.Errorf("%s, sanitise %v: %.20q still follows", p.Format, o.Sanitise, p.Foreign[0])
			}
			if _, err := f.decode(got.Out); err != nil {
				t.Errorf("%s, %s of %.20q: %v", p.Format, p.Layout, p.Foreign[0], err)
			}
		}
	}
	if len(seen) != 4*3+1 { // only JPEG has gaps
		t.Errorf("layouts %v", seen)
	}
}

func TestHonestRemainsAreTrimmed(t *testing.T) {
	noise := make([]byte, 300_000)
	seed := uint32(7)
	for i := range noise {
		seed = seed*1664525 + 1013904223
		noise[i] = byte(seed >> 24)
	}
	for _, f := range imageFormats {
		file := f.samples()[0].Bytes
		for _, o := range []walk.Options{sanitising(), keeping()} {
			got, err := walkImage(t, f.walk, bytes.NewReader(append(slices.Clone(file), noise...)), o)
			if err != nil || !bytes.Equal(got.Out, file) || got.Tally.Dropped != int64(len(noise)) {
				t.Errorf("%s: %v, %d bytes of %d", f.name, err, len(got.Out), len(file))
			}
		}
	}
}

func TestSignaturesAreFoundBehindRemains(t *testing.T) {
	for _, f := range imageFormats[1:] {
		for _, gap := range []int{1, 65_500, 65_520, 200_000} {
			file := append(slices.Clone(f.samples()[0].Bytes), bytes.Repeat([]byte("x"), gap)...)
			rejected(t, f.walk, append(file, mediatest.Zip()...), walk.Mismatch)
			rejected(t, f.walk, append(file, "<?php ?>"...), walk.Mismatch)
			padded := append(slices.Clone(f.samples()[0].Bytes), make([]byte, gap)...)
			for _, other := range imageFormats {
				rejected(t, f.walk, append(padded, other.samples()[0].Bytes...), walk.Mismatch)
			}
			rejected(t, f.walk, append(padded, mediatest.Movie()...), walk.Mismatch)
		}
	}
}
