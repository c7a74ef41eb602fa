package media_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/media/walk"
)

// TestPolicy: what an operator decides is what is judged by, and sound in a
// container that begins like a film is judged as sound.
func TestPolicy(t *testing.T) {
	jpeg := mediatest.JPEG(mediatest.Picture(64, 48))
	film := mediatest.MovieFile{Brands: []string{"isom"}, Video: true, Audio: true}.Bytes()
	song := mediatest.MovieFile{Brands: []string{"isom"}, Audio: true}.Bytes()
	for _, c := range []struct {
		what   string
		change func(*media.Policy)
		file   []byte
		want   fault.Code
		limit  int64 // that the refusal names
	}{
		{"the default", func(*media.Policy) {}, jpeg, "", 0},
		{"as large as may be", func(p *media.Policy) { p.MaxSize[media.Image] = int64(len(jpeg)) }, jpeg, "", 0},
		{"a byte too large", func(p *media.Policy) { p.MaxSize[media.Image] = int64(len(jpeg)) - 1 }, jpeg, fault.FileTooLarge, int64(len(jpeg)) - 1},
		{"a type that is refused", func(p *media.Policy) { p.Refused = []string{"image/jpeg"} }, jpeg, fault.MIMETypeNotAllowed, 0},
		{"another type is refused", func(p *media.Policy) { p.Refused = []string{"image/png"} }, jpeg, "", 0},
		{"a class that is refused", func(p *media.Policy) { delete(p.MaxSize, media.Image) }, jpeg, fault.MIMETypeNotAllowed, 0},
		{"sound where films are refused", func(p *media.Policy) { p.Refused = []string{"video/mp4", "video/quicktime"} }, song, "", 0},
		{"a film where films are refused", func(p *media.Policy) { p.Refused = []string{"video/mp4", "video/quicktime"} }, film, fault.MIMETypeNotAllowed, 0},
		{"sound where films must be small", func(p *media.Policy) { p.MaxSize[media.Video] = 1 }, song, "", 0},
		{"a film where films must be small", func(p *media.Policy) { p.MaxSize[media.Video] = 1 }, film, fault.FileTooLarge, 1},
		{"sound where sound must be small", func(p *media.Policy) { p.MaxSize[media.Audio] = 1 }, song, fault.FileTooLarge, 1},
		{"a film where sound must be small", func(p *media.Policy) { p.MaxSize[media.Audio] = 1 }, film, "", 0},
		{"sound and films are refused", func(p *media.Policy) { p.Refused = []string{"video/mp4", "video/quicktime", "audio/mp4"} }, song, fault.MIMETypeNotAllowed, 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := media.DefaultPolicy()
			c.change(&p)
			in := &media.Inspector{Walk: walk.DefaultLimits(), Policy: func() media.Policy { return p }}
			v, err := in.Inspect(t.Context(), media.Declared{Name: "a", Size: -1}, bytes.NewReader(c.file), io.Discard)
			if fault.CodeOf(err) != c.want && (err != nil || c.want != "") {
				t.Fatalf("%s: %v, want %q", v.MIME, err, c.want)
			}
			if got := limitOf(err); c.limit != 0 && got != c.limit {
				t.Errorf("the refusal names the limit %d, want %d: %v", got, c.limit, err)
			}
		})
	}
}

func limitOf(err error) int64 {
	var e *fault.Error
	if !errors.As(err, &e) {
		return 0
	}
	f, _ := e.Detail.(fault.Field)
	n, _ := f.Limit.(int64)
	return n
}

// TestPolicyOfMetadata: what is refused by its bytes is refused before them.
func TestPolicyOfMetadata(t *testing.T) {
	p := media.DefaultPolicy()
	p.Refused, p.MaxSize[media.Audio] = []string{"image/gif"}, 1000
	for _, c := range []struct {
		name, mime string
		size       int64
		want       fault.Code
	}{
		{"a.gif", "image/gif", 10, fault.MIMETypeNotAllowed},
		{"a.gif", "", 10, fault.MIMETypeNotAllowed},
		{"a.mp3", "", 1000, ""},
		{"a.mp3", "", 1001, fault.FileTooLarge},
	} {
		if _, err := p.Validate(c.name, c.mime, c.size); fault.CodeOf(err) != c.want && (err != nil || c.want != "") {
			t.Errorf("%s %s %d: %v, want %q", c.name, c.mime, c.size, err, c.want)
		}
	}
	if got := len(p.Types()); got != len(media.Types())-1 {
		t.Errorf("%d types are listed, want all but one", got)
	}
}
