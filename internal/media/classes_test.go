package media_test

import (
	"errors"
	"testing"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/media/walk"
)

func TestTypesAreUnambiguous(t *testing.T) {
	mimes, exts := map[string]bool{}, map[string]bool{}
	for _, ty := range media.Types() {
		if media.DefaultPolicy().MaxSize[ty.Class] == 0 {
			t.Errorf("%s has no size limit", ty.Format)
		}
		for _, m := range append([]string{ty.MIME}, ty.Aliases...) {
			if mimes[m] {
				t.Errorf("%s names two types", m)
			}
			mimes[m] = true
		}
		for _, e := range append([]string{ty.Extension}, ty.Extensions...) {
			if exts[e] {
				t.Errorf(".%s names two types", e)
			}
			exts[e] = true
		}
	}
}

func TestCanonicalMIME(t *testing.T) {
	for in, want := range map[string]string{
		"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "Image/JPEG": "image/jpeg", " image/jpeg ; q=1": "image/jpeg",
		"audio/x-wav": "audio/wav", "audio/wave": "audio/wav", "audio/mp3": "audio/mpeg", "audio/x-m4a": "audio/mp4",
		"video/x-quicktime": "video/quicktime", "application/ogg": "audio/ogg", "image/heif": "image/heic",
		`audio/ogg; codecs="opus"`: "audio/ogg", "image/apng": "image/png", "image/jpeg, image/jpeg": "image/jpeg",
		"Text/HTML; charset=utf-8": "text/html", "": "", ";": "", "nonsense": "nonsense",
	} {
		if got := media.CanonicalMIME(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestAgrees(t *testing.T) {
	for _, tt := range []struct {
		declared string
		content  walk.Format
		want     bool
	}{
		{"", walk.JPEG, true},
		{"application/octet-stream", walk.WebM, true},
		{"Application/Octet-Stream; x=y", walk.WebM, true},
		{"image/jpg", walk.JPEG, true},
		{"image/png", walk.JPEG, false},
		{"image/jpeg", walk.HEIF, false},
		{"image/heif", walk.HEIF, true},
		{"video/mp4", walk.QuickTime, true},
		{"video/quicktime", walk.MP4, true},
		{"video/mp4", walk.M4A, true},
		{"audio/mp4", walk.MP4, false}, // more than it says
		{"audio/aac", walk.M4A, true},
		{"audio/mpeg", walk.AAC, false},
		{"image/jpeg", walk.MP4, false},
		{"text/html", walk.JPEG, false},
	} {
		if got := media.Agrees(tt.declared, tt.content); got != tt.want {
			t.Errorf("Agrees(%q, %s) = %v", tt.declared, tt.content, got)
		}
	}
}

func TestValidate(t *testing.T) {
	const jpg, mp4 = "image/jpeg", "video/mp4"
	for _, tt := range []struct {
		name, mime string
		size       int64
		code       fault.Code // "": allowed
		clean      string
		max        int64
	}{
		{"a.jpg", jpg, 10 * media.MB, "", "a.jpg", 10 * media.MB},
		{"a.jpg", jpg, 10*media.MB + 1, fault.FileTooLarge, "a.jpg", 10 * media.MB},
		{"a.mov", mp4, 100 * media.MB, "", "a.mp4", 100 * media.MB},
		{"a.mp3", "audio/mp3", 20*media.MB + 1, fault.FileTooLarge, "a.mp3", 20 * media.MB},
		{"a.MOV", "", 5, "", "a.mov", 100 * media.MB},
		{"../a.heif", "application/octet-stream", 5, "", "a.heic", 10 * media.MB},
		{"blob", "application/octet-stream", 5, fault.MIMETypeNotAllowed, "blob.bin", 0},
		{"a.pdf", "application/pdf", 5, fault.MIMETypeNotAllowed, "a.pdf.bin", 0},
		{"a.jpg", "application/x-msdownload", 5, fault.MIMETypeNotAllowed, "a.jpg", 0},
		{"malware.exe", "application/x-msdownload", 5, fault.FilenameNotAllowed, "", 0},
		{"malware.exe", jpg, 5, fault.FilenameNotAllowed, "", 10 * media.MB},
		{"a.jpg", jpg, 0, fault.InvalidArgument, "a.jpg", 10 * media.MB},
		{"a.jpg", jpg, -1, fault.InvalidArgument, "a.jpg", 10 * media.MB},
	} {
		m, err := media.DefaultPolicy().Validate(tt.name, tt.mime, tt.size)
		var code fault.Code
		if err != nil {
			code = fault.CodeOf(err)
		}
		if code != tt.code || m.Filename != tt.clean || m.MaxSize != tt.max {
			t.Errorf("%s %s %d: %q %+v, %v", tt.name, tt.mime, tt.size, code, m, err)
		}
	}
}

func TestRefusalsSayLimitAndActual(t *testing.T) {
	_, err := media.DefaultPolicy().Validate("a.jpg", "image/jpeg", 15*media.MB)
	var e *fault.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	if f := e.Detail.(fault.Field); f.Limit != int64(10*media.MB) || f.Actual != int64(15*media.MB) {
		t.Errorf("detail is %+v", f)
	}
	_, err = media.DefaultPolicy().Validate("a.jpg", "text/\u202ehtml", 1)
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	if f := e.Detail.(fault.Field); f.Actual != "text/html" || len(f.Allowed) != len(media.Types()) {
		t.Errorf("detail is %+v", f)
	}
}
