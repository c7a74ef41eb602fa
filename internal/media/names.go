package media

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/media/walk"
)

const (
	// maxName is how long a clean name is at most, in bytes. File systems take
	// 255; the rest is for what stores add.
	maxName = 200
	// maxRawName is how long a name is at most before it is cleaned.
	maxRawName = 8 << 10
	// maxPasses bounds how often a name is cleaned until it stays the same.
	// Honest names take two; each layer of an encoding takes one more.
	maxPasses = 8
)

// CleanName returns one safe path component for a file that a client calls
// raw: normalised by NFKC, the last component only, without control, bidi
// and invisible characters, not a device of Windows, at most 200 bytes, with
// the extension of the detected format. A name with an executable extension
// in any segment is refused with FILENAME_NOT_ALLOWED. CleanName of its own
// result is that result. Where the format is unknown ("") an extension of
// ours stays, and any other name ends in ".bin".
func CleanName(raw string, detected walk.Format) (string, error) {
	if len(raw) > maxRawName {
		return "", refuseName(fault.Field{Problem: "too long", Limit: maxRawName, Actual: len(raw)},
			"the file name has %d bytes, at most %d are read: shorten it", len(raw), maxRawName)
	}
	name, err := untilStable(raw, plain)
	if err != nil {
		return "", err
	}
	return untilStable(name, func(s string) (string, error) { return component(s, detected) })
}

// untilStable applies f until its result stays the same. What one pass
// removes can join what stood apart ("%" and "2e" around a zero-width space),
// and only a fixed point is idempotent.
func untilStable(s string, f func(string) (string, error)) (string, error) {
	for range maxPasses {
		next, err := f(s)
		if err != nil || next == s {
			return next, err
		}
		s = next
	}
	return "", refuseName(fault.Field{Problem: "encoded too often", Limit: maxPasses},
		"the file name is encoded more than %d times: send it plainly", maxPasses)
}

// plain decodes and normalises a name and drops what cannot be seen.
func plain(s string) (string, error) { return visible(norm.NFKC.String(unescape(s))), nil }

