package walk

import (
	"bufio"
	"errors"
	"io"
)

// window is how far Peek can see, in bytes.
const window = 64 << 10

// Input is a file as it streams by. Each byte is consumed once, by Keep,
// Drop or Zero; kept and zeroed bytes go to the output in order.
type Input struct {
	Options
	r     *bufio.Reader
	out   io.Writer
	off   int64
	steps int64
	parts []Part
	zeros [4096]byte
}

// NewInput returns an input that reads from r and writes what stays to out.
func NewInput(r io.Reader, out io.Writer, o Options) *Input {
	return &Input{Options: o, r: bufio.NewReaderSize(r, window), out: out}
}

// Offset is how many bytes of the file were consumed.
func (in *Input) Offset() int64 { return in.off }

// Parts are what Note was told.
func (in *Input) Parts() []Part { return in.parts }

// Peek returns the next n bytes, at most 64 KiB, without consuming them. At
// the end of the file it returns fewer, with io.EOF. The bytes are valid
// until the next call.
func (in *Input) Peek(n int) ([]byte, error) {
	b, err := in.r.Peek(n)
	if errors.Is(err, bufio.ErrBufferFull) {
		err = io.ErrShortBuffer // a walker that asks for more than the window
	}
	return b, err
}

// Need is Peek for what the format requires: a file that ends before is
// corrupt.
func (in *Input) Need(n int) ([]byte, error) {
	b, err := in.Peek(n)
	if err == io.EOF {
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
func (in *Input) Keep(n int64) error { return in.copy(in.out, n) }

// Drop consumes n bytes and leaves them out.
func (in *Input) Drop(n int64) error { return in.copy(io.Discard, n) }

// Zero consumes n bytes and passes zeros on.
func (in *Input) Zero(n int64) error {
	for n > 0 {
		k := min(n, int64(len(in.zeros)))
		if err := in.copy(io.Discard, k); err != nil {
			return err
		}
		if _, err := in.out.Write(in.zeros[:k]); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// Emit writes bytes that are not of the file to the output.
func (in *Input) Emit(b []byte) error {
	_, err := in.out.Write(b)
	return err
}

func (in *Input) copy(to io.Writer, n int64) error {
	if n < 0 {
		return in.Corrupt("a negative length")
	}
	k, err := io.CopyN(to, in.r, n)
	in.off += k
	if err == io.EOF {
		return in.Corrupt("the file ends %d bytes before the end of a part of %d", n-k, n)
	}
	return err
}

// Rest consumes everything that is left by fate and returns how much it was.
func (in *Input) Rest(fate Fate) (int64, error) {
	to := in.out
	if fate == Dropped {
		to = io.Discard
	}
	n, err := io.Copy(to, in.r)
	in.off += n
	return n, err
}

// Note remembers a part that begins at an offset.
func (in *Input) Note(offset, length int64, what string, fate Fate) {
	if len(in.parts) < maxParts {
		in.parts = append(in.parts, Part{Offset: offset, Length: length, What: what, Fate: fate})
	}
}
