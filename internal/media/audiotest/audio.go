// Package audiotest builds files of sound for tests: every container and tail,
// and polyglots. No file comes from elsewhere.
package audiotest

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"math/rand/v2"

	"avalo.app/gantry/internal/media/walk"
)

// AudioFile is a file of sound and what a walk should make of it.
type AudioFile struct {
	Name   string
	Format walk.Format
	Data   []byte
	Brand  string
	// Code is the refusal, "" if the file is honest.
	Code walk.Code
	// Dropped and Zeroed are how many bytes go, all told.
	Dropped, Zeroed int64
}

// Noise is n random bytes, the same ones each time.
func Noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(b)
	return b
}

// HonestAudio are files that pass.
func HonestAudio() []AudioFile {
	mp3 := func(name string, parts ...[]byte) AudioFile {
		return AudioFile{Name: "mp3 " + name, Format: walk.MP3, Data: Join(parts...)}
	}
	aac := func(name string, parts ...[]byte) AudioFile {
		return AudioFile{Name: "aac " + name, Format: walk.AAC, Data: Join(parts...)}
	}
	wav := func(name string, data []byte) AudioFile {
		return AudioFile{Name: "wav " + name, Format: walk.WAV, Data: data, Brand: "pcm"}
	}
	ogg := func(name, brand string, parts ...[]byte) AudioFile {
		return AudioFile{Name: "ogg " + name, Format: walk.OGG, Data: Join(parts...), Brand: brand}
	}
	f, fs, pcm := MP3Frame(), MP3Frames(4), make([]byte, 400)
	data := Chunk("data", pcm)
	all := []AudioFile{
		mp3("bare", fs),
		mp3("as made", MP3()),
		mp3("vbri", VBRIFrame(), fs),
		mp3("id3v2 with footer", ID3v2([]byte("x"), 0, true), fs),
		mp3("two id3v2", ID3v2(nil, 9, false), ID3v2(nil, 8, false), fs),
		mp3("a cover longer than the window", ID3v2(Noise(200_000), 0, false), fs),
		mp3("longer than the window", MP3Frames(500)),
		mp3("id3v1", fs, ID3v1()),
		mp3("tag+", fs, TAGPlus(), ID3v1()),
		mp3("ape", fs, APEv2([]byte("somebody"), true)),
		mp3("ape without header", fs, APEv2([]byte("somebody"), false)),
		mp3("ape and id3v1", fs, APEv2([]byte("somebody"), true), ID3v1()),
		mp3("ape without header and id3v1", fs, APEv2([]byte("somebody"), false), ID3v1()),
		mp3("lyrics3 and id3v1", fs, Lyrics3("la la la"), ID3v1()),
		mp3("lyrics3 v1 and id3v1", fs, Lyrics3v1("la la la"), ID3v1()),
		mp3("all tails", fs, APEv2([]byte("x"), true), Lyrics3("la"), TAGPlus(), ID3v1()),
		mp3("id3v2 between", fs, ID3v2(nil, 9, false), fs),
		mp3("id3v2 behind", fs, ID3v2([]byte("x"), 0, true)),
		mp3("mpeg 2", MPEGFrame("\xff\xf3\x80\x64", 72*64000/22050), MPEGFrame("\xff\xf3\x80\x64", 72*64000/22050)),
		mp3("mpeg 2.5", MPEGFrame("\xff\xe3\x80\x64", 72*64000/11025), MPEGFrame("\xff\xe3\x80\x64", 72*64000/11025)),
		mp3("padded frames", MPEGFrame("\xff\xfb\x92\x64", 418), f, MPEGFrame("\xff\xfb\x92\x64", 418)),
		mp3("variable rate", f, MPEGFrame("\xff\xfb\xe0\x64", 144*320000/44100), MPEGFrame("\xff\xfb\x10\x64", 144*32000/44100)),
		mp3("cut frame", fs, f[:200]),
		mp3("cut frame and id3v1", fs, f[:200], ID3v1()),
		mp3("cut frame and ape", fs, f[:200], APEv2([]byte("x"), true), ID3v1()),
		aac("bare", AAC()),
		aac("id3v2", ID3v2(nil, 30, false), AAC()),
		aac("id3v1", AAC(), ID3v1()),
		aac("ape", AAC(), APEv2([]byte("x"), true)),
		aac("longest frames", ADTSFrame(8191), ADTSFrame(8191), ADTSFrame(8191)),
		aac("cut frame", AAC(), ADTSFrame(300)[:299]),
		wav("as made", WAV()),
		wav("odd chunk", RIFF("WAVE", WAVFormat(), Chunk("data", pcm[:399]), LIST([]byte("abc")))),
		wav("odd chunk, no padding at the end", SetSize(RIFF("WAVE", WAVFormat(), Chunk("data", pcm[:399])), 0, 4+24+8+399)[:12+24+8+399]),
		wav("odd chunk, no padding between", SetSize(Join(RIFF("WAVE", WAVFormat(), Chunk("data", pcm[:399]))[:12+24+8+399], LIST([]byte("ab"))), 0, 4+24+8+399+22)),
		wav("info in front", RIFF("WAVE", LIST([]byte("title")), WAVFormat(), data)),
		wav("all chunks", RIFF("WAVE", Chunk("bext", pcm), WAVFormat(), Chunk("fact", pcm[:4]), data, Chunk("iXML", []byte("<BWFXML/>")), LIST([]byte("x")), Chunk("cue ", pcm[:4]))),
		wav("size counts the header", SetSize(WAV(), 0, uint32(len(WAV())))),
		wav("streamed", SetSize(SetSize(WAV(), 0, 0xffffffff), 36, 0xffffffff)),
		wav("streamed, sizes of zero", SetSize(SetSize(WAV(), 0, 0), 36, 0)),
		wav("streamed, half range", SetSize(SetSize(WAV(), 0, 0x7fffffff), 36, 0x7fffffd3)),
		wav("streamed, the data's size known", SetSize(WAV(), 0, 0xffffffff)),
		wav("streamed, the file's size known", SetSize(WAV(), 36, 0xffffffff)),
		wav("no sound", RIFF("WAVE", WAVFormat(), Chunk("data", nil))),
		wav("rf64", RF64("RF64")),
		wav("bw64", RF64("BW64")),
		wav("id3v1", Join(WAV(), ID3v1())),
		ogg("opus", "opus", OGG()),
		ogg("vorbis", "vorbis", OggStream(1, VorbisHead(), nil, 2)),
		ogg("flac", "flac", OggStream(1, FLACHead(), nil, 2)),
		ogg("speex", "speex", OggStream(1, SpeexHead(), nil, 2)),
		ogg("longest pages", "opus", OGG()[:len(OGG())-130], OggPage(7, 9, 0, make([]byte, 65024)), OggPage(7, 10, OggLast, make([]byte, 65024))),
		ogg("chain", "opus", OGG(), OggStream(8, VorbisHead(), nil, 2), OGG()),
		ogg("chain without ends", "opus", chainWithoutEnds()),
		ogg("skeleton", "opus", OggPage(3, 0, OggFirst, Skeleton()), OGG()[:47], OggPage(3, 1, OggLast, nil), OGG()[47:]),
		ogg("id3v1", "opus", OGG(), ID3v1()),
	}
	add := func(f AudioFile, dropped, zeroed int64) {
		f.Dropped, f.Zeroed = dropped, zeroed
		all = append(all, f)
	}
	add(mp3("zeros behind", fs, make([]byte, 1000)), 1000, 0)
	add(mp3("a few bytes behind", fs, []byte("recorded by")), 11, 0)
	add(mp3("zeros before the frames", ID3v2(nil, 9, false), make([]byte, 600), fs), 0, 600)
	add(mp3("a hole", fs, make([]byte, 100), fs), 0, 100)
	add(mp3("a hole before the tag", fs, make([]byte, 100), ID3v1()), 0, 100)
	add(aac("a hole", AAC(), make([]byte, 100), AAC()), 0, 100)
	add(wav("zeros behind", Join(WAV(), make([]byte, 4096))), 4096, 0)
	add(ogg("zeros behind", "opus", OGG(), make([]byte, 4096)), 4096, 0)
	return all
}

