package mediatest

import (
	"archive/zip"
	"bytes"
)

// File is a fixture and what it is.
type File struct {
	Name, MIME, Brand string
	Data              []byte
}

var (
	mp4  = []string{"isom", "iso2", "avc1", "mp41"}
	mov  = []string{"qt  "}
	m4a  = []string{"M4A ", "mp42", "isom"}
	heic = []string{"heic", "mif1", "heic"}
)

// Movies are valid files of the MP4 family; those whose names end in "gps"
// say where they were taken.
func Movies() []File {
	av := MovieFile{Brands: mp4, Video: true, Audio: true}
	with := func(change func(m *MovieFile)) []byte {
		m := av
		change(&m)
		return m.Bytes()
	}
	places := func(m *MovieFile) {
		m.UserData = [][]byte{PlaceText(), PlaceLoci(), Box("name", []byte("A film")), Box("GPMF", []byte(Place)), PlaceList(), Box("XMP_", XMP()), U32(0)}
	}
	return []File{
		{"mp4 moov first", "video/mp4", "isom", av.Bytes()},
		{"mp4 moov last", "video/mp4", "isom", with(func(m *MovieFile) { m.MoovLast = true })},
		{"mp4 64 bits", "video/mp4", "mp42", with(func(m *MovieFile) { m.Brands, m.Large = []string{"mp42", "mp41"}, true })},
		{"mp4 open end", "video/mp4", "isom", with(func(m *MovieFile) { m.ToEnd = true })},
		{"mp4 fragments", "video/mp4", "iso5", with(func(m *MovieFile) { m.Brands, m.Fragments = []string{"iso5", "dash"}, 3 })},
		{"mp4 fragments gps", "video/mp4", "iso5", with(func(m *MovieFile) {
			m.Brands, m.Fragments, m.About = []string{"iso5"}, 2, [][]byte{Box("udta", PlaceText()), PlaceKeys(), XMPUUID()}
		})},
		{"mp4 many fragments", "video/mp4", "iso6", with(func(m *MovieFile) { m.Brands, m.Audio, m.Fragments = []string{"iso6"}, false, 300 })},
		{"mp4 compact", "video/mp4", "isom", with(func(m *MovieFile) { m.Compact = true })},
		{"mp4 open padding gps", "video/mp4", "isom", with(func(m *MovieFile) { m.After = Concat(U32(0), []byte("free"+Place)) })},
		{"mp4 open uuid gps", "video/mp4", "isom", with(func(m *MovieFile) { m.After = Concat(U32(0), []byte("uuid0123456789abcdef"+Place)) })},
		{"mp4 unknown box gps", "video/mp4", "isom", with(func(m *MovieFile) { m.Before = Box("beam", []byte(Place)) })},
		{"mp4 dashcam gps", "video/mp4", "isom", with(func(m *MovieFile) { m.Meta = Box("gps ", []byte(Place)) })},
		{"mp4 m4v", "video/mp4", "M4V ", with(func(m *MovieFile) { m.Brands = []string{"M4V ", "mp42"} })},
		{"3gp compatible with mp4", "video/mp4", "3gp5", with(func(m *MovieFile) { m.Brands = []string{"3gp5", "isom"} })},
		{"mp4 gps", "video/mp4", "isom", with(places)},
		{"mp4 moov last gps", "video/mp4", "isom", with(func(m *MovieFile) { places(m); m.MoovLast = true })},
		{"mp4 xmp gps", "video/mp4", "isom", with(func(m *MovieFile) {
			m.Before, m.After = XMPUUID(), Concat(UUID("0123456789abcdef", []byte(Place)), Box("free", []byte(Place)))
		})},
		{"mp4 action camera gps", "video/mp4", "mp41", with(func(m *MovieFile) { m.Brands, m.GPSTrack = []string{"mp41"}, true })},
		{"mov timed places gps", "video/quicktime", "qt  ", with(func(m *MovieFile) {
			m.Brands, m.GPSTrack, m.GPSKeys = mov, true, "com.apple.quicktime.location.ISO6709"
		})},
		{"mov tracks with user data gps", "video/quicktime", "qt  ", with(func(m *MovieFile) {
			m.Brands, m.TrackData = mov, [][]byte{Box("udta", PlaceText(), U32(0)), PlaceKeys()}
		})},
		{"mp4 action camera moov last gps", "video/mp4", "mp41", with(func(m *MovieFile) { m.Brands, m.GPSTrack, m.MoovLast = []string{"mp41"}, true, true })},
		{"mp4 action camera 64 bits open end gps", "video/mp4", "mp41", with(func(m *MovieFile) { m.Brands, m.GPSTrack, m.Large, m.ToEnd = []string{"mp41"}, true, true, true })},
		{"mov keys gps", "video/quicktime", "qt  ", with(func(m *MovieFile) {
			m.Brands, m.MoovLast, m.Before, m.Meta = mov, true, Box("wide"), PlaceKeys()
			m.UserData = [][]byte{PlaceText(), U32(0)}
		})},
		{"mov without ftyp", "video/quicktime", "", with(func(m *MovieFile) { m.Brands, m.MoovLast, m.Before = nil, true, Box("wide") })},
		{"mov without ftyp moov first", "video/quicktime", "", with(func(m *MovieFile) { m.Brands = nil })},
		{"m4a", "audio/mp4", "M4A ", with(func(m *MovieFile) { m.Brands, m.Video = m4a, false })},
		{"m4a isom", "audio/mp4", "isom", with(func(m *MovieFile) { m.Video = false })},
		{"m4b gps", "audio/mp4", "M4B ", with(func(m *MovieFile) {
			m.Brands, m.Video, m.UserData = []string{"M4B ", "isom"}, false, [][]byte{PlaceList()}
		})},
		{"m4a fragments", "audio/mp4", "isom", with(func(m *MovieFile) { m.Video, m.Fragments = false, 2 })},
	}
}

