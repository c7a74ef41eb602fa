package walk

import "bytes"

// foreignMarks are the strict marks of other formats: each long enough not to
// occur in honest media by chance.
var foreignMarks = []struct{ mark, name string }{
	{"PK\x03\x04", "ZIP"}, {"PK\x05\x06", "ZIP"}, {"%PDF-", "PDF"}, {"<?php", "PHP"},
	{"Rar!\x1a\x07", "RAR"}, {"7z\xbc\xaf\x27\x1c", "7z"}, {"\x7fELF", "ELF"},
}

// foreignPages are marks of text that only count at the very beginning.
var foreignPages = []struct{ mark, name string }{
	{"<html", "HTML"}, {"<!doctype html", "HTML"}, {"<script", "HTML"}, {"<svg", "SVG"}, {"#!/", "script"},
}

// foreignAt names the format whose signature b begins with, or "".
func foreignAt(b []byte) string {
	for _, s := range foreignMarks {
		if bytes.HasPrefix(b, []byte(s.mark)) {
			return s.name
		}
	}
	text := bytes.TrimLeft(b, " \t\r\n\xef\xbb\xbf")
	for _, s := range foreignPages {
		if len(text) >= len(s.mark) && bytes.EqualFold(text[:len(s.mark)], []byte(s.mark)) {
			return s.name
		}
	}
	return ""
}

// foreignIn names the format whose signature is anywhere in b, or "": for
// bytes that no honest file has a use for, such as what follows the end.
func foreignIn(b []byte) string {
	if name := foreignAt(b); name != "" {
		return name
	}
	for _, s := range foreignMarks {
		if bytes.Contains(b, []byte(s.mark)) {
			return s.name
		}
	}
	return ""
}
