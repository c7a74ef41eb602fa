package audiotest

import "encoding/binary"

// Chunk is a RIFF chunk: a name of four letters, a length, data, and a zero
// byte if their length is odd.
func Chunk(id string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(id), uint32(len(data)))
	b = append(b, data...)
	if len(data)&1 == 1 {
		b = append(b, 0)
	}
	return b
}

// WAVFormat is the fmt chunk of PCM in 16 bits, mono, 8,000 samples a second.
func WAVFormat() []byte {
	return Chunk("fmt ", []byte("\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00"))
}

// RIFF is a file of chunks.
func RIFF(form string, chunks ...[]byte) []byte {
	body := Join(chunks...)
	b := binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(4+len(body)))
	return append(append(b, form...), body...)
}

// WAV is a small file.
func WAV() []byte { return RIFF("WAVE", WAVFormat(), Chunk("data", make([]byte, 400))) }

// LIST is a list of one piece of information.
func LIST(text []byte) []byte { return Chunk("LIST", append([]byte("INFO"), Chunk("INAM", text)...)) }

// RF64 is a small file with sizes of 64 bits; id is RF64 or BW64.
func RF64(id string) []byte {
	ds64 := make([]byte, 28)
	body := Join(WAVFormat(), []byte("data\xff\xff\xff\xff"), make([]byte, 400))
	binary.LittleEndian.PutUint64(ds64, uint64(4+8+len(ds64)+len(body)))
	binary.LittleEndian.PutUint64(ds64[8:], 400)
	binary.LittleEndian.PutUint64(ds64[16:], 200)
	return Join([]byte(id+"\xff\xff\xff\xffWAVE"), Chunk("ds64", ds64), body)
}

// SetSize overwrites the length of the chunk, or of the file, at an offset.
func SetSize(b []byte, at int, size uint32) []byte {
	binary.LittleEndian.PutUint32(b[at+4:], size)
	return b
}
