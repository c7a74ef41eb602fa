package interop_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/gantrytest"
	"avalo.app/gantry/internal/media"
	"avalo.app/gantry/internal/media/mediabuckettest"
	"avalo.app/gantry/internal/media/mediatest"
)

// uploads is Gantry with a bucket of a provider.
type uploads struct {
	*gantrytest.Process
	bucket
}

func startUploads(t *testing.T, b bucket) uploads {
	t.Helper()
	return uploads{gantrytest.Start(t, gantrytest.Options{Binary: binary, Config: b.config(), Env: b.env}), b}
}

func (u uploads) presign(t *testing.T, user string, size int) api.MediaPresigned {
	t.Helper()
	a := u.Do(t, "POST", "/v1/media/uploads/presign", api.MediaMetadata{Filename: "photo.jpg", MIMEType: "image/jpeg", Size: int64(size), UserID: user})
	if a.Status != http.StatusCreated {
		t.Fatalf("presign: %d %s", a.Status, a.Body)
	}
	var p api.MediaPresigned
	a.Decode(t, &p)
	return p
}

// send PUTs a file by plain HTTP, with the headers that were returned.
func send(t *testing.T, p api.MediaPresigned, file []byte) int {
	t.Helper()
	return sendAs(t, p.URL, p.Headers, file)
}

func sendAs(t *testing.T, url string, headers map[string]string, file []byte) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

func (u uploads) verify(t *testing.T, id string) (int, api.MediaUpload, string) {
	t.Helper()
	a := u.Do(t, "POST", "/v1/media/uploads/"+id+"/verify", nil)
	var up api.MediaUpload
	if a.Status == http.StatusOK {
		a.Decode(t, &up)
	}
	return a.Status, up, string(a.Body)
}

// callable asks verifyUploadedFile.
func (u uploads) callable(t *testing.T, path, user, mime string) bool {
	t.Helper()
	a := u.Do(t, "POST", "/callable/verifyUploadedFile", map[string]any{"data": map[string]string{"path": path, "userId": user, "mimeType": mime}})
	var out struct{ Result bool }
	if a.Status != http.StatusOK {
		t.Fatalf("verifyUploadedFile: %d %s", a.Status, a.Body)
	}
	a.Decode(t, &out)
	return out.Result
}

// refusals returns the codes in the verdict log of a user.
func (u uploads) refusals(t *testing.T, user string) []api.Code {
	t.Helper()
	var out struct{ Refusals []api.MediaRefusal }
	u.Do(t, "GET", "/v1/media/refusals?userId="+user, nil).Decode(t, &out)
	var codes []api.Code
	for _, r := range out.Refusals {
		codes = append(codes, r.Code)
	}
	return codes
}

func picture(side int) []byte { return mediatest.JPEG(mediatest.Picture(side, side)) }

// TestPresigned: what was verified is what is public, whatever is sent to the
// presigned URL before or after.
func TestPresigned(t *testing.T) { each(t, presigned) }

func presigned(t *testing.T, by provider, u uploads) {
	file, other := picture(40), picture(41)
	other = append(other, make([]byte, max(0, len(file)-len(other)))...)[:len(file)] // of the same length: only its bytes tell
	p := u.presign(t, "ann", len(file))

	if status, _, body := u.verify(t, p.ID); status != http.StatusConflict {
		t.Errorf("verified before anything arrived: %d %s", status, body)
	}
	if u.callable(t, p.ID, "ann", "image/jpeg") {
		t.Error("verifyUploadedFile is true before anything arrived")
	}
	if status := send(t, p, file); status != by.accepted {
		t.Fatalf("the bucket answered the PUT with %d", status)
	}
	if got := u.keys(t, "quarantine"); len(got) != 1 || len(u.keys(t, "media")) != 0 {
		t.Errorf("before verification the bucket holds %v", u.keys(t, ""))
	}
	if status := send(t, p, other); status != by.refused {
		t.Errorf("a second PUT before verification: %d", status)
	}

	status, up, body := u.verify(t, p.ID)
	if status != http.StatusOK || up.State != "verified" || up.UserID != "ann" || up.Size != int64(len(file)) {
		t.Fatalf("verify: %d %s", status, body)
	}
	if !strings.HasPrefix(up.Path, "media/u-ann/") || !bytes.Equal(u.object(t, up.Path), file) {
		t.Errorf("%s does not hold what was sent", up.Path)
	}
	if got := u.keys(t, "quarantine"); len(got) != 0 {
		t.Errorf("quarantine holds %v after verification", got)
	}

	if status := send(t, p, other); status != by.accepted { // it lies in quarantine, of no use to anybody
		t.Errorf("a PUT after verification: %d", status)
	}
	again, up2, _ := u.verify(t, p.ID)
	if diff := gocmp.Diff(up, up2); again != http.StatusOK || diff != "" {
		t.Errorf("verified again: %d %s", again, diff)
	}
	if diff := gocmp.Diff([]string{up.Path}, u.keys(t, "media")); diff != "" || !bytes.Equal(u.object(t, up.Path), file) {
		t.Errorf("a PUT after verification reached what is public: %s", diff)
	}
	if a := u.Do(t, "GET", "/v1/media/uploads/"+p.ID+"/content", nil); a.Status != http.StatusOK || !bytes.Equal(a.Body, file) {
		t.Errorf("the content: %d, %d bytes", a.Status, len(a.Body))
	}
	for _, c := range []struct {
		path, user, mime string
		want             bool
	}{
		{p.ID, "ann", "image/jpeg", true}, {p.ID, "ann", "image/jpg", true}, {p.ID, "ann", "", true}, {p.ID, "", "", true},
		{p.ID, "bob", "image/jpeg", false}, {p.ID, "ann", "image/png", false}, {"no-such-upload", "ann", "", false},
	} {
		if got := u.callable(t, c.path, c.user, c.mime); got != c.want {
			t.Errorf("verifyUploadedFile(%q, %q, %q) is %t", c.path, c.user, c.mime, got)
		}
	}
	if got := u.refusals(t, "ann"); len(got) != 0 {
		t.Errorf("the verdict log holds %v", got)
	}
}

