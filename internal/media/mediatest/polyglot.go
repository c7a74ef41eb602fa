package mediatest

import (
	"bytes"
	"slices"
)

// Polyglot is a picture that is, or carries, something else.
type Polyglot struct {
	Format string // "jpeg", "png", "gif", "webp"
	Layout string // "stack", "cavity", "parasite", "zipper"
	Bytes  []byte
	// Foreign is what must not survive sanitising.
	Foreign [][]byte
	// Refused says that the file passes for no picture at all.
	Refused bool
}

// host is a picture by how it can carry something else.
type host struct {
	format string
	file   []byte
	hide   func(payload []byte) []byte // in a part that decoders skip
	gap    func(payload []byte) []byte // where no part is; nil if there is no such place
}

func hosts() []host {
	jpeg, png, gif := JPEG(Picture(16, 16)), PNG(Picture(16, 16)), GIF(Animation(2, 16, 16, 0))
	webp := RIFF(Lossless(16, 16, 1))
	return []host{
		{"jpeg", jpeg, func(p []byte) []byte { return WithSegments(jpeg, Segment(0xFE, p)) }, func(p []byte) []byte { return WithSegments(jpeg, p) }},
		{"png", png, func(p []byte) []byte { return WithChunks(png, 33, Chunk("prVt", p)) }, nil},
		{"gif", gif, func(p []byte) []byte { return WithBlocks(gif, Extension(0xFE, p)) }, nil},
		{"webp", webp, func(p []byte) []byte { return RIFF(Lossless(16, 16, 1), RIFFChunk("JUNK", p)) }, nil},
	}
}

// Polyglots are each layout in each container: another file after the picture,
// in a gap of it, in a part that decoders skip, or in pieces over both.
func Polyglots() []Polyglot {
	var out []Polyglot
	zip := Zip()
	directory := len(zip) - 22 - 52 // of one file of a six-byte name
	foreign := map[string][]byte{
		"zip": zip, "php": []byte("<?php system($_GET['c']); ?>"), "pdf": []byte("%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer <<>>"),
		"elf": append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 60)...), "rar": append([]byte("Rar!\x1a\x07\x01\x00"), Payload...),
		"7z": append([]byte("7z\xbc\xaf\x27\x1c\x00\x04"), Payload...), "gif": GIF(Animation(1, 2, 2, 0)), "jpeg": JPEG(Picture(2, 2)),
		"html": []byte("<html><script>alert(1)</script>"),
	}
	for _, h := range hosts() {
		add := func(layout string, file []byte, refused bool, foreign ...[]byte) {
			out = append(out, Polyglot{h.format, layout, file, foreign, refused})
		}
		for name, f := range foreign {
			add("stack", append(slices.Clone(h.file), f...), h.format != "jpeg" && name != "html", f)
			add("parasite", h.hide(f), false, f)
			if h.gap != nil && !bytes.Contains(f, []byte{0xFF}) { // a marker would end the gap
				add("cavity", h.gap(f), false, f)
			}
		}
		add("zipper", append(h.hide(zip[:directory]), zip[directory:]...), h.format != "jpeg", zip[:directory], zip[directory:])
		add("zipper", append(h.hide([]byte("%PDF-1.7\n1 0 obj <<>> stream")), "\nendstream endobj trailer <<>> %%EOF"...), false, []byte("%PDF-"), []byte("%%EOF"))
	}
	return out
}
