package walk_test

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/media/walk"
)

// edit replaces one occurrence of old, which must be there once or more.
func edit(t *testing.T, data []byte, old, by string) []byte {
	t.Helper()
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%q is not in the fixture", old)
	}
	return bytes.Replace(data, []byte(old), []byte(by), 1)
}

type refusal struct {
	data []byte
	code walk.Code
}

func refused(t *testing.T, w walk.Walker, cases map[string]refusal) {
	t.Helper()
	for name, c := range cases {
		for _, sanitise := range []bool{false, true} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			in := walk.NewInput(bytes.NewReader(c.data), io.Discard, walk.Options{Limits: walk.DefaultLimits(), Sanitise: sanitise})
			_, err := w(in)
			runtime.ReadMemStats(&after)
			if !isReject(err, c.code) {
				t.Errorf("%s: %v, want %s", name, err, c.code)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
				t.Errorf("%s: %d bytes allocated", name, n)
			}
		}
	}
}

func TestMovieRefuses(t *testing.T) {
	box, full, u32 := mediatest.Box, mediatest.FullBox, mediatest.U32
	with := func(change func(m *mediatest.MovieFile)) []byte {
		m := mediatest.MovieFile{Brands: []string{"isom"}, Video: true, Audio: true}
		change(&m)
		return m.Bytes()
	}
	plain := with(func(*mediatest.MovieFile) {})
	brand := func(b ...string) refusal {
		return refusal{with(func(m *mediatest.MovieFile) { m.Brands = b }), walk.Mismatch}
	}
	inMoov := func(b ...[]byte) []byte {
		return with(func(m *mediatest.MovieFile) { m.Meta = mediatest.Concat(b...) })
	}
	deep := box("dinf")
	for range 20 {
		deep = box("dinf", deep)
	}
	traks := bytes.Repeat(box("trak"), 70)
	var tracks []byte
	trak := plain[bytes.Index(plain, []byte("trak"))-4:]
	trak = trak[:int(trak[2])<<8|int(trak[3])]
	for i := range 70 {
		tracks = append(tracks, edit(t, trak, "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03\xe8", string(u32(100+i, 0, 1000)))...)
	}
	refused(t, walk.BMFFWalk, map[string]refusal{
		"avif":                         brand("avif", "mif1", "miaf"),
		"avif as mif1":                 brand("mif1", "avif", "miaf"),
		"a raw photo":                  brand("crx ", "isom"),
		"only 3gp":                     brand("3gp5"),
		"an unknown brand":             brand("evil"),
		"m4a without sound":            {with(func(m *mediatest.MovieFile) { m.Brands, m.Audio = []string{"M4A "}, false }), walk.Mismatch},
		"neither pictures nor sound":   {with(func(m *mediatest.MovieFile) { m.Video, m.Audio, m.GPSTrack = false, false, true }), walk.Mismatch},
		"empty":                        {nil, walk.Corrupt},
		"only ftyp":                    {mediatest.FileType("isom"), walk.Corrupt},
		"two ftyp":                     {with(func(m *mediatest.MovieFile) { m.Before = mediatest.FileType("isom") }), walk.Corrupt},
		"a long ftyp":                  {mediatest.Concat(box("ftyp", []byte("isom"), make([]byte, 4000)), plain), walk.Corrupt},
		"two moov":                     {with(func(m *mediatest.MovieFile) { m.After = box("moov") }), walk.Corrupt},
		"a picture's brand":            {with(func(m *mediatest.MovieFile) { m.Brands, m.Video = []string{"heic"}, false }), walk.Corrupt},
		"no mvhd":                      {edit(t, plain, "mvhd", "mvhe"), walk.Corrupt},
		"no tkhd":                      {edit(t, plain, "tkhd", "tkhe"), walk.Corrupt},
		"no stsd":                      {edit(t, plain, "stsd", "stse"), walk.Corrupt},
		"no hdlr":                      {edit(t, plain, "hdlr", "hdle"), walk.Corrupt},
		"a compressed header":          {inMoov(box("cmov", box("dcom"))), walk.Mismatch},
		"a wide track":                 {with(func(m *mediatest.MovieFile) { m.Width = 40_000 }), walk.TooLarge},
		"a track without a width":      {bytes.ReplaceAll(bytes.ReplaceAll(plain, []byte{2, 0x80, 1, 0xe0}, make([]byte, 4)), u32(640<<16, 480<<16), make([]byte, 8)), walk.Corrupt},
		"many entries":                 {edit(t, plain, "stts\x00\x00\x00\x00\x00\x00\x00\x01", "stts\x00\x00\x00\x00\xff\xff\xff\xff"), walk.Corrupt},
		"many sizes":                   {edit(t, plain, "stsz\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x14", "stsz\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff"), walk.Corrupt},
		"many chunks":                  {edit(t, plain, "stco\x00\x00\x00\x00\x00\x00\x00\x02", "stco\x00\x00\x00\x00\x40\x00\x00\x02"), walk.Corrupt},
		"many descriptions":            {edit(t, plain, "stsd\x00\x00\x00\x00\x00\x00\x00\x01", "stsd\x00\x00\x00\x00\x7f\x00\x00\x01"), walk.Corrupt},
		"a large sample":               {edit(t, plain, "stsz\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x14\x00", "stsz\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x14\x7f"), walk.Corrupt},
		"a chunk in the header":        {edit(t, plain, "stco\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00", "stco\x00\x00\x00\x00\x00\x00\x00\x02\xff\xff"), walk.Corrupt},
		"a box larger than its parent": {edit(t, plain, string(plain[bytes.Index(plain, []byte("mdia"))-2:][:6]), "\x7f\xffmdia"), walk.Corrupt},
		"a box smaller than its head":  {inMoov(u32(4), []byte("evil")), walk.Corrupt},
		"a nested box without a size":  {inMoov(u32(0), []byte("evil")), walk.Corrupt},
		"half a box":                   {inMoov(u32(0)), walk.Corrupt},
		"a huge 64-bit size":           {mediatest.Concat(plain, u32(1), []byte("mdat"), bytes.Repeat([]byte{0xff}, 8)), walk.Corrupt},
		"a moov without a size":        {mediatest.Concat(mediatest.FileType("isom"), u32(0), []byte("moov")), walk.Corrupt},
		"deep boxes":                   {inMoov(box("trak", deep)), walk.TooLarge},
		"empty tracks":                 {inMoov(traks), walk.Corrupt},
		"many tracks":                  {inMoov(tracks), walk.TooLarge},
		"two tracks of one number":     {inMoov(trak), walk.Corrupt},
		"a fragment of nothing":        {with(func(m *mediatest.MovieFile) { m.After = box("moof") }), walk.Corrupt},
		"a fragment of an unknown track": {with(func(m *mediatest.MovieFile) {
			m.Fragments, m.After = 1, box("moof", box("traf", full("tfhd", 0, 0, u32(9))))
		}), walk.Corrupt},
		"a run before its head": {with(func(m *mediatest.MovieFile) {
			m.Fragments, m.After = 1, box("moof", box("traf", full("trun", 0, 0, u32(0))))
		}), walk.Corrupt},
		"a run larger than its box": {with(func(m *mediatest.MovieFile) {
			m.Fragments, m.After = 1, box("moof", box("traf", full("tfhd", 0, 0, u32(1)), full("trun", 0, 0x200, u32(1<<30))))
		}), walk.Corrupt},
		"a run of samples that are absent": {with(func(m *mediatest.MovieFile) {
			m.Fragments, m.After = 1, box("moof", box("traf", full("tfhd", 0, 0x20010, u32(1, 1<<31)), full("trun", 0, 1, u32(1<<31, 8))))
		}), walk.Corrupt},
		"keys that are fewer": {inMoov(full("meta", 0, 0, full("keys", 0, 0, u32(1<<31)))), walk.Corrupt},
		"junk in front":       {mediatest.Concat([]byte("GIF89a;;"), plain), walk.Mismatch},
		"no samples":          {mediatest.MovieFile{Brands: []string{"iso5"}, Audio: true, Fragments: 1}.Bytes()[:613], walk.Corrupt},
	})
}

