package main_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/gantrytest"
	"avalo.app/gantry/internal/media/mediatest"
	"avalo.app/gantry/internal/store/storetest"
)

// TestMediaBadInput: whatever is said of a file, by whatever flow, is refused
// with a reason or accepted; neither engine fails at it.
func TestMediaBadInput(t *testing.T) {
	for engine, config := range map[string]string{"sqlite": "", "postgres": postgresConfig(t, storetest.Postgres(t))} {
		t.Run(engine, func(t *testing.T) {
			p := gantrytest.Start(t, gantrytest.Options{Binary: command, Config: config})
			jpeg := string(mediatest.JPEG(mediatest.Picture(16, 16)))
			for i, v := range []string{"", "\xff", "a\x00b", "a\u0000", "\U0001f600", strings.Repeat("ü", 64), strings.Repeat("x", 200), "\u202etxt", "a\nb", "%00", "../..", " ", "\xed\xa0\x80", "'; DROP TABLE", "\u2028", strings.Repeat("a\u0301", 30)} {
				q := url.QueryEscape(v)
				enc := base64.StdEncoding.EncodeToString([]byte(v))
				for name, a := range map[string]gantrytest.Answer{
					"owner":       p.Do(t, "POST", "/v1/media/uploads?filename=a.jpg&userId="+q, jpeg, "Content-Type", "image/jpeg"),
					"owner, bad":  p.Do(t, "POST", "/v1/media/uploads?filename=a.jpg&userId="+q, "MZ", "Content-Type", "image/jpeg"),
					"inspect":     p.Do(t, "POST", "/v1/media/inspect?filename=a.jpg&userId="+q, "MZ", "Content-Type", "image/jpeg"),
					"name":        p.Do(t, "POST", "/v1/media/uploads?userId=a"+strconv.Itoa(i)+"&filename="+q, jpeg, "Content-Type", "image/jpeg"),
					"name, bad":   p.Do(t, "POST", "/v1/media/uploads?userId=a"+strconv.Itoa(i)+"&filename="+q, "MZ", "Content-Type", "image/jpeg"),
					"id":          p.Do(t, "GET", "/v1/media/uploads/"+url.PathEscape(v)+"x", nil),
					"content":     p.Do(t, "GET", "/v1/media/uploads/"+url.PathEscape(v)+"x/content", nil),
					"delete":      p.Do(t, "DELETE", "/v1/media/uploads/"+url.PathEscape(v)+"x", nil),
					"verify":      p.Do(t, "POST", "/v1/media/uploads/"+url.PathEscape(v)+"x/verify", nil),
					"refusals":    p.Do(t, "GET", "/v1/media/refusals?userId="+q+"&code="+q, nil),
					"callable":    p.Do(t, "POST", "/callable/verifyUploadedFile", map[string]any{"data": map[string]any{"path": v, "userId": v, "mimeType": v}}),
					"validate":    p.Do(t, "POST", "/v1/media/validate", map[string]any{"filename": "a.jpg", "mimeType": v, "size": 1, "userId": v}),
					"validate2":   p.Do(t, "POST", "/callable/validateMediaUpload", map[string]any{"data": map[string]any{"filename": v, "mimeType": v, "size": 1, "userId": v}}),
					"presign":     p.Do(t, "POST", "/v1/media/uploads/presign", map[string]any{"filename": v + ".jpg", "mimeType": "image/jpeg", "size": 1, "userId": v}),
					"tus owner":   tusBegin(t, p, "10", "filename YS5qcGc=,filetype aW1hZ2UvanBlZw==,userId "+enc),
					"tus type":    tusBegin(t, p, "10", "filename YS5qcGc=,filetype "+enc+",userId YQ=="),
					"tus name":    tusBegin(t, p, "10", "filename "+enc+",filetype aW1hZ2UvanBlZw==,userId YQ=="),
					"tus, all":    tusBegin(t, p, v, v),
					"tus id":      p.Do(t, "HEAD", "/v1/media/tus/"+url.PathEscape(v)+"x", nil, "Tus-Resumable", "1.0.0"),
					"form":        form(t, p, fmt.Sprintf("--b\r\nContent-Disposition: form-data; name=\"userId\"\r\n\r\n%s\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n\r\n%s\r\n--b--\r\n", v, v, jpeg)),
					"form header": form(t, p, fmt.Sprintf("--b\r\n%s: %s\r\n\r\nx\r\n--b--\r\n", v, v)),
				} {
					if a.Status >= 500 || a.Status == 0 {
						t.Errorf("%s %q: %d %s", name, v, a.Status, a.Body)
					}
				}
				if printable(v) {
					if a := p.Do(t, "POST", "/v1/media/uploads?filename=a.jpg&userId=t"+strconv.Itoa(i), jpeg, "Content-Type", v); a.Status >= 500 {
						t.Errorf("type %q: %d %s", v, a.Status, a.Body)
					}
				}
			}
			for _, n := range []string{"-1", "0", "9223372036854775807", "9223372036854775808", "1e3", "0x10", " 5"} {
				if a := tusBegin(t, p, n, "filename YS5qcGc=,filetype aW1hZ2UvanBlZw==,userId YQ=="); a.Status < 400 || a.Status >= 500 {
					t.Errorf("Upload-Length %q: %d %s", n, a.Status, a.Body)
				}
				body := `{"filename":"a.jpg","mimeType":"image/jpeg","userId":"a","size":` + n + `}`
				for _, path := range []string{"/v1/media/validate", "/v1/media/uploads/presign"} {
					if a := p.Do(t, "POST", path, body); a.Status >= 500 || a.Status == http.StatusCreated {
						t.Errorf("%s %q: %d %s", path, n, a.Status, a.Body)
					}
				}
			}
			for i, mime := range []string{"image/\xff", "x/" + strings.Repeat("y", 5000)} {
				user := fmt.Sprint("typed", i)
				p.Do(t, "POST", "/v1/media/uploads?filename=a.jpg&userId="+user, jpeg, "Content-Type", mime)
				var out struct{ Refusals []api.MediaRefusal }
				p.Do(t, "GET", "/v1/media/refusals?userId="+user, nil).Decode(t, &out)
				if len(out.Refusals) != 1 || len(out.Refusals[0].Declared) > 200 {
					t.Errorf("the verdict log on %.20q: %+v", mime, out.Refusals)
				}
			}
			if log := p.Stderr(); strings.Contains(log, "INTERNAL") || strings.Contains(log, "level=ERROR") {
				t.Errorf("the log says\n%.2000s", log)
			}
		})
	}
}

func tusBegin(t *testing.T, p *gantrytest.Process, length, metadata string) gantrytest.Answer {
	t.Helper()
	if !printable(length) || !printable(metadata) {
		return gantrytest.Answer{Status: http.StatusBadRequest} // no header can say so
	}
	return p.Do(t, "POST", "/v1/media/tus/", nil, "Tus-Resumable", "1.0.0", "Upload-Length", length, "Upload-Metadata", metadata)
}

func form(t *testing.T, p *gantrytest.Process, body string) gantrytest.Answer {
	t.Helper()
	return p.Do(t, "POST", "/v1/media/uploads", body, "Content-Type", "multipart/form-data; boundary=b")
}

// printable reports whether a header may have a value.
func printable(v string) bool {
	return !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
