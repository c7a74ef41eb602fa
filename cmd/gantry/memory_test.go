package main_test

import (
	"os"
	"testing"

	"avalo.app/gantry/internal/gantrytest"
	"avalo.app/gantry/internal/media/mediatest"
)

// TestUploadMemory: what uploads take of a real process's memory does not
// grow with the files: under 4 MB each, 50 of 100 MB at once under 300 MB.
func TestUploadMemory(t *testing.T) {
	n, size := 6, 20<<20
	if os.Getenv("GANTRY_ACCEPT") != "" {
		n, size = 50, 100<<20-4096
	}
	film := mediatest.MovieFile{Brands: []string{"isom", "avc1", "mp41"}, Video: true, Audio: true, MoovLast: true, Before: mediatest.Box("free", make([]byte, size))}.Bytes()
	// Without -race, which takes several times as much.
	gantrytest.Start(t, gantrytest.Options{Binary: command}).UploadMemory(t, n, film)
}