// TestPresignedBound: the bucket refuses what was not declared, without
// Gantry; what the provider cannot bind, verify refuses.
func TestPresignedBound(t *testing.T) { each(t, presignedBound) }

func presignedBound(t *testing.T, by provider, u uploads) {
	file := picture(40)
	p := u.presign(t, "ann", len(file))
	without := func(name string) map[string]string {
		h := maps.Clone(p.Headers)
		maps.DeleteFunc(h, func(k, _ string) bool { return strings.EqualFold(k, name) })
		return h
	}
	mistyped := without("Content-Type")
	mistyped["Content-Type"] = "text/html"
	key := strings.NewReplacer("quarantine/presigned", "media", "quarantine%2Fpresigned", "media").Replace(p.URL)
	if key == p.URL {
		t.Fatalf("%s names no key in quarantine", p.URL)
	}
	for _, c := range []struct {
		name    string
		url     string
		headers map[string]string
		file    []byte
		bound   bool
	}{
		{"longer", p.URL, p.Headers, append(bytes.Clone(file), 0), by.sized},
		{"shorter", p.URL, p.Headers, file[:len(file)-1], by.sized},
		{"of another type", p.URL, mistyped, file, by.typed},
		{"without its condition", p.URL, without("If-None-Match"), file, by.name == "s3"},
		{"without its generation", p.URL, without("X-Goog-If-Generation-Match"), file, by.name == "gcs"},
		{"without its range", p.URL, without("X-Goog-Content-Length-Range"), file, by.name == "gcs"},
		{"under another key", key, p.Headers, file, true},
	} {
		if !c.bound {
			continue // see TestPresignedUnbound
		}
		if status := sendAs(t, c.url, c.headers, c.file); status < 400 || status > 499 {
			t.Errorf("a PUT %s: %d", c.name, status)
		}
	}
	if got := u.keys(t, ""); len(got) != 0 {
		t.Errorf("the bucket holds %v", got)
	}
	if status, _, _ := u.verify(t, p.ID); status != http.StatusConflict {
		t.Errorf("verify: %d", status)
	}
}

// TestPresignedUnbound: where a provider takes another length or type than was
// declared, nothing of it becomes public but what verify would have accepted.
func TestPresignedUnbound(t *testing.T) {
	file := picture(40)
	for _, by := range providers() {
		if by.sized && by.typed {
			continue
		}
		t.Run(by.name, func(t *testing.T) {
			u := startUploads(t, by.start(t))
			for name, sent := range map[string][]byte{"longer": append(bytes.Clone(file), 0), "shorter": file[:len(file)-1], "endless": append(bytes.Clone(file), make([]byte, 11<<20)...)} {
				p := u.presign(t, name, len(file))
				if status := send(t, p, sent); status != by.accepted {
					t.Errorf("%s: the provider binds the length after all: %d", name, status)
				}
				if status, _, body := u.verify(t, p.ID); status < 400 || status > 499 || status == http.StatusConflict {
					t.Errorf("%s: verify: %d %s", name, status, body)
				}
				if got := u.keys(t, ""); len(got) != 0 {
					t.Errorf("%s: the bucket holds %v", name, got)
				}
			}
			p := u.presign(t, "typed", len(file))
			headers := maps.Clone(p.Headers)
			headers["Content-Type"] = "text/html"
			if status := sendAs(t, p.URL, headers, file); status != by.accepted {
				t.Errorf("the provider binds the type after all: %d", status)
			}
			status, up, body := u.verify(t, p.ID)
			if status != http.StatusOK || up.MIMEType != "image/jpeg" || !bytes.Equal(u.object(t, up.Path), file) {
				t.Fatalf("verify: %d %s", status, body)
			}
			if a := u.Do(t, "GET", "/v1/media/uploads/"+p.ID+"/content", nil); a.Header.Get("Content-Type") != "image/jpeg" {
				t.Errorf("the content is served as %s", a.Header.Get("Content-Type"))
			}
		})
	}
}

