package audithttp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/audit/audithttp"
)

// TestVerify covers what HTTP adds; the store's and interop's tests verify
// whole logs through it.
func TestVerify(t *testing.T) {
	secret, vkey, err := audit.GenerateKey("log.test")
	if err != nil {
		t.Fatal(err)
	}
	key, err := audit.ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	root, err := tlog.TreeHash(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	empty, err := audit.Checkpoint{Origin: "log.test", Root: root}.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	var status int
	var body string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/audit/log/checkpoint" {
			t.Errorf("path %s", r.URL.Path)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	defer srv.Close()
	for _, base := range []string{srv.URL + "/audit/log", srv.URL + "/audit/log/"} {
		status, body = 200, string(empty)
		rep, err := audithttp.Verify(t.Context(), srv.Client(), base, audit.Options{Key: vkey})
		if err != nil || !rep.OK() || rep.Origin != "log.test" {
			t.Errorf("%s: %+v, %v", base, rep, err)
		}
		for _, c := range []struct {
			status     int
			body, want string
		}{
			{404, "", "not exist"},
			{500, "", "answers 500"},
			{302, "", "302"},
			{200, strings.Repeat("x", audit.MaxCheckpoint+1), "over"},
		} {
			status, body = c.status, c.body
			if _, err := audithttp.Verify(t.Context(), srv.Client(), base, audit.Options{Key: vkey}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%d: %v, want an error with %q", c.status, err, c.want)
			}
		}
	}
	for _, base := range []string{"", "log.test/x", "https:///x", "%"} {
		if _, err := audithttp.Verify(t.Context(), srv.Client(), base, audit.Options{Key: vkey}); err == nil {
			t.Errorf("%q is taken for a URL", base)
		}
	}
}