func chainWithoutEnds() []byte {
	link := Join(OggPage(1, 0, OggFirst, OpusHead()), OggPage(1, 1, 0, []byte("x")))
	return Join(link, link)
}

// FalseAudio are files that are refused.
func FalseAudio() []AudioFile {
	no := func(name string, f walk.Format, code walk.Code, parts ...[]byte) AudioFile {
		return AudioFile{Name: string(f) + " " + name, Format: f, Code: code, Data: Join(parts...)}
	}
	fs, data := MP3Frames(4), Chunk("data", make([]byte, 400))
	page := OggPage(7, 9, 0, []byte("x"))
	return []AudioFile{
		no("nothing", walk.MP3, walk.Corrupt),
		no("one frame", walk.MP3, walk.Corrupt, MP3Frame()),
		no("noise", walk.MP3, walk.Corrupt, Noise(5000)),
		no("a tag alone", walk.MP3, walk.Corrupt, ID3v2(nil, 900, false)),
		no("a tag past the end", walk.MP3, walk.Corrupt, ID3v2(nil, 900, false)[:500]),
		no("a tag too long", walk.MP3, walk.Corrupt, []byte("ID3\x04\x00\x00\x7f\x7f\x7f\x7f")),
		no("layer II", walk.MP3, walk.Mismatch, bytes.Repeat(MPEGFrame("\xff\xfd\x80\x64", 417), 4)),
		no("layer I", walk.MP3, walk.Mismatch, bytes.Repeat(MPEGFrame("\xff\xff\x80\x64", 417), 4)),
		no("free format", walk.MP3, walk.Mismatch, bytes.Repeat(MPEGFrame("\xff\xfb\x00\x64", 417), 4)),
		no("much behind", walk.MP3, walk.Mismatch, fs, Noise(100_000)),
		no("another rate behind", walk.MP3, walk.Corrupt, fs, bytes.Repeat(MPEGFrame("\xff\xfb\x94\x64", 384), 4)),
		no("many holes", walk.MP3, walk.Mismatch, bytes.Repeat(Join(fs, make([]byte, 4000)), 20)),
		no("lyrics that do not end", walk.MP3, walk.Corrupt, fs, Lyrics3("la")[:30]),
		no("lyrics of the wrong size", walk.MP3, walk.Corrupt, fs, bytes.Replace(Lyrics3("la"), []byte("LYRICS200"), []byte("LYRICS201"), 1)),
		no("nothing", walk.AAC, walk.Corrupt),
		no("one frame", walk.AAC, walk.Corrupt, ADTSFrame(100)),
		no("another profile behind", walk.AAC, walk.Corrupt, AAC(), bytes.Replace(Join(ADTSFrame(100), ADTSFrame(100)), []byte("\xff\xf1\x50"), []byte("\xff\xf1\x4c"), 2)),
		no("nothing", walk.WAV, walk.Corrupt),
		no("a film", walk.WAV, walk.Mismatch, RIFF("AVI ", WAVFormat(), data)),
		no("big endian", walk.WAV, walk.Mismatch, []byte("RIFX"), WAV()[4:]),
		no("no data", walk.WAV, walk.Corrupt, RIFF("WAVE", WAVFormat())),
		no("no format", walk.WAV, walk.Corrupt, RIFF("WAVE", data)),
		no("format behind", walk.WAV, walk.Corrupt, RIFF("WAVE", data, WAVFormat())),
		no("two formats", walk.WAV, walk.Corrupt, RIFF("WAVE", WAVFormat(), WAVFormat(), data)),
		no("two data", walk.WAV, walk.Corrupt, RIFF("WAVE", WAVFormat(), data, data)),
		no("no channels", walk.WAV, walk.Corrupt, bytes.Replace(WAV(), []byte("\x01\x00\x01\x00"), []byte("\x01\x00\x00\x00"), 1)),
		no("data past the end", walk.WAV, walk.Corrupt, SetSize(WAV(), 36, 5000)),
		no("a chunk past the end", walk.WAV, walk.Corrupt, SetSize(RIFF("WAVE", LIST([]byte("x")), WAVFormat(), data), 12, 90_000)),
		no("cut", walk.WAV, walk.Corrupt, WAV()[:200]),
		no("a chunk without a name", walk.WAV, walk.Corrupt, RIFF("WAVE", WAVFormat(), Chunk("\x00\x01\x02\x03", nil), data)),
		no("much behind", walk.WAV, walk.Mismatch, WAV(), Noise(100_000)),
		no("rf64 without ds64", walk.WAV, walk.Corrupt, []byte("RF64\xff\xff\xff\xffWAVE"), WAVFormat(), make([]byte, 40)),
		no("rf64 of exabytes", walk.WAV, walk.Corrupt, bytes.Replace(RF64("RF64"), []byte("\x90\x01\x00\x00\x00\x00\x00\x00"), []byte("\x90\x01\x00\x00\x00\x00\x00\x10"), 1)),
		no("nothing", walk.OGG, walk.Corrupt),
		no("theora", walk.OGG, walk.Mismatch, OggPage(1, 0, OggFirst, TheoraHead()), OGG()),
		no("theora beside opus", walk.OGG, walk.Mismatch, OGG()[:47], OggPage(1, 0, OggFirst, TheoraHead())),
		no("skeleton alone", walk.OGG, walk.Corrupt, OggPage(3, 0, OggFirst, Skeleton()), OggPage(3, 1, OggLast, nil)),
		no("heads alone", walk.OGG, walk.Corrupt, OGG()[:47]),
		no("a wrong sum", walk.OGG, walk.Corrupt, flip(OGG(), 100)),
		no("a stream that did not begin", walk.OGG, walk.Corrupt, OGG()[:47], OggPage(8, 1, 0, []byte("x"))),
		no("a page after the last", walk.OGG, walk.Corrupt, OGG(), page),
		no("two streams of one number", walk.OGG, walk.Corrupt, OGG()[:47], OGG()),
		no("too many streams", walk.OGG, walk.Corrupt, manyStreams(17)),
		no("bytes between pages", walk.OGG, walk.Corrupt, OGG()[:47], []byte("between"), OGG()[47:]),
		no("cut page", walk.OGG, walk.Corrupt, OGG()[:len(OGG())-1]),
		no("much behind", walk.OGG, walk.Mismatch, OGG(), Noise(100_000)),
		no("a later version", walk.OGG, walk.Corrupt, []byte("OggS\x01"), OGG()[5:]),
	}
}

