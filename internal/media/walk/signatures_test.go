package walk_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"avalo.app/gantry/internal/media/walk"
)

// sigNoise is random bytes, always the same.
func sigNoise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

// sigZip is an archive of some files and a comment.
func sigZip(files int, comment string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for range files {
		f, _ := w.CreateHeader(&zip.FileHeader{Name: "a-file-with-a-long-name.txt", Extra: make([]byte, 200)})
		_, _ = f.Write([]byte("hello"))
	}
	_ = w.SetComment(comment)
	_ = w.Close()
	return b.Bytes()
}

// sig7z is the header of an archive.
func sig7z() []byte {
	h := append([]byte("7z\xbc\xaf\x27\x1c\x00\x04"), make([]byte, 24)...)
	h[12], h[20] = 9, 9
	binary.LittleEndian.PutUint32(h[8:], crc32.ChecksumIEEE(h[12:]))
	return h
}

func sigJoin(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// sigZip64 moves the directory's place from the end record to a ZIP64 one.
func sigZip64(z []byte) []byte {
	end := len(z) - 22
	size, at := binary.LittleEndian.Uint32(z[end+12:]), binary.LittleEndian.Uint32(z[end+16:])
	r := make([]byte, 76)
	copy(r, "PK\x06\x06")
	r[4] = 44
	binary.LittleEndian.PutUint64(r[40:], uint64(size))
	binary.LittleEndian.PutUint64(r[48:], uint64(at))
	copy(r[56:], "PK\x06\x07")
	binary.LittleEndian.PutUint64(r[64:], uint64(end))
	e := bytes.Clone(z[end:])
	for i := 8; i < 20; i++ {
		e[i] = 0xff
	}
	return sigJoin(z[:end], r, e)
}

func sigAt(n int, s string) []byte { return append(make([]byte, n), s...) }

var signatureCases = []struct {
	name   string
	data   []byte
	found  string
	offset int64
	markup string
}{
	{"nothing", nil, "", 0, ""},
	{"noise", sigNoise(200_000), "", 0, ""},
	{"zeros", make([]byte, 200_000), "", 0, ""},
	{"php", sigJoin(sigNoise(70_000), []byte("<?php echo 1;"), sigNoise(9)), "php", 70_000, ""},
	{"php in any case", sigAt(1000, "<?PhP\n"), "php", 1000, ""},
	{"php ends the file", sigAt(1000, "<?php"), "php", 1000, ""},
	{"php alone", []byte("<?php"), "php", 0, ""},
	{"no php", sigAt(10, "<?phpinfo <?ph <?xml ?> \x1c?php <?php"+"x"), "", 0, ""},
	{"php over the end of a piece", sigAt(16<<10-3, "<?php x"), "php", 16<<10 - 3, ""},
	{"pdf", sigAt(1019, "%PDF-1.7"), "pdf", 1019, ""},
	{"pdf too late", sigAt(1020, "%PDF-1.7"), "", 0, ""},
	{"tar", sigAt(257, "ustar"), "tar", 257, ""},
	{"no tar", sigAt(258, "ustar"), "", 0, ""},
	{"dicom", sigAt(128, "DICM"), "dicom", 128, ""},
	{"iso", sigAt(0x8001, "CD001"), "iso9660", 0x8001, ""},
	{"no iso", sigAt(0x8002, "CD001"), "", 0, ""},
	{"iso cut", sigAt(0x8001, "CD00"), "", 0, ""},
	{"rar 4", sigAt(5000, "Rar!\x1a\x07\x00"), "rar", 5000, ""},
	{"rar 5", sigAt(5000, "Rar!\x1a\x07\x01\x00"), "rar", 5000, ""},
	{"no rar", sigAt(5000, "Rar!\x1a\x07\x02\x00 Rar!\x1a\x07"), "", 0, ""},
	{"7z", sigJoin(sigNoise(40), sig7z()), "7z", 40, ""},
	{"no 7z", sigAt(40, "7z\xbc\xaf\x27\x1c"+strings.Repeat("x", 40)), "", 0, ""},
	{"zip", sigZip(1, ""), "zip", int64(len(sigZip(1, ""))) - 22, ""},
	{"zip behind a picture", sigJoin(sigNoise(300_000), sigZip(3, "")), "zip", 300_000 + int64(len(sigZip(3, ""))) - 22, ""},
	{"zip with a comment", sigJoin(sigNoise(50), sigZip(3, strings.Repeat("c", 65535))), "zip", 50 + int64(len(sigZip(3, ""))) - 22, ""},
	{"zip in front", sigJoin(sigZip(1, ""), sigNoise(60_000)), "zip", int64(len(sigZip(1, ""))) - 22, ""},
	{"zip out of reach", sigJoin(sigZip(1, ""), sigNoise(65536)), "", 0, ""},
	{"zip with a directory longer than the window", sigJoin(sigNoise(99), sigZip(900, "")), "zip", 99 + int64(len(sigZip(900, ""))) - 22, ""},
	{"zip64", sigJoin(sigNoise(99), sigZip64(sigZip(900, ""))), "zip", 99 + 76 + int64(len(sigZip(900, ""))) - 22, ""},
	{"zip with its directory elsewhere", sigApart(), "zip", int64(len(sigApart())) - 22, ""},
	{"an empty zip", sigZip(0, ""), "", 0, ""},
	{"an end record alone", sigAt(900, "PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00\x2e\x00\x00\x00\x10\x00\x00\x00\x00\x00"), "", 0, ""},
	{"a directory entry alone", sigAt(900, "PK\x01\x02"+strings.Repeat("\x00", 60)), "", 0, ""},
	{"script", sigAt(70_000, "<ScRiPt src=x>"), "", 0, "script"},
	{"html", sigAt(70_000, "<HTML>"), "", 0, "html"},
	{"no markup", sigAt(70_000, "<htmlx <scripts <html-a <script"), "", 0, ""},
	{"both", sigAt(100, "<html><?php "), "php", 106, "html"},
	{"the first", sigJoin(sigZip(1, ""), []byte("<?php ")), "zip", int64(len(sigZip(1, ""))) - 22, ""},
}

// sigApart is an archive with a gap between its directory and its end record,
// which names the directory's offset from the file's start.
func sigApart() []byte {
	z := sigZip(2, "")
	end := len(z) - 22
	return sigJoin(z[:end], sigNoise(100_000), z[end:])
}

func TestSignatures(t *testing.T) {
	for _, tt := range signatureCases {
		t.Run(tt.name, func(t *testing.T) {
			s := walk.NewSignatures()
			if n, err := s.Write(tt.data); n != len(tt.data) || err != nil {
				t.Fatalf("Write: %d, %v", n, err)
			}
			for range 2 { // asking changes nothing
				name, off, ok := s.Found()
				if name != tt.found || off != tt.offset || ok != (tt.found != "") {
					t.Errorf("found %q at %d, %v; want %q at %d", name, off, ok, tt.found, tt.offset)
				}
			}
			if name, _, ok := s.Markup(); name != tt.markup || ok != (tt.markup != "") {
				t.Errorf("markup is %q, want %q", name, tt.markup)
			}
		})
	}
}

// However the bytes are cut, the findings are the same.
func TestSignaturesAtAnySplit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tt := rapid.SampledFrom(signatureCases).Draw(rt, "case")
		sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(1, 70_000)), 1, 40).Draw(rt, "sizes")
		s := walk.NewSignatures()
		for i, rest := 0, tt.data; len(rest) > 0; i++ {
			k := len(rest)
			if i < 200 {
				k = min(k, sizes[i%len(sizes)])
			}
			_, _ = s.Write(rest[:k])
			rest = rest[k:]
		}
		name, off, _ := s.Found()
		markup, _, _ := s.Markup()
		if name != tt.found || off != tt.offset || markup != tt.markup {
			rt.Errorf("%s: found %q at %d, %q", tt.name, name, off, markup)
		}
	})
	for _, tt := range signatureCases { // byte by byte
		if len(tt.data) > 80_000 {
			continue
		}
		s := walk.NewSignatures()
		for i := range tt.data {
			_, _ = s.Write(tt.data[i : i+1])
		}
		if name, off, _ := s.Found(); name != tt.found || off != tt.offset {
			t.Errorf("%s: found %q at %d", tt.name, name, off)
		}
	}
}

