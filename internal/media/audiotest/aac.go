package audiotest

import "bytes"

// ADTSFrame is a frame of AAC LC, 44,100 samples a second, two channels, with
// a length of all in all.
func ADTSFrame(length int) []byte {
	b := make([]byte, length)
	copy(b, "\xff\xf1\x50\x80\x00\x1f\xfc")
	b[3] |= byte(length >> 11)
	b[4] = byte(length >> 3)
	b[5] |= byte(length << 5)
	return b
}

// AACFrames is a run of frames of differing lengths.
func AACFrames(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		b.Write(ADTSFrame(180 + 7*(i%5)))
	}
	return b.Bytes()
}

// AAC is a small file.
func AAC() []byte { return AACFrames(6) }
