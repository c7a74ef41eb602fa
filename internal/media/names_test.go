package media_test

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/media/walk"
)

const refused = "refused"

func TestCleanName(t *testing.T) {
	tests := []struct {
		raw  string
		as   walk.Format
		want string
	}{
		{"photo.jpg", walk.JPEG, "photo.jpg"},
		{"photo.JPEG", walk.JPEG, "photo.jpg"},
		{"photo.png", walk.JPEG, "photo.jpg"},
		{"photo", walk.JPEG, "photo.jpg"},
		{"photo.", walk.JPEG, "photo.jpg"},
		{"IMG.2024.01.05", walk.HEIF, "IMG.2024.01.05.heic"},
		{"my holiday  pictures .jpg", walk.JPEG, "my holiday pictures.jpg"},
		{"Zażółć gęślą jaźń.png", walk.PNG, "Zażółć gęślą jaźń.png"},
		{"Zaz\u0307o\u0301l\u0301c\u0301.png", walk.PNG, "Zażóĺć.png"},
		{"日本語の写真.webp", walk.WebP, "日本語の写真.webp"},
		{"👩‍👩‍👧 🎉.gif", walk.GIF, "👩👩👧 🎉.gif"},
		{"ＰＨＯＴＯ．ＪＰＧ", walk.JPEG, "PHOTO.jpg"},
		{"100% fun.jpg", walk.JPEG, "100_ fun.jpg"},
		{"a?b*c|d.jpg", walk.JPEG, "a_b_c_d.jpg"},
		{"½ price.jpg", walk.JPEG, "1_2 price.jpg"},
		{"wait….jpg", walk.JPEG, "wait.jpg"},
		{"com.jpg", walk.JPEG, "com.jpg"},
		{"clip.ts", walk.MP4, "clip.mp4"},
		{"song.m4a", "", "song.m4a"},
		{"SONG.OPUS", "", "SONG.ogg"},
		{"notes.txt", "", "notes.txt.bin"},

		// Nothing left.
		{"", walk.JPEG, "file.jpg"},
		{"", "", "file.bin"},
		{".jpg", walk.JPEG, "file.jpg"},
		{"....", walk.JPEG, "file.jpg"},
		{". . .", walk.JPEG, "file.jpg"},
		{"..", walk.PNG, "file.png"},
		{"photo/", walk.JPEG, "file.jpg"},
		{"\x00\x01\x02", walk.JPEG, "file.jpg"},
		{"\u200b\u202e\ufeff", walk.JPEG, "file.jpg"},
		{"~", walk.JPEG, "file.jpg"},

		// Out of the folder.
		{"../../etc/passwd", walk.JPEG, "passwd.jpg"},
		{`..\..\windows\win`, walk.JPEG, "win.jpg"},
		{`C:\Users\anna\photo.jpg`, walk.JPEG, "photo.jpg"},
		{"C:photo.jpg", walk.JPEG, "C_photo.jpg"},
		{"%2e%2e%2fphoto.jpg", walk.JPEG, "photo.jpg"},
		{"%252e%252e%252fphoto.jpg", walk.JPEG, "photo.jpg"},
		{"%u002e%u002e%u2215photo.jpg", walk.JPEG, "_photo.jpg"},
		{"..%c0%afphoto.jpg", walk.JPEG, "__photo.jpg"},
		{"..\xc0\xafphoto.jpg", walk.JPEG, "__photo.jpg"},
		{"．．／photo.jpg", walk.JPEG, "photo.jpg"},
		{"%\u200b2e%\u200b2e%\u200b2fphoto.jpg", walk.JPEG, "photo.jpg"},
		{"photo.jpg\x00", walk.JPEG, "photo.jpg"},
		{"-rf.jpg", walk.JPEG, "rf.jpg"},
		{"photo\r\nSet-Cookie x.jpg", walk.JPEG, "photo Set-Cookie x.jpg"},
		{"caf\xe9.jpg", walk.JPEG, "caf_.jpg"},
		{"invoice\u202egpj.jpg", walk.JPEG, "invoicegpj.jpg"},

		// Devices.
		{"CON", walk.JPEG, "_CON.jpg"},
		{"nul.jpg", walk.JPEG, "_nul.jpg"},
		{"com1.tar.jpg", walk.JPEG, "_com1.tar.jpg"},
		{"COM¹.jpg", walk.JPEG, "_COM1.jpg"},
		{"LPT³ .jpg", walk.JPEG, "_LPT3.jpg"},
		{"aux .x.jpg", walk.JPEG, "_aux .x.jpg"},
		{"COM10.jpg", walk.JPEG, "COM10.jpg"},
		{"CONSOLE.jpg", walk.JPEG, "CONSOLE.jpg"},

		// What runs.
		{"virus.exe", "", refused},
		{"a.php.jpg", walk.JPEG, refused},
		{"a.PhP5.x.jpg", walk.JPEG, refused},
		{"a.jpg.exe", walk.JPEG, refused},
		{".htaccess", walk.JPEG, refused},
		{"web.config", walk.JPEG, refused},
		{"a.ph\x00p", walk.JPEG, refused},
		{"a.p\u200bhp.jpg", walk.JPEG, refused},
		{"a%2ephp.jpg", walk.JPEG, refused},
		{"a%252ephp.jpg", walk.JPEG, refused},
		{"a%25252ephp.jpg", walk.JPEG, refused},
		{"a.%70hp.jpg", walk.JPEG, refused},
		{"a．ｐｈｐ", walk.JPEG, refused},
		{"a.php .jpg", walk.JPEG, refused},
		{"a.php::$DATA", walk.JPEG, refused},
		{"a.jpg:b.exe", walk.JPEG, refused},
		{"a.asp;.jpg", walk.JPEG, refused},
		{"a.svg", walk.PNG, refused},
		{"page.shtml", "", refused},
		{"a.phpx.jpg", walk.JPEG, "a.phpx.jpg"},
		{"php.jpg", walk.JPEG, "php.jpg"},
		{"dir.php/photo.jpg", walk.JPEG, "photo.jpg"},
	}
	for _, tt := range tests {
		got, err := media.CleanName(tt.raw, tt.as)
		if err != nil {
			got = refused
		}
		if got != tt.want {
			t.Errorf("CleanName(%q, %q) = %q, %v; want %q", tt.raw, tt.as, got, err, tt.want)
		}
		checkName(t, tt.raw, tt.as)
	}
}

