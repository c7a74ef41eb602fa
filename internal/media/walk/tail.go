package walk

import (
	"bytes"
	"encoding/binary"
	"io"
)

// tailEdge is how far from the end of the window a signature may not be seen
// whole.
const tailEdge = 64

// trimTail drops what follows the end of a container that nothing may follow.
// Padding and remains without a form of their own are trimmed; what begins
// another file, or holds a strict signature of one, is refused.
func (in *Input) trimTail() error {
	start, padded := in.Offset(), true
	for {
		b, err := in.Peek(window)
		if err != nil && err != io.EOF {
			return err
		}
		if len(b) == 0 {
			break
		}
		if padded {
			rest := unpadded(b)
			if len(rest) < tailEdge && err == nil {
				if err := in.Drop(int64(len(b) - 2*tailEdge)); err != nil { // the rest is seen with what follows it
					return err
				}
				continue
			}
			if what := startsForeign(rest); what != "" {
				return in.Mismatch("%s follows the end of the picture", what)
			}
			padded = false
		}
		if what := holdsForeign(b); what != "" {
			return in.Mismatch("%s follows the end of the picture", what)
		}
		n := len(b)
		if err == nil {
			n -= tailEdge
		}
		if err := in.Drop(int64(n)); err != nil {
			return err
		}
	}
	if n := in.Offset() - start; n > 0 {
		in.Note(start, n, "trailing bytes", Dropped)
	}
	return nil
}

// run is how often b repeats its first byte.
func run(b []byte) int {
	for i, c := range b {
		if c != b[0] {
			return i
		}
	}
	return len(b)
}

// unpadded is b without what fills up a file.
func unpadded(b []byte) []byte {
	for len(b) > 0 && bytes.IndexByte([]byte("\x00\xFF\r\n\t "), b[0]) >= 0 {
		b = b[1:]
	}
	return b
}

// startsForeign names the other file that b begins.
func startsForeign(b []byte) string {
	for _, s := range []struct{ prefix, what string }{
		{"\xFF\xD8\xFF", "a JPEG"}, {"\xD8\xFF", "a JPEG"}, {"\x89PNG\r\n", "a PNG"}, {"GIF87a", "a GIF"}, {"GIF89a", "a GIF"},
		{"\x7FELF", "an ELF program"}, {"PK\x03\x04", "a ZIP archive"}, {"PK\x05\x06", "a ZIP archive"},
		{"ID3", "an MP3"}, {"OggS", "an Ogg file"}, {"\x1A\x45\xDF\xA3", "a Matroska file"}, {"\x1F\x8B\x08", "a gzip file"}, {"#!/", "a script"},
	} {
		if bytes.HasPrefix(b, []byte(s.prefix)) {
			return s.what
		}
	}
	switch {
	case len(b) >= 12 && string(b[:4]) == "RIFF":
		return "a RIFF file"
	case bytes.Contains(b[:min(len(b), 16)], []byte("ftyp")): // its size may have been taken for padding
		return "an ISO media file"
	case len(b) >= 64 && string(b[:2]) == "MZ" && binary.LittleEndian.Uint32(b[60:]) < 4096:
		return "a Windows program"
	}
	return ""
}

// holdsForeign names a file that begins, or ends, anywhere in b.
func holdsForeign(b []byte) string {
	for _, s := range []struct{ signature, what string }{
		{"<?php", "a PHP script"}, {"%PDF-", "a PDF"}, {"Rar!\x1A\x07", "a RAR archive"}, {"7z\xBC\xAF\x27\x1C", "a 7z archive"},
	} {
		if bytes.Contains(b, []byte(s.signature)) {
			return s.what
		}
	}
	for at := 0; ; at++ {
		i := bytes.Index(b[at:], []byte("PK"))
		if i < 0 {
			return ""
		}
		if at += i; zipRecord(b[at:]) {
			return "a ZIP archive"
		}
	}
}

// zipRecord reports whether b begins a local file header or an end of central
// directory whose fields make sense.
func zipRecord(b []byte) bool {
	le := binary.LittleEndian
	switch {
	case len(b) >= 30 && string(b[:4]) == "PK\x03\x04":
		name := le.Uint16(b[26:])
		return b[4] <= 63 && le.Uint16(b[8:]) <= 99 && name > 0 && name <= 1024
	case len(b) >= 22 && string(b[:4]) == "PK\x05\x06":
		entries, size := le.Uint16(b[10:]), le.Uint32(b[12:])
		return le.Uint32(b[4:]) == 0 && entries == le.Uint16(b[8:]) && size >= 46*uint32(entries)
	}
	return false
}
