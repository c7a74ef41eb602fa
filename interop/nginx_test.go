package interop_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"avalo.app/gantry/internal/gantrytest"
)

// documentedLines are the nginx lines of docs/GUARD.md, as written.
func documentedLines(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", "GUARD.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)<!-- test:nginx -->\n```nginx\n(.*?)```").FindSubmatch(b)
	if m == nil {
		t.Fatal("docs/GUARD.md has no nginx lines")
	}
	return string(m[1])
}

// startNginx runs Debian's nginx with the documented lines in front of app.
func startNginx(t *testing.T, gantry, key, app string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { // the workers run as another user
		t.Fatal(err)
	}
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 256; }
http {
  access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  upstream gantry { server %[2]s; }
  upstream app { server %[3]s; }
  server {
    listen %[4]s;
    set $gantry_key %[5]s;
    %[6]s
  }
}`, dir, strings.TrimPrefix(gantry, "http://"), strings.TrimPrefix(app, "http://"), addr, key,
		documentedLines(t))
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-c", path, "-p", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("nginx is needed for this test (apt-get install nginx): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if b, err := os.ReadFile(filepath.Join(dir, "error.log")); t.Failed() && err == nil {
			t.Logf("nginx: %s", b)
		}
	})
	for range 100 {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return "http://" + addr
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("nginx does not listen")
	return ""
}

// get asks as user, by basic authentication.
func get(t *testing.T, user, url string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(user, "x")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

// newKey makes a key of the role.
func newKey(t *testing.T, p *gantrytest.Process, role string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+"/v1/keys", strings.NewReader(`{"role":"`+role+`","label":"nginx"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.Key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var made struct{ Secret string }
	if err := json.NewDecoder(res.Body).Decode(&made); err != nil || made.Secret == "" {
		t.Fatalf("%d: %v", res.StatusCode, err)
	}
	return made.Secret
}

// TestNginxMisconfigured: with a wrong key nothing passes, and nothing looks
// like a limit; the documented table says what the client sees.
func TestNginxMisconfigured(t *testing.T) {
	p := gantrytest.Start(t, gantrytest.Options{Binary: binary})
	app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request reached the app") }))
	defer app.Close()
	for name, c := range map[string]struct {
		key  string
		want int
	}{
		"no such key":           {"gk_nonsense", http.StatusUnauthorized},
		"a key of another role": {newKey(t, p, "moderator"), http.StatusInternalServerError},
	} {
		front := startNginx(t, p.URL, c.key, app.URL)
		if status, h, body := get(t, "alice", front+"/messages"); status != c.want {
			t.Errorf("%s: %d, want %d: %v %s", name, status, c.want, h, body)
		}
	}
}

// TestNginx: auth_request with the documented lines limits real requests,
// turns refusals into 429 with Retry-After, and lets requests pass while
// Gantry is away.
func TestNginx(t *testing.T) {
	p := gantrytest.Start(t, gantrytest.Options{Binary: binary})
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("forbidden") != "" {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = io.WriteString(w, "hello from the app")
	}))
	defer app.Close()
	front := startNginx(t, p.URL, p.Key, app.URL)
	for i := range 100 {
		status, h, body := get(t, "alice", front+"/messages")
		if status != 200 || body != "hello from the app" || h.Get("RateLimit") == "" || h.Get("RateLimit-Policy") == "" {
			t.Fatalf("request %d: %d %v %s", i+1, status, h, body)
		}
	}
	status, h, body := get(t, "alice", front+"/messages")
	if status != 429 || !strings.Contains(body, "RATE_LIMITED") || h.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("request 101: %d %v %s", status, h, body)
	}
	if h.Get("Retry-After") == "" || h.Get("Retry-After") == "0" || !strings.Contains(h.Get("RateLimit"), "r=0") {
		t.Errorf("headers of the refusal: %v", h)
	}
	if status, _, body := get(t, "bob", front+"/messages?forbidden=1"); status != 403 || body != "hello from the app" {
		t.Errorf("the app's own 403 becomes %d %s", status, body)
	}
	p.Kill()
	if status, _, body := get(t, "alice", front+"/messages"); status != 200 || body != "hello from the app" {
		t.Errorf("without Gantry: %d %s", status, body)
	}
}
