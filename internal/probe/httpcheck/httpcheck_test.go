package httpcheck_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"avalo.app/gantry/internal/probe/httpcheck"
	"avalo.app/gantry/internal/probe/probetest"
)

// serve answers by path: /ok, /status/N, /to?url, /big, anything else.
func serve(t *testing.T) *url.URL {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ok", func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		_, _ = fmt.Fprintf(w, `{"status":"ok","queue":3,"user":%q,"password":%q,"key":%q,"echo":%q}`, user, password, r.Header.Get("X-Key"), probetest.Secret)
	})
	mux.HandleFunc("GET /missing", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, probetest.Secret, http.StatusNotFound) })
	mux.HandleFunc("GET /text", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, probetest.Secret) })
	mux.HandleFunc("GET /to", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("url"), http.StatusFound)
	})
	mux.HandleFunc("GET /big", func(w http.ResponseWriter, _ *http.Request) {
		for range 2 << 20 / 1024 {
			_, _ = w.Write([]byte(strings.Repeat(" ", 1024)))
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestConformance(t *testing.T) {
	line := probetest.NewLine(t, "tcp", serve(t).Host)
	p, err := httpcheck.New(httpcheck.Config{
		URL:       "http://u:" + probetest.Secret + "@" + line.Addr() + "/ok?token=" + probetest.Secret,
		Header:    map[string]string{"X-Key": probetest.Secret},
		Condition: `body.status == "ok" && body.key == "` + probetest.Secret + `" && body.password == "` + probetest.Secret + `"`,
	})
	if err != nil {
		t.Fatal(err)
	}
	probetest.Run(t, probetest.Kind{Prober: p, Dependency: line})
}

func TestExpectations(t *testing.T) {
	u := serve(t)
	other := serve(t)
	for _, tt := range []struct {
		name, path string
		cfg        httpcheck.Config
		want       string // of the error; empty: none
	}{
		{"a status of the default", "/ok", httpcheck.Config{}, ""},
		{"a status that is expected", "/missing", httpcheck.Config{Status: []int{404}}, ""},
		{"a status that is not", "/missing", httpcheck.Config{}, "answers 404, want 200 to 299"},
		{"none of several", "/missing", httpcheck.Config{Status: []int{200, 204}}, "answers 404, want one of [200,204]"},
		{"HEAD", "/ok", httpcheck.Config{Method: "HEAD"}, ""},
		{"a condition that holds", "/ok", httpcheck.Config{Condition: `body.queue < 5 && status == 200`}, ""},
		{"one that does not", "/ok", httpcheck.Config{Condition: `body.queue > 5`}, "does not meet the condition"},
		{"one of a member that is missing", "/ok", httpcheck.Config{Condition: `body.` + strings.ToLower(probetest.Secret) + ` == 1`}, "cannot be told"},
		{"one that is no bool in the end", "/ok", httpcheck.Config{Condition: `body.status`}, "does not meet the condition"},
		{"one that costs too much", "/ok", httpcheck.Config{Condition: costly}, "cannot be told"},
		{"text for JSON", "/text", httpcheck.Config{Condition: `body == 1`}, "is no JSON"},
		{"a redirect within the host", "/to?url=/ok", httpcheck.Config{}, ""},
		{"one to another host", "/to?url=" + other.String() + "/ok", httpcheck.Config{}, "the host is not one that the configuration names"},
		{"one with a secret", "/to?url=http://" + probetest.Secret + "@127.0.0.1:1/", httpcheck.Config{}, "the host is not one that the configuration names"},
		{"a redirect that is expected", "/to?url=" + other.String() + "/ok", httpcheck.Config{Status: []int{302}}, ""},
		{"a body over the bound", "/big", httpcheck.Config{}, "the response is larger than allowed"},
	} {
		tt.cfg.URL = u.String() + tt.path
		p, err := httpcheck.New(tt.cfg)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		_, err = p.Probe(t.Context())
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		case err != nil && strings.Contains(err.Error(), probetest.Secret):
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// costly takes 10^8 steps.
const costly = `[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d,
 [1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, [1,2,3,4,5,6,7,8,9,10].all(g, [1,2,3,4,5,6,7,8,9,10].all(h, a+b+c+d+e+f+g+h > 0))))))))`

func TestConfig(t *testing.T) {
	for field, cfg := range map[string]httpcheck.Config{
		"url":                      {URL: "ftp://u:" + probetest.Secret + "@h/"},
		"url: is not":              {URL: "http://u:" + probetest.Secret + "@h:x/"},
		"url: is missing":          {},
		"method":                   {URL: "http://h", Method: "POST"},
		"condition: needs":         {URL: "http://h", Method: "HEAD", Condition: "true"},
		"condition: is not CEL":    {URL: "http://h", Condition: "body." + probetest.Secret + " =="},
		"condition: is of type":    {URL: "http://h", Condition: `"` + probetest.Secret + `"`},
		"condition: has 5000 byte": {URL: "http://h", Condition: strings.Repeat(" ", 5000)},
		"status":                   {URL: "http://h", Status: []int{99}},
		"header":                   {URL: "http://h", Header: map[string]string{"X": probetest.Secret + "\n"}},
	} {
		if _, err := httpcheck.New(cfg); err == nil || !strings.Contains(err.Error(), field) || strings.Contains(err.Error(), probetest.Secret) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
