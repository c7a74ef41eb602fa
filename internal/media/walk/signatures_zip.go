package walk

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
)

// entryBit is where Signatures remembers that a directory entry's signature
// stands at an offset. Only a file full of such signatures makes two offsets
// meet, and that file is no honest one.
func entryBit(off int64) (at int, bit byte) {
	h := uint64(off) * 0x9e3779b97f4a7c15 >> 52
	return int(h >> 3), 1 << (h & 7)
}

// tail returns the last n bytes written; fewer at the start.
func (s *Signatures) tail(n int) []byte {
	n = int(min(int64(n), s.off))
	out := make([]byte, n)
	for i := range out {
		out[i] = s.ring[(s.next-n+i+zipTail)%zipTail]
	}
	return out
}

// zip returns the offset of a ZIP end record whose central directory stands
// where the record says: before it, or at the offset that it names. Readers
// take either.
func (s *Signatures) zip() (int64, bool) {
	s.straighten()
	tail := s.ring[:]
	if s.off < zipTail {
		tail = tail[zipTail-s.off:]
	}
	base := s.off - int64(len(tail)) // offset of tail[0]
	for i := 0; ; i++ {
		k := bytes.Index(tail[i:], zipEnd)
		if i += k; k < 0 || len(tail)-i < 22 {
			return 0, false
		}
		if s.directory(tail, i, base) {
			return base + int64(i), true
		}
	}
}

// straighten turns the ring so that it begins with its oldest byte.
func (s *Signatures) straighten() {
	slices.Reverse(s.ring[:s.next])
	slices.Reverse(s.ring[s.next:])
	slices.Reverse(s.ring[:])
	s.next = 0
}

// directory reports whether the end record at tail[i] agrees with a central
// directory of at least one entry. Not every reader counts them.
func (s *Signatures) directory(tail []byte, i int, base int64) bool {
	e := tail[i:]
	size := int64(binary.LittleEndian.Uint32(e[12:]))
	at := int64(binary.LittleEndian.Uint32(e[16:]))
	end := base + int64(i)
	if s.entryAt(tail, base, end-size) || s.entryAt(tail, base, at) {
		return true
	}
	// ZIP64: a locator stands before the end record and names another one,
	// which usually stands before the locator.
	if i < 20 || !bytes.HasPrefix(tail[i-20:], zip64Find) {
		return false
	}
	named := int64(binary.LittleEndian.Uint64(tail[i-12:])) - base
	for _, j := range []int64{int64(i) - 76, named} {
		if j < 0 || j > int64(len(tail))-56 || !bytes.HasPrefix(tail[j:], zip64End) {
			continue
		}
		size, at := binary.LittleEndian.Uint64(tail[j+40:]), binary.LittleEndian.Uint64(tail[j+48:])
		if size < math.MaxInt64 && s.entryAt(tail, base, base+j-int64(size)) || at < math.MaxInt64 && s.entryAt(tail, base, int64(at)) {
			return true
		}
	}
	return false
}

// entryAt reports whether a directory entry begins at an offset: by its
// bytes where they are at hand, by what was seen of it where not.
func (s *Signatures) entryAt(tail []byte, base, off int64) bool {
	switch {
	case off < 0 || off > s.off-46:
		return false
	case off >= base:
		return bytes.HasPrefix(tail[off-base:], zipEntry)
	}
	at, bit := entryBit(off)
	return s.seen[at]&bit != 0
}
