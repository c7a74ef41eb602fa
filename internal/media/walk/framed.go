package walk

import (
	"bytes"
	"io"
)

const (
	// maxGap is how far the next frame may be from where it was due: encoders
	// and cutters leave holes of a frame or two.
	maxGap = 4 << 10
	// maxGaps bounds the holes of one file, maxAudioTail what may follow the
	// last frame, page or chunk, all in bytes.
	maxGaps      = 64 << 10
	maxAudioTail = window - 1
	// minFrames make a stream: one header of a few bits proves nothing.
	minFrames = 2
)

// frameShape describes a stream that is nothing but frames with headers.
type frameShape struct {
	header int // bytes that length reads
	max    int // of a frame, in bytes
	// length returns the length of the frame that begins with b and what is
	// the same in each frame of a stream; length 0 for what is no frame.
	length func(b []byte) (n int, same uint32)
}

// framed is a walk along frames, tags and holes.
type framed struct {
	*Input
	frameShape
	same  uint32
	count int64 // of frames
	gaps  int64 // bytes in holes
}

// walk follows frames and tags to the end of the file. Frames and tags stay
// as they are; holes between them are zeroed, since no decoder plays them.
func (w *framed) walk() error {
	for {
		if err := w.run(); err != nil {
			return err
		}
		next, err := w.audioTag()
		if err == nil && !next {
			next, err = w.gap()
		}
		if err != nil {
			return err
		}
		if !next {
			break
		}
	}
	if w.count < minFrames {
		return w.Corrupt("%d frames of audio, at least %d make a stream", w.count, minFrames)
	}
	if err := w.noOtherFrames(); err != nil {
		return err
	}
	return w.audioTail()
}

// noOtherFrames refuses a stream that goes on with frames of another kind:
// to drop them as trailing bytes would cut the recording.
func (w *framed) noOtherFrames() error {
	b, err := w.Peek(maxAudioTail)
	if err != nil && err != io.EOF {
		return err
	}
	for i := 0; i+w.header <= len(b); i++ {
		n, same := w.length(b[i:])
		if n == 0 || i+n+w.header > len(b) {
			continue
		}
		if next, as := w.length(b[i+n:]); next > 0 && as == same {
			return w.Corrupt("frames of another kind %d bytes behind the last frame", i)
		}
	}
	return nil
}

// run keeps the frames that follow one another from here.
func (w *framed) run() error {
	for {
		b, err := w.Peek(window)
		if err != nil && err != io.EOF {
			return err
		}
		n := 0
		for {
			k := w.frame(b[n:])
			if k == 0 || n+k > len(b) {
				break
			}
			if err := w.Step(); err != nil {
				return err
			}
			w.count++
			n += k
		}
		if err == io.EOF && w.count >= minFrames {
			n += w.cutFrame(b[n:], n)
		}
		if n == 0 {
			return nil
		}
		if err := w.Keep(int64(n)); err != nil {
			return err
		}
	}
}

// frame returns the length of the frame that b begins with, 0 if it does not
// belong to the stream. The first one must be confirmed by what follows it.
func (w *framed) frame(b []byte) int {
	if len(b) < w.header {
		return 0
	}
	n, same := w.length(b)
	if n == 0 || w.count > 0 && same != w.same {
		return 0
	}
	if w.count > 0 {
		return n
	}
	if n+w.header > len(b) {
		return 0
	}
	if next, as := w.length(b[n:]); next == 0 || as != same {
		return 0
	}
	w.same = same
	return n
}

// cutFrame returns how much of b, the end of the file, is a last frame that
// was cut short: recordings end where they were stopped.
func (w *framed) cutFrame(b []byte, at int) int {
	k := w.frame(b)
	if k <= len(b) {
		return 0
	}
	k = len(b)
	if i := k - 128; i >= 0 && string(b[i:i+3]) == "TAG" {
		k = i
	}
	for _, tag := range []string{apeMagic, lyricsMagic} {
		if i := bytes.Index(b[:k], []byte(tag)); i >= 0 {
			k = i
		}
	}
	if k > 0 {
		w.Note(w.Offset()+int64(at), int64(k), "cut frame", Kept)
	}
	return k
}

// gap zeroes a hole before the next frame or tag.
func (w *framed) gap() (bool, error) {
	b, err := w.Peek(maxGap + 2*w.max + w.header)
	if err != nil && err != io.EOF {
		return false, err
	}
	for i := 1; i <= min(maxGap, len(b)-1); i++ {
		if !w.resumes(b[i:], err == io.EOF) {
			continue
		}
		if w.gaps += int64(i); w.gaps > maxGaps {
			return false, &Reject{Code: Mismatch, Reason: "bytes between the frames", Offset: w.Offset(), Limit: maxGaps, Actual: w.gaps}
		}
		if err := w.noteOdd(int64(i), "gap", Zeroed); err != nil {
			return false, err
		}
		return true, w.Zero(int64(i))
	}
	return false, nil
}

// resumes reports whether a frame with another one behind it, or a tag,
// begins with b.
func (w *framed) resumes(b []byte, last bool) bool {
	if audioTagBegins(b, last) {
		return true
	}
	n := w.frame(b)
	if n == 0 || n > len(b) {
		return false
	}
	if w.count == 0 {
		return true // frame has looked behind it
	}
	return last && n == len(b) || audioTagBegins(b[n:], last) || w.frame(b[n:]) > 0
}

// audioTail drops what follows the container's end, if it is little.
func (in *Input) audioTail() error {
	b, err := in.Peek(maxAudioTail + 1)
	if err == nil {
		return &Reject{Code: Mismatch, Reason: "bytes after the end of the audio", Offset: in.off, Limit: maxAudioTail, Actual: int64(len(b))}
	}
	if err != io.EOF {
		return err
	}
	if len(b) == 0 {
		return nil
	}
	in.Note(in.off, int64(len(b)), "trailing bytes", Dropped)
	return in.Drop(int64(len(b)))
}