// TestPresignedLies: what is not what was declared leaves nothing but one
// entry in the verdict log.
func TestPresignedLies(t *testing.T) { each(t, presignedLies) }

func presignedLies(t *testing.T, by provider, u uploads) {
	gif := mediatest.GIFs()[0].Bytes
	for name, c := range map[string]struct {
		file []byte
		want api.Code
	}{
		"program":   {append([]byte("MZ\x90\x00"), bytes.Repeat([]byte("x"), 500)...), api.CodeMIMETypeNotAllowed},
		"gif":       {gif, api.CodeContentMismatch},
		"truncated": {picture(40)[:600], api.CodeFileCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			p := u.presign(t, name, len(c.file))
			if status := send(t, p, c.file); status != by.accepted {
				t.Fatalf("PUT: %d", status)
			}
			status, _, body := u.verify(t, p.ID)
			if status < 400 || status > 499 || !strings.Contains(body, string(c.want)) {
				t.Errorf("verify: %d %s, want %s", status, body, c.want)
			}
			if diff := gocmp.Diff([]api.Code{c.want}, u.refusals(t, name)); diff != "" {
				t.Errorf("the verdict log: %s", diff)
			}
			if got := u.keys(t, ""); len(got) != 0 {
				t.Errorf("the bucket holds %v", got)
			}
			if status, _, _ := u.verify(t, p.ID); status != http.StatusNotFound || len(u.refusals(t, name)) != 1 {
				t.Errorf("verified again: %d, %v", status, u.refusals(t, name))
			}
			if u.callable(t, p.ID, name, "image/jpeg") {
				t.Error("verifyUploadedFile is true")
			}
		})
	}
}

// TestUploadTo: what goes through Gantry lands in the bucket, also in many
// parts; deleting takes it away.
func TestUploadTo(t *testing.T) {
	files := map[string][]byte{"small": picture(40), "large": picture(2400)}
	each(t, func(t *testing.T, _ provider, u uploads) { uploadTo(t, u, files) })
}

func uploadTo(t *testing.T, u uploads, files map[string][]byte) {
	for name, file := range files {
		a := u.Do(t, "POST", fmt.Sprintf("/v1/media/uploads?userId=%s&filename=a.jpg", name), string(file), "Content-Type", "image/jpeg")
		if a.Status != http.StatusCreated {
			t.Fatalf("%s, %d bytes: %d %s", name, len(file), a.Status, a.Body)
		}
		var up api.MediaUpload
		a.Decode(t, &up)
		if !bytes.Equal(u.object(t, up.Path), file) {
			t.Errorf("%s is not what was sent", up.Path)
		}
		if a := u.Do(t, "DELETE", "/v1/media/uploads/"+up.ID, nil); a.Status != http.StatusNoContent {
			t.Errorf("delete: %d %s", a.Status, a.Body)
		}
		if got := u.keys(t, ""); len(got) != 0 {
			t.Errorf("the bucket holds %v", got)
		}
	}
}

func TestBucket(t *testing.T) {
	for _, p := range providers() {
		t.Run(p.name, func(t *testing.T) {
			b := p.start(t).open(t)
			mediabuckettest.Run(t, b)
			if err := b.Put(t.Context(), "media/x", "image/jpeg", strings.NewReader("x")); err != nil {
				t.Fatal(err)
			}
			r, o, err := b.Open(t.Context(), "media/x")
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Close(); err != nil || o.Version == "" {
				t.Errorf("no version is told: %+v %v", o, err)
			}
		})
	}
}

