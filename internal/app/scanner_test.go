package app_test

import (
	"encoding/json"
	"image"
	"net/http"
	"strings"
	"testing"

	"avalo.app/gantry/internal/clamd/clamdtest"
	"avalo.app/gantry/internal/config"
	"avalo.app/gantry/internal/media/mediatest"
)

// upload sends a file as the body and returns the answer.
func (s started) upload(t *testing.T, user string, file []byte) (status int, scanned, body string) {
	t.Helper()
	status, body = s.do(t, "POST", "/v1/media/uploads?userId="+user+"&filename=a.jpg", s.creds["app"], string(file), "Content-Type", "image/jpeg")
	var up struct{ Scanned string }
	if err := json.Unmarshal([]byte(body), &up); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return status, up.Scanned, body
}

// refusals returns the verdict log of a user.
func (s started) refusals(t *testing.T, user string) []struct{ Code, Reason string } {
	t.Helper()
	status, body := s.do(t, "GET", "/v1/media/refusals?userId="+user, s.creds["moderator"], "")
	var out struct {
		Refusals []struct{ Code, Reason string }
	}
	if err := json.Unmarshal([]byte(body), &out); err != nil || status != http.StatusOK {
		t.Fatal(status, body, err)
	}
	return out.Refusals
}

// TestScanner: what Debian's clamd finds is refused; what it does not scan,
// and everything while it is stopped, goes by the policy.
func TestScanner(t *testing.T) {
	for _, policy := range []string{"accept", "refuse"} {
		t.Run(policy, func(t *testing.T) {
			d := clamdtest.Start(t)
			s := start(t, func(c *config.Config) { c.Media.Clamd, c.Media.Unscanned, c.Media.Sanitise = d.Address, policy, false })
			picture := mediatest.JPEG(mediatest.Picture(64, 48))
			infected := mediatest.JPEG(mediatest.Picture(64, 48), mediatest.Segment(0xfe, []byte(clamdtest.Malware)))
			overScan := noise(t, clamdtest.ScanMax)
			overStream := noise(t, clamdtest.StreamMax)

			if status, scanned, body := s.upload(t, "ann", picture); status != http.StatusCreated || scanned != "clean" {
				t.Errorf("clean: %d %s", status, body)
			}
			status, _, body := s.upload(t, "bob", infected)
			if status != http.StatusUnprocessableEntity || !strings.Contains(body, "MALWARE_FOUND") || !strings.Contains(body, clamdtest.Signature) {
				t.Errorf("infected: %d %s", status, body)
			}
			if r := s.refusals(t, "bob"); len(r) != 1 || r[0].Code != "MALWARE_FOUND" || !strings.Contains(r[0].Reason, clamdtest.Signature) {
				t.Errorf("the verdict log holds %v", r)
			}
			s.unscanned(t, policy, "over the scanner's limits", overScan)
			s.unscanned(t, policy, "over the scanner's size limit", overStream)
			d.Stop()
			s.unscanned(t, policy, "does not answer", picture)
			if _, body := s.do(t, "GET", "/metrics", s.creds["admin"], ""); !strings.Contains(body, `gantry_media_scans_total{answer="unscanned"} 3`) {
				t.Error("the scans are not counted")
			}
		})
	}
}

// unscanned uploads what the scanner does not scan.
func (s started) unscanned(t *testing.T, policy, why string, file []byte) {
	t.Helper()
	status, scanned, body := s.upload(t, "eve", file)
	if policy == "accept" {
		if status != http.StatusCreated || scanned != "unscanned" {
			t.Errorf("%s: %d %s", why, status, body)
		}
		return
	}
	if status != http.StatusServiceUnavailable || !strings.Contains(body, why) || !strings.Contains(body, "SERVICE_DEGRADED") {
		t.Errorf("%s: %d %s", why, status, body)
	}
}

// noise is a JPEG of more than n bytes.
func noise(t *testing.T, n int) []byte {
	t.Helper()
	for side := 512; side <= 4096; side *= 2 {
		if b := mediatest.JPEG(mediatest.Picture(side, side).SubImage(image.Rect(0, 0, side, side))); len(b) > n {
			return b
		}
	}
	t.Fatalf("no picture has %d bytes", n)
	return nil
}