func TestPictureRefuses(t *testing.T) {
	box, full, u16, u32 := mediatest.Box, mediatest.FullBox, mediatest.U16, mediatest.U32
	with := func(change func(p *mediatest.PictureFile)) []byte {
		p := mediatest.PictureFile{Brands: []string{"heic", "mif1"}, Exif: true}
		change(&p)
		return p.Bytes()
	}
	plain := with(func(*mediatest.PictureFile) {})
	grid := with(func(p *mediatest.PictureFile) { p.Grid = [2]int{3, 2} })
	gridLate := with(func(p *mediatest.PictureFile) { p.Grid, p.GridInMdat = [2]int{3, 2}, true })
	sizes := func(w, h int) string { return string(u32(w, h)) }
	meta := func(b ...[]byte) []byte {
		return mediatest.Concat(mediatest.FileType("heic"), full("meta", 0, 0, full("hdlr", 0, 0, u32(0), []byte("pict"), u32(0, 0, 0)), mediatest.Concat(b...)))
	}
	var infos, places, props []byte
	for i := range 5000 {
		infos = append(infos, full("infe", 2, 0, u16(i, 0), []byte("hvc1\x00"))...)
		places = append(places, u16(i, 0, 1)...)
		places = append(places, u32(1, 1)...)
		props = append(props, box("pixi")...)
	}
	// A picture of four of a picture of four of…: 4^15 times 512 x 512.
	bomb := []byte(nil)
	bombInfos, bombProps := u16(16), u32(16)
	for i := range 16 {
		kind := "iden"
		if i == 15 {
			kind = "hvc1"
		} else {
			bomb = append(bomb, box("dimg", u16(i, 4, i+1, i+1, i+1, i+1))...)
		}
		bombInfos = append(bombInfos, full("infe", 2, 0, u16(i, 0), []byte(kind+"\x00"))...)
		bombProps = append(bombProps, mediatest.Concat(u16(i), []byte{1, 1})...)
	}
	ipco := box("ipco", full("ispe", 0, 0, u32(512, 512)))
	iloc := full("iloc", 0, 0, []byte{0x44, 0}, u16(0))
	refused(t, walk.BMFFWalk, map[string]refusal{
		"gigapixels":                      {edit(t, plain, "ispe\x00\x00\x00\x00"+sizes(512, 512), "ispe\x00\x00\x00\x00"+sizes(30000, 30000)), walk.TooLarge},
		"a long side":                     {edit(t, plain, "ispe\x00\x00\x00\x00"+sizes(512, 512), "ispe\x00\x00\x00\x00"+sizes(1, 1<<31)), walk.TooLarge},
		"no width":                        {edit(t, plain, "ispe\x00\x00\x00\x00"+sizes(512, 512), "ispe\x00\x00\x00\x00"+sizes(0, 512)), walk.Corrupt},
		"no size at all":                  {bytes.ReplaceAll(plain, []byte("ispe"), []byte("ispf")), walk.Corrupt},
		"av1 within heic":                 {edit(t, plain, "hvc1", "av01"), walk.Mismatch},
		"text as the picture":             {edit(t, plain, "hvc1", "text"), walk.Mismatch},
		"exif as the picture":             {edit(t, plain, "pitm\x00\x00\x00\x00\x00\x01", "pitm\x00\x00\x00\x00\x00\x03"), walk.Mismatch},
		"no primary item":                 {edit(t, plain, "pitm\x00\x00\x00\x00\x00\x01", "pitm\x00\x00\x00\x00\x00\x63"), walk.Corrupt},
		"no pitm":                         {edit(t, plain, "pitm", "pitn"), walk.Corrupt},
		"no iloc":                         {edit(t, plain, "iloc", "ilod"), walk.Corrupt},
		"no iinf":                         {edit(t, plain, "iinf", "iing"), walk.Corrupt},
		"not a picture":                   {edit(t, plain, "pict", "text"), walk.Corrupt},
		"iloc of another version":         {edit(t, plain, "iloc\x00", "iloc\x03"), walk.Corrupt},
		"iloc with 3-byte fields":         {edit(t, plain, "iloc\x00\x00\x00\x00\x44", "iloc\x00\x00\x00\x00\x43"), walk.Corrupt},
		"iloc of many items":              {edit(t, plain, "iloc\x00\x00\x00\x00\x44\x00\x00\x02", "iloc\x00\x00\x00\x00\x44\x00\xff\xff"), walk.Corrupt},
		"iinf of many items":              {edit(t, plain, "iinf\x00\x00\x00\x00\x00\x02", "iinf\x00\x00\x00\x00\xff\xff"), walk.Corrupt},
		"a property that is not there":    {edit(t, plain, "\x00\x01\x04\x82", "\x00\x01\x04\xff"), walk.Corrupt},
		"rotated by two bytes":            {edit(t, plain, "\x00\x00\x00\x09irot\x03\x00\x00\x00\x13", "\x00\x00\x00\x0airot\x03\x00\x00\x00\x12"), walk.Corrupt},
		"a grid of more rows":             {edit(t, grid, "\x00\x00\x01\x02\x05\xf6", "\x00\x00\xff\x02\x05\xf6"), walk.Corrupt},
		"a grid of another size":          {edit(t, grid, "\x00\x00\x01\x02\x05\xf6", "\x00\x00\x01\x02\x05\xf5"), walk.Corrupt},
		"a grid of another size in mdat":  {edit(t, gridLate, "\x00\x00\x01\x02\x05\xf6", "\x00\x00\x01\x02\x05\xf5"), walk.Corrupt},
		"a grid of gigapixels":            {edit(t, grid, "\x00\x00\x01\x02\x05\xf6", "\x00\x00\x01\x02\xff\xf6"), walk.TooLarge},
		"a grid too large for its tiles":  {bytes.ReplaceAll(bytes.ReplaceAll(grid, []byte(sizes(1526, 1004)), []byte(sizes(1626, 1004))), u16(1526, 1004), u16(1626, 1004)), walk.Corrupt},
		"a grid too small for its tiles":  {bytes.ReplaceAll(bytes.ReplaceAll(grid, []byte(sizes(1526, 1004)), []byte(sizes(26, 1004))), u16(1526, 1004), u16(26, 1004)), walk.Corrupt},
		"a grid of itself":                {edit(t, grid, "dimg\x00\x01\x00\x06\x00\x0a", "dimg\x00\x01\x00\x06\x00\x01"), walk.Corrupt},
		"a grid of tiles that are not":    {edit(t, grid, "dimg\x00\x01\x00\x06\x00\x0a", "dimg\x00\x01\x00\x06\x00\xff"), walk.Corrupt},
		"a picture of pictures":           {meta(full("pitm", 0, 0, u16(0)), full("iinf", 0, 0, bombInfos), iloc, full("iref", 0, 0, bomb), box("iprp", ipco, full("ipma", 0, 0, bombProps))), walk.TooLarge},
		"many items":                      {meta(full("iinf", 0, 0, u16(5000), infos)), walk.TooLarge},
		"many locations":                  {meta(full("iloc", 0, 0, []byte{0x44, 0}, u16(5000), places)), walk.TooLarge},
		"many properties":                 {meta(box("iprp", box("ipco", props))), walk.TooLarge},
		"many references":                 {meta(full("iref", 0, 0, box("dimg", u16(1, 20_000), make([]byte, 40_000)))), walk.TooLarge},
		"many references in a small box":  {meta(full("iref", 0, 0, box("dimg", u16(1, 2_000)))), walk.Corrupt},
		"two meta":                        {with(func(p *mediatest.PictureFile) { p.After = full("meta", 0, 0) }), walk.Corrupt},
		"a motion photo's picture":        {with(func(p *mediatest.PictureFile) { p.Motion = plain }), walk.Mismatch},
		"a motion photo's motion photo":   {with(func(p *mediatest.PictureFile) { p.Motion = mediatest.Concat(mediatest.Movies()[0].Data, box("mpvd")) }), walk.Corrupt},
		"a motion photo's movie cut off":  {with(func(p *mediatest.PictureFile) { p.Motion = mediatest.Movies()[0].Data[:900] }), walk.Corrupt},
		"an item in another item's parts": {edit(t, with(func(p *mediatest.PictureFile) { p.PartOf = true }), "iloc\x00\x03\x00\x02\x00\x05\x00\x06", "iloc\x00\x03\x00\x02\x00\x05\x00\x63"), walk.Corrupt},
	})
}

