package walk

// MP3Walk walks MPEG 1, 2 and 2.5 audio of layer III: a run of frames of one
// version and sampling rate, among them the Xing or VBRI frame of variable
// rates, with ID3v2 tags before it and ID3v1, TAG+, APE and Lyrics3 tags
// behind. Layers I and II and free-format streams are refused. Frames of AAC
// behind the tags, which a sniffer cannot always see past, are walked as AAC.
func MP3Walk(in *Input) (Info, error) {
	w := framed{Input: in, frameShape: frameShape{header: 4, max: 1441, length: mp3Frame}}
	if err := w.tags(); err != nil {
		return Info{}, err
	}
	b, err := in.Peek(7)
	if len(b) < 7 {
		return Info{}, in.cutShort(err)
	}
	if n, _ := adtsFrame(b); n > 0 {
		return AACWalk(in)
	}
	switch h := mp3Header(b); {
	case h.sync && h.layer != mp3LayerIII:
		return Info{}, in.Mismatch("MPEG audio of layer %d: only layer III is MP3", 4-h.layer)
	case h.sync && h.rate == 0:
		return Info{}, in.Mismatch("a free-format stream: its frames have no stated length")
	}
	if err := w.walk(); err != nil {
		return Info{}, err
	}
	return Info{Format: MP3, MIME: "audio/mpeg", Parts: in.Parts()}, nil
}

// tags keeps the tags that begin the file.
func (w *framed) tags() error {
	for {
		if ok, err := w.audioTag(); err != nil || !ok {
			return err
		}
	}
}

const (
	mp3LayerIII = 1
	mpeg1       = 3
)

// mpegHeader is the header of a frame; sync is false for what is none.
type mpegHeader struct {
	sync                bool
	version, layer      byte // as coded: version 0 is 2.5, 2 is 2, 3 is 1
	rate, sampling, pad int  // bits and samples a second; bytes
}

func mp3Header(b []byte) mpegHeader {
	h := mpegHeader{version: b[1] >> 3 & 3, layer: b[1] >> 1 & 3}
	bitrate, sampling := b[2]>>4, b[2]>>2&3
	if b[0] != 0xff || b[1]&0xe0 != 0xe0 || h.version == 1 || h.layer == 0 || bitrate == 15 || sampling == 3 {
		return mpegHeader{}
	}
	h.sync = true
	h.sampling = [4]int{44100, 48000, 32000}[sampling]
	rates := [16]int{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}
	switch h.version {
	case mpeg1:
		rates = [16]int{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}
	case 2:
		h.sampling /= 2
	default:
		h.sampling /= 4
	}
	h.rate = 1000 * rates[bitrate]
	h.pad = int(b[2] >> 1 & 1)
	return h
}

// mp3Frame is the frameShape.length of layer III: 1152 samples in version 1, 576
// in the others.
func mp3Frame(b []byte) (n int, same uint32) {
	h := mp3Header(b)
	if !h.sync || h.layer != mp3LayerIII || h.rate == 0 {
		return 0, 0
	}
	n = 72
	if h.version == mpeg1 {
		n = 144
	}
	return n*h.rate/h.sampling + h.pad, uint32(h.version)<<16 | uint32(b[2]>>2&3)
}
