package media_test

import (
	"testing"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/media/mediatest"
)

// TestBeginsTakesEveryPrefix: wherever the first piece of an accepted file is
// cut, it is not refused.
func TestBeginsTakesEveryPrefix(t *testing.T) {
	i := &media.Inspector{Policy: media.DefaultPolicy}
	whole := honestFiles()
	for name, b := range whole {
		if _, err := i.Begins(media.Declared{Name: "a"}, b[:min(len(b), media.SniffLen)], true); err != nil {
			t.Errorf("%s is no accepted file: %v", name, err)
		}
		for n := range min(len(b), media.SniffLen) {
			if v, err := i.Begins(media.Declared{Name: "a"}, b[:n], false); err != nil {
				t.Errorf("%s cut at %d (%s): %v", name, n, v.MIME, err)
				break
			}
		}
	}
	if len(whole) < 40 {
		t.Errorf("only %d files", len(whole))
	}
}

// TestBeginsRefuses: what is known to be forbidden is refused by what came.
func TestBeginsRefuses(t *testing.T) {
	i := &media.Inspector{Policy: media.DefaultPolicy}
	for name, tt := range map[string]struct {
		head  string
		whole bool
	}{
		"exe": {"MZ\x90\x00\x03\x00", false}, "pdf": {"%PDF-1.7\n", false}, "zip": {"PK\x03\x04\x14\x00", false}, "elf": {"\x7fELF\x02\x01\x01", false},
		"page": {"<!DOCTYPE html><html>", false}, "text": {"plain text", true}, "much text": {string(make([]byte, 512)), false}, "nothing": {"", true},
	} {
		if v, err := i.Begins(media.Declared{Name: "a"}, []byte(tt.head), tt.whole); fault.CodeOf(err) != fault.MIMETypeNotAllowed || err == nil {
			t.Errorf("%s (%s): %v", name, v.MIME, err)
		}
	}
	if _, err := i.Begins(media.Declared{Name: "a.mp4", MIME: "video/mp4", Size: 20 << 20}, mediatest.JPEG(mediatest.Picture(40, 40)), false); fault.CodeOf(err) != fault.FileTooLarge {
		t.Errorf("a large picture that is declared as a film: %v", err)
	}
}