// Items must lie in media data, and metadata must not share bytes with the
// picture: zeroing it would destroy it.
func TestPictureRefusesItemsElsewhere(t *testing.T) {
	p := mediatest.PictureFile{Brands: []string{"heic"}, Exif: true}
	data := p.Bytes()
	u32 := mediatest.U32
	picture := bytes.Index(data, mediatest.CodedPicture)
	exif := bytes.Index(data, mediatest.Exif())
	at := func(was, is, length int) refusal {
		size := len(mediatest.Exif())
		return refusal{edit(t, data, string(u32(was, size)), string(u32(is, length))), walk.Corrupt}
	}
	refused(t, walk.BMFFWalk, map[string]refusal{
		"past the end":       at(exif, exif, len(mediatest.Exif())+1),
		"far past the end":   at(exif, 1<<31, 8),
		"in the header":      at(exif, 4, 8),
		"in a box header":    at(exif, picture-4, 4),
		"in the picture":     at(exif, picture+4, 8),
		"around the picture": at(exif, picture, len(mediatest.Exif())+200),
	})
}

// Refusing a hostile header takes no time to speak of.
func TestBMFFRefusesBombsAtOnce(t *testing.T) {
	p := mediatest.PictureFile{Brands: []string{"heic"}, Side: 32_000}.Bytes()
	start := time.Now()
	for range 100 {
		if _, err := walk.BMFFWalk(walk.NewInput(bytes.NewReader(p), io.Discard, walk.Options{Limits: walk.DefaultLimits()})); !isReject(err, walk.TooLarge) {
			t.Fatal(err)
		}
	}
	if d := time.Since(start) / 100; d > 20*time.Millisecond {
		t.Errorf("%s each", d)
	}
}

