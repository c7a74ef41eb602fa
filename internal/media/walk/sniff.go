package walk

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// SniffLen is how many bytes from a file's beginning Sniff looks at.
const SniffLen = 3072

// Sniff tells the format and MIME type of a file by its first bytes, of which
// it reads at most SniffLen; ok is false if no walker takes the format, and
// mime then says what the file seems to be. It is a guess that picks the
// walker; what the file is, the walk says: an MP4 without pictures is found
// to be M4A, and a long tag in front of AAC is taken for MP3's.
func Sniff(head []byte) (f Format, mime string, ok bool) {
	head = head[:min(len(head), SniffLen)]
	if f, mime, ok = misread(head); mime != "" {
		return f, mime, ok
	}
	mime, _, _ = strings.Cut(mimetype.Detect(head).String(), ";")
	s, ok := sniffed[mime]
	if !ok {
		return "", mime, false
	}
	return s.format, s.mime, true
}

// sniffed are mimetype's names of what can be walked, and ours.
var sniffed = map[string]struct {
	format Format
	mime   string
}{
	"image/jpeg":      {JPEG, "image/jpeg"},
	"image/png":       {PNG, "image/png"},
	"image/apng":      {PNG, "image/png"},
	"image/gif":       {GIF, "image/gif"},
	"image/webp":      {WebP, "image/webp"},
	"video/webm":      {WebM, "video/webm"},
	"video/quicktime": {QuickTime, "video/quicktime"}, // without a brand, as old cameras write
	"audio/mpeg":      {MP3, "audio/mpeg"},
	"audio/wav":       {WAV, "audio/wav"},
	"audio/ogg":       {OGG, "audio/ogg"},
	"application/ogg": {OGG, "audio/ogg"}, // a codec that mimetype does not know: Speex
	"audio/aac":       {AAC, "audio/aac"},
}

// misread recognises what mimetype takes for something else or does not
// know; mime is "" where it is to be asked.
func misread(b []byte) (f Format, mime string, ok bool) {
	switch {
	case len(b) >= 12 && string(b[4:8]) == "ftyp":
		return branded(b)
	case len(b) >= 12 && slices.Contains([]string{"RF64", "BW64"}, string(b[:4])) && string(b[8:12]) == "WAVE":
		return WAV, "audio/wav", true
	case len(b) >= oggHeader+9 && string(b[:4]) == "OggS" && string(b[oggHeader+1:oggHeader+9]) == "fishead\x00":
		return OGG, "audio/ogg", true // a Skeleton first; the walk refuses pictures
	case adtsBegins(b):
		return AAC, "audio/aac", true
	}
	n := id3v2Size(b)
	for n > 0 && n < int64(len(b)) {
		b = b[n:]
		switch {
		case adtsBegins(b):
			return AAC, "audio/aac", true
		case strings.HasPrefix(string(b[:min(4, len(b))]), "fLaC"):
			return "", "audio/flac", false
		}
		n = id3v2Size(b)
	}
	return "", "", false
}

// adtsBegins reports whether b begins with frames of AAC, as far as it goes.
func adtsBegins(b []byte) bool {
	if len(b) < 7 {
		return false
	}
	n, same := adtsFrame(b)
	if n == 0 || n+7 > len(b) {
		return n > 0
	}
	next, as := adtsFrame(b[n:])
	return next > 0 && as == same
}

// branded tells the kinds of the ISO base media format apart by the brands of
// their first box: the major one, and for pictures of no stated codec the
// compatible ones.
func branded(b []byte) (f Format, mime string, ok bool) {
	size := int(min(binary.BigEndian.Uint32(b), uint32(len(b))))
	brands := []string{string(b[8:12])}
	for i := 16; i+4 <= size; i += 4 {
		brands = append(brands, string(b[i:i+4]))
	}
	has := func(of ...string) bool {
		return slices.ContainsFunc(brands, func(b string) bool { return slices.Contains(of, b) })
	}
	switch major := brands[0]; {
	case slices.Contains([]string{"heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs"}, major):
		return HEIF, "image/heic", true
	case slices.Contains([]string{"avif", "avis"}, major):
		return "", "image/avif", false
	case slices.Contains([]string{"mif1", "mif2", "mif3", "msf1", "MiHB", "MiHE", "miaf"}, major):
		if has("avif", "avis") && !has("heic", "heix", "hevc", "hevx") {
			return "", "image/avif", false
		}
		if has("heic", "heix", "heim", "heis", "hevc", "hevx") {
			return HEIF, "image/heic", true
		}
		return HEIF, "image/heif", true
	case major == "qt  " || major == "mqt ":
		return QuickTime, "video/quicktime", true
	case slices.Contains([]string{"M4A ", "M4B ", "M4P ", "F4A ", "F4B "}, major):
		return M4A, "audio/mp4", true
	case strings.HasPrefix(major, "3gp") || strings.HasPrefix(major, "3g2") || strings.HasPrefix(major, "3ge"):
		if !has("isom", "iso2", "mp41", "mp42", "avc1") {
			return "", "video/3gpp", false
		}
		return MP4, "video/mp4", true
	case slices.Contains([]string{"crx ", "jp2 ", "jpx ", "jpm ", "mj2s", "mjp2", "jxl "}, major):
		return "", "", false // mimetype has their names
	}
	return MP4, "video/mp4", true
}
