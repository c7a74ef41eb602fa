package walk

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

const (
	wavUnknown = 0xffffffff // a size that the writer did not know, or that ds64 has
	// Recorders that stream write half the range instead.
	wavUnknownFrom = 0x7fff0000
	maxChannels    = 64
)

// WAVWalk walks RIFF WAVE, RF64 and BW64: chunks to the stated end, fmt
// before data, one of each. Sizes that a streaming writer left at zero or at
// their greatest mean "to the end of the file". When sanitising, the content
// of fillers and of chunks that no recorder writes is zeroed; names, notes
// and cue points stay.
func WAVWalk(in *Input) (Info, error) {
	w := wav{Input: in}
	if err := w.header(); err != nil {
		return Info{}, err
	}
	for !w.over {
		if err := w.chunk(); err != nil {
			return Info{}, err
		}
	}
	if !w.data {
		return Info{}, in.Corrupt("no data chunk")
	}
	if err := w.after(); err != nil {
		return Info{}, err
	}
	return Info{Format: WAV, MIME: "audio/wav", Brand: w.codec, Parts: in.Parts()}, nil
}

type wav struct {
	*Input
	end      int64  // where the last chunk ends by the header, -1 if not known
	rf64     bool   // sizes of 32 bits may stand in ds64
	dataSize uint64 // by ds64
	codec    string
	data     bool // the data chunk was seen
	over     bool
}

// header reads the first 12 bytes and the ds64 chunk of the 64-bit kinds.
func (w *wav) header() error {
	b, err := w.Need(12)
	if err != nil {
		return err
	}
	id := string(b[:4])
	w.rf64 = id == "RF64" || id == "BW64"
	if id != "RIFF" && !w.rf64 || string(b[8:12]) != "WAVE" {
		return w.Mismatch("no RIFF of the form WAVE")
	}
	size := binary.LittleEndian.Uint32(b[4:])
	w.end = 8 + int64(size)
	if size == 0 || size >= wavUnknownFrom {
		w.end = -1
	}
	if err := w.Keep(12); err != nil || !w.rf64 {
		return err
	}
	return w.ds64(size == wavUnknown)
}

// ds64 reads the sizes of 64 bits: of the file, of the data, a count of
// samples, and a table for other chunks, which would be too long for us.
func (w *wav) ds64(size bool) error {
	b, err := w.Need(36)
	if err != nil {
		return err
	}
	n := int64(binary.LittleEndian.Uint32(b[4:]))
	table := int64(binary.LittleEndian.Uint32(b[32:]))
	if string(b[:4]) != "ds64" || n < 28 || n > 64<<10 || table > (n-28)/12 {
		return w.Corrupt("a 64-bit WAVE without its sizes")
	}
	if riff := binary.LittleEndian.Uint64(b[8:]); size && riff != 0 && riff < 1<<62 {
		w.end = 8 + int64(riff)
	}
	w.dataSize = binary.LittleEndian.Uint64(b[16:])
	return w.Keep(8 + n + n&1)
}

// chunk walks one chunk, or ends the walk at the stated or real end.
func (w *wav) chunk() error {
	b, err := w.Peek(8)
	if err != nil && err != io.EOF {
		return err
	}
	if w.end >= 0 && w.Offset() >= w.end {
		w.over = true
		return nil
	}
	if len(b) < 8 {
		// Writers count the header in, or leave the end out: eight bytes at most.
		if w.over = w.end < 0 || w.end-w.Offset() <= 8; !w.over {
			return w.Corrupt("the file ends %d bytes before the end that its header states", w.end-w.Offset())
		}
		return nil
	}
	id := string(b[:4])
	size := int64(binary.LittleEndian.Uint32(b[4:]))
	if !wavName(id) {
		if w.end < 0 && w.data {
			w.over = true // a length was not known: what follows is classified
			return nil
		}
		return w.Corrupt("a chunk with the name %q", id)
	}
	if err := w.Step(); err != nil {
		return err
	}
	if id == "data" {
		return w.samples(size)
	}
	if w.end >= 0 && w.Offset()+8+size > w.end+8 {
		return w.Corrupt("the chunk %q of %d bytes runs past the end of its file", id, size)
	}
	if id == "fmt " {
		if err := w.format(size); err != nil {
			return err
		}
	}
	return w.other(id, size)
}

