package walk

import (
	"bytes"
	"io"
)

// smallTail is the most that dropTail drops without asking: larger tails must
// be zeros.
const smallTail = window

// dropTail drops what follows the container's end, if it is zeros or small
// and no other format's; what is more than that makes the file two files.
func (in *Input) dropTail() error {
	start := in.off
	p, err := in.Peek(smallTail)
	if err != nil && err != io.EOF {
		return err
	}
	if name := foreignIn(p); name != "" {
		return in.Mismatch("%s follows the end of the file", name)
	}
	if bytes.HasPrefix(p, []byte("MZ")) {
		return in.Mismatch("a program follows the end of the file")
	}
	if err == io.EOF {
		if len(p) > 0 {
			in.Note(start, int64(len(p)), "trailing bytes", Dropped)
		}
		return in.Drop(int64(len(p)))
	}
	for err == nil {
		if !in.isZeros(p) {
			return in.Mismatch("more than %d bytes follow the end of the file", smallTail)
		}
		if err := in.Drop(int64(len(p))); err != nil {
			return err
		}
		p, err = in.Peek(smallTail)
	}
	if err != io.EOF {
		return err
	}
	if !in.isZeros(p) {
		return in.Mismatch("something follows the end of the file")
	}
	if err := in.Drop(int64(len(p))); err != nil {
		return err
	}
	in.Note(start, in.off-start, "trailing zeros", Dropped)
	return nil
}

// isZeros reports whether b is zeros.
func (in *Input) isZeros(b []byte) bool {
	for len(b) > 0 {
		k := min(len(b), len(in.zeros))
		if !bytes.Equal(b[:k], in.zeros[:k]) {
			return false
		}
		b = b[k:]
	}
	return true
}

// padding consumes n bytes that a format says are padding: zeroed when
// sanitising, kept otherwise. It reports whether there was anything in them,
// and refuses another format's signature in the first 64 KiB.
func (in *Input) padding(n int64, what string) (used bool, err error) {
	for first := true; n > 0; first = false {
		b, err := in.Need(int(min(n, smallTail)))
		if err != nil {
			return used, err
		}
		if !in.isZeros(b) {
			used = true
			if first {
				if name := foreignIn(b); name != "" {
					return used, in.Mismatch("%s in %s", name, what)
				}
			}
		}
		k := int64(len(b))
		if in.Sanitise {
			err = in.Zero(k)
		} else {
			err = in.Keep(k)
		}
		if err != nil {
			return used, err
		}
		n -= k
	}
	return used, nil
}
