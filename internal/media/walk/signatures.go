package walk

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"slices"
)

const (
	// zipTail is how far from the end readers look for a ZIP's end record: the
	// record and the longest comment.
	zipTail = 22 + 65535
	// pdfHead is where readers look for a PDF's header.
	pdfHead = 1024
	isoAt   = 0x8001 // of the first volume descriptor's name
	// scanReach is the longest signature that is looked for anywhere.
	scanReach = 32
	scanPiece = 16 << 10 // stays in the first-level cache while it is searched
)

// Signatures looks, in what is written to it, for the strict signatures of
// files that run or open as something else. It holds 68 KiB, whatever the
// file's length.
//
// What is looked for anywhere is long or checked enough not to turn up by
// chance. In a file of N random bytes the expected number of false alarms is
// N x 32/2^48 for "<?php" and a blank (8 spellings, 4 blanks), N x 2^-55 for
// RAR, N x 2^-80 for 7z with its header's checksum, and for a ZIP, whose end
// record must stand in the last 64 KiB and point at a central directory,
// below 2^-46 for any N. For 100 MB they add up to 1 in 84,000 files. What
// stands at a fixed offset has 2^-32 or less for each file.
type Signatures struct {
	off    int64
	head   [pdfHead + 8]byte
	iso    [5]byte
	last   [scanReach - 1]byte // the end of what was searched
	lasts  int                 // bytes in last
	bridge [2*scanReach - 2]byte
	ring   [zipTail]byte // the end of what was written, from ring[next]
	next   int
	seen   [512]byte // a bit for each offset, by hash, of a ZIP directory entry
	found  []finding
	markup []finding
}

type finding struct {
	name   string
	offset int64
}

// NewSignatures returns an empty scan.
func NewSignatures() *Signatures { return &Signatures{} }

// Reset makes of a scan that is no longer used an empty one.
func (s *Signatures) Reset() { *s = Signatures{} }

// Write scans p. It never fails.
func (s *Signatures) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		k := min(len(p), scanPiece)
		s.write(p[:k])
		p = p[k:]
	}
	return n, nil
}

func (s *Signatures) write(p []byte) {
	s.fixed(p)
	// What began in the last piece, then what begins in this one. A signature
	// at the end of p waits for the next piece, or for Found.
	bridge := s.bridge[:]
	n := copy(bridge, s.last[:s.lasts])
	m := copy(bridge[n:], p[:min(len(p), scanReach-1)])
	s.scan(bridge[:n+m], s.off-int64(n))
	s.scan(p, s.off)
	if len(p) >= len(s.last) {
		s.lasts = copy(s.last[:], p[len(p)-len(s.last):])
	} else {
		s.lasts = copy(s.last[:], bridge[max(0, n+m-len(s.last)):n+m])
	}
	for q := p; len(q) > 0; {
		k := copy(s.ring[s.next:], q)
		q = q[k:]
		s.next = (s.next + k) % zipTail
	}
	s.off += int64(len(p))
}

// fixed remembers the bytes of p that stand at fixed offsets.
func (s *Signatures) fixed(p []byte) {
	if s.off < int64(len(s.head)) {
		copy(s.head[s.off:], p)
	}
	if end := s.off + int64(len(p)); s.off < isoAt+5 && end > isoAt {
		from := max(0, isoAt-s.off)
		copy(s.iso[s.off+from-isoAt:], p[from:])
	}
}

var (
	rarMagic  = []byte("Rar!\x1a\x07")
	sevenZip  = []byte("7z\xbc\xaf\x27\x1c")
	zipEntry  = []byte("PK\x01\x02")
	zipEnd    = []byte("PK\x05\x06")
	zip64End  = []byte("PK\x06\x06")
	zip64Find = []byte("PK\x06\x07")
)

// scan looks for what may stand anywhere and is whole in b, which begins at
// an offset of the output. It looks at two bytes of every four: wherever a
// signature of five begins, it shows one of its scanPairs there. A ZIP's entry
// has four, and of one that begins a byte later all but the last are there.
func (s *Signatures) scan(b []byte, at int64) {
	i := 0
	for ; i+16 <= len(b); i += 16 {
		q := b[i : i+16 : i+16]
		v, w := binary.LittleEndian.Uint64(q), binary.LittleEndian.Uint64(q[8:])
		if scanPairs[scanHash(v)]|scanPairs[scanHash(v>>32)]|scanPairs[scanHash(w)]|scanPairs[scanHash(w>>32)] != 0 && near(b, i) ||
			uint32(v)>>8 == zipEntry3 || v>>40 == zipEntry3 || uint32(w)>>8 == zipEntry3 || w>>40 == zipEntry3 {
			s.look(b, max(0, i-scanBack), i+16, at)
		}
	}
	s.look(b, max(0, i-scanBack), len(b), at)
}

// near reports whether a signature may be near one of the pairs at i, i+4,
// i+8 and i+12: a pair that is the nth of a signature stands behind its
// pair before or before its pair after that.
func near(b []byte, i int) bool {
	for p := i; p < i+16; p += 4 {
		is := scanPairs[pairHash(b[p:])]
		if is == 0 {
			continue
		}
		if p == 0 || p+3 > len(b) || is<<1&scanPairs[pairHash(b[p+1:])]|scanPairs[pairHash(b[p-1:])]<<1&is != 0 {
			return true
		}
	}
	return false
}

