package media_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/media/audiotest"
	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/media/walk"
)

// honestFiles are all files of the builders that pass.
func honestFiles() map[string][]byte {
	out := map[string][]byte{}
	for _, f := range slices.Concat(mediatest.Movies(), mediatest.Pictures(), mediatest.WebMs()) {
		out[f.Name] = f.Data
	}
	for format, samples := range map[string][]mediatest.Sample{"jpeg": mediatest.JPEGs(), "png": mediatest.PNGs(), "gif": mediatest.GIFs(), "webp": mediatest.WebPs()} {
		for _, s := range samples {
			out[format+" "+s.Name] = s.Bytes
		}
	}
	for _, f := range audiotest.HonestAudio() {
		out[f.Name] = f.Data
	}
	return out
}

func inspector(sanitise bool) *media.Inspector {
	p := media.DefaultPolicy()
	p.Sanitise = sanitise
	return &media.Inspector{Walk: walk.DefaultLimits(), Policy: func() media.Policy { return p }}
}

func inspect(t *testing.T, sanitise bool, d media.Declared, file []byte) (media.Verdict, int, error) {
	t.Helper()
	var out bytes.Buffer
	v, err := inspector(sanitise).Inspect(t.Context(), d, bytes.NewReader(file), &out)
	if f := (*fault.Error)(nil); err != nil && (fault.CodeOf(err) == "" || !errors.As(err, &f) || f.Msg == "") {
		t.Errorf("a refusal that says nothing: %v", err)
	}
	return v, out.Len(), err
}

// Every allowed type passes as what it is, by any of its names and without
// one; declared as anything else it is refused.
func TestInspectTakesEveryType(t *testing.T) {
	seen := map[walk.Format]int{}
	for name, file := range honestFiles() {
		for _, sanitise := range []bool{true, false} {
			d := media.Declared{Name: "a", Size: int64(len(file))}
			v, n, err := inspect(t, sanitise, d, file)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			seen[v.Type.Format]++
			sum := sha256.Sum256(file)
			if v.SHA256 != hex.EncodeToString(sum[:]) || v.Size != d.Size || v.Stored != int64(n) || v.Name != "a."+v.Type.Extension || v.MIME != v.Type.MIME {
				t.Errorf("%s: %+v, %d bytes written", name, v, n)
			}
			if seen[v.Type.Format] > 1 {
				continue // one of each format, whichever comes first
			}
			for _, other := range media.Types() {
				for _, declared := range append(other.Aliases, other.MIME) {
					want := fault.ContentMismatch
					if media.Agrees(declared, v.Type.Format) {
						want = ""
					}
					if _, _, err := inspect(t, sanitise, media.Declared{Name: "a", MIME: declared, Size: -1}, file); (want != "" || err != nil) && fault.CodeOf(err) != want {
						t.Errorf("%s declared as %s: %v, want %q", name, declared, err, want)
					}
				}
			}
			for _, declared := range []string{"application/pdf", "text/html", "image/svg+xml", "application/x-msdownload"} {
				if _, _, err := inspect(t, sanitise, media.Declared{Name: "a", MIME: declared, Size: -1}, file); fault.CodeOf(err) != fault.MIMETypeNotAllowed {
					t.Errorf("%s declared as %s: %v", name, declared, err)
				}
			}
		}
	}
	if len(seen) != len(media.Types()) {
		t.Errorf("formats %v, want %d", seen, len(media.Types()))
	}
}