func TestBMFFBudgets(t *testing.T) {
	many := mediatest.MovieFile{Brands: []string{"isom"}, Video: true, After: bytes.Repeat(mediatest.Box("free"), 1000)}.Bytes()
	limits := walk.DefaultLimits()
	limits.MaxSteps = 900
	_, err := walk.BMFFWalk(walk.NewInput(bytes.NewReader(many), io.Discard, walk.Options{Limits: limits}))
	if !isReject(err, walk.TooLarge) {
		t.Errorf("1,000 boxes of 900: %v", err)
	}
	limits = walk.DefaultLimits()
	limits.MaxFrames = 5
	sequence := mediatest.PictureFile{Brands: []string{"msf1", "hevc"}, Sequence: true}.Bytes()
	_, err = walk.BMFFWalk(walk.NewInput(bytes.NewReader(sequence), io.Discard, walk.Options{Limits: limits}))
	if !isReject(err, walk.TooLarge) {
		t.Errorf("20 pictures of 5: %v", err)
	}
}

// hostileMetas are movies and pictures of about 2 MB whose tables cost most.
func hostileMetas() map[string][]byte {
	box, full, u16, u32 := mediatest.Box, mediatest.FullBox, mediatest.U16, mediatest.U32
	meta := func(handler string, boxes ...[]byte) []byte {
		return full("meta", 0, 0, full("hdlr", 0, 0, u32(0), []byte(handler), u32(0, 0, 0), []byte{0}), mediatest.Concat(boxes...))
	}
	var infos, places, refs []byte
	for i := range 1280 {
		infos = append(infos, full("infe", 2, 0, u16(i+1, 0), []byte("Exif\x00"))...)
		places = append(places, u16(i+1, 0, 1+i%2)...)
		places = append(places, u32(100_000+16*i, 4, 100_008+16*i, 4)[:8+i%2*8]...)
	}
	for i := range 4 {
		refs = append(refs, box("dimg", u16(i+1, 1000), make([]byte, 2000))...)
	}
	picture := func(boxes ...[]byte) []byte {
		return mediatest.Concat(mediatest.FileType("heic"), meta("pict", boxes...), box("mdat", make([]byte, 40_000)))
	}
	entries := bytes.Repeat(u32(8, 4095), 200_000)
	return map[string][]byte{
		"items": picture( // as many of everything as is remembered, and then no picture
			full("iinf", 0, 0, u16(1280), infos), full("iref", 0, 0, refs), box("iprp", box("ipco", bytes.Repeat(box("pixi"), 2048))),
			full("iloc", 0, 0, []byte{0x44, 0}, u16(1280), places)),
		"associations": picture(box("iprp", box("ipco"), full("ipma", 0, 0, u32(1<<31), make([]byte, 2<<20)))),
		"keys": mediatest.Concat(mediatest.FileType("isom"), box("moov", box("meta", full("hdlr", 0, 0, u32(0), []byte("mdta"), u32(0, 0, 0), []byte{0}),
			full("keys", 0, 0, u32(4096), bytes.Repeat(box("mdta", []byte("location")), 4096)), box("ilst", entries)))),
	}
}

// What a hostile header names costs a step for each field, and less than a
// megabyte of memory.
func TestHostileMetasAreBounded(t *testing.T) {
	for name, data := range hostileMetas() {
		for _, sanitise := range []bool{true, false} {
			limits := walk.DefaultLimits()
			limits.MaxSteps = 100_000
			in := walk.NewInput(bytes.NewReader(data), io.Discard, walk.Options{Limits: limits, Sanitise: sanitise}) // its buffer is the same for every file
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := walk.BMFFWalk(in)
			runtime.ReadMemStats(&after)
			if name == "items" && (!isReject(err, walk.Corrupt) || !strings.Contains(err.Error(), "without pitm")) || name != "items" && !isReject(err, walk.TooLarge) {
				t.Errorf("%s: %v", name, err)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 && name != "keys" { // which allocates for each step
				t.Errorf("%s, sanitise %v: %d bytes allocated", name, sanitise, n)
			}
		}
	}
}
