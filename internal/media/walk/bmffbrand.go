package walk

import (
	"slices"
	"strings"
)

// bmffKind is what a file's brands say it is.
type bmffKind struct {
	format      Format
	mime, brand string
}

// maxFileType bounds the ftyp box: 500 compatible brands.
const maxFileType = 2048

// fileType reads the brands.
func (f *bmff) fileType(b box) error {
	if b.start != f.base {
		return f.in.Corrupt("a second ftyp box")
	}
	n := b.payload()
	if b.open() || n < 8 || n > maxFileType || n%4 != 0 {
		return f.in.Corrupt("a ftyp box of %d bytes", n)
	}
	p, err := f.fields(b, n)
	if err != nil {
		return err
	}
	var brands []string
	for i := int64(0); i < n; i += 4 {
		if i != 4 { // the minor version
			brands = append(brands, string(p[i:i+4]))
		}
	}
	k, ok := brandsKind(brands)
	if !ok {
		return f.in.Mismatch("brand %q is not of an allowed type", brands[0])
	}
	f.kind = k
	return f.keep(b)
}

// otherBrands are brands of types that are not allowed, however they say they are
// compatible.
var otherBrands = []string{"avif", "avis", "crx ", "jp2 ", "jpx ", "jpm ", "mjp2", "mj2s", "dvr1", "odcf", "opf2"}

// brandsKind names the kind of the first brand that is known: the major one, else
// a compatible one.
func brandsKind(brands []string) (bmffKind, bool) {
	if slices.Contains(otherBrands, brands[0]) {
		return bmffKind{}, false
	}
	for _, b := range brands {
		k, ok := brandKind(b)
		if !ok {
			continue
		}
		if generic := b == "mif1" || b == "msf1" || b == "mif3"; generic && isAVIF(brands) {
			return bmffKind{}, false
		}
		k.brand = brands[0]
		return k, true
	}
	return bmffKind{}, false
}

// isAVIF tells a generic HEIF file with AV1 pictures from one that could be
// HEVC. The items tell again.
func isAVIF(brands []string) bool {
	av1 := slices.Contains(brands, "avif") || slices.Contains(brands, "avis")
	return av1 && !slices.ContainsFunc(brands, func(b string) bool { return strings.HasPrefix(b, "he") })
}

func brandKind(b string) (bmffKind, bool) {
	switch b {
	case "heic", "heix", "heim", "heis":
		return bmffKind{format: HEIF, mime: "image/heic"}, true
	case "hevc", "hevx", "hevm", "hevs":
		return bmffKind{format: HEIF, mime: "image/heic-sequence"}, true
	case "mif1", "mif3", "mif2":
		return bmffKind{format: HEIF, mime: "image/heif"}, true
	case "msf1":
		return bmffKind{format: HEIF, mime: "image/heif-sequence"}, true
	case "qt  ":
		return bmffKind{format: QuickTime, mime: "video/quicktime"}, true
	case "M4A ", "M4B ":
		return bmffKind{format: M4A, mime: "audio/mp4"}, true
	case "mp41", "mp42", "isom", "avc1", "dash", "M4V ", "M4VH", "M4VP", "MSNV", "mp71", "cmfc", "cmf2", "XAVC":
		return bmffKind{format: MP4, mime: "video/mp4"}, true
	}
	if len(b) == 4 && strings.HasPrefix(b, "iso") && strings.ContainsAny(b[3:], "23456789abc") {
		return bmffKind{format: MP4, mime: "video/mp4"}, true
	}
	return bmffKind{}, false
}
