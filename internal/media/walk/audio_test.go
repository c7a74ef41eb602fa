package walk_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"avalo.app/gantry/internal/media/audiotest"
	"avalo.app/gantry/internal/media/walk"
)

// audioResult is what a walk leaves.
type audioResult struct {
	info walk.Info
	err  error
	out  []byte
	read int64
}

func walkAudio(f walk.Format, r io.Reader, sanitise bool) audioResult {
	var out bytes.Buffer
	in := walk.NewInput(r, &out, walk.Options{Limits: walk.DefaultLimits(), Sanitise: sanitise})
	info, err := walk.For(f)(in)
	return audioResult{info: info, err: err, out: out.Bytes(), read: in.Offset()}
}

// account checks that the bytes of a file that passed were each kept,
// dropped or zeroed, by comparing the output with the parts.
func (r audioResult) account(t *testing.T, data []byte) (dropped, zeroed int64) {
	t.Helper()
	if r.read != int64(len(data)) {
		t.Fatalf("%d of %d bytes were consumed", r.read, len(data))
	}
	want := bytes.Clone(data)
	for i := len(r.info.Parts) - 1; i >= 0; i-- {
		p := r.info.Parts[i]
		if p.Offset < 0 || p.Length <= 0 || p.Offset+p.Length > int64(len(data)) {
			t.Fatalf("a part is not of the file: %+v", p)
		}
		switch p.Fate {
		case walk.Dropped:
			dropped += p.Length
			want = append(want[:p.Offset], want[p.Offset+p.Length:]...)
		case walk.Zeroed:
			zeroed += p.Length
			clear(want[p.Offset : p.Offset+p.Length])
		}
	}
	if !bytes.Equal(r.out, want) {
		t.Errorf("the output is not the input less its parts: %d bytes, want %d", len(r.out), len(want))
	}
	return dropped, zeroed
}

func TestHonestAudio(t *testing.T) {
	for _, f := range audiotest.HonestAudio() {
		t.Run(f.Name, func(t *testing.T) {
			got := walkAudio(f.Format, bytes.NewReader(f.Data), false)
			if got.err != nil {
				t.Fatal(got.err)
			}
			if got.info.Format != f.Format || got.info.Brand != f.Brand || got.info.Frames != 0 {
				t.Errorf("info is %+v", got.info)
			}
			if d, z := got.account(t, f.Data); d != f.Dropped || z != f.Zeroed {
				t.Errorf("dropped %d, zeroed %d; want %d, %d: %+v", d, z, f.Dropped, f.Zeroed, got.info.Parts)
			}
			if sf, mime, ok := walk.Sniff(f.Data); !ok || sf != f.Format && !(sf == walk.MP3 && f.Format == walk.AAC) || sf == f.Format && mime != got.info.MIME {
				t.Errorf("sniffed %q %q %v", sf, mime, ok)
			}
			again := walkAudio(f.Format, bytes.NewReader(got.out), false)
			if again.err != nil || !bytes.Equal(again.out, got.out) {
				t.Errorf("the output is not as it was when walked again: %v", again.err)
			}
			clean := walkAudio(f.Format, bytes.NewReader(f.Data), true)
			if clean.err != nil {
				t.Fatal(clean.err)
			}
			clean.account(t, f.Data)
			twice := walkAudio(f.Format, bytes.NewReader(clean.out), true)
			if twice.err != nil || !bytes.Equal(twice.out, clean.out) {
				t.Errorf("sanitising twice is not as once: %v", twice.err)
			}
		})
	}
}

func TestFalseAudio(t *testing.T) {
	for _, f := range audiotest.FalseAudio() {
		t.Run(f.Name, func(t *testing.T) {
			got := walkAudio(f.Format, bytes.NewReader(f.Data), false)
			var r *walk.Reject
			if !errors.As(got.err, &r) || r.Code != f.Code {
				t.Fatalf("got %v, want %s; info %+v", got.err, f.Code, got.info)
			}
			if r.Offset < 0 || r.Offset > int64(len(f.Data)) || r.Reason == "" {
				t.Errorf("the refusal is %+v", r)
			}
		})
	}
}