// Pictures are valid files of the HEIF family, named like Movies.
func Pictures() []File {
	base := PictureFile{Brands: heic, Thumb: true, Rotate: true, Exif: true, XMP: true}
	with := func(change func(p *PictureFile)) []byte {
		p := base
		change(&p)
		return p.Bytes()
	}
	film := MovieFile{Brands: mp4, Video: true, MoovLast: true, UserData: [][]byte{PlaceText()}}.Bytes()
	return []File{
		{"heic plain", "image/heic", "heic", PictureFile{Brands: heic}.Bytes()},
		{"heic gps", "image/heic", "heic", base.Bytes()},
		{"heic grid gps", "image/heic", "heic", with(func(p *PictureFile) { p.Grid = [2]int{3, 2} })},
		{"heic grid in mdat gps", "image/heic", "heic", with(func(p *PictureFile) { p.Grid, p.GridInMdat = [2]int{2, 2}, true })},
		{"heic mdat first gps", "image/heic", "heic", with(func(p *PictureFile) { p.MdatFirst = true })},
		{"heic mdat first grid gps", "image/heic", "heic", with(func(p *PictureFile) { p.MdatFirst, p.Grid, p.GridInMdat = true, [2]int{2, 1}, true })},
		{"heic overlay gps", "image/heic", "heic", with(func(p *PictureFile) { p.Overlay = true })},
		{"heic exif in two parts gps", "image/heic", "heic", with(func(p *PictureFile) { p.Split = true })},
		{"heic exif in two parts mdat first gps", "image/heic", "heic", with(func(p *PictureFile) { p.Split, p.MdatFirst = true, true })},
		{"heic exif in idat gps", "image/heic", "heic", with(func(p *PictureFile) { p.InIdat = true })},
		{"heic exif as part gps", "image/heic", "heic", with(func(p *PictureFile) { p.PartOf = true })},
		{"heic iloc 2 gps", "image/heic", "heic", with(func(p *PictureFile) { p.Version, p.Fields = 2, 8 })},
		{"heic iloc base gps", "image/heic", "heic", with(func(p *PictureFile) { p.Version, p.Fields = 1, -1 })},
		{"heic notes gps", "image/heic", "heic", with(func(p *PictureFile) { p.Notes = true })},
		{"heic notes mdat first gps", "image/heic", "heic", with(func(p *PictureFile) { p.Notes, p.MdatFirst = true, true })},
		{"heic motion gps", "image/heic", "heic", with(func(p *PictureFile) { p.Motion, p.Samsung = film, true })},
		{"heix", "image/heic", "heix", with(func(p *PictureFile) { p.Brands, p.Exif, p.XMP = []string{"heix", "mif1"}, false, false })},
		{"heif mif1 gps", "image/heif", "mif1", with(func(p *PictureFile) { p.Brands = []string{"mif1", "heic"} })},
		{"heif mif3 gps", "image/heif", "mif3", with(func(p *PictureFile) { p.Brands = []string{"mif3", "heic"} })},
		{"heif msf1 gps", "image/heif-sequence", "msf1", with(func(p *PictureFile) { p.Brands, p.Sequence = []string{"msf1", "hevc", "heic"}, true })},
		{"heic hevc gps", "image/heic-sequence", "hevc", with(func(p *PictureFile) { p.Brands, p.Sequence = []string{"hevc", "msf1"}, true })},
	}
}

