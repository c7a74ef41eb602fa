// Package media decides which files users may upload and under which name:
// the type comes from the bytes, the name is one safe path component, and
// every refusal says the limit and what was found.
package media

import (
	"slices"
	"strings"

	"avalo.app/gantry/internal/media/walk"
)

// MB is the megabyte of every size limit, in bytes.
const MB = 1 << 20

// Class groups types that share a size limit.
type Class string

// The classes.
const (
	Image Class = "image"
	Video Class = "video"
	Audio Class = "audio"
)

// Type is one kind of file that is known.
type Type struct {
	Format     walk.Format
	Class      Class
	MIME       string   // the canonical name
	Extension  string   // of stored files, without the dot
	Aliases    []string // what clients also call it
	Extensions []string // what files of the kind are also called
}

// Types lists every type that is known, in the order of the documentation.
func Types() []Type { return slices.Clone(types) }

var types = []Type{
	{walk.JPEG, Image, "image/jpeg", "jpg", []string{"image/jpg", "image/pjpeg", "image/x-jpeg", "image/jfif", "image/x-citrix-jpeg"}, []string{"jpeg", "jpe", "jfif", "pjpeg", "pjp"}},
	{walk.PNG, Image, "image/png", "png", []string{"image/x-png", "image/apng", "image/vnd.mozilla.apng", "image/x-citrix-png"}, []string{"apng"}},
	{walk.GIF, Image, "image/gif", "gif", []string{"image/x-gif"}, nil},
	{walk.WebP, Image, "image/webp", "webp", []string{"image/x-webp"}, nil},
	{walk.HEIF, Image, "image/heic", "heic", []string{"image/heif", "image/heic-sequence", "image/heif-sequence", "image/x-heic", "image/x-heif"}, []string{"heif", "heics", "heifs", "hif"}},
	{walk.MP4, Video, "video/mp4", "mp4", []string{"video/x-m4v", "video/m4v", "video/mp4v-es", "application/mp4"}, []string{"m4v", "mp4v"}},
	{walk.QuickTime, Video, "video/quicktime", "mov", []string{"video/x-quicktime", "video/mov", "image/mov"}, []string{"qt"}},
	{walk.WebM, Video, "video/webm", "webm", []string{"video/x-webm"}, nil},
	{walk.MP3, Audio, "audio/mpeg", "mp3", []string{"audio/mp3", "audio/x-mp3", "audio/x-mpeg", "audio/mpeg3", "audio/x-mpeg-3", "audio/mpg", "audio/x-mpg", "audio/mpegaudio"}, []string{"mpga"}},
	{walk.WAV, Audio, "audio/wav", "wav", []string{"audio/x-wav", "audio/wave", "audio/vnd.wave", "audio/x-pn-wav", "audio/rf64"}, []string{"wave", "rf64", "bw64", "bwf"}},
	{walk.OGG, Audio, "audio/ogg", "ogg", []string{"application/ogg", "audio/x-ogg", "application/x-ogg", "audio/opus", "audio/vorbis", "audio/x-vorbis+ogg", "audio/x-vorbis", "audio/x-opus+ogg", "audio/x-speex", "audio/speex"}, []string{"oga", "opus", "spx"}},
	{walk.AAC, Audio, "audio/aac", "aac", []string{"audio/x-aac", "audio/aacp", "audio/x-hx-aac-adts", "audio/vnd.dlna.adts", "audio/adts"}, []string{"adts"}},
	{walk.M4A, Audio, "audio/mp4", "m4a", []string{"audio/x-m4a", "audio/m4a", "audio/mp4a-latm", "audio/x-mp4", "audio/m4b", "audio/x-m4b"}, []string{"m4b"}},
}

// TypeOf returns the type of a format that a walk or the sniffer found.
func TypeOf(f walk.Format) (Type, bool) {
	return find(func(t Type) bool { return t.Format == f })
}

// TypeNamed returns the type that a MIME type names: in any case, with
// parameters, by its canonical name or an alias.
func TypeNamed(mime string) (Type, bool) {
	m := essence(mime)
	if m == "" {
		return Type{}, false
	}
	return find(func(t Type) bool { return t.MIME == m || slices.Contains(t.Aliases, m) })
}

// TypeByExtension returns the type of a file name's extension, given without
// its dot and in lower case.
func TypeByExtension(ext string) (Type, bool) {
	if ext == "" {
		return Type{}, false
	}
	return find(func(t Type) bool { return t.Extension == ext || slices.Contains(t.Extensions, ext) })
}

func find(is func(Type) bool) (Type, bool) {
	if i := slices.IndexFunc(types, is); i >= 0 {
		return types[i], true
	}
	return Type{}, false
}

// Undeclared reports whether a MIME type says nothing: it is absent, or one
// of the names for any bytes at all. The content decides then.
func Undeclared(mime string) bool {
	switch essence(mime) {
	case "", "application/octet-stream", "binary/octet-stream", "application/binary", "application/unknown", "*/*":
		return true
	}
	return false
}

// CanonicalMIME returns the canonical name of a MIME type, or the type in
// lower case without parameters where it is none of ours.
func CanonicalMIME(mime string) string {
	if t, ok := TypeNamed(mime); ok {
		return t.MIME
	}
	return essence(mime)
}

// Agrees reports whether a declared MIME type may stand for content of a
// format. The limits of the content's class apply in any case.
func Agrees(declared string, f walk.Format) bool {
	if Undeclared(declared) {
		return true
	}
	t, ok := TypeNamed(declared)
	if !ok {
		return false
	}
	switch t.Format {
	case f:
		return true
	case walk.MP4: // one container: phones call a .mov video/mp4, and sound alone too
		return f == walk.QuickTime || f == walk.M4A
	case walk.QuickTime:
		return f == walk.MP4
	case walk.AAC: // clients name the codec where they mean the container, and the reverse
		return f == walk.M4A
	case walk.M4A:
		return f == walk.AAC
	}
	return false
}

// essence is a MIME type without parameters, in lower case.
func essence(mime string) string {
	m, _, _ := strings.Cut(mime, ";")
	m, _, _ = strings.Cut(m, ",") // a header sent twice arrives joined
	return strings.ToLower(strings.TrimSpace(m))
}
