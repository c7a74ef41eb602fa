package walk

// AACWalk walks AAC in ADTS frames: a run of frames of one profile, sampling
// rate and channel layout, with tags as MP3 has them.
func AACWalk(in *Input) (Info, error) {
	w := framed{Input: in, frameShape: frameShape{header: 7, max: 8191, length: adtsFrame}}
	if err := w.walk(); err != nil {
		return Info{}, err
	}
	return Info{Format: AAC, MIME: "audio/aac", Parts: in.Parts()}, nil
}

// adtsFrame is the frameShape.length of ADTS: twelve bits of sync, layer 0, and
// the length of the frame with its header of 7 bytes, or 9 with a checksum.
func adtsFrame(b []byte) (n int, same uint32) {
	sampling := b[2] >> 2 & 15
	if b[0] != 0xff || b[1]&0xf6 != 0xf0 || sampling > 12 {
		return 0, 0
	}
	n = int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5)
	least := 7
	if b[1]&1 == 0 {
		least = 9
	}
	if n <= least {
		return 0, 0
	}
	// All of the fixed header but the private, original and home bits.
	return n, uint32(b[1])<<16 | uint32(b[2]&^2)<<8 | uint32(b[3]&0xc0)
}