func TestRefusedNamesSayWhy(t *testing.T) {
	_, err := media.CleanName("a.PHP.jpg", walk.JPEG)
	var e *fault.Error
	if !errors.As(err, &e) || e.Code != fault.FilenameNotAllowed {
		t.Fatalf("got %v", err)
	}
	if f := e.Detail.(fault.Field); f.Field != "filename" || f.Actual != "php" {
		t.Errorf("detail is %+v", f)
	}
	_, err = media.CleanName(strings.Repeat("a", 9000), walk.JPEG)
	if !errors.As(err, &e) || e.Detail.(fault.Field).Actual != 9000 {
		t.Errorf("got %v", err)
	}
	_, err = media.CleanName("%"+strings.Repeat("25", 20)+"2e", walk.JPEG)
	if !errors.As(err, &e) || e.Detail.(fault.Field).Limit != 8 {
		t.Errorf("got %v", err)
	}
}

func TestOwnExtensionsPass(t *testing.T) {
	for _, ty := range media.Types() {
		for _, ext := range append([]string{ty.Extension}, ty.Extensions...) {
			if got, err := media.CleanName("a."+ext, ty.Format); err != nil || got != "a."+ty.Extension {
				t.Errorf("a.%s: %q, %v", ext, got, err)
			}
			if got, err := media.CleanName("a."+ext, ""); err != nil || got != "a."+ty.Extension {
				t.Errorf("a.%s, undetected: %q, %v", ext, got, err)
			}
		}
	}
}

// checkName is what holds for every name: one safe component that stays as
// it is, or a refusal.
func checkName(t interface {
	Errorf(string, ...any)
	Helper()
}, raw string, as walk.Format) {
	t.Helper()
	name, err := media.CleanName(raw, as)
	if err != nil {
		if fault.CodeOf(err) != fault.FilenameNotAllowed || name != "" {
			t.Errorf("%q: %q with error %v", raw, name, err)
		}
		return
	}
	bad := func(why string) { t.Errorf("%q became %q: %s", raw, name, why) }
	switch {
	case name == "" || len(name) > 200:
		bad("length")
	case !utf8.ValidString(name):
		bad("not UTF-8")
	case strings.ContainsAny(name, "/\\<>:\"|?*%\u2044\u2215"):
		bad("a character that is not for names")
	case !norm.NFKC.IsNormalString(name):
		bad("not normalised")
	case strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Bidi_Control)
	}):
		bad("an invisible character")
	case strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") || strings.HasPrefix(name, " ") || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " "):
		bad("the ends")
	case strings.Contains(name, ".."):
		bad("two dots")
	}
	ext := name[strings.LastIndexByte(name, '.')+1:]
	if ty, ok := media.TypeOf(as); ok && ext != ty.Extension {
		bad("the extension is not that of the content")
	}
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	if stem = strings.TrimRight(stem, " "); slices.Contains([]string{"CON", "PRN", "AUX", "NUL", "COM1", "COM9", "LPT1"}, stem) {
		bad("a device")
	}
	for _, seg := range strings.Split(strings.ToLower(name), ".")[1:] {
		if slices.Contains([]string{"php", "exe", "js", "html", "svg", "sh", "asp", "jsp"}, strings.Trim(seg, " _")) {
			bad("an executable segment")
		}
	}
	if again, err := media.CleanName(name, as); err != nil || again != name {
		t.Errorf("%q became %q, then %q, %v", raw, name, again, err)
	}
}

