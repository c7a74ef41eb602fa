// Package walk follows the structure of a media file to its exact end while
// the bytes stream by: nothing is decoded, nothing is held but a window, and
// every byte is accounted for as kept, dropped or zeroed. One walker per
// container; each is a pure function over an Input.
package walk

import "fmt"

// Format names a container.
type Format string

// The formats.
const (
	JPEG      Format = "jpeg"
	PNG       Format = "png"
	GIF       Format = "gif"
	WebP      Format = "webp"
	HEIF      Format = "heif"
	MP4       Format = "mp4"
	QuickTime Format = "quicktime"
	M4A       Format = "m4a"
	WebM      Format = "webm"
	MP3       Format = "mp3"
	WAV       Format = "wav"
	OGG       Format = "ogg"
	AAC       Format = "aac"
)

// Limits bound what a file may claim before anything would be decoded.
type Limits struct {
	MaxPixels int64 // of one picture or canvas: width x height
	MaxSide   int64 // width or height
	MaxFrames int64 // pictures of an animation, or tracks x samples are not counted
	// MaxTotalPixels bounds frames x canvas of an animation.
	MaxTotalPixels int64
	MaxSteps       int64 // chunks, segments, boxes, pages and blocks
	MaxDepth       int   // of nested boxes
	MaxInflated    int64 // of compressed text and colour profiles, in bytes
}

// DefaultLimits admit what phones and cameras make: 100 megapixels, and
// animations of 2,000 frames.
func DefaultLimits() Limits {
	return Limits{MaxPixels: 100_000_000, MaxSide: 32_767, MaxFrames: 2_000, MaxTotalPixels: 2_000_000_000,
		MaxSteps: 2_000_000, MaxDepth: 16, MaxInflated: 8 << 20}
}

// Options say how a file is walked.
type Options struct {
	Limits Limits
	// Sanitise drops or zeroes metadata (GPS and other), and keeps what the
	// picture needs: orientation and colour profile. Without it every byte that
	// the container accounts for is kept.
	Sanitise bool
}

// Info is what a walk found. Sizes are in bytes, offsets in the original.
type Info struct {
	Format Format
	MIME   string // of the content: "image/jpeg", "audio/mp4"…
	Width  int64  // 0 where the format has none or does not say
	Height int64
	Frames int64 // pictures; 1 for a still, 0 for audio
	// Brand tells kinds of one format apart: "heic", "mif1", "M4A ", "opus".
	Brand string
	// Parts are the byte ranges that were not simply kept, and recognised
	// trailers that were, in the order of the file; at most maxParts.
	Parts []Part
	// Patches are what the caller has to overwrite in the output, because it was
	// no io.WriterAt; at most maxPatches, and two and one for each frame.
	Patches []Patch
}

// Fate is what became of a range of the original's bytes.
type Fate string

// The fates.
const (
	Kept    Fate = "kept"
	Dropped Fate = "dropped"
	Zeroed  Fate = "zeroed"
)

// Part is a range of the original's bytes.
type Part struct {
	Offset, Length int64
	What           string // "exif", "xmp", "comment", "motion photo", "trailing bytes"…
	Fate           Fate
}

// maxParts bounds what an Info remembers of a hostile file.
const maxParts = 1000

// Code says which kind of refusal a Reject is.
type Code string

// The codes, each an error of the catalogue.
const (
	Mismatch Code = "CONTENT_MISMATCH" // it is something else as well, or instead
	Corrupt  Code = "FILE_CORRUPT"     // it breaks its own format
	TooLarge Code = "IMAGE_TOO_LARGE"  // pixels, frames or nesting
)

// Reject is why a file is refused. Reading errors are not Rejects.
type Reject struct {
	Code   Code
	Reason string // for developers: "segment runs past the end"
	Offset int64  // where in the file
	Limit  int64  // 0: none
	Actual int64
}

// Error implements error.
func (r *Reject) Error() string {
	s := fmt.Sprintf("%s at byte %d: %s", r.Code, r.Offset, r.Reason)
	if r.Limit != 0 {
		s += fmt.Sprintf(" (limit %d, actual %d)", r.Limit, r.Actual)
	}
	return s
}

// Walker walks one container from its first byte to the end of in. It reads
// everything: what follows the container's end is classified and kept,
// dropped or refused. It returns a *Reject, an error of reading, or nil.
type Walker func(in *Input) (Info, error)