func pairHash(b []byte) uint64 { return scanHash(uint64(b[0]) | uint64(b[1])<<8) }

// zipEntry3 is the beginning of zipEntry.
const zipEntry3 = 'P' | 'K'<<8 | 1<<16

// look tries every place of b from one to another, exclusively.
func (s *Signatures) look(b []byte, from, to int, at int64) {
	for k, c := range b[from:to] {
		i := from + k
		switch c {
		case '<':
			s.tag(b[i:], at+int64(i))
		case 'R':
			if t, ok := bytes.CutPrefix(b[i:], rarMagic); ok && (len(t) > 0 && t[0] == 0 || len(t) > 1 && t[0] == 1 && t[1] == 0) {
				s.add(&s.found, "rar", at+int64(i))
			}
		case '7':
			// Version, checksum, and the 20 bytes that it is of.
			if h := b[i:]; len(h) >= 32 && bytes.HasPrefix(h, sevenZip) && crc32.ChecksumIEEE(h[12:32]) == binary.LittleEndian.Uint32(h[8:]) {
				s.add(&s.found, "7z", at+int64(i))
			}
		case 'P':
			if bytes.HasPrefix(b[i:], zipEntry) {
				byteAt, bit := entryBit(at + int64(i))
				s.seen[byteAt] |= bit
			}
		}
	}
}

// scanBack is how far before its pair a signature may begin.
const scanBack = 3

// scanPairs says of two bytes, by hash, which pair of a signature they may be:
// a bit for each of the first four, in any case of a tag's letters.
var scanPairs = scanTable("<?php", "<html", "<script", "Rar!\x1a", "7z\xbc\xaf\x27", "PK\x01\x02")

func scanTable(of ...string) (t [1 << 13]byte) {
	cases := func(c byte) []byte {
		if 'a' <= c && c <= 'z' {
			return []byte{c, c &^ 0x20}
		}
		return []byte{c}
	}
	for _, sig := range of {
		for i := range min(4, len(sig)-1) {
			for _, a := range cases(sig[i]) {
				for _, b := range cases(sig[i+1]) {
					t[scanHash(uint64(a)|uint64(b)<<8)] |= 1 << i
				}
			}
		}
	}
	return t
}

// scanHash is of the 16 low bits.
func scanHash(v uint64) uint64 { return (v ^ v>>3&0x1fff) & 0x1fff }

// tag looks at what begins with "<". PHP and HTML know no case; PHP wants a
// blank after its tag, and HTML a blank, a slash or the end of the tag.
func (s *Signatures) tag(b []byte, at int64) {
	switch {
	case len(b) < 6:
	case b[1] == '?':
		if letters(b[2:5], "php") && bytes.IndexByte([]byte(" \t\r\n"), b[5]) >= 0 {
			s.add(&s.found, "php", at)
		}
	case letters(b[1:5], "html") && endsTag(b[5]):
		s.add(&s.markup, "html", at)
	case len(b) > 7 && letters(b[1:7], "script") && endsTag(b[7]):
		s.add(&s.markup, "script", at)
	}
}

func endsTag(c byte) bool { return bytes.IndexByte([]byte(" \t\r\n\f/>"), c) >= 0 }

// letters reports whether b is the lower-case letters of word in any case.
func letters(b []byte, word string) bool {
	for i, c := range b {
		if c|0x20 != word[i] {
			return false
		}
	}
	return true
}

// add remembers the first finding of a name.
func (s *Signatures) add(list *[]finding, name string, at int64) {
	if !slices.ContainsFunc(*list, func(f finding) bool { return f.name == name }) {
		*list = append(*list, finding{name, at})
	}
}

// Found returns the first strict signature of all that was written: "php",
// "pdf", "zip", "rar", "7z", "tar", "dicom" or "iso9660". Call it at the end.
func (s *Signatures) Found() (name string, offset int64, ok bool) {
	all := slices.Clone(s.found)
	if t := s.tail(5); len(t) == 5 && t[0] == '<' && t[1] == '?' && letters(t[2:], "php") { // the end of the file ends the tag
		all = append(all, finding{"php", s.off - 5})
	}
	head := s.head[:min(s.off, int64(len(s.head)))]
	if i := bytes.Index(head[:min(len(head), pdfHead)], []byte("%PDF-")); i >= 0 {
		all = append(all, finding{"pdf", int64(i)})
	}
	for _, f := range []struct {
		at    int
		magic string
		name  string
	}{{257, "ustar", "tar"}, {128, "DICM", "dicom"}} {
		if len(head) >= f.at && bytes.HasPrefix(head[f.at:], []byte(f.magic)) {
			all = append(all, finding{f.name, int64(f.at)})
		}
	}
	if string(s.iso[:]) == "CD001" {
		all = append(all, finding{"iso9660", isoAt})
	}
	if at, ok := s.zip(); ok {
		all = append(all, finding{"zip", at})
	}
	return firstFinding(all)
}

// Markup returns the first "script" or "html" tag. Ask it of pictures whose
// metadata was dropped: honest metadata may hold either.
func (s *Signatures) Markup() (name string, offset int64, ok bool) { return firstFinding(s.markup) }

func firstFinding(all []finding) (string, int64, bool) {
	if len(all) == 0 {
		return "", 0, false
	}
	f := slices.MinFunc(all, func(a, b finding) int { return cmp.Compare(a.offset, b.offset) })
	return f.name, f.offset, true
}