// format checks the format chunk: its size, and numbers that make sense.
func (w *wav) format(size int64) error {
	if w.codec != "" {
		return w.Corrupt("a second format chunk")
	}
	if size < 14 || size > 4096 {
		return w.Corrupt("a format chunk of %d bytes", size)
	}
	b, err := w.Need(8 + 14)
	if err != nil {
		return err
	}
	tag, channels := binary.LittleEndian.Uint16(b[8:]), binary.LittleEndian.Uint16(b[10:])
	rate, block := binary.LittleEndian.Uint32(b[12:]), binary.LittleEndian.Uint16(b[20:])
	if channels == 0 || channels > maxChannels || rate == 0 || block == 0 {
		return w.Corrupt("%d channels of %d samples a second in blocks of %d bytes", channels, rate, block)
	}
	switch tag {
	case 1, 0xfffe:
		w.codec = "pcm"
	case 3:
		w.codec = "float"
	default:
		w.codec = fmt.Sprintf("0x%04x", tag)
	}
	return nil
}

// samples keeps the data chunk.
func (w *wav) samples(size int64) error {
	switch {
	case w.codec == "":
		return w.Corrupt("data before its format")
	case w.data:
		return w.Corrupt("a second data chunk")
	}
	w.data = true
	streamed := size >= wavUnknownFrom || size == 0 && w.end < 0
	if w.rf64 && size == wavUnknown && w.dataSize != 0 && w.dataSize < 1<<62 {
		size, streamed = int64(w.dataSize), false
	}
	if streamed && w.end >= 0 && size >= wavUnknownFrom {
		size, streamed = w.end-w.Offset()-8, false // the header knew it after all
	}
	if size < 0 {
		return w.Corrupt("data after the end of their file")
	}
	if streamed {
		w.over = true
		_, err := w.Rest(Kept)
		return err
	}
	if w.end >= 0 && w.Offset()+8+size > w.end+8 {
		return w.Corrupt("data of %d bytes run past the end of their file", size)
	}
	if err := w.Keep(8 + size); err != nil {
		return err
	}
	return w.pad(size)
}

// other keeps a chunk, or its name and length alone.
func (w *wav) other(id string, size int64) error {
	if err := w.Keep(8); err != nil {
		return err
	}
	what, known := wavChunks[id]
	fate, consume := Kept, w.Keep
	if w.Sanitise && (!known || what == wavFiller) {
		fate, consume = Zeroed, w.Zero
	}
	if size > 0 && (fate == Zeroed || what == wavAbout) {
		w.Note(w.Offset(), size, what+strings.TrimSpace(id), fate)
	}
	if err := consume(size); err != nil {
		return err
	}
	return w.pad(size)
}

// pad keeps the byte after a chunk of odd length. Some writers leave it out:
// the file ends there, or the next chunk begins.
func (w *wav) pad(size int64) error {
	if size&1 == 0 {
		return nil
	}
	b, err := w.Peek(4)
	if err != nil && err != io.EOF {
		return err
	}
	if len(b) == 0 || b[0] != 0 && w.end >= 0 && w.Offset() >= w.end {
		return nil
	}
	if _, next := wavChunks[string(b)]; next || string(b) == "data" {
		return nil
	}
	if b[0] != 0 && w.Sanitise {
		w.Note(w.Offset(), 1, "padding", Zeroed)
		return w.Zero(1)
	}
	return w.Keep(1)
}

// after classifies what follows the stated end: a tag that players append,
// or bytes to drop.
func (w *wav) after() error {
	for {
		ok, err := w.audioTag()
		if err != nil {
			return err
		}
		if !ok {
			return w.audioTail()
		}
	}
}

const (
	wavFiller = "filler "
	wavAbout  = "description "
	wavPlain  = ""
)

// wavChunks are the chunks that recorders and editors write.
var wavChunks = map[string]string{
	"fmt ": wavPlain, "fact": wavPlain, "cue ": wavPlain, "plst": wavPlain, "smpl": wavPlain, "inst": wavPlain, "PEAK": wavPlain, "chna": wavPlain, "levl": wavPlain,
	"acid": wavPlain, "strc": wavPlain, "regn": wavPlain, "umid": wavPlain, "slnt": wavPlain, "wavl": wavPlain, "mext": wavPlain, "qlty": wavPlain, "link": wavPlain, "bxml": wavPlain, "sxml": wavPlain,
	"LIST": wavAbout, "bext": wavAbout, "iXML": wavAbout, "axml": wavAbout, "cart": wavAbout, "id3 ": wavAbout, "ID3 ": wavAbout, "_PMX": wavAbout, "DISP": wavAbout, "afsp": wavAbout,
	"JUNK": wavFiller, "junk": wavFiller, "PAD ": wavFiller, "FLLR": wavFiller, "Fake": wavFiller, "filr": wavFiller,
}

func wavName(id string) bool {
	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}