// pieces are what hostile names are made of.
var pieces = []string{
	"..", ".", "...", "/", `\`, "//", `\\?\`, "%2e", "%2E%2e", "%2f", "%5c", "%252e", "%252f", "%25", "%", "%u002e", "%u2215", "%c0%ae", "%c0%af",
	"%e0%80%af", "%00", "\x00", "\x7f", "\x1b", "\r\n", "\xc0\xae", "\xc0\xaf", "\xe0\x80\xaf", "\xff", "\xed\xa0\x80", "．", "／", "＼", "％2e", "‥", "…",
	"\u202e", "\u202a", "\u2066", "\u200b", "\u200d", "\u200e", "\ufeff", "\u00ad", "\u034f", "\u3164", "\uffa0", "\u2800", "\ufe0f", "\U000e0041", "\u2028", "\ue000", "\uffff",
	"CON", "con", "NUL", "aux", "COM1", "COM¹", "lpt³", "CONIN$", "CLOCK$", "php", "PHP", "pHp7", "exe", "js", "html", "svg", "jpg", "jpeg", "png", "mp3", "tar", "gz", "htaccess", "asp",
	"a", "photo", "Zażółć", "日本", "👩‍👩‍👧", "e\u0301", "\u0301", strings.Repeat("\u0301", 40), "ﷺ", "ﬁ", "½", "ß", "İ", "ı", "K", "ſ", "\U0001F600", " ", "  ", "\u00a0", "\u3000", "_", "-", "~", ";", ":", "::$DATA",
	"\"", "*", "?", "<", ">", "|", "&", "$", "`", "'", strings.Repeat("a", 100), strings.Repeat("é", 101), strings.Repeat("語", 67), strings.Repeat(".", 50), strings.Repeat("../", 30),
}

func formats() []walk.Format {
	out := []walk.Format{""}
	for _, ty := range media.Types() {
		out = append(out, ty.Format)
	}
	return out
}

// The corpus: every pair and every piece between dots, plain and encoded.
func TestNameCorpus(t *testing.T) {
	n := 0
	check := func(raw string) {
		checkName(t, raw, formats()[n%len(formats())])
		n++
	}
	for _, a := range pieces {
		for _, b := range pieces {
			check(a + b)
			check("x" + a + "." + b + ".jpg")
			check(url.PathEscape(a + b))
			check(url.QueryEscape(url.PathEscape(a + b + ".png")))
		}
		check(strings.Repeat(a, 4096/len(a)+1))
		check("x." + strings.Repeat(a, 300/len(a)))
		check(percent(a + "/photo." + a))
	}
	for k := range 300 {
		check(strings.Repeat("é", k) + ".php.jpg")
		check(strings.Repeat("é", k) + " .x.jpg")
		check("x" + strings.Repeat("a", k) + "\U0001F600.jpg")
	}
	t.Logf("%d names", n)
}

// percent encodes every byte.
func percent(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02x", c)
	}
	return b.String()
}

func TestNameProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		parts := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(pieces), rapid.StringN(0, 8, -1)), 0, 12).Draw(rt, "parts")
		raw := strings.Join(parts, rapid.SampledFrom([]string{"", ".", "/", "%2e"}).Draw(rt, "between"))
		if rapid.Bool().Draw(rt, "encoded") {
			raw = percent(raw)
		}
		checkName(rt, raw, rapid.SampledFrom(formats()).Draw(rt, "format"))
	})
}

func FuzzCleanName(f *testing.F) {
	for _, p := range pieces {
		f.Add("x"+p+".jpg", "jpeg")
	}
	f.Fuzz(func(t *testing.T, raw, as string) { checkName(t, raw, walk.Format(as)) })
}

func BenchmarkCleanName(b *testing.B) {
	for b.Loop() {
		if _, err := media.CleanName("IMG_20240105_120000 (2).JPEG", walk.JPEG); err != nil {
			b.Fatal(err)
		}
	}
}