// component makes one path component of a plain name.
func component(s string, detected walk.Format) (string, error) {
	s, _ = plain(s)
	s = s[strings.LastIndexAny(s, `/\`)+1:]
	if seg, bad := dangerous(s); bad {
		return "", refuseName(fault.Field{Problem: "extension not allowed", Actual: seg},
			"files with the extension .%s in their name are not accepted: rename the file", seg)
	}
	s = strings.Map(harmless, s)
	for strings.Contains(s, "..") || strings.Contains(s, "  ") {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "..", "."), "  ", " ")
	}
	base, ext := splitExtension(strings.TrimRight(s, ". "), detected)
	base = trimBase(base)
	if stem, _, _ := strings.Cut(base, "."); device(stem) {
		base = "_" + base
	}
	base = trimBase(cut(base, maxName-len(ext)-1))
	if base == "" {
		base = "file"
	}
	return base + "." + ext, nil
}

// trimBase removes what must not begin a name (an option, a home folder, a
// hidden file) or end one (Windows drops dots and spaces).
func trimBase(s string) string { return strings.TrimRight(strings.TrimLeft(s, ".-~ "), ". ") }

// splitExtension returns the name without a last extension that names some
// kind of media, and the extension that it shall have.
func splitExtension(s string, detected walk.Format) (base, ext string) {
	last := ""
	if i := strings.LastIndexByte(s, '.'); i >= 0 {
		last = strings.ToLower(strings.TrimSpace(s[i+1:]))
		if _, ours := TypeByExtension(last); ours || slices.Contains(otherMedia, last) {
			s = s[:i]
		}
	}
	if t, ok := TypeOf(detected); ok {
		return s, t.Extension
	}
	if t, ok := TypeByExtension(last); ok {
		return s, t.Extension
	}
	return s, "bin"
}

// otherMedia are extensions of media that are not accepted, or of no kind:
// they are replaced where the content turns out to be something else.
var otherMedia = []string{
	"3g2", "3gp", "aif", "aiff", "amr", "avi", "avif", "bin", "bmp", "caf", "cr2", "dng", "flac", "flv",
	"ico", "jp2", "jxl", "m2ts", "mka", "mkv", "mp2", "mpeg", "mpg", "mts", "nef", "ogv", "ogx", "raw",
	"tif", "tiff", "tmp", "ts", "weba", "wma", "wmv",
}

// unescape decodes %41 and %u0041. What is no valid escape stays.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] == '%' {
			if v, ok := hexValue(s[i+1:], 2); ok {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
			if i+1 < len(s) && (s[i+1] == 'u' || s[i+1] == 'U') {
				if v, ok := hexValue(s[i+2:], 4); ok {
					b.WriteRune(v) // a lone surrogate becomes U+FFFD
					i += 6
					continue
				}
			}
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

// hex reads n hexadecimal digits.
func hexValue(s string, n int) (v rune, ok bool) {
	if len(s) < n {
		return 0, false
	}
	for _, c := range []byte(s[:n]) {
		switch {
		case '0' <= c && c <= '9':
			v = v<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			v = v<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

// visible drops what has no glyph and turns bytes that are not UTF-8 into
// underscores (among them the overlong forms of the dot and the slash). Of
// marks piled upon one letter it leaves ten: no script needs more.
func visible(s string) string {
	marks := 0
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.M, r) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case r == utf8.RuneError:
			return '_'
		case unicode.Is(unicode.Zs, r), r == '\t', r == '\n', r == '\r':
			return ' '
		case marks > 10, r == '\u2800', // braille blank
			unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r),
			unicode.Is(unicode.Variation_Selector, r),
			!unicode.IsPrint(r): // control, format, private use, unassigned, separators
			return -1
		}
		return r
	}, s)
}

// harmless replaces what Windows forbids in names, what a second decoding
// would read, and the slashes that NFKC leaves.
func harmless(r rune) rune {
	switch r {
	case '<', '>', ':', '"', '|', '?', '*', '%', '\u2044', '\u2215', '\u29f8', '\u29f5', '\u2216', '\u29f9':
		return '_'
	}
	return r
}

// dangerous returns the first segment after a dot that is an extension of
// what a computer or a server would run or render. Colons begin a stream of
// NTFS, and old servers cut names at semicolons.
func dangerous(s string) (segment string, bad bool) {
	segments := strings.FieldsFunc("x"+strings.ToLower(s), func(r rune) bool { return r == '.' || r == ':' || r == ';' })
	for _, seg := range segments[1:] {
		if seg = strings.Trim(seg, " _~"); slices.Contains(runnable, seg) {
			return seg, true
		}
	}
	return "", false
}

// runnable are the extensions that are refused. Words that people put
// between dots ("do", "run", "config") are left out unless a system acts on
// them.
var runnable = []string{
	// Windows
	"exe", "bat", "cmd", "com", "scr", "pif", "js", "mjs", "cjs", "jse", "vb", "vbs", "vbe", "ws", "wsc", "wsf", "wsh",
	"ps1", "ps1xml", "ps2", "psm1", "psd1", "psc1", "msi", "msp", "mst", "msc", "msix", "msixbundle", "appx", "appxbundle",
	"appinstaller", "hta", "cpl", "chm", "hlp", "lnk", "url", "scf", "inf", "reg", "dll", "ocx", "sys", "drv", "gadget",
	"msh", "jnlp", "sct", "shb", "shs", "settingcontent-ms", "library-ms", "search-ms", "searchconnector-ms", "diagcab",
	"xll", "xlam", "docm", "dotm", "xlsm", "xltm", "pptm", "ppam", "iqy", "slk", "ade", "adp", "mde", "vhd", "vhdx", "xbap",
	// servers
	"php", "php2", "php3", "php4", "php5", "php6", "php7", "php8", "phps", "pht", "phtm", "phtml", "phar", "pgif", "hphp",
	"asp", "aspx", "asa", "asax", "ascx", "ashx", "asmx", "axd", "cer", "cdx", "cshtml", "vbhtml", "jsp", "jspx", "jspf",
	"jsw", "jsv", "jtml", "cfm", "cfml", "cfc", "cgi", "fcgi", "pl", "pm", "py", "pyc", "pyo", "pyd", "pyw", "pyz", "rb",
	"erb", "rhtml", "lua", "tcl", "shtm", "shtml", "stm", "htaccess", "htpasswd", "config", "ini", "class", "jar", "war", "ear",
	// shells and other systems
	"sh", "bash", "zsh", "ksh", "csh", "tcsh", "fish", "so", "dylib", "elf", "ko", "deb", "rpm", "apk", "aab", "xapk", "ipa",
	"app", "dmg", "pkg", "mpkg", "iso", "command", "scpt", "scptd", "applescript", "desktop", "appimage", "flatpakref", "crx",
	"xpi", "wasm", "swf",
	// documents that run scripts in a browser
	"htm", "html", "xht", "xhtm", "xhtml", "mht", "mhtml", "svg", "svgz", "xml", "xsl", "xslt", "xsd", "dtd", "rdf", "atom",
	"rss", "mathml", "xul", "htc", "htt", "webloc",
}

// device reports whether Windows takes a name for a device, with or without
// an extension. NFKC has turned superscript digits into plain ones.
func device(stem string) bool {
	s := strings.ToUpper(strings.TrimRight(stem, " "))
	switch s {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$", "CONFIG$", "KEYBD$", "SCREEN$":
		return true
	}
	return len(s) == 4 && (s[:3] == "COM" || s[:3] == "LPT") && '0' <= s[3] && s[3] <= '9'
}

// cut returns at most n bytes of s, ending with a whole rune.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func refuseName(f fault.Field, format string, args ...any) *fault.Error {
	f.Field = "filename"
	e := fault.New(fault.FilenameNotAllowed, "media.CleanName", format, args...)
	e.Detail = f
	return e
}