// ZIP is an archive of one file.
func ZIP() []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if f, err := w.Create("evil.exe"); err == nil {
		_, _ = f.Write([]byte("MZ evil"))
	}
	if err := w.Close(); err != nil {
		panic(err) // a buffer does not fail
	}
	return b.Bytes()
}

// Foreign are files of other formats, to be hidden in fixtures.
func Foreign() []File {
	return []File{
		{Name: "zip", Data: ZIP()},
		{Name: "pdf", Data: []byte("%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n")},
		{Name: "php", Data: []byte("<?php system($_GET['c']); ?>")},
		{Name: "rar", Data: []byte("Rar!\x1a\x07\x01\x00some archive")},
		{Name: "7z", Data: []byte("7z\xbc\xaf\x27\x1c\x00\x04some archive")},
		{Name: "elf", Data: []byte("\x7fELF\x02\x01\x01\x00some program")},
		{Name: "exe", Data: Concat([]byte("MZ\x90\x00\x03\x00\x00\x00"), make([]byte, 52), []byte{0x40, 0, 0, 0}, []byte("PE\x00\x00"))},
		{Name: "html", Data: []byte("<html><script>alert(1)</script></html>")},
	}
}

// MoviePolyglots hide a foreign file in an MP4 and in a HEIC, by every layout.
func MoviePolyglots(foreign []byte) []File {
	av := MovieFile{Brands: mp4, Video: true}
	movie := func(change func(m *MovieFile)) []byte {
		m := av
		change(&m)
		return m.Bytes()
	}
	picture := func(change func(p *PictureFile)) []byte {
		p := PictureFile{Brands: heic, Exif: true}
		change(&p)
		return p.Bytes()
	}
	half := len(foreign) / 2
	return []File{
		{Name: "mp4 stack", Data: movie(func(m *MovieFile) { m.After = foreign })},
		{Name: "mp4 stack in front", Data: Concat(foreign, av.Bytes())},
		{Name: "mp4 cavity", Data: movie(func(m *MovieFile) { m.Before = Box("free", foreign) })},
		{Name: "mp4 parasite", Data: movie(func(m *MovieFile) { m.Before = UUID("0123456789abcdef", foreign) })},
		{Name: "mp4 parasite in media data", Data: movie(func(m *MovieFile) { m.Before = Box("mdat", foreign) })},
		{Name: "mp4 parasite in unknown box", Data: movie(func(m *MovieFile) { m.Before = Box("evil", foreign) })},
		{Name: "mp4 zipper", Data: movie(func(m *MovieFile) { m.Before, m.After = Box("skip", foreign[:half]), Box("free", foreign) })},
		{Name: "heic stack", Data: picture(func(p *PictureFile) { p.After = foreign })},
		{Name: "heic stack in front", Data: Concat(foreign, PictureFile{Brands: heic}.Bytes())},
		{Name: "heic cavity", Data: picture(func(p *PictureFile) { p.After = Box("free", foreign) })},
		{Name: "heic parasite", Data: picture(func(p *PictureFile) { p.After = UUID("0123456789abcdef", foreign) })},
		{Name: "heic parasite as movie", Data: picture(func(p *PictureFile) { p.Motion = foreign })},
		{Name: "heic zipper", Data: picture(func(p *PictureFile) { p.After = Concat(Box("skip", foreign[:half]), Box("free", foreign)) })},
	}
}
