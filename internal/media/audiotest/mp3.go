// Package audiotest builds media files for tests, byte by byte: small, valid,
// odd but honest, and hostile ones. Nothing in it was downloaded.
package audiotest

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// MP3Frame is a frame of MPEG 1 layer III at 44,100 samples a second and 128
// kbit/s, 417 bytes of header and silence.
func MP3Frame() []byte {
	b := make([]byte, 417)
	copy(b, "\xff\xfb\x90\x64")
	return b
}

// MP3Frames is a run of frames.
func MP3Frames(n int) []byte { return bytes.Repeat(MP3Frame(), n) }

// MPEGFrame is a frame with a header of 4 bytes and a length.
func MPEGFrame(header string, length int) []byte {
	return append([]byte(header), make([]byte, length-len(header))...)
}

// XingFrame is a frame that says how many frames of variable rate follow.
func XingFrame(frames uint32) []byte {
	b := MP3Frame()
	copy(b[36:], "Xing\x00\x00\x00\x01")
	binary.BigEndian.PutUint32(b[44:], frames)
	return b
}

// VBRIFrame is Fraunhofer's frame of the same meaning.
func VBRIFrame() []byte {
	b := MP3Frame()
	copy(b[36:], "VBRI\x00\x01")
	return b
}

// ID3v2 is a tag with one private frame that holds data, zero bytes of
// padding, and a footer if wanted.
func ID3v2(data []byte, padding int, footer bool) []byte {
	frame := append([]byte("PRIV\x00\x00\x00\x00\x00\x00"), data...)
	syncsafe(frame[4:], len(data))
	body := append(frame, make([]byte, padding)...)
	head := []byte("ID3\x04\x00\x00\x00\x00\x00\x00")
	syncsafe(head[6:], len(body))
	if !footer {
		return append(head, body...)
	}
	head[5] = 0x10
	return append(append(bytes.Clone(head), body...), append([]byte("3DI"), head[3:]...)...)
}

// syncsafe writes 28 bits, seven to a byte.
func syncsafe(b []byte, n int) {
	for i := range 4 {
		b[i] = byte(n >> (21 - 7*i) & 0x7f)
	}
}

// ID3v1 is the tag of 128 bytes at the end.
func ID3v1() []byte { return append([]byte("TAGsilence"), make([]byte, 118)...) }

// TAGPlus is the enhanced tag before an ID3v1.
func TAGPlus() []byte { return append([]byte("TAG+silence"), make([]byte, 216)...) }

// APEv2 is a tag of one item, with a header or with its footer alone.
func APEv2(data []byte, header bool) []byte {
	item := binary.LittleEndian.AppendUint32(nil, uint32(len(data)))
	item = append(item, "\x00\x00\x00\x02Artist\x00"...)
	item = append(item, data...)
	end := func(flags uint32) []byte {
		b := append([]byte("APETAGEX\xd0\x07\x00\x00"), make([]byte, 20)...)
		binary.LittleEndian.PutUint32(b[12:], uint32(len(item)+32))
		b[16] = 1
		binary.LittleEndian.PutUint32(b[20:], flags)
		return b
	}
	if !header {
		return append(item, end(0)...)
	}
	return append(append(end(1<<31|1<<29), item...), end(1<<31)...)
}

// Lyrics3 is a tag of the second version.
func Lyrics3(text string) []byte {
	b := fmt.Appendf(nil, "LYRICSBEGININD0000200LYR%05d%s", len(text), text)
	return fmt.Appendf(b, "%06dLYRICS200", len(b))
}

// Lyrics3v1 is a tag of the first version.
func Lyrics3v1(text string) []byte { return []byte("LYRICSBEGIN" + text + "LYRICSEND") }

// MP3 is a small file with a tag before and behind.
func MP3() []byte {
	return Join(ID3v2([]byte("x"), 20, false), XingFrame(4), MP3Frames(4), ID3v1())
}

// Join puts parts together.
func Join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