// The types of every format that is not accepted, whatever it calls itself.
func TestInspectRefusesOtherTypes(t *testing.T) {
	pad := strings.Repeat("\x00", 600)
	for name, file := range map[string]string{
		"nothing": "", "text": "plain text", "exe": "MZ\x90\x00\x03" + pad, "elf": "\x7fELF\x02\x01\x01" + pad, "pdf": "%PDF-1.7\n" + pad,
		"zip": string(mediatest.ZIP()), "rar": "Rar!\x1a\x07\x01\x00" + pad, "7z": "7z\xbc\xaf\x27\x1c" + pad, "gzip": "\x1f\x8b\x08" + pad,
		"html": "<!DOCTYPE html><html></html>", "svg": `<svg xmlns="http://www.w3.org/2000/svg"></svg>`, "php": "<?php echo 1;", "script": "#!/bin/sh\n",
		"bmp": "BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00" + pad, "tiff": "II*\x00\x08\x00\x00\x00" + pad, "ico": "\x00\x00\x01\x00\x01\x00" + pad,
		"avif": "\x00\x00\x00\x18ftypavif\x00\x00\x00\x00avifmif1" + pad, "jxl": "\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a" + pad, "flac": "fLaC\x00\x00\x00\x22" + pad,
		"aiff": "FORM\x00\x00\x00\x40AIFFCOMM" + pad, "avi": "RIFF\x40\x00\x00\x00AVI LIST" + pad, "midi": "MThd\x00\x00\x00\x06" + pad, "3gp": "\x00\x00\x00\x14ftyp3gp5\x00\x00\x00\x003gp5" + pad,
		"matroska": "\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska" + pad, "zeros": pad,
	} {
		for _, declared := range []string{"", "image/jpeg", "video/mp4", "application/octet-stream"} {
			_, _, err := inspect(t, true, media.Declared{Name: "a.jpg", MIME: declared, Size: -1}, []byte(file))
			if f := (*fault.Error)(nil); fault.CodeOf(err) != fault.MIMETypeNotAllowed || !errors.As(err, &f) || len(f.Detail.(fault.Field).Allowed) == 0 {
				t.Errorf("%s declared as %q: %v", name, declared, err)
			}
		}
	}
}