func manyStreams(n int) []byte {
	var b []byte
	for i := range n {
		b = append(b, OggPage(uint32(i), 0, OggFirst, OpusHead())...)
	}
	return b
}

func flip(b []byte, at int) []byte {
	b[at] ^= 1
	return b
}

// Polyglot is a file that is sound and an archive or a program too.
type Polyglot struct {
	Name, Layout string
	Format       walk.Format
	Data         []byte
	// Foreign is what must not stay in the output unnoticed.
	Foreign []byte
}

// AudioPolyglots are, for each format, the four layouts: one file behind the
// other (stack), one in a hole that readers skip (cavity), one in the other's
// metadata (parasite), and parts of both in turn (zipper).
func AudioPolyglots() []Polyglot {
	php, pdf, fs := []byte("<?php system($_GET['c']); ?>"), []byte("%PDF-1.7\n1 0 obj\n"), MP3Frames(4)
	locals, directory := ZipHalves(0)
	whole := append(bytes.Clone(locals), directory...)
	adts := ADTSFrame(300)
	copy(adts[20:], php)
	var all []Polyglot
	add := func(f walk.Format, layout, name string, foreign []byte, parts ...[]byte) {
		all = append(all, Polyglot{Name: string(f) + " " + layout + " " + name, Layout: layout, Format: f, Data: Join(parts...), Foreign: foreign})
	}
	for f, b := range map[walk.Format][]byte{walk.MP3: MP3(), walk.AAC: AAC(), walk.WAV: WAV(), walk.OGG: OGG()} {
		add(f, "stack", "zip", directory, b, whole)
		add(f, "stack", "php", php, b, php)
		add(f, "stack", "pdf", pdf, b, pdf)
		add(f, "stack", "zip in front", directory, whole, b)
	}
	add(walk.MP3, "cavity", "php between frames", php, fs, php, fs)
	add(walk.MP3, "cavity", "php in front of frames", php, ID3v2(nil, 9, false), php, fs)
	add(walk.MP3, "parasite", "php", php, ID3v2(php, 9, false), fs)
	add(walk.MP3, "parasite", "php in the ape tag", php, fs, APEv2(php, true))
	add(walk.MP3, "parasite", "pdf", pdf, ID3v2(pdf, 9, false), fs)
	add(walk.MP3, "parasite", "zip", directory, fs, APEv2(whole, true))
	add(walk.MP3, "zipper", "zip", directory, ID3v2(locals, 0, false), fs, APEv2(directory, true))
	add(walk.AAC, "cavity", "php in a frame", php, AAC(), adts, AAC())
	add(walk.AAC, "cavity", "php between frames", php, AAC(), php, AAC())
	add(walk.AAC, "parasite", "php", php, ID3v2(php, 9, false), AAC())
	add(walk.AAC, "zipper", "zip", directory, ID3v2(locals, 0, false), AAC(), APEv2(directory, true))
	add(walk.WAV, "cavity", "php in a filler", php, RIFF("WAVE", Chunk("JUNK", php), WAVFormat(), Chunk("data", nil)))
	add(walk.WAV, "cavity", "zip in an unknown chunk", directory, RIFF("WAVE", WAVFormat(), Chunk("data", nil), Chunk("evil", whole)))
	add(walk.WAV, "cavity", "zip as samples", directory, RIFF("WAVE", WAVFormat(), Chunk("data", whole)))
	add(walk.WAV, "parasite", "php", php, RIFF("WAVE", LIST(php), WAVFormat(), Chunk("data", nil)))
	add(walk.WAV, "parasite", "pdf", pdf, RIFF("WAVE", LIST(pdf), WAVFormat(), Chunk("data", nil)))
	add(walk.WAV, "zipper", "zip", directory, RIFF("WAVE", LIST(locals), WAVFormat(), Chunk("data", make([]byte, 50)), LIST(directory)))
	add(walk.OGG, "cavity", "php in a packet", php, OGG()[:47], OggPage(7, 1, 0, php))
	add(walk.OGG, "parasite", "php", php, OggStream(7, OpusHead(), php, 2))
	add(walk.OGG, "parasite", "pdf", pdf, OggStream(7, OpusHead(), pdf, 2))
	add(walk.OGG, "parasite", "zip", directory, OggStream(7, OpusHead(), whole, 2))
	add(walk.OGG, "zipper", "zip", directory, OggPage(7, 0, OggFirst, OpusHead()), OggPage(7, 1, 0, OpusTags(locals)), OggPage(7, 2, 0, make([]byte, 99)), OggPage(7, 3, OggLast, directory))
	return all
}

