package audiotest

import (
	"bytes"
	"encoding/binary"
)

// The kinds of an Ogg page, to be combined.
const (
	OggContinued = 1
	OggFirst     = 2
	OggLast      = 4
)

// OggPage is a page of one packet, at most 65,024 bytes.
func OggPage(serial, number uint32, flags byte, packet []byte) []byte {
	b := append([]byte("OggS\x00"), flags)
	b = binary.LittleEndian.AppendUint64(b, uint64(number)*960)
	b = binary.LittleEndian.AppendUint32(b, serial)
	b = binary.LittleEndian.AppendUint32(b, number)
	b = append(b, 0, 0, 0, 0, byte(len(packet)/255+1))
	b = append(b, bytes.Repeat([]byte{255}, len(packet)/255)...)
	b = append(b, byte(len(packet)%255))
	b = append(b, packet...)
	return OggSum(b)
}

// OggSum writes the sum of a page into it, bit by bit.
func OggSum(page []byte) []byte {
	binary.LittleEndian.PutUint32(page[22:], 0)
	var r uint32
	for _, c := range page {
		for i := 7; i >= 0; i-- {
			if out := r>>31 ^ uint32(c>>i&1); out == 1 {
				r = r<<1 ^ 0x04c11db7
			} else {
				r <<= 1
			}
		}
	}
	binary.LittleEndian.PutUint32(page[22:], r)
	return page
}

// OpusHead, VorbisHead, FLACHead, SpeexHead, TheoraHead and Skeleton are the
// first packets of streams.
func OpusHead() []byte {
	return []byte("OpusHead\x01\x01\x38\x01\x80\xbb\x00\x00\x00\x00\x00")
}

// VorbisHead: see OpusHead.
func VorbisHead() []byte {
	return append([]byte("\x01vorbis\x00\x00\x00\x00\x01\x44\xac\x00\x00"), make([]byte, 14)...)
}

// FLACHead: see OpusHead.
func FLACHead() []byte {
	return append([]byte("\x7fFLAC\x01\x00\x00\x01fLaC\x00\x00\x00\x22"), make([]byte, 34)...)
}

// SpeexHead: see OpusHead.
func SpeexHead() []byte { return append([]byte("Speex   1.2"), make([]byte, 69)...) }

// TheoraHead: see OpusHead.
func TheoraHead() []byte { return append([]byte("\x80theora\x03\x02\x01"), make([]byte, 32)...) }

// Skeleton: see OpusHead.
func Skeleton() []byte { return append([]byte("fishead\x00\x03\x00\x00\x00"), make([]byte, 52)...) }

// OpusTags is the second packet of an Opus stream, with a comment.
func OpusTags(comment []byte) []byte {
	b := []byte("OpusTags\x04\x00\x00\x00test\x01\x00\x00\x00")
	b = binary.LittleEndian.AppendUint32(b, uint32(len(comment)))
	return append(b, comment...)
}

// OggStream is a stream: its first packet, a comment, and some pages.
func OggStream(serial uint32, head, comment []byte, pages int) []byte {
	b := Join(OggPage(serial, 0, OggFirst, head), OggPage(serial, 1, 0, OpusTags(comment)))
	for i := range pages {
		flags := byte(0)
		if i == pages-1 {
			flags = OggLast
		}
		b = append(b, OggPage(serial, uint32(2+i), flags, make([]byte, 100+i))...)
	}
	return b
}

// OGG is a small Opus file.
func OGG() []byte { return OggStream(7, OpusHead(), []byte("TITLE=silence"), 3) }