// What is two files, or hides one where no walker looks, is refused.
func TestInspectRefusesTwoFilesInOne(t *testing.T) {
	files := map[string][]byte{}
	for i, p := range mediatest.Polyglots() {
		if p.Refused {
			files[fmt.Sprint(p.Format, " ", p.Layout, " ", i)] = p.Bytes
		}
	}
	picture := mediatest.JPEG(mediatest.Picture(16, 16))
	for _, hidden := range []string{"<?php system($_GET['c']); ?>", "<script>alert(1)</script>", "<HTML onload=x>"} {
		files["jpeg "+hidden] = mediatest.Concat(picture[:len(picture)-2], []byte(hidden), picture[len(picture)-2:]) // behind the last block
	}
	for name, file := range files {
		want := fault.ContentMismatch
		if bytes.Contains(file[:min(len(file), 1024)], []byte("%PDF-")) {
			want = fault.MIMETypeNotAllowed // by its first bytes it is one
		}
		if _, _, err := inspect(t, true, media.Declared{Name: "a", Size: -1}, file); fault.CodeOf(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(files) < 30 {
		t.Errorf("only %d files", len(files))
	}
	// In metadata, which honest tools fill with pages, it goes; unless that stays.
	for _, sanitise := range []bool{true, false} {
		file := mediatest.WithSegments(picture, mediatest.Segment(0xFE, []byte("<html><script>")))
		if _, _, err := inspect(t, sanitise, media.Declared{Name: "a", Size: -1}, file); err != nil {
			t.Errorf("a comment, sanitise %v: %v", sanitise, err)
		}
	}
}

// Of every layout of every container, the other file is gone or the whole is
// refused.
func TestInspectLetsNoPolyglotPass(t *testing.T) {
	type hidden struct{ file, foreign []byte }
	files := map[string]hidden{}
	for i, p := range mediatest.Polyglots() {
		for j, foreign := range p.Foreign {
			files[fmt.Sprint(p.Format, " ", p.Layout, " ", i, " ", j)] = hidden{p.Bytes, foreign}
		}
	}
	for _, p := range audiotest.AudioPolyglots() {
		files[p.Name] = hidden{p.Data, p.Foreign}
	}
	for _, foreign := range mediatest.Foreign() {
		for _, p := range slices.Concat(mediatest.MoviePolyglots(foreign.Data), mediatest.WebMPolyglots(foreign.Data)) {
			files[p.Name+" "+foreign.Name] = hidden{p.Data, foreign.Data}
		}
	}
	refused, cleaned := 0, 0
	for name, h := range files {
		var out bytes.Buffer
		v, err := inspector(true).Inspect(t.Context(), media.Declared{Name: "a", Size: -1}, bytes.NewReader(h.file), &out)
		if err != nil {
			refused++
			if c := fault.CodeOf(err); !media.Refuses(c) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		cleaned++
		for _, p := range v.Info.Patches {
			if err := p.Apply(spooled(out.Bytes())); err != nil {
				t.Fatal(err)
			}
		}
		if strings.HasSuffix(name, "in media data exe") {
			continue // two letters are no signature within media
		}
		if bytes.Contains(out.Bytes(), h.foreign) {
			t.Errorf("%s: it passes", name)
		}
	}
	if refused < 100 || cleaned < 50 {
		t.Errorf("%d refused, %d cleaned", refused, cleaned)
	}
}

type spooled []byte

func (s spooled) WriteAt(p []byte, off int64) (int, error) { return copy(s[off:], p), nil }

// Each rule refuses with its own code, and says the limit and the actual value.
func TestInspectSaysLimitAndActual(t *testing.T) {
	picture := mediatest.JPEG(mediatest.Picture(16, 16))
	giant := bytes.Clone(picture)
	copy(giant[bytes.Index(giant, []byte{0xFF, 0xC0})+5:], "\xFF\xFF\xFF\xFF")
	large := append(bytes.Clone(picture), make([]byte, 10*media.MB)...)
	for name, tt := range map[string]struct {
		d             media.Declared
		file          []byte
		code          fault.Code
		limit, actual any
	}{
		"too many pixels":   {media.Declared{Name: "a", Size: -1}, giant, "IMAGE_TOO_LARGE", int64(32_767), int64(65_535)},
		"too many bytes":    {media.Declared{Name: "a", Size: -1}, large, fault.FileTooLarge, int64(10 * media.MB), nil},
		"declared too many": {media.Declared{Name: "a", Size: 10*media.MB + 1}, picture, fault.FileTooLarge, int64(10 * media.MB), int64(10*media.MB + 1)},
		"another size":      {media.Declared{Name: "a", Size: 5}, picture, fault.InvalidArgument, int64(5), int64(len(picture))},
		"another type":      {media.Declared{Name: "a", MIME: "image/png", Size: -1}, picture, fault.ContentMismatch, "image/jpeg", "image/png"},
		"a name":            {media.Declared{Name: "a.php.jpg", Size: -1}, picture, fault.FilenameNotAllowed, nil, "php"},
		"cut":               {media.Declared{Name: "a", Size: -1}, picture[:len(picture)-9], "FILE_CORRUPT", nil, nil},
	} {
		_, _, err := inspect(t, true, tt.d, tt.file)
		f := (*fault.Error)(nil)
		if fault.CodeOf(err) != tt.code || !errors.As(err, &f) {
			t.Errorf("%s: %v, want %s", name, err, tt.code)
			continue
		}
		d := f.Detail.(fault.Field)
		if d.Limit != tt.limit || tt.actual != nil && d.Actual != tt.actual {
			t.Errorf("%s: limit %v, actual %v; want %v, %v", name, d.Limit, d.Actual, tt.limit, tt.actual)
		}
	}
}

// An upload that breaks off is no verdict of its content.
func TestInspectTellsWhatBroke(t *testing.T) {
	picture := mediatest.JPEG(mediatest.Picture(16, 16))
	for _, n := range []int{0, 1, 100, len(picture) - 1, len(picture)} {
		r := io.MultiReader(bytes.NewReader(picture[:n]), brokenReader{})
		_, err := inspector(true).Inspect(t.Context(), media.Declared{Name: "a", Size: -1}, r, io.Discard)
		if fault.CodeOf(err) != fault.InvalidArgument || !strings.Contains(err.Error(), fmt.Sprint("after ", n, " bytes")) {
			t.Errorf("broken off after %d: %v", n, err)
		}
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