// A signature is found at any place within what is searched at once.
func TestSignaturesAtAnyPlace(t *testing.T) {
	for name, sig := range map[string][]byte{
		"php": []byte("<?PHP\t"), "rar": []byte("Rar!\x1a\x07\x01\x00"), "7z": sig7z(), "html": []byte("<hTmL "), "script": []byte("<SCRIPT>"),
	} {
		for before := range 70 {
			for after := range 12 {
				s := walk.NewSignatures()
				_, _ = s.Write(sigJoin(sigNoise(before), sig, sigNoise(after)))
				got, off, _ := s.Found()
				if got == "" {
					got, off, _ = s.Markup()
				}
				if got != name || off != int64(before) {
					t.Fatalf("%s at %d before %d: found %q at %d", name, before, after, got, off)
				}
			}
		}
	}
	for before := range 70 { // a directory out of the window
		s := walk.NewSignatures()
		_, _ = s.Write(sigJoin(sigNoise(before), sigZip(900, "")))
		if got, _, _ := s.Found(); got != "zip" {
			t.Fatalf("zip at %d: found %q", before, got)
		}
	}
}

func TestSignaturesAreSmall(t *testing.T) {
	if n := unsafe.Sizeof(walk.Signatures{}); n > 80<<10 {
		t.Errorf("a scan takes %d bytes", n)
	}
	b, s := sigNoise(1<<20), walk.NewSignatures()
	if n := testing.AllocsPerRun(10, func() { _, _ = s.Write(b) }); n > 0 {
		t.Errorf("%v allocations per write", n)
	}
}

func FuzzSignatures(f *testing.F) {
	for _, tt := range signatureCases {
		f.Add(tt.data[max(0, len(tt.data)-4096):], uint16(7))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		whole, parts := walk.NewSignatures(), walk.NewSignatures()
		_, _ = whole.Write(b)
		k := min(int(cut), len(b))
		_, _ = parts.Write(b[:k])
		for i := k; i < len(b); i++ {
			_, _ = parts.Write(b[i : i+1])
		}
		n1, o1, _ := whole.Found()
		n2, o2, _ := parts.Found()
		if n1 != n2 || o1 != o2 {
			t.Errorf("%q at %d in one piece, %q at %d in parts", n1, o1, n2, o2)
		}
	})
}

func BenchmarkSignatures(b *testing.B) {
	for _, tt := range []struct {
		name string
		data []byte
	}{{"noise", sigNoise(8 << 20)}, {"zeros", make([]byte, 8<<20)}, {"text", bytes.Repeat([]byte("<rdf:li>Rated PK, 7 of 9</rdf:li>\n"), 8<<20/35)}} {
		b.Run(tt.name, func(b *testing.B) {
			b.SetBytes(int64(len(tt.data)))
			s := walk.NewSignatures()
			for b.Loop() {
				for p := tt.data; len(p) > 0; p = p[min(len(p), 64<<10):] {
					_, _ = s.Write(p[:min(len(p), 64<<10)])
				}
			}
		})
	}
}