// TestVerifyKilled: killed at any instant of a verification, the upload is
// verified when it is asked again, with the bytes that were sent, or refused
// with one entry; the bucket holds what was verified, and nothing else.
func TestVerifyKilled(t *testing.T) {
	rounds := 4
	if os.Getenv("GANTRY_ACCEPT") != "" {
		rounds = 30
	}
	b, dir, key := startS3(t), t.TempDir(), ""
	start := func() uploads {
		p := gantrytest.Start(t, gantrytest.Options{Binary: binary, Dir: dir, Config: b.config(), Env: b.env})
		key = cmp.Or(key, p.Key)
		p.Key = key
		return uploads{p, b}
	}
	u := start()
	want, refused := map[string][]byte{}, map[string]bool{}
	for round := range rounds {
		good, bad := picture(600+round), picture(600 + round)[:2000]
		owner := fmt.Sprint("ann", round)
		ids := map[string][]byte{}
		for _, file := range [][]byte{good, bad} {
			p := u.presign(t, owner, len(file))
			if status := send(t, p, file); status != http.StatusOK {
				t.Fatalf("the bucket answered the PUT with %d", status)
			}
			ids[p.ID] = file
		}
		var wg sync.WaitGroup
		for id := range ids {
			wg.Go(func() { _, _ = u.Try("POST", "/v1/media/uploads/"+id+"/verify", nil) }) // what came of it, the next question tells
		}
		time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond) // the instant of the kill, not a wait for anything
		u.Kill()
		wg.Wait()
		u = start()
		for id, file := range ids {
			status, up, body := u.verify(t, id)
			if len(file) == len(bad) {
				refused[id] = true
				if status != http.StatusUnprocessableEntity && status != http.StatusNotFound {
					t.Errorf("a broken file: %d %s", status, body)
				}
				continue
			}
			if status != http.StatusOK || up.State != "verified" {
				t.Fatalf("an honest file: %d %s", status, body)
			}
			want[up.Path] = file
		}
		if got := u.refusals(t, owner); !slices.Equal(got, []api.Code{api.CodeFileCorrupt}) {
			t.Errorf("round %d: the verdict log holds %v", round, got)
		}
	}
	if diff := gocmp.Diff(slices.Sorted(maps.Keys(want)), u.keys(t, "media")); diff != "" {
		t.Errorf("public are others: %s", diff)
	}
	for path, file := range want {
		if !bytes.Equal(u.object(t, path), file) {
			t.Errorf("%s is not what was sent", path)
		}
	}
	// What a refused upload left there when it was killed, the collector takes.
	if got := slices.DeleteFunc(u.keys(t, "quarantine"), func(key string) bool { return refused[filepath.Base(key)] }); len(got) != 0 {
		t.Errorf("quarantine holds %v", got)
	}
}

// TestUploadMemory: on their way into a bucket, too, uploads take memory
// that does not grow with the files.
func TestUploadMemory(t *testing.T) {
	n, size := 6, 20<<20
	if os.Getenv("GANTRY_ACCEPT") != "" {
		n, size = 50, 100<<20-4096
	}
	film := mediatest.MovieFile{Brands: []string{"isom", "avc1", "mp41"}, Video: true, Audio: true, MoovLast: true, Before: mediatest.Box("free", make([]byte, size))}.Bytes()
	each(t, func(t *testing.T, _ provider, u uploads) { u.UploadMemory(t, n, film) })
}

// TestAwayS3: what a host put into the bucket while Gantry was away is judged
// when it is back.
func TestAwayS3(t *testing.T) {
	s3 := startS3(t)
	b := s3.open(t)
	good, bad := awayKey("ann", "1", "photo.jpg"), awayKey("bob", "2", "photo.jpg")
	for key, file := range map[string][]byte{good: picture(40), bad: []byte("MZ" + strings.Repeat("x", 500)), media.QuarantineAway + "README": []byte("of the operator")} {
		if err := b.Put(t.Context(), key, "application/octet-stream", bytes.NewReader(file)); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-time.Minute) // a younger one may still be written
		if err := os.Chtimes(filepath.Join(s3.dir, filepath.FromSlash(key)), old, old); err != nil {
			t.Fatal(err)
		}
	}
	u := uploads{gantrytest.Start(t, gantrytest.Options{Binary: binary, Config: s3.config(), Env: s3.env}), s3}
	want := []string{media.QuarantineAway + "README"}
	for deadline := time.Now().Add(time.Minute); !slices.Equal(u.keys(t, "quarantine"), want); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("quarantine holds %v\n%s", u.keys(t, "quarantine"), u.Stderr())
		}
	}
	got := u.keys(t, "media")
	if len(got) != 1 || !strings.HasPrefix(got[0], "media/u-ann/") || !bytes.Equal(u.object(t, got[0]), picture(40)) {
		t.Errorf("public are %v", got)
	}
	if got := u.refusals(t, "bob"); !slices.Equal(got, []api.Code{api.CodeMIMETypeNotAllowed}) || len(u.refusals(t, "ann")) != 0 {
		t.Errorf("the verdict log: %v", got)
	}
}

// awayKey is the key of an upload that a host puts into quarantine.
func awayKey(owner, id, name string) string {
	return api.MediaAwayKey(owner, strings.Repeat("0", 15)+id, name)
}
