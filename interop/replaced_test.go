package interop_test

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// TestReplacedWhileVerified: whoever holds the bucket's own credentials may
// replace an upload while it is being read, and the connection may break there,
// so that the provider's client resumes it: what becomes public is one version,
// whole.
func TestReplacedWhileVerified(t *testing.T) {
	for _, by := range providers() {
		for name, then := range map[string]error{"and read on": nil, "and cut off": errors.New("cut off")} {
			t.Run(by.name+" "+name, func(t *testing.T) {
				b := by.start(t)
				file := picture(400)
				other := bytes.Clone(file) // as long as was declared, and as valid: another quantisation
				other[bytes.Index(file, []byte{0xff, 0xdb})+5]++
				direct, key := b.open(t), ""
				through, met := behind(t, b, by.name == "s3", func() error {
					if err := direct.Put(t.Context(), key, "image/jpeg", bytes.NewReader(other)); err != nil {
						t.Error(err)
					}
					return then
				})
				u := startUploads(t, through)
				p := u.presign(t, "ann", len(file))
				if status := send(t, p, file); status != by.accepted {
					t.Fatalf("PUT: %d", status)
				}
				key = b.keys(t, "quarantine")[0]
				status, up, body := u.verify(t, p.ID)
				if !met.Load() {
					t.Fatal("nothing was replaced while it was read")
				}
				want := file
				if status != http.StatusOK { // it was not the file that failed: it waits, as it is by now
					if got := b.keys(t, "media"); len(got) != 0 {
						t.Errorf("%d %s, and public are %v", status, body, got)
					}
					want = other
					if status, up, body = u.verify(t, p.ID); status != http.StatusOK {
						t.Fatalf("verified again: %d %s", status, body)
					}
				}
				if got := b.object(t, up.Path); len(b.keys(t, "media")) != 1 || !bytes.Equal(got, want) {
					t.Errorf("public are %v, and %s is not what was read: %d bytes", b.keys(t, "media"), up.Path, len(got))
				}
			})
		}
	}
}

// behind puts a proxy before a bucket, that calls half once, in the middle of
// the first object that is read from quarantine, and breaks the connection
// there if half fails.
func behind(t *testing.T, b bucket, keepHost bool, half func() error) (through bucket, met *atomic.Bool) {
	t.Helper()
	met = new(atomic.Bool)
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: b.addr})
			if keepHost { // it is signed
				r.Out.Host = r.In.Host
			}
		},
		ModifyResponse: func(res *http.Response) error {
			if res.Request.Method == http.MethodGet && strings.Contains(res.Request.URL.Path, "quarantine/presigned/") && res.ContentLength > 0 && !met.Swap(true) {
				res.Body = &halved{ReadCloser: res.Body, left: res.ContentLength / 2, half: half}
			}
			return nil
		},
	})
	t.Cleanup(proxy.Close)
	addr := strings.TrimPrefix(proxy.URL, "http://")
	through = bucket{url: strings.ReplaceAll(b.url, b.addr, addr), env: map[string]string{}, dir: b.dir, addr: addr}
	for k, v := range b.env {
		through.env[k] = strings.ReplaceAll(v, b.addr, addr)
	}
	return through, met
}

// halved calls half after left bytes.
type halved struct {
	io.ReadCloser
	left int64
	half func() error
}

func (h *halved) Read(p []byte) (int, error) {
	if h.left == 0 {
		h.left = -1
		if err := h.half(); err != nil {
			return 0, err
		}
	}
	if h.left > 0 {
		p = p[:min(int64(len(p)), h.left)]
	}
	n, err := h.ReadCloser.Read(p)
	if h.left > 0 {
		h.left -= int64(n)
	}
	return n, err
}
