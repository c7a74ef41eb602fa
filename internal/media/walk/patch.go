package walk

import "io"

// Tally is what became of a file's bytes: Kept, Dropped and Zeroed add up to
// what was consumed; Kept, Zeroed and Emitted to what was written.
type Tally struct{ Kept, Dropped, Zeroed, Emitted int64 }

// Tally counts the bytes so far.
func (in *Input) Tally() Tally { return in.tally }

// Written is how many bytes the output has.
func (in *Input) Written() int64 { return in.tally.Kept + in.tally.Zeroed + in.tally.Emitted }

// Patch overwrites bytes of the output that were written before what they say
// was known: a container's size or flags. Offset counts from the first byte
// that the walk wrote.
type Patch struct {
	Offset int64
	Bytes  []byte
}

// Patch overwrites b at an offset of the output. An output that is an
// io.WriterAt is patched at once; it must then begin at its offset 0. For any
// other the patch is remembered, and the caller applies Info.Patches.
func (in *Input) Patch(offset int64, b []byte) error {
	if w, ok := in.out.(io.WriterAt); ok {
		_, err := w.WriteAt(b, offset)
		return err
	}
	in.patches = append(in.patches, Patch{Offset: offset, Bytes: b})
	return nil
}

// Patches are what the caller has to apply to the output.
func (in *Input) Patches() []Patch { return in.patches }