// ZipHalves is an archive of one file, cut before its central directory,
// whose offsets count from where the archive begins in the whole file.
func ZipHalves(at int64) (locals, directory []byte) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.SetOffset(at)
	f, _ := w.CreateHeader(&zip.FileHeader{Name: "payload.txt"})
	_, _ = f.Write([]byte("payload"))
	_ = w.Close()
	i := bytes.Index(b.Bytes(), []byte("PK\x01\x02"))
	return b.Bytes()[:i], b.Bytes()[i:]
}

// LongAudio is an honest file of about n bytes of each format, for
// measurements.
func LongAudio(n int) map[walk.Format][]byte {
	ogg := Join(OggPage(7, 0, OggFirst, OpusHead()), OggPage(7, 1, 0, OpusTags(nil)))
	page := OggPage(7, 2, 0, bytes.ReplaceAll(Noise(4000), []byte("OggS"), []byte("oggs")))
	binary.LittleEndian.PutUint32(page[18:], 2)
	return map[walk.Format][]byte{
		walk.MP3: MP3Frames(n / 417),
		walk.AAC: AACFrames(n / 194),
		walk.WAV: RIFF("WAVE", WAVFormat(), Chunk("data", bytes.Repeat(Noise(4096), n/4096))),
		walk.OGG: append(ogg, bytes.Repeat(OggSum(page), n/len(page))...),
	}
}
