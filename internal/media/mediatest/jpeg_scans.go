package mediatest

import "encoding/binary"

// jpegBits writes entropy-coded data.
type jpegBits struct {
	out  []byte
	acc  uint32
	bits int
}

func (b *jpegBits) put(v uint32, n int) {
	for n--; n >= 0; n-- {
		b.acc = b.acc<<1 | v>>n&1
		if b.bits++; b.bits == 8 {
			b.out = append(b.out, byte(b.acc))
			if byte(b.acc) == 0xFF {
				b.out = append(b.out, 0)
			}
			b.acc, b.bits = 0, 0
		}
	}
}

// flush fills the last byte with ones.
func (b *jpegBits) flush() {
	for b.bits != 0 {
		b.put(1, 1)
	}
}

// value codes a symbol, of four bits, and what its size calls for.
func (b *jpegBits) value(v int) {
	size, a := 0, max(v, -v)
	for ; a>>size > 0; size++ {
	}
	b.put(uint32(size), 4)
	if v < 0 {
		v += 1<<size - 1
	}
	b.put(uint32(v), size)
}

// jpegHead is everything of a grey picture before its scans. Both Huffman
// tables code the symbols 0 to 11 in four bits each; for coefficients, 0 ends
// the block.
func jpegHead(sof byte, w, h int) []byte {
	symbols := cat([]byte{0, 0, 0, 12}, make([]byte, 12), []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	quant := make([]byte, 64)
	for i := range quant {
		quant[i] = 3
	}
	size := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{8}, uint16(h)), uint16(w))
	return cat([]byte{0xFF, 0xD8}, Segment(0xDB, []byte{0}, quant), Segment(sof, size, []byte{1, 1, 0x11, 0}),
		Segment(0xC4, []byte{0}, symbols), Segment(0xC4, []byte{0x10}, symbols))
}

func jpegBrightness(block int) int { return block*37%300 - 150 }

// Progressive is a grey picture of three scans: brightness but for its last
// bit, the last bit, and one more coefficient of each block.
func Progressive(w, h int) []byte {
	n := (w + 7) / 8 * ((h + 7) / 8)
	var first, second, third jpegBits
	last := 0
	for i := range n {
		v := jpegBrightness(i)
		first.value(v>>1 - last)
		last = v >> 1
		second.put(uint32(v&1), 1)
		third.value(i%5 + 1)
		third.put(0, 4)
	}
	first.flush()
	second.flush()
	third.flush()
	scan := func(from, to, bits byte) []byte { return Segment(0xDA, []byte{1, 1, 0, from, to, bits}) }
	return cat(jpegHead(0xC2, w, h), scan(0, 0, 0x01), first.out, scan(0, 0, 0x10), second.out, scan(1, 5, 0), third.out, []byte{0xFF, 0xD9})
}

// Restarts is a grey picture with a restart after every few blocks.
func Restarts(w, h, every int) []byte {
	return cat(jpegHead(0xC0, w, h), Segment(0xDD, []byte{0, byte(every)}), jpegBlocks(w, h, every), []byte{0xFF, 0xD9})
}

// Lines is a grey picture that says its height after the scan.
func Lines(w, h int) []byte {
	return cat(jpegHead(0xC0, w, 0), jpegBlocks(w, h, 1<<30), Segment(0xDC, []byte{byte(h >> 8), byte(h)}), []byte{0xFF, 0xD9})
}

func jpegBlocks(w, h, every int) []byte {
	out := Segment(0xDA, []byte{1, 1, 0, 0, 63, 0})
	var b jpegBits
	last := 0
	for i := range (w + 7) / 8 * ((h + 7) / 8) {
		if i > 0 && i%every == 0 {
			b.flush()
			b.out = append(b.out, 0xFF, 0xD0+byte(i/every-1)%8)
			last = 0
		}
		b.value(jpegBrightness(i) - last)
		last = jpegBrightness(i)
		b.put(0, 4)
	}
	b.flush()
	return append(out, b.out...)
}
