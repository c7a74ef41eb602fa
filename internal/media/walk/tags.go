package walk

import (
	"bytes"
	"encoding/binary"
	"io"
	"strconv"
)

// The tags that stand before, between and after frames of audio. They are
// kept as they are: names and covers are the author's.
const (
	apeMagic    = "APETAGEX"
	lyricsMagic = "LYRICSBEGIN"
	maxAudioTag = 16 << 20 // an album's cover in full size
	id3v1Size   = 128
	tagPlusSize = 227  // the enhanced tag before an ID3v1
	lyrics1Size = 5100 // at most, between begin and end
)

// audioTag keeps the tag that begins here, if one does.
func (in *Input) audioTag() (bool, error) {
	b, err := in.Peek(tagPlusSize + 4)
	if err != nil && err != io.EOF {
		return false, err
	}
	switch n := id3v2Size(b); {
	case n > 0:
		return true, in.keepAudioTag("id3v2", n)
	case len(b) >= id3v1Size && string(b[:3]) == "TAG":
		if len(b) > tagPlusSize+3 && b[3] == '+' && string(b[tagPlusSize:tagPlusSize+3]) == "TAG" {
			return true, in.keepAudioTag("tag+", tagPlusSize)
		}
		return true, in.keepAudioTag("id3v1", id3v1Size)
	case len(b) >= 32 && string(b[:8]) == apeMagic:
		return true, in.keepAudioTag("ape", apeSize(b))
	case bytes.HasPrefix(b, []byte(lyricsMagic)):
		return true, in.lyrics()
	}
	n, err := in.apeWithoutHeader()
	if err != nil || n == 0 {
		return false, err
	}
	return true, in.keepAudioTag("ape", n)
}

// audioTagBegins reports whether b begins with a tag that audioTag would keep; last
// says that the file ends with b.
func audioTagBegins(b []byte, last bool) bool {
	return id3v2Size(b) > 0 || last && len(b) == id3v1Size && string(b[:3]) == "TAG" ||
		len(b) >= 32 && string(b[:8]) == apeMagic || bytes.HasPrefix(b, []byte(lyricsMagic))
}

func (in *Input) keepAudioTag(what string, n int64) error {
	if n > maxAudioTag {
		return &Reject{Code: Corrupt, Reason: what + " tag, in bytes", Offset: in.off, Limit: maxAudioTag, Actual: n}
	}
	if err := in.noteOdd(n, what, Kept); err != nil {
		return err
	}
	return in.Keep(n)
}

// noteOdd notes a tag or a hole. Each makes the walk look further ahead than
// a frame does, so that their number is bounded, by what an Info remembers.
func (in *Input) noteOdd(n int64, what string, fate Fate) error {
	if k := int64(len(in.parts)); k >= maxParts {
		return &Reject{Code: Corrupt, Reason: "tags and holes", Offset: in.off, Limit: maxParts, Actual: k + 1}
	}
	in.Note(in.off, n, what, fate)
	return in.Step()
}

// id3v2Size returns the length of the ID3v2 tag that b begins with, 0 if
// there is none: a header of 10 bytes, 28 bits of size in 7-bit bytes, and a
// footer of 10 bytes if bit 4 of the flags says so.
func id3v2Size(b []byte) int64 {
	if len(b) < 10 || string(b[:3]) != "ID3" || b[3] == 0xff || b[4] == 0xff || (b[6]|b[7]|b[8]|b[9])&0x80 != 0 {
		return 0
	}
	n := 10 + (int64(b[6])<<21 | int64(b[7])<<14 | int64(b[8])<<7 | int64(b[9]))
	if b[5]&0x10 != 0 {
		n += 10
	}
	return n
}

// apeSize returns the length of the APE tag whose header, or only footer, is
// b. The size that it names leaves the header out.
func apeSize(b []byte) int64 {
	size := int64(binary.LittleEndian.Uint32(b[12:]))
	if flags := binary.LittleEndian.Uint32(b[20:]); flags&(1<<29) != 0 {
		return 32 + size
	}
	return 32 // a footer whose items were taken for something else
}

// apeWithoutHeader returns the length of an APE tag that begins here with
// its first item and says so only at its end, if that is within the window.
func (in *Input) apeWithoutHeader() (int64, error) {
	b, err := in.Peek(window)
	if err != nil && err != io.EOF {
		return 0, err
	}
	for i := 0; ; i++ {
		k := bytes.Index(b[i:], []byte(apeMagic))
		if i += k; k < 0 || len(b)-i < 32 {
			return 0, nil
		}
		if size := int64(binary.LittleEndian.Uint32(b[i+12:])); size == int64(i)+32 {
			return size, nil
		}
	}
}

// lyrics keeps a Lyrics3 tag: fields of three letters, five digits of size
// and text, then the size of it all and LYRICS200; or, in the first version,
// text up to LYRICSEND.
func (in *Input) lyrics() error {
	start := in.off
	if len(in.parts) >= maxParts {
		return in.noteOdd(0, "lyrics3", Kept)
	}
	if err := in.Keep(int64(len(lyricsMagic))); err != nil {
		return err
	}
	b, err := in.Peek(8)
	if err != nil {
		return in.cutShort(err)
	}
	if _, ok := lyricsField(b); !ok {
		return in.lyrics1(start)
	}
	for {
		if err := in.Step(); err != nil {
			return err
		}
		b, err := in.Peek(15)
		if err != nil {
			return in.cutShort(err)
		}
		if n, ok := lyricsField(b); ok {
			if err := in.Keep(8 + n); err != nil {
				return err
			}
			continue
		}
		if n, err := strconv.ParseUint(string(b[:6]), 10, 31); err != nil || string(b[6:]) != "LYRICS200" || int64(n) != in.off-start {
			return in.Corrupt("a Lyrics3 tag that does not end")
		}
		in.Note(start, in.off+15-start, "lyrics3", Kept)
		return in.Keep(15)
	}
}

func lyricsField(b []byte) (n int64, ok bool) {
	for _, c := range b[:3] {
		if c < 'A' || c > 'Z' {
			return 0, false
		}
	}
	u, err := strconv.ParseUint(string(b[3:8]), 10, 31)
	return int64(u), err == nil
}

func (in *Input) lyrics1(start int64) error {
	const end = "LYRICSEND"
	b, err := in.Peek(lyrics1Size + len(end))
	if err != nil && err != io.EOF {
		return err
	}
	i := bytes.Index(b, []byte(end))
	if i < 0 {
		return in.Corrupt("a Lyrics3 tag that does not end")
	}
	n := int64(i + len(end))
	in.Note(start, in.off+n-start, "lyrics3", Kept)
	return in.Keep(n)
}

// cutShort turns the end of the file within a field into a rejection.
func (in *Input) cutShort(err error) error {
	if err == io.EOF {
		return in.Corrupt("the file ends within a tag")
	}
	return err
}
