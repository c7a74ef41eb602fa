package httpapi_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"avalo.app/gantry/internal/httpapi"
)

// The limits of the server in these tests, and what is over them.
const (
	serverLimit = 50 * time.Millisecond
	overLimit   = 2 * serverLimit
)

func impatient(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = serverLimit, serverLimit
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL
}

// TestUploadOutlivesTheServersLimits: an upload that takes longer than the
// server gives a request is read to its end and answered.
func TestUploadOutlivesTheServersLimits(t *testing.T) {
	url := impatient(t, func(w http.ResponseWriter, r *http.Request) {
		if got, err := io.ReadAll(httpapi.Patient(w, r)); err != nil || string(got) != "slow body" {
			t.Errorf("read %q: %v", got, err)
		}
		<-time.After(overLimit) // it is stored
		_, _ = io.WriteString(w, "stored")
	})
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, "slow ")
		<-time.After(overLimit)
		_, _ = io.WriteString(w, "body")
		_ = w.Close()
	}()
	res, err := http.Post(url, "application/octet-stream", r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || string(b) != "stored" {
		t.Errorf("answered %q: %v", b, err)
	}
}

// TestDownloadOutlivesTheServersLimits: so does content that a slow caller
// takes.
func TestDownloadOutlivesTheServersLimits(t *testing.T) {
	url := impatient(t, func(w http.ResponseWriter, _ *http.Request) {
		out := httpapi.Steady(w)
		for range 2 {
			if _, err := out.Write(make([]byte, 8<<10)); err != nil { // over net/http's buffer
				t.Error(err)
			}
			<-time.After(overLimit)
		}
		_, _ = io.WriteString(out, "end")
	})
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || !bytes.HasSuffix(b, []byte("end")) {
		t.Errorf("%d bytes: %v", len(b), err)
	}
}
