package walk

import (
	"bufio"
	"io"
	"math"
)

const (
	// window is how far Peek can see, in bytes.
	window = 64 << 10
	// ahead is how much is held at most: twice the window, so that a part as
	// long as the window is not moved for each that is read.
	ahead = 2 * window
)

// Input is a file as it streams by. Each byte is consumed once, by Keep,
// Drop, Zero, Take, UpTo or Rest; kept and zeroed bytes go to the output in
// order, straight from the window.
type Input struct {
	Options
	r       *bufio.Reader
	out     io.Writer
	off     int64
	steps   int64
	parts   []Part
	tally   Tally
	cut     bool // the file ended where more was needed
	patches []Patch
	zeros   [4096]byte
}

// NewInput returns an input that reads from r and writes what stays to out.
// It reads at most 128 KiB ahead, and not again after the end or an error.
func NewInput(r io.Reader, out io.Writer, o Options) *Input {
	in := &Input{r: bufio.NewReaderSize(nil, ahead)}
	in.Reset(r, out, o)
	return in
}

// Reset makes of an input that is no longer used what NewInput returns. Its
// buffer is kept, and nothing else.
func (in *Input) Reset(r io.Reader, out io.Writer, o Options) {
	in.r.Reset(&once{r: r})
	*in = Input{Options: o, r: in.r, out: out}
}

// once repeats a reader's first error, so that one that was seen while
// peeking is neither lost nor provoked again.
type once struct {
	r   io.Reader
	err error
}

func (o *once) Read(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.r.Read(p)
	o.err = err
	return n, err
}

// Offset is how many bytes of the file were consumed.
func (in *Input) Offset() int64 { return in.off }

// Parts are what Note was told.
func (in *Input) Parts() []Part { return in.parts }

// Peek returns the next n bytes, at most 64 KiB, without consuming them. At
// the end of the file it returns fewer, with io.EOF. The bytes are valid
// until the next call.
func (in *Input) Peek(n int) ([]byte, error) {
	if n > window {
		b, err := in.r.Peek(window)
		if err == nil {
			err = io.ErrShortBuffer // a walker that asks for more than the window
		}
		return b, err
	}
	return in.r.Peek(n)
}

// Window returns what was read and not consumed, at least one byte; at the end
// of the file it returns io.EOF. The bytes are valid until the next call.
func (in *Input) Window() ([]byte, error) {
	if in.r.Buffered() == 0 {
		if _, err := in.r.Peek(1); err != nil {
			return nil, err
		}
	}
	return in.r.Peek(in.r.Buffered())
}

// Need is Peek for what the format requires: a file that ends before is
// corrupt.
func (in *Input) Need(n int) ([]byte, error) {
	b, err := in.Peek(n)
	if err == io.EOF {
		in.cut = true
		return nil, in.Corrupt("the file ends within a %d-byte field", n)
	}
	return b, err
}

// AtEnd reports whether the file is over. A reading error is not the end.
func (in *Input) AtEnd() bool {
	_, err := in.r.Peek(1)
	return err == io.EOF
}

// Step counts one segment, chunk, box, page or block against the budget.
func (in *Input) Step() error {
	if in.steps++; in.steps > in.Limits.MaxSteps {
		return &Reject{Code: TooLarge, Reason: "too many parts", Offset: in.off, Limit: in.Limits.MaxSteps, Actual: in.steps}
	}
	return nil
}

// Keep consumes n bytes and passes them on.
func (in *Input) Keep(n int64) error { return in.Take(n, Kept) }

// Drop consumes n bytes and leaves them out.
func (in *Input) Drop(n int64) error { return in.Take(n, Dropped) }

// Zero consumes n bytes and passes zeros on.
func (in *Input) Zero(n int64) error { return in.Take(n, Zeroed) }

// Take consumes n bytes by fate. A file that ends before is corrupt.
func (in *Input) Take(n int64, fate Fate) error {
	if n < 0 {
		return in.Corrupt("a negative length")
	}
	k, err := in.UpTo(n, fate)
	if err == nil && k < n {
		in.cut = true
		err = in.Corrupt("the file ends %d bytes before the end of a part of %d", n-k, n)
	}
	return err
}

// UpTo consumes n bytes by fate, or fewer where the file ends before, and
// returns how many it was.
func (in *Input) UpTo(n int64, fate Fate) (int64, error) {
	var done int64
	for done < n {
		b, err := in.Window()
		if err == io.EOF {
			return done, nil
		}
		if err == nil {
			b = b[:min(int64(len(b)), n-done)]
			err = in.settle(b, fate)
		}
		if err != nil {
			return done, err
		}
		done += int64(len(b))
	}
	return done, nil
}

// settle consumes b, which begins the window.
func (in *Input) settle(b []byte, fate Fate) error {
	n := int64(len(b))
	switch fate {
	case Dropped:
		in.tally.Dropped += n
	case Zeroed:
		for left := n; left > 0; left -= min(left, int64(len(in.zeros))) {
			if _, err := in.out.Write(in.zeros[:min(left, int64(len(in.zeros)))]); err != nil {
				return err
			}
		}
		in.tally.Zeroed += n
	default:
		if _, err := in.out.Write(b); err != nil {
			return err
		}
		in.tally.Kept += n
	}
	in.off += n
	_, err := in.r.Discard(len(b))
	return err
}

// Emit writes bytes that are not of the file to the output.
func (in *Input) Emit(b []byte) error {
	in.tally.Emitted += int64(len(b))
	_, err := in.out.Write(b)
	return err
}

// Rest consumes everything that is left by fate and returns how much it was.
func (in *Input) Rest(fate Fate) (int64, error) { return in.UpTo(math.MaxInt64, fate) }

// Note remembers a part that begins at an offset.
func (in *Input) Note(offset, length int64, what string, fate Fate) {
	if len(in.parts) < maxParts {
		in.parts = append(in.parts, Part{Offset: offset, Length: length, What: what, Fate: fate})
	}
}

// Replace consumes as many bytes as b has and passes b on instead.
func (in *Input) Replace(b []byte) error {
	if err := in.Drop(int64(len(b))); err != nil {
		return err
	}
	return in.Emit(b)
}