// How the bytes arrive does not matter.
func TestAudioByteByByte(t *testing.T) {
	for _, f := range append(audiotest.HonestAudio(), audiotest.FalseAudio()...) {
		whole := walkAudio(f.Format, bytes.NewReader(f.Data), true)
		for name, r := range map[string]io.Reader{"one byte": iotest.OneByteReader(bytes.NewReader(f.Data)), "data with EOF": iotest.DataErrReader(bytes.NewReader(f.Data))} {
			got := walkAudio(f.Format, r, true)
			if !bytes.Equal(got.out, whole.out) || message(got.err) != message(whole.err) {
				t.Errorf("%s, %s: %v, as a whole %v", f.Name, name, got.err, whole.err)
			}
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A file cut anywhere is refused, or a shorter one whose bytes are all
// accounted for.
func TestAudioCutAnywhere(t *testing.T) {
	for _, f := range audiotest.HonestAudio() {
		step := 1
		if len(f.Data) > 6000 {
			step = len(f.Data) / 500
		}
		for n := 0; n < len(f.Data); n += step {
			got := walkAudio(f.Format, bytes.NewReader(f.Data[:n]), false)
			var r *walk.Reject
			switch {
			case got.err == nil:
				got.account(t, f.Data[:n])
			case !errors.As(got.err, &r):
				t.Fatalf("%s cut at %d: %v", f.Name, n, got.err)
			}
		}
	}
}

// A reader that fails is not a broken file.
func TestAudioReadingErrors(t *testing.T) {
	broken := errors.New("broken pipe")
	for _, f := range audiotest.HonestAudio() {
		step := max(1, len(f.Data)/300)
		for n := 0; n <= len(f.Data); n += step {
			// The error comes once, as some readers do it.
			r := io.MultiReader(bytes.NewReader(f.Data[:n]), iotest.ErrReader(broken))
			if got := walkAudio(f.Format, r, false); !errors.Is(got.err, broken) {
				t.Fatalf("%s failing at %d: %v", f.Name, n, got.err)
			}
		}
	}
}

// A writer that fails ends the walk.
func TestAudioWritingErrors(t *testing.T) {
	for _, f := range audiotest.HonestAudio() {
		in := walk.NewInput(bytes.NewReader(f.Data), errWriter{}, walk.Options{Limits: walk.DefaultLimits()})
		if _, err := walk.For(f.Format)(in); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

type errWriter struct{}

func (errWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAudioStepBudget(t *testing.T) {
	for f, data := range audiotest.LongAudio(1 << 20) {
		if f == walk.WAV {
			data = audiotest.RIFF("WAVE", audiotest.WAVFormat(), bytes.Repeat(audiotest.Chunk("PEAK", nil), 500), audiotest.Chunk("data", nil))
		}
		l := walk.DefaultLimits()
		l.MaxSteps = 100
		in := walk.NewInput(bytes.NewReader(data), io.Discard, walk.Options{Limits: l})
		_, err := walk.For(f)(in)
		var r *walk.Reject
		if !errors.As(err, &r) || r.Limit != 100 {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// Tags and holes cost more than frames: a file full of them is refused soon.
func TestAudioOfTagsAndHoles(t *testing.T) {
	fs := audiotest.MP3Frames(3)
	for name, unit := range map[string][]byte{
		"tags": audiotest.ID3v2(nil, 0, false), "lyrics": audiotest.Join(fs, audiotest.Lyrics3("")), "holes": audiotest.Join(fs, []byte{0}),
	} {
		got := walkAudio(walk.MP3, bytes.NewReader(audiotest.Join(fs, bytes.Repeat(unit, 2000))), false)
		var r *walk.Reject
		if !errors.As(got.err, &r) || r.Limit != 1000 || r.Actual != 1001 {
			t.Errorf("%s: %v", name, got.err)
		}
	}
}

// What else a file is does not stay unnoticed: the walk refuses it, drops or
// zeroes it, or its signature is in what is kept.
func TestAudioPolyglots(t *testing.T) {
	for _, p := range audiotest.AudioPolyglots() {
		for _, sanitise := range []bool{false, true} {
			got := walkAudio(p.Format, bytes.NewReader(p.Data), sanitise)
			if got.err != nil || !bytes.Contains(got.out, p.Foreign) {
				continue
			}
			s := walk.NewSignatures()
			_, _ = s.Write(got.out)
			if name, at, ok := s.Found(); !ok {
				t.Errorf("%s, sanitise %v: kept and not found; %+v", p.Name, sanitise, got.info)
			} else if testing.Verbose() {
				t.Logf("%s, sanitise %v: %s at %d", p.Name, sanitise, name, at)
			}
		}
	}
}

// Honest files have no signatures.
func TestHonestAudioHasNoSignatures(t *testing.T) {
	for _, f := range audiotest.HonestAudio() {
		s := walk.NewSignatures()
		_, _ = s.Write(f.Data)
		if name, at, ok := s.Found(); ok {
			t.Errorf("%s: %s at %d", f.Name, name, at)
		}
	}
}

func TestSniff(t *testing.T) {
	ftyp := func(brands string) []byte {
		return append([]byte{0, 0, 0, byte(8 + len(brands))}, "ftyp"+brands...)
	}
	for _, tt := range []struct {
		name string
		head []byte
		f    walk.Format
		mime string
		ok   bool
	}{
		{"nothing", nil, "", "text/plain", false},
		{"jpeg", []byte("\xff\xd8\xff\xe0"), walk.JPEG, "image/jpeg", true},
		{"png", []byte("\x89PNG\r\n\x1a\n"), walk.PNG, "image/png", true},
		{"apng", []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08acTL"), walk.PNG, "image/png", true},
		{"gif", []byte("GIF89a"), walk.GIF, "image/gif", true},
		{"webp", []byte("RIFF\x00\x00\x00\x00WEBPVP8 "), walk.WebP, "image/webp", true},
		{"heic", ftyp("heic\x00\x00\x00\x00mif1heic"), walk.HEIF, "image/heic", true},
		{"mif3", ftyp("mif3\x00\x00\x00\x00miafheic"), walk.HEIF, "image/heic", true},
		{"mif1", ftyp("mif1\x00\x00\x00\x00mif1"), walk.HEIF, "image/heif", true},
		{"avif", ftyp("avif\x00\x00\x00\x00mif1avif"), "", "image/avif", false},
		{"avif as mif1", ftyp("mif1\x00\x00\x00\x00mif1avif"), "", "image/avif", false},
		{"mp4", ftyp("isom\x00\x00\x02\x00isomiso2avc1mp41"), walk.MP4, "video/mp4", true},
		{"m4v", ftyp("M4V \x00\x00\x00\x00"), walk.MP4, "video/mp4", true},
		{"m4a", ftyp("M4A \x00\x00\x00\x00M4A isom"), walk.M4A, "audio/mp4", true},
		{"mov", ftyp("qt  \x00\x00\x02\x00qt  "), walk.QuickTime, "video/quicktime", true},
		{"mov without a brand", []byte("\x00\x00\x00\x08wide\x00\x00\x00\x00mdat"), walk.QuickTime, "video/quicktime", true},
		{"3gp", ftyp("3gp4\x00\x00\x00\x003gp4"), "", "video/3gpp", false},
		{"3gp that is mp4", ftyp("3gp5\x00\x00\x00\x00isom3gp5"), walk.MP4, "video/mp4", true},
		{"webm", []byte("\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm"), walk.WebM, "video/webm", true},
		{"matroska", []byte("\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska"), "", "video/matroska", false},
		{"flac behind a tag", audiotest.Join(audiotest.ID3v2(nil, 9, false), []byte("fLaC\x00\x00\x00\x22")), "", "audio/flac", false},
		{"aac behind a tag", audiotest.Join(audiotest.ID3v2(nil, 9, false), audiotest.AAC()), walk.AAC, "audio/aac", true},
		{"aac behind a long tag", audiotest.Join(audiotest.ID3v2(nil, 9000, false), audiotest.AAC()), walk.MP3, "audio/mpeg", true},
		{"skeleton first", audiotest.OggPage(3, 0, audiotest.OggFirst, audiotest.Skeleton()), walk.OGG, "audio/ogg", true},
		{"pdf", []byte("%PDF-1.7"), "", "application/pdf", false},
		{"html", []byte("<html>"), "", "text/html", false},
	} {
		f, mime, ok := walk.Sniff(tt.head)
		if f != tt.f || mime != tt.mime || ok != tt.ok {
			t.Errorf("%s: %q %q %v", tt.name, f, mime, ok)
		}
	}
}

func TestAACBehindALongTagIsAAC(t *testing.T) {
	data := audiotest.Join(audiotest.ID3v2(nil, 9000, false), audiotest.AAC())
	if got := walkAudio(walk.MP3, bytes.NewReader(data), false); got.err != nil || got.info.Format != walk.AAC || got.info.MIME != "audio/aac" {
		t.Errorf("%+v, %v", got.info, got.err)
	}
}

func fuzzAudio(f *testing.F, format walk.Format) {
	for _, a := range append(audiotest.HonestAudio(), audiotest.FalseAudio()...) {
		if a.Format == format && len(a.Data) < 20_000 {
			f.Add(a.Data, true)
			f.Add(a.Data, false)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, sanitise bool) {
		got := walkAudio(format, bytes.NewReader(data), sanitise)
		if got.err != nil {
			var r *walk.Reject
			if !errors.As(got.err, &r) {
				t.Fatal(got.err)
			}
			return
		}
		got.account(t, data)
	})
}

func FuzzMP3(f *testing.F) { fuzzAudio(f, walk.MP3) }
func FuzzAAC(f *testing.F) { fuzzAudio(f, walk.AAC) }
func FuzzWAV(f *testing.F) { fuzzAudio(f, walk.WAV) }
func FuzzOGG(f *testing.F) { fuzzAudio(f, walk.OGG) }

func FuzzSniff(f *testing.F) {
	for _, a := range audiotest.HonestAudio() {
		f.Add(a.Data[:min(len(a.Data), walk.SniffLen)])
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		format, mime, ok := walk.Sniff(head)
		if ok != (format != "") || mime == "" {
			t.Errorf("%q %q %v", format, mime, ok)
		}
	})
}

func BenchmarkAudio(b *testing.B) {
	for f, data := range audiotest.LongAudio(8 << 20) {
		b.Run(string(f), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				in := walk.NewInput(bytes.NewReader(data), io.Discard, walk.Options{Limits: walk.DefaultLimits()})
				if _, err := walk.For(f)(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSniff(b *testing.B) {
	head := audiotest.MP3()
	for b.Loop() {
		walk.Sniff(head)
	}
}
