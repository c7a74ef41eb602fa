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
	Zeros  int64 // written behind Bytes, where a field was to be wiped
}

// maxPatches bounds what is remembered of a hostile file.
const maxPatches = 3000

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

// PatchZeros overwrites n bytes at an offset of the output by zeros, as Patch
// does: a walker learnt too late that they had to go.
func (in *Input) PatchZeros(offset, n int64) error {
	p := Patch{Offset: offset, Zeros: n}
	if w, ok := in.out.(io.WriterAt); ok {
		return p.Apply(w)
	}
	if len(in.patches) == maxPatches {
		return &Reject{Code: TooLarge, Reason: "late changes", Offset: in.off, Limit: maxPatches, Actual: maxPatches + 1}
	}
	in.patches = append(in.patches, p)
	return nil
}

// Apply writes the patch to an output that begins at w's offset 0.
func (p Patch) Apply(w io.WriterAt) error {
	if len(p.Bytes) > 0 {
		if _, err := w.WriteAt(p.Bytes, p.Offset); err != nil {
			return err
		}
	}
	var zeros [4096]byte
	for off, left := p.Offset+int64(len(p.Bytes)), p.Zeros; left > 0; {
		k := min(left, int64(len(zeros)))
		if _, err := w.WriteAt(zeros[:k], off); err != nil {
			return err
		}
		off, left = off+k, left-k
	}
	return nil
}

// Patches are what the caller has to apply to the output.
func (in *Input) Patches() []Patch { return in.patches }
