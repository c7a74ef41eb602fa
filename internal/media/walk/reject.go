package walk

import "fmt"

// Corrupt is the rejection of a file that breaks its format here.
func (in *Input) Corrupt(format string, args ...any) error {
	return &Reject{Code: Corrupt, Reason: fmt.Sprintf(format, args...), Offset: in.off}
}

// Mismatch is the rejection of a file that is something else as well.
func (in *Input) Mismatch(format string, args ...any) error {
	return &Reject{Code: Mismatch, Reason: fmt.Sprintf(format, args...), Offset: in.off}
}

// Picture checks a picture's or canvas's size against the limits. A size of
// zero is corrupt.
func (in *Input) Picture(width, height int64) error {
	l := in.Limits
	switch {
	case width <= 0 || height <= 0:
		return in.Corrupt("a picture of %d x %d pixels", width, height)
	case width > l.MaxSide || height > l.MaxSide:
		return &Reject{Code: TooLarge, Reason: "a side of the picture, in pixels", Offset: in.off, Limit: l.MaxSide, Actual: max(width, height)}
	case width*height > l.MaxPixels:
		return &Reject{Code: TooLarge, Reason: "pixels of the picture", Offset: in.off, Limit: l.MaxPixels, Actual: width * height}
	}
	return nil
}

// Animation checks the number of frames so far on a canvas.
func (in *Input) Animation(frames, width, height int64) error {
	l := in.Limits
	if frames > l.MaxFrames {
		return &Reject{Code: TooLarge, Reason: "frames of the animation", Offset: in.off, Limit: l.MaxFrames, Actual: frames}
	}
	if frames*width*height > l.MaxTotalPixels {
		return &Reject{Code: TooLarge, Reason: "pixels of all frames", Offset: in.off, Limit: l.MaxTotalPixels, Actual: frames * width * height}
	}
	return nil
}
